//! Silences: the alerts that their matchers match are kept and listed, and nobody is told.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::followup::{self, Followup, Kind};
use super::{Deed, Store, StoreError, audit};
use crate::route::{Matchers, Quiet};
use crate::time::{Span, Timestamp};

/// At most so many that have not ended.
pub const SILENCES_MAX: usize = 1_000;
/// Longer ones are refused unless somebody says that they are meant.
pub const SILENCE_SPAN: Span = Span::days(90);
/// Longer ones are refused.
pub const SILENCE_SPAN_MAX: Span = Span::days(400);
/// So long before their end people are told.
const NOTICES: [Span; 2] = [Span::days(1), Span::hours(1)];

/// A silence to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSilence {
    /// Which alerts.
    pub matchers: Matchers,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// Since when.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
}

/// A silence as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Its number.
    pub id: i64,
    /// What it says.
    pub silence: NewSilence,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When somebody ended it before its time.
    pub ended_at: Option<Timestamp>,
    /// Who did.
    pub ended_by: Option<String>,
    /// Why.
    pub end_reason: Option<String>,
}

/// Where a silence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SilenceState {
    /// It begins later.
    Pending,
    /// It is in force.
    Active,
    /// It has ended.
    Ended,
}

impl Silence {
    /// Where it stands at this time.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> SilenceState {
        if self.ended_at.is_some() || now >= self.silence.ends_at {
            SilenceState::Ended
        } else if now < self.silence.starts_at {
            SilenceState::Pending
        } else {
            SilenceState::Active
        }
    }
}

impl NewSilence {
    /// What is wrong with it at this moment: the field, and why. One longer than 90 days must be meant so.
    ///
    /// # Errors
    /// When a text is empty or long, or the times do not do.
    pub fn check(&self, now: Timestamp, is_long_meant: bool) -> Result<(), (&'static str, String)> {
        for (field, text) in [("reason", &self.reason), ("owner", &self.owner)] {
            if text.trim().is_empty() || text.chars().count() > 1_000 {
                return Err((field, "it must have 1 to 1,000 characters".to_owned()));
            }
        }
        check_end((self.starts_at, self.ends_at), now, is_long_meant)
    }
}

fn check_end(
    (starts_at, ends_at): (Timestamp, Timestamp),
    now: Timestamp,
    is_long_meant: bool,
) -> Result<(), (&'static str, String)> {
    if ends_at <= now || ends_at <= starts_at {
        return Err(("ends_at", "it must lie in the future, and after the beginning".to_owned()));
    }
    let span = ends_at.since(starts_at.max(now));
    if span > SILENCE_SPAN_MAX {
        return Err((
            "ends_at",
            format!("a silence ends within {SILENCE_SPAN_MAX}: what is never to be told is a filter"),
        ));
    }
    if span > SILENCE_SPAN && !is_long_meant {
        return Err((
            "ends_at",
            format!("it lies more than {SILENCE_SPAN} ahead: ask for a long silence if that is meant"),
        ));
    }
    Ok(())
}

const COLUMNS: &str = "SELECT id, matchers, reason, owner, starts_at, ends_at, created_at, created_by, ended_at, \
                       ended_by, end_reason FROM silence";

impl Store {
    /// Keeps a silence, and tells its number. [`StoreError::Conflict`] if there are [`SILENCES_MAX`] already.
    pub fn silence_add(&self, silence: &NewSilence, deed: &Deed) -> Result<i64, StoreError> {
        self.write(|transaction| {
            let sql = "SELECT count(*) FROM silence WHERE ended_at IS NULL AND ends_at > ?1";
            let count: i64 = transaction.prepare_cached(sql)?.query_row([deed.at.0], |row| row.get(0))?;
            if usize::try_from(count).is_ok_and(|count| count >= SILENCES_MAX) {
                let what = format!("there are {SILENCES_MAX} silences already: end those that nobody needs");
                return Err(StoreError::Conflict { what });
            }
            let sql = "INSERT INTO silence (matchers, reason, owner, starts_at, ends_at, created_at, created_by) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let NewSilence { matchers, reason, owner, starts_at, ends_at } = silence;
            let matchers = serde_json::to_string(&matchers.texts())
                .map_err(|error| StoreError::Database(format!("silence: {error}")))?;
            let values = params![matchers, reason, owner, starts_at.0, ends_at.0, deed.at.0, deed.author];
            let id = transaction.prepare_cached(sql)?.insert(values)?;
            remind(transaction, id, *ends_at, deed.at)?;
            audit::record(transaction, &deed.clone().asking(format!("{}, id {id}", deed.request)), "done")?;
            Ok(id)
        })
    }

    /// All silences, the newest first, those that have ended too.
    pub fn silences(&self) -> Result<Vec<Silence>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!("{COLUMNS} ORDER BY id DESC"))?;
            let rows = statement.query_map([], columns)?;
            rows.map(|row| parse(row?)).collect()
        })
    }

    /// The silence with this number.
    pub fn silence(&self, id: i64) -> Result<Option<Silence>, StoreError> {
        self.read(|connection| one(connection, id))
    }

    /// The silences that are in force at this moment.
    pub fn silences_in_force(&self, at: Timestamp) -> Result<Vec<Quiet>, StoreError> {
        self.read(|connection| in_force(connection, at))
    }

    /// Ends a silence from now on; false if there is none of that number that had not ended. It stays in the record. What
    /// it held back is not told.
    pub fn silence_end(&self, id: i64, reason: &str, deed: &Deed) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let sql = "UPDATE silence SET ended_at = ?2, ended_by = ?3, end_reason = ?4 \
                       WHERE id = ?1 AND ended_at IS NULL AND ends_at > ?2";
            let values = params![id, deed.at.0, deed.author, reason];
            if transaction.prepare_cached(sql)?.execute(values)? == 0 {
                return Ok(false);
            }
            followup::forget(transaction, Kind::Silence, &id.to_string())?;
            audit::record(transaction, deed, "done")?;
            Ok(true)
        })
    }

    /// Lets a silence end at another time; false if there is none of that number that had not ended.
    /// [`StoreError::Conflict`] if that time will not do.
    pub fn silence_extend(
        &self,
        id: i64,
        (ends_at, is_long_meant): (Timestamp, bool),
        deed: &Deed,
    ) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let known = one(transaction, id)?.filter(|known| known.state(deed.at) != SilenceState::Ended);
            let Some(known) = known else { return Ok(false) };
            check_end((known.silence.starts_at, ends_at), deed.at, is_long_meant)
                .map_err(|(_, what)| StoreError::Conflict { what: format!("the end will not do: {what}") })?;
            transaction
                .prepare_cached("UPDATE silence SET ends_at = ?2 WHERE id = ?1")?
                .execute(params![id, ends_at.0])?;
            followup::forget(transaction, Kind::Silence, &id.to_string())?;
            remind(transaction, id, ends_at, deed.at)?;
            audit::record(transaction, deed, "done")?;
            Ok(true)
        })
    }
}

/// Has people told before a silence ends.
fn remind(
    transaction: &Transaction<'_>,
    id: i64,
    ends_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    for before in NOTICES {
        let due_at = ends_at.minus(before);
        if due_at > now {
            let about = id.to_string();
            let id = format!("silence/{id}/{before}");
            let action = String::new();
            followup::put(
                transaction,
                &Followup { id, kind: Kind::Silence, about, action, step: 0, span: Span(0), due_at },
            )?;
        }
    }
    Ok(())
}

/// The silences that are in force at this moment.
pub(super) fn in_force(connection: &Connection, at: Timestamp) -> Result<Vec<Quiet>, StoreError> {
    let sql = format!("{COLUMNS} WHERE ended_at IS NULL AND ends_at > ?1 AND starts_at <= ?1 ORDER BY id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([at.0], columns)?;
    rows.map(|row| {
        let Silence { id, silence, .. } = parse(row?)?;
        let NewSilence { matchers, reason, owner, ends_at, .. } = silence;
        Ok(Quiet { id, matchers, reason, owner, until: ends_at })
    })
    .collect()
}

/// The silence with this number.
pub(super) fn one(connection: &Connection, id: i64) -> Result<Option<Silence>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{COLUMNS} WHERE id = ?1"))?;
    statement.query_row([id], columns).optional()?.map(parse).transpose()
}

/// A row whose matchers are not read yet.
struct Columns {
    matchers: String,
    texts: (String, String),
    times: (i64, i64),
    rest: (i64, i64, String, Option<i64>, Option<String>, Option<String>),
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok(Columns {
        matchers: row.get(1)?,
        texts: (row.get(2)?, row.get(3)?),
        times: (row.get(4)?, row.get(5)?),
        rest: (row.get(0)?, row.get(6)?, row.get(7)?, row.get(8)?, row.get(9)?, row.get(10)?),
    })
}

fn parse(columns: Columns) -> Result<Silence, StoreError> {
    let Columns { matchers, texts: (reason, owner), times, rest } = columns;
    let (id, created_at, created_by, ended_at, ended_by, end_reason) = rest;
    let wrong = |error: String| StoreError::corrupt(format!("silence {id}"), error);
    let texts: Vec<String> = serde_json::from_str(&matchers).map_err(|error| wrong(error.to_string()))?;
    let matchers = Matchers::parse(&texts).map_err(|error| wrong(error.to_string()))?;
    let (starts_at, ends_at) = (Timestamp(times.0), Timestamp(times.1));
    Ok(Silence {
        id,
        silence: NewSilence { matchers, reason, owner, starts_at, ends_at },
        created_at: Timestamp(created_at),
        created_by,
        ended_at: ended_at.map(Timestamp),
        ended_by,
        end_reason,
    })
}
