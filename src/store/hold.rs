//! Legal holds: what their queries find is not deleted, however old it is.

use rusqlite::{OptionalExtension as _, Row, params};

use super::{Deed, Store, StoreError, audit};
use crate::time::Timestamp;

/// At most so many that are in force.
pub const HOLDS_MAX: usize = 1_000;

/// A hold to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHold {
    /// What is held, in the search language; times in it are relative to when it was made.
    pub query: String,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// When it ends by itself; none: when somebody ends it.
    pub until: Option<Timestamp>,
}

/// A hold as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its number.
    pub id: i64,
    /// What it says.
    pub hold: NewHold,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Since when it holds nothing any more, since somebody ended it.
    pub ended_at: Option<Timestamp>,
    /// Who did.
    pub ended_by: Option<String>,
    /// Why.
    pub end_reason: Option<String>,
}

impl NewHold {
    /// What is wrong with it at this moment, beside its query: the field, and why.
    ///
    /// # Errors
    /// When a text is empty or long, or the end lies in the past.
    pub fn check(&self, now: Timestamp) -> Result<(), (&'static str, String)> {
        for (field, text) in [("query", &self.query), ("reason", &self.reason), ("owner", &self.owner)] {
            if text.trim().is_empty() {
                return Err((field, "it must not be empty".to_owned()));
            }
            if text.chars().count() > 1_000 {
                return Err((field, "it must have at most 1,000 characters".to_owned()));
            }
        }
        match self.until {
            Some(until) if until <= now => Err(("until", "it must lie in the future".to_owned())),
            _ => Ok(()),
        }
    }
}

impl Hold {
    /// Whether it holds anything at this time.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && self.hold.until.is_none_or(|until| now < until)
    }
}

const COLUMNS: &str = "SELECT id, query, reason, owner, until, created_at, created_by, ended_at, ended_by, end_reason FROM hold";

impl Store {
    /// Keeps a hold, and tells its number. [`StoreError::Conflict`] if there are [`HOLDS_MAX`] in force already.
    pub fn hold_add(&self, hold: &NewHold, deed: &Deed) -> Result<i64, StoreError> {
        self.write(|transaction| {
            let sql = "SELECT count(*) FROM hold WHERE ended_at IS NULL AND (until IS NULL OR until > ?1)";
            let count: i64 = transaction.prepare_cached(sql)?.query_row([deed.at.0], |row| row.get(0))?;
            if usize::try_from(count).is_ok_and(|count| count >= HOLDS_MAX) {
                let what = format!("there are {HOLDS_MAX} holds already: end those that nobody needs");
                return Err(StoreError::Conflict { what });
            }
            let sql = "INSERT INTO hold (query, reason, owner, until, created_at, created_by) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let until = hold.until.map(|until| until.0);
            let values = params![hold.query, hold.reason, hold.owner, until, deed.at.0, deed.author];
            let id = transaction.prepare_cached(sql)?.insert(values)?;
            let deed = deed.clone().asking(format!("{}, id {id}", deed.request));
            audit::record(transaction, &deed, "done")?;
            Ok(id)
        })
    }

    /// All holds, the newest first, those that have ended too.
    pub fn holds(&self) -> Result<Vec<Hold>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!("{COLUMNS} ORDER BY id DESC"))?;
            let rows = statement.query_map([], columns)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The hold with this number.
    pub fn hold(&self, id: i64) -> Result<Option<Hold>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!("{COLUMNS} WHERE id = ?1"))?;
            Ok(statement.query_row([id], columns).optional()?)
        })
    }

    /// Ends a hold from now on; false if there is none of that number that was in force. It stays in the record.
    pub fn hold_end(&self, id: i64, reason: &str, deed: &Deed) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let sql = "UPDATE hold SET ended_at = ?2, ended_by = ?3, end_reason = ?4 \
                       WHERE id = ?1 AND ended_at IS NULL AND (until IS NULL OR until > ?2)";
            let values = params![id, deed.at.0, deed.author, reason];
            if transaction.prepare_cached(sql)?.execute(values)? == 0 {
                return Ok(false);
            }
            audit::record(transaction, deed, "done")?;
            Ok(true)
        })
    }
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Hold> {
    let time = |index| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(index)?.map(Timestamp));
    Ok(Hold {
        id: row.get(0)?,
        hold: NewHold { query: row.get(1)?, reason: row.get(2)?, owner: row.get(3)?, until: time(4)? },
        created_at: Timestamp(row.get(5)?),
        created_by: row.get(6)?,
        ended_at: time(7)?,
        ended_by: row.get(8)?,
        end_reason: row.get(9)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::AuditQuery;

    #[test]
    fn a_hold_is_made_ends_and_stays_in_the_record() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let deed = |at| Deed::new(Timestamp(at), "legal", "test").asking("a hold");
        let hold = NewHold {
            query: "author:alice".into(),
            reason: "case 7".into(),
            owner: "legal".into(),
            until: Some(Timestamp(100)),
        };
        let first = store.hold_add(&hold, &deed(10)).unwrap();
        let second = store.hold_add(&NewHold { until: None, ..hold.clone() }, &deed(11)).unwrap();
        let active = |now| -> Vec<i64> {
            let holds = store.holds().unwrap().into_iter().filter(|hold| hold.is_active(Timestamp(now)));
            holds.map(|hold| hold.id).collect()
        };
        assert_eq!((active(50), active(100)), (vec![second, first], vec![second]));
        assert!(!store.hold_end(first, "late", &deed(100)).unwrap(), "it has ended by itself");
        assert!(store.hold_end(second, "the case is closed", &deed(60)).unwrap());
        assert!(!store.hold_end(second, "again", &deed(61)).unwrap());
        assert_eq!(active(70), [first]);
        let ended = store.hold(second).unwrap().unwrap();
        assert_eq!(
            (ended.ended_at, ended.end_reason.as_deref()),
            (Some(Timestamp(60)), Some("the case is closed"))
        );
        assert_eq!(store.hold(99).unwrap(), None);
        assert_eq!(store.audit(&AuditQuery::default()).unwrap().len(), 3);
    }
}
