//! Messages that are no alerts: each is written once, with its deliveries, in one transaction.

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::{DeliveryKind, OutboxRow, Store, StoreError, outbox};
use crate::alert::AlertId;
use crate::encode::Notice;

/// Notices that are kept; beyond, the oldest go.
const KEPT: i64 = 10_000;
/// No alert's id has a stroke: they are hexadecimal.
const PREFIX: &str = "notice/";

/// A notice that is owed to actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNotice {
    /// What no other notice has: whoever owes the same again owes nothing more.
    pub unique: String,
    /// What it says.
    pub notice: Notice,
    /// The names of the actions that tell it.
    pub actions: Vec<String>,
}

impl Store {
    /// Owes a notice; nothing if it was owed before.
    pub fn notice_owe(&self, notice: &NewNotice) -> Result<(), StoreError> {
        self.write(|transaction| owe(transaction, notice))
    }

    /// What the notice of a delivery says; none once ten thousand newer ones were written.
    pub fn notice(&self, id: &str) -> Result<Option<Notice>, StoreError> {
        let body: Option<String> = self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT body FROM notice WHERE id = ?1")?;
            Ok(statement.query_row([id], |row| row.get(0)).optional()?)
        })?;
        let notice = body.map(|body| serde_json::from_str(&body)).transpose();
        notice.map_err(|error| StoreError::corrupt(format!("notice {id}"), error))
    }
}

/// Owes a notice as part of another change.
pub(super) fn owe(transaction: &Transaction<'_>, notice: &NewNotice) -> Result<(), StoreError> {
    let NewNotice { unique, notice, actions } = notice;
    let id: String = blake3::hash(unique.as_bytes()).to_hex().chars().take(32).collect();
    let body = serde_json::to_string(notice)
        .map_err(|error| StoreError::Database(format!("notice {id}: {error}")))?;
    let sql = "INSERT INTO notice (id, body, created_at) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING";
    if transaction.prepare_cached(sql)?.execute(params![id, body, notice.at.0])? == 0 {
        return Ok(());
    }
    let sql = "DELETE FROM notice WHERE rowid <= (SELECT max(rowid) FROM notice) - ?1";
    transaction.prepare_cached(sql)?.execute([KEPT])?;
    let rows: Vec<OutboxRow> = actions
        .iter()
        .map(|action| {
            let about = (AlertId(format!("{PREFIX}{id}")), action.as_str());
            OutboxRow::owed(DeliveryKind::Notify, about, &format!("{PREFIX}{id}\0{action}"), notice.at)
        })
        .collect();
    outbox::insert(transaction, &rows)
}

/// The id of the notice that stands in place of an alert's; none for an alert's own.
#[must_use]
pub fn notice_named(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Level;
    use crate::store::OutboxQuery;
    use crate::time::Timestamp;

    #[test]
    fn a_notice_is_owed_once_to_each_action() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let notice = Notice {
            kind: "storm".into(),
            title: "Too many".into(),
            level: Level::High,
            lines: vec!["120 alerts".into()],
            links: Vec::new(),
            alert: None,
            at: Timestamp(5),
        };
        let owed = NewNotice {
            unique: "storm\0rule\0hour".into(),
            notice: notice.clone(),
            actions: vec!["mail".into(), "chat".into()],
        };
        store.notice_owe(&owed).unwrap();
        store.notice_owe(&owed).unwrap();
        let rows = store.outbox(&OutboxQuery::default()).unwrap();
        assert_eq!(rows.len(), 2);
        let id = notice_named(&rows[0].alert.0).unwrap();
        assert_eq!(store.notice(id).unwrap(), Some(notice));
        assert_eq!(store.notice("another").unwrap(), None);
        assert_eq!(notice_named("0123456789abcdef"), None);
    }
}
