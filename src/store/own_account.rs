//! The accounts that the tokens of responses belong to. They decide what `self` is of events, so they are kept like what is
//! configured: across restarts, and every change is in the audit log.

use rusqlite::{Connection, Row, Transaction, params};

use super::{Deed, Store, StoreError, audit};
use crate::enrich::Account;
use crate::log::fault;
use crate::time::Timestamp;

/// An account of Watchfire's own, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnAccount {
    /// The action whose token told it.
    pub action: String,
    /// Whose token it is.
    pub account: Account,
    /// Since when it is known.
    pub learnt_at: Timestamp,
}

impl Store {
    /// What the tokens told, by the names of their actions.
    pub fn own_accounts(&self) -> Result<Vec<OwnAccount>, StoreError> {
        self.read(all)
    }

    /// Takes over what the tokens of these actions told. Of the other actions that are `asked` nothing new is known, so what
    /// was known of them stays. Of all that are not asked any more it is forgotten once each that is asked has told: until
    /// then it may be the account of one that only has another name by now. Whether anything is otherwise now.
    pub fn own_accounts_learn(
        &self,
        told: &[(String, Account)],
        asked: &[String],
        deed: &Deed,
    ) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let known = all(transaction)?;
            let mut is_changed = false;
            let all_told = asked.iter().all(|action| told.iter().any(|(name, _)| name == action));
            for gone in known.iter().filter(|known| all_told && !asked.contains(&known.action)) {
                forget(transaction, gone, deed)?;
                is_changed = true;
            }
            for (action, account) in told {
                let before = known.iter().find(|known| known.action == *action);
                if before.is_some_and(|before| before.account == *account) {
                    continue;
                }
                learn(transaction, (action, account), deed)?;
                is_changed = true;
            }
            fault::point("store.accounts_learnt");
            Ok(is_changed)
        })
    }
}

fn learn(
    transaction: &Transaction<'_>,
    (action, account): (&str, &Account),
    deed: &Deed,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO own_account (action, forge, id, name, by_name, learnt_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
               ON CONFLICT (action) DO UPDATE SET (forge, id, name, by_name, learnt_at) = \
               (excluded.forge, excluded.id, excluded.name, excluded.by_name, excluded.learnt_at)";
    let Account { forge, id, name, by_name } = account;
    transaction.prepare_cached(sql)?.execute(params![action, forge, id, name, by_name, deed.at.0])?;
    let told = format!("the token of action {action} is of account {id} ({name}) at {forge}");
    audit::record(transaction, &deed.clone().asking(told), "done")?;
    Ok(())
}

fn forget(transaction: &Transaction<'_>, gone: &OwnAccount, deed: &Deed) -> Result<(), StoreError> {
    transaction.prepare_cached("DELETE FROM own_account WHERE action = ?1")?.execute([&gone.action])?;
    let Account { forge, id, name, .. } = &gone.account;
    let told = format!("action {} no longer uses account {id} ({name}) at {forge}", gone.action);
    audit::record(transaction, &deed.clone().asking(told), "done")?;
    Ok(())
}

fn all(connection: &Connection) -> Result<Vec<OwnAccount>, StoreError> {
    let sql = "SELECT action, forge, id, name, by_name, learnt_at FROM own_account ORDER BY action";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], columns)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn columns(row: &Row<'_>) -> rusqlite::Result<OwnAccount> {
    let account = Account { forge: row.get(1)?, id: row.get(2)?, name: row.get(3)?, by_name: row.get(4)? };
    Ok(OwnAccount { action: row.get(0)?, account, learnt_at: Timestamp(row.get(5)?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::AuditQuery;

    fn account(id: &str) -> Account {
        Account { forge: "gitlab".into(), id: id.into(), name: format!("bot-{id}"), by_name: false }
    }

    #[test]
    fn what_a_token_told_stays_until_it_tells_otherwise_or_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let deed = |at| Deed::new(Timestamp(at), "watchfire", "own accounts");
        let actions = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let ids = || {
            let known = store.own_accounts().unwrap();
            known
                .into_iter()
                .map(|known| (known.action, known.account.id, known.learnt_at.0))
                .collect::<Vec<_>>()
        };
        let told = |action: &str, id: &str| (action.to_owned(), account(id));
        let both = actions(&["block", "lower"]);
        let learn = |told: &[(String, Account)], asked: &[String], at| {
            store.own_accounts_learn(told, asked, &deed(at)).unwrap()
        };
        assert!(learn(&[told("block", "3"), told("lower", "4")], &both, 1));
        assert!(!learn(&[told("block", "3")], &both, 2), "the same, and one that did not answer");
        assert_eq!(ids(), [("block".into(), "3".into(), 1), ("lower".into(), "4".into(), 1)]);
        assert!(learn(&[told("block", "5")], &both, 3), "another token");
        assert!(!learn(&[], &actions(&["ban", "lower"]), 4), "`block` may be called `ban` now");
        assert!(learn(&[told("ban", "5")], &actions(&["ban", "lower"]), 4));
        assert_eq!(ids().len(), 3, "and `lower` has not told yet");
        assert!(learn(&[told("block", "5")], &actions(&["block"]), 4), "the others are gone");
        assert_eq!(ids(), [("block".into(), "5".into(), 3)]);
        let rows = store.audit(&AuditQuery::default()).unwrap();
        let told: Vec<&str> = rows.iter().map(|row| row.deed.request.as_str()).collect();
        assert_eq!(rows.len(), 6, "{told:?}");
        assert!(told[0].contains("lower no longer uses account 4") && told[1].contains("account 5 (bot-5)"));
        assert_eq!(store.audit_verify().unwrap().wrong, None);
    }
}
