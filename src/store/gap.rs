//! Gaps in the record: when a source could not be heard, and what became of that time.

use rusqlite::{Connection, Row, Transaction, params};
use serde::Serialize;
use utoipa::ToSchema;

use super::audit::record;
use super::{Deed, Store, StoreError};
use crate::time::Timestamp;

/// More are not kept: the oldest that are settled go first, then the oldest.
const KEPT: i64 = 10_000;

/// What is known of a gap's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GapState {
    /// To be filled.
    Open,
    /// Everything that happened is in the log.
    Filled,
    /// What could be fetched is in the log; the rest will never be.
    Partly,
    /// Nobody can be asked what happened.
    Blind,
}

impl GapState {
    /// Every state, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Open, Self::Filled, Self::Partly, Self::Blind];

    /// In one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Filled => "filled",
            Self::Partly => "partly",
            Self::Blind => "blind",
        }
    }

    fn numbered(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number).copied())
    }
}

/// A gap to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGap {
    /// The source that was not heard.
    pub source: String,
    /// Nothing was heard from here on …
    pub from: Timestamp,
    /// … to here.
    pub to: Timestamp,
    /// Whether somebody asked for this time, rather than the daemon having been stopped.
    pub asked: bool,
    /// What is known of it.
    pub state: GapState,
    /// In words.
    pub why: Option<String>,
}

/// A gap as kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Gap {
    /// Its number.
    pub id: i64,
    /// The source that was not heard.
    pub source: String,
    /// Nothing was heard from here on …
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// … to here.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// Whether somebody asked for this time.
    pub asked: bool,
    /// What is known of it.
    pub state: GapState,
    /// How many events were fetched and stored.
    pub filled: u64,
    /// In words.
    pub why: Option<String>,
    /// When that was noted.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// RFC 3339, for people and programs alike.
fn as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

const COLUMNS: &str = "SELECT id, source, begins, ends, asked, state, filled, why, updated_at FROM gap";

impl Store {
    /// Keeps a gap, and tells its number.
    pub fn gap_add(&self, gap: &NewGap, now: Timestamp) -> Result<i64, StoreError> {
        self.write(|transaction| add(transaction, gap, now))
    }

    /// Keeps a gap that somebody asked for, with what the audit log says of that.
    pub fn gap_ask(&self, gap: &NewGap, deed: &Deed) -> Result<Gap, StoreError> {
        self.write(|transaction| {
            let id = add(transaction, gap, deed.at)?;
            record(transaction, deed, "done")?;
            Ok(transaction.query_row(&format!("{COLUMNS} WHERE id = ?1"), [id], columns)?)
        })
    }

    /// The newest `limit` gaps before one that began then and has that number, newest first.
    pub fn gaps_before(&self, place: Option<(Timestamp, i64)>, limit: usize) -> Result<Vec<Gap>, StoreError> {
        let (begins, id) = place.unwrap_or((Timestamp::MAX, i64::MAX));
        self.read(|connection| {
            let sql =
                format!("{COLUMNS} WHERE (begins, id) < (?1, ?2) ORDER BY begins DESC, id DESC LIMIT ?3");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![begins.0, id, limit.cast_signed() as i64], columns)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The newest `limit` gaps, newest first; 0: all.
    pub fn gaps(&self, limit: usize) -> Result<Vec<Gap>, StoreError> {
        let limit = if limit == 0 { -1 } else { limit.cast_signed() as i64 };
        self.read(|connection| {
            gaps(connection, &format!("{COLUMNS} ORDER BY begins DESC, id DESC LIMIT ?1"), limit)
        })
    }

    /// The gaps that are to be filled, oldest first.
    pub fn gaps_open(&self) -> Result<Vec<Gap>, StoreError> {
        self.read(|connection| {
            gaps(connection, &format!("{COLUMNS} WHERE state = 0 ORDER BY begins LIMIT ?1"), KEPT)
        })
    }

    /// Notes what became of a gap; fetched events are added to those of before.
    pub fn gap_settle(
        &self,
        id: i64,
        (state, stored, why): (GapState, u64, &str),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(|transaction| {
            let sql =
                "UPDATE gap SET state = ?2, filled = filled + ?3, why = ?4, updated_at = ?5 WHERE id = ?1";
            let values = params![id, state as i64, stored.cast_signed(), why, now.0];
            if transaction.prepare_cached(sql)?.execute(values)? == 0 {
                return Err(StoreError::Unknown { what: format!("gap {id}") });
            }
            Ok(())
        })
    }

    /// How many gaps there are in each state, and how long they are together, in milliseconds.
    pub fn gap_totals(&self) -> Result<[(GapState, u64, u64); 4], StoreError> {
        self.read(|connection| {
            let sql = "SELECT state, count(*), sum(ends - begins) FROM gap WHERE asked = 0 GROUP BY state";
            let mut totals = GapState::ALL.map(|state| (state, 0, 0));
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let number: i64 = row.get(0)?;
                let total = totals.iter_mut().find(|(state, ..)| *state as i64 == number);
                if let Some(total) = total {
                    total.1 = row.get::<_, i64>(1)?.cast_unsigned();
                    total.2 = row.get::<_, i64>(2)?.cast_unsigned();
                }
            }
            Ok(totals)
        })
    }
}

/// Adds a gap in a transaction; its number.
fn add(transaction: &Transaction<'_>, gap: &NewGap, now: Timestamp) -> Result<i64, StoreError> {
    let sql = "INSERT INTO gap (source, begins, ends, asked, state, filled, why, updated_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7)";
    let (state, values) = (gap.state as i64, (&gap.source, gap.from.0, gap.to.0, gap.asked));
    let id = transaction
        .prepare_cached(sql)?
        .insert(params![values.0, values.1, values.2, values.3, state, gap.why, now.0])?;
    let sql = "DELETE FROM gap WHERE id IN (SELECT id FROM gap ORDER BY state = 0, id \
               LIMIT max(0, (SELECT count(*) FROM gap) - ?1))";
    transaction.prepare_cached(sql)?.execute([KEPT])?;
    Ok(id)
}

fn gaps(connection: &Connection, sql: &str, limit: i64) -> Result<Vec<Gap>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([limit], columns)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Gap> {
    Ok(Gap {
        id: row.get(0)?,
        source: row.get(1)?,
        from: Timestamp(row.get(2)?),
        to: Timestamp(row.get(3)?),
        asked: row.get(4)?,
        state: GapState::numbered(row.get(5)?).unwrap_or(GapState::Open),
        filled: row.get::<_, i64>(6)?.cast_unsigned(),
        why: row.get(7)?,
        updated_at: Timestamp(row.get(8)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(source: &str, from: i64, state: GapState) -> NewGap {
        let (from, to) = (Timestamp(from), Timestamp(from + 1_000));
        NewGap { source: source.to_owned(), from, to, asked: false, state, why: None }
    }

    #[test]
    fn gaps_are_kept_found_and_settled() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let first = store.gap_add(&gap("gitlab", 5_000, GapState::Open), Timestamp(9_000)).unwrap();
        store.gap_add(&gap("tools", 5_000, GapState::Blind), Timestamp(9_000)).unwrap();
        let second = store.gap_add(&gap("gitlab", 1_000, GapState::Open), Timestamp(9_000)).unwrap();
        let open: Vec<i64> = store.gaps_open().unwrap().iter().map(|gap| gap.id).collect();
        assert_eq!(open, [second, first], "oldest first");
        store.gap_settle(first, (GapState::Open, 2, "not yet"), Timestamp(10_000)).unwrap();
        store.gap_settle(first, (GapState::Partly, 3, "clones"), Timestamp(11_000)).unwrap();
        let found = store.gaps(1).unwrap();
        assert_eq!((found[0].source.as_str(), found[0].state), ("tools", GapState::Blind));
        let settled = store.gaps(0).unwrap().into_iter().find(|gap| gap.id == first).unwrap();
        assert_eq!(
            (settled.state, settled.filled, settled.why.as_deref()),
            (GapState::Partly, 5, Some("clones"))
        );
        let totals = store.gap_totals().unwrap().map(|(state, count, length)| (state.name(), count, length));
        assert_eq!(totals, [("open", 1, 1_000), ("filled", 0, 0), ("partly", 1, 1_000), ("blind", 1, 1_000)]);
        assert!(store.gap_settle(99, (GapState::Filled, 0, ""), Timestamp(0)).is_err());
    }
}
