//! The audit log: who changed what, each row chained to the one before, so that a changed, removed or inserted row is
//! found.
//!
//! `hash(n) = BLAKE3(hash(n-1) || number || at || author || address || what || request || outcome)`; numbers and times
//! are 8 bytes, little-endian, each text follows its length in 8 bytes; `hash(0)` is 32 zero bytes.

use std::borrow::Cow;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::{Store, StoreError};
use crate::log::AuditMark;
use crate::time::Timestamp;

/// Longer texts of a row are cut.
const TEXT_MAX: usize = 2_000;

/// Who does something, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// When.
    pub at: Timestamp,
    /// Who: a token by name and id, or an account of the machine.
    pub author: String,
    /// From which address; empty on the command line.
    pub address: String,
    /// The call: `POST /api/v1/tokens`, `watchfire token add`.
    pub what: String,
    /// What was asked for, without secrets; may be empty.
    pub request: String,
}

impl Deed {
    /// What this author does at this time, from nowhere in particular.
    pub fn new(at: Timestamp, author: impl Into<String>, what: impl Into<String>) -> Self {
        let (author, what) = (author.into(), what.into());
        Self { at, author, address: String::new(), what, request: String::new() }
    }

    /// The same with what was asked for; without secrets.
    #[must_use]
    pub fn asking(mut self, request: impl Into<String>) -> Self {
        self.request = request.into();
        self
    }
}

/// A row of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// 1, 2, 3 and so on.
    pub number: u64,
    /// What was done, and by whom.
    pub deed: Deed,
    /// What came of it: `done`, or why it was refused.
    pub outcome: String,
    /// The chain after this row.
    pub hash: [u8; 32],
}

/// Which rows to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Only this author's.
    pub author: Option<String>,
    /// Only those before this number.
    pub before: Option<u64>,
    /// At most so many; 0: all.
    pub limit: usize,
}

/// What a check of the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditVerified {
    /// How many rows are in order, from the first.
    pub rows: u64,
    /// The chain after them.
    pub head: [u8; 32],
    /// The first row that is not, if one is not.
    pub wrong: Option<WrongRow>,
}

/// The first row of the audit log that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongRow {
    /// Its number.
    pub number: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl Store {
    /// Records something that changed nothing here: it was refused, or it happened elsewhere. The row's number.
    pub fn record(&self, deed: &Deed, outcome: &str) -> Result<u64, StoreError> {
        self.write(|transaction| record(transaction, deed, outcome))
    }

    /// Rows of the audit log, newest first.
    pub fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditRow>, StoreError> {
        self.read(|connection| {
            let before = query.before.and_then(|number| i64::try_from(number).ok()).unwrap_or(i64::MAX);
            // SQLite reads a negative limit as none.
            let limit = if query.limit == 0 { -1 } else { query.limit.cast_signed() as i64 };
            let filter = if query.author.is_some() { "author = ?3" } else { "?3 IS NULL" };
            let sql = format!("{COLUMNS} WHERE number < ?1 AND {filter} ORDER BY number DESC LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![before, limit, query.author], columns)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The chain after so many rows, as it is stored; none where there are fewer. [`Store::audit_verify`] says whether
    /// what is stored holds.
    pub fn audit_at(&self, rows: u64) -> Result<Option<[u8; 32]>, StoreError> {
        if rows == 0 {
            return Ok(Some([0; 32]));
        }
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT hash FROM audit WHERE number = ?1")?;
            let number = i64::try_from(rows).unwrap_or(i64::MAX);
            Ok(statement.query_row([number], |row| row.get(0)).optional()?)
        })
    }

    /// How many rows there are, and the chain after them.
    pub fn audit_mark(&self) -> Result<AuditMark, StoreError> {
        let (rows, head) = self.read(head)?;
        Ok(AuditMark { rows, head })
    }

    /// Computes the chain anew. Rows that cannot be read are wrong, not an error.
    pub fn audit_verify(&self) -> Result<AuditVerified, StoreError> {
        self.read(verify)
    }
}

const COLUMNS: &str = "SELECT number, at, author, address, what, request, outcome, hash FROM audit";

fn columns(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let deed = Deed {
        at: Timestamp(row.get(1)?),
        author: row.get(2)?,
        address: row.get(3)?,
        what: row.get(4)?,
        request: row.get(5)?,
    };
    let number = row.get::<_, i64>(0)?.cast_unsigned();
    Ok(AuditRow { number, deed, outcome: row.get(6)?, hash: row.get(7)? })
}

/// Adds a row, in the transaction of what it records.
pub(super) fn record(transaction: &Transaction<'_>, deed: &Deed, outcome: &str) -> Result<u64, StoreError> {
    let (number, before) = head(transaction)?;
    let cut = |text: &str| -> String {
        let end = text.floor_char_boundary(TEXT_MAX);
        let (kept, rest) = text.split_at(end);
        if rest.is_empty() { kept.to_owned() } else { format!("{kept}…") }
    };
    let deed = Deed {
        at: deed.at,
        author: cut(&deed.author),
        address: cut(&deed.address),
        what: cut(&deed.what),
        request: cut(&deed.request),
    };
    let mut row = AuditRow { number: number + 1, deed, outcome: cut(outcome), hash: [0; 32] };
    row.hash = chained(&before, &row);
    let sql = "INSERT INTO audit (number, at, author, address, what, request, outcome, hash) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let AuditRow { number, deed, outcome, hash } = &row;
    let Deed { at, author, address, what, request } = deed;
    let number = number.cast_signed();
    transaction
        .prepare_cached(sql)?
        .execute(params![number, at.0, author, address, what, request, outcome, hash])?;
    transaction
        .prepare_cached("UPDATE audit_head SET number = ?1, hash = ?2")?
        .execute(params![number, hash])?;
    Ok(row.number)
}

fn head(connection: &Connection) -> Result<(u64, [u8; 32]), StoreError> {
    let mut statement = connection.prepare_cached("SELECT number, hash FROM audit_head")?;
    Ok(statement.query_row([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?)))?)
}

fn chained(before: &[u8; 32], row: &AuditRow) -> [u8; 32] {
    let Deed { at, author, address, what, request } = &row.deed;
    let mut hasher = blake3::Hasher::new();
    hasher.update(before);
    hasher.update(&row.number.to_le_bytes());
    hasher.update(&at.0.to_le_bytes());
    for text in [author, address, what, request, &row.outcome] {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

fn verify(connection: &Connection) -> Result<AuditVerified, StoreError> {
    let (last, expected) = head(connection)?;
    let mut found = AuditVerified { rows: 0, head: [0; 32], wrong: None };
    let mut statement = connection.prepare_cached(&format!("{COLUMNS} ORDER BY number"))?;
    let mut rows = statement.query([])?;
    let wrong = |number, reason: Cow<'static, str>| Some(WrongRow { number, reason: reason.into_owned() });
    while let Some(row) = rows.next()? {
        let number = found.rows + 1;
        found.wrong = match columns(row) {
            Err(error) => wrong(number, format!("it cannot be read: {error}").into()),
            Ok(row) if row.number > number => wrong(number, "it is missing".into()),
            Ok(row) if row.number < number => wrong(row.number, "it was inserted".into()),
            Ok(row) if row.hash != chained(&found.head, &row) => {
                wrong(number, "it is not what was written".into())
            }
            Ok(row) => {
                found.head = row.hash;
                None
            }
        };
        if found.wrong.is_some() {
            return Ok(found);
        }
        found.rows = number;
    }
    found.wrong = match found.rows.cmp(&last) {
        std::cmp::Ordering::Less => wrong(found.rows + 1, "it is missing, as is all after it".into()),
        std::cmp::Ordering::Greater => wrong(last + 1, "it was added past the end of the chain".into()),
        std::cmp::Ordering::Equal if found.head != expected => {
            wrong(last, "the end of the chain is not what was written".into())
        }
        std::cmp::Ordering::Equal => None,
    };
    Ok(found)
}

#[cfg(test)]
mod tests;
