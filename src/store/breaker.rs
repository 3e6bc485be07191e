//! Actions whose receivers are away: written when that begins and when it ends, so that who looks at the store knows.

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError};
use crate::time::Timestamp;

/// Among the places of readers, which have no such beginning.
const PREFIX: &str = "breaker/";

/// An action that is only probed, since its receiver failed several times in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenBreaker {
    /// The action's configured name.
    pub action: String,
    /// Since when.
    pub since: Timestamp,
    /// How it failed.
    pub error: String,
}

impl Store {
    /// An action is only probed from now on.
    pub fn breaker_opened(&self, breaker: &OpenBreaker) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(breaker)
            .map_err(|error| StoreError::Database(format!("breaker {}: {error}", breaker.action)))?;
        self.set_checkpoint(&format!("{PREFIX}{}", breaker.action), &bytes)
    }

    /// It is told everything again; none: all of them are.
    pub fn breaker_closed(&self, action: Option<&str>) -> Result<(), StoreError> {
        self.write(|transaction| {
            let sql = "DELETE FROM checkpoint WHERE name >= ?1 AND name < ?2";
            // The sign after the stroke ends the names that begin with it.
            let (from, to) = match action {
                Some(action) => (format!("{PREFIX}{action}"), format!("{PREFIX}{action}\u{1}")),
                None => (PREFIX.to_owned(), "breaker0".to_owned()),
            };
            transaction.prepare_cached(sql)?.execute(params![from, to])?;
            Ok(())
        })
    }

    /// The actions that are only probed, by name.
    pub fn breakers(&self) -> Result<Vec<OpenBreaker>, StoreError> {
        self.read(|connection| {
            let sql =
                "SELECT bytes FROM checkpoint WHERE name >= 'breaker/' AND name < 'breaker0' ORDER BY name";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
            rows.map(|bytes| {
                serde_json::from_slice(&bytes?)
                    .map_err(|error| StoreError::corrupt("breaker".to_owned(), error))
            })
            .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_known_until_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.set_checkpoint("forward/siem", b"7").unwrap();
        let open =
            |action: &str| OpenBreaker { action: action.into(), since: Timestamp(5), error: "away".into() };
        for action in ["mail", "mail2", "chat", "mail"] {
            store.breaker_opened(&open(action)).unwrap();
        }
        assert_eq!(store.breakers().unwrap(), [open("chat"), open("mail"), open("mail2")]);
        store.breaker_closed(Some("mail")).unwrap();
        assert_eq!(store.breakers().unwrap(), [open("chat"), open("mail2")]);
        store.breaker_closed(None).unwrap();
        assert_eq!(store.breakers().unwrap(), []);
        assert_eq!(store.checkpoint("forward/siem").unwrap().as_deref(), Some(&b"7"[..]));
    }
}
