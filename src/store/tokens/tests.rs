use tempfile::TempDir;

use super::*;
use crate::store::AuditQuery;

const NOW: Timestamp = Timestamp(1_790_000_000_000);

fn open() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn deed(at: Timestamp) -> Deed {
    Deed::new(at, "alice", "test")
}

fn token(id: &str, name: &str) -> TokenRow {
    TokenRow {
        id: id.to_owned(),
        name: name.to_owned(),
        role: Role::Responder,
        hash: TokenHash { salt: [1; 16], hash: [2; 32], memory: 4096, passes: 3 },
        created_at: NOW,
        created_by: "alice".to_owned(),
        expires_at: Some(Timestamp(NOW.0 + 10)),
        last_used_at: None,
        revoked_at: None,
    }
}

#[test]
fn a_token_is_kept_used_and_revoked() {
    let (_dir, store) = open();
    store.token_add(&token("a1", "ci"), &deed(NOW)).unwrap();
    assert_eq!(store.token("a1").unwrap(), Some(token("a1", "ci")));
    assert_eq!(store.token("a2").unwrap(), None);
    let used = |at: i64| {
        store.token_used("a1", Timestamp(at)).unwrap();
        store.token("a1").unwrap().unwrap().last_used_at.unwrap().0
    };
    assert_eq!(used(1_000), 1_000);
    assert_eq!(used(60_999), 1_000, "not before a minute is over");
    assert_eq!(used(61_000), 61_000);
    assert!(token("a1", "ci").is_valid(NOW) && !token("a1", "ci").is_valid(Timestamp(NOW.0 + 10)));
    assert!(store.token_revoke("a1", &deed(NOW)).unwrap());
    assert!(!store.token_revoke("a1", &deed(NOW)).unwrap() && !store.token_revoke("b", &deed(NOW)).unwrap());
    assert!(!store.token("a1").unwrap().unwrap().is_valid(NOW));
    assert_eq!(store.audit(&AuditQuery::default()).unwrap().len(), 2, "only what changed something");
}

#[test]
fn a_name_is_free_again_once_its_token_is_revoked() {
    let (_dir, store) = open();
    store.token_add(&token("a1", "ci"), &deed(NOW)).unwrap();
    let error = store.token_add(&token("a2", "ci"), &deed(NOW)).unwrap_err();
    assert!(error.to_string().contains("`ci` already"), "{error}");
    store.token_revoke("a1", &deed(NOW)).unwrap();
    store.token_add(&token("a2", "ci"), &deed(NOW)).unwrap();
    assert_eq!(store.tokens().unwrap().len(), 2);
}

#[test]
fn there_are_only_so_many() {
    let (_dir, store) = open();
    store
        .write(|transaction| {
            for number in 0..TOKENS_MAX {
                insert(transaction, &token(&format!("t{number}"), &format!("n{number}")))?;
            }
            Ok(())
        })
        .unwrap();
    let error = store.token_add(&token("x", "one more"), &deed(NOW)).unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    for number in 0..TOKENS_MAX {
        store.token_revoke(&format!("t{number}"), &deed(Timestamp(number as i64))).unwrap();
    }
    store.token_add(&token("x", "one more"), &deed(NOW)).unwrap();
    store.token_revoke("x", &deed(NOW)).unwrap();
    let kept = store.tokens().unwrap();
    assert_eq!(kept.len(), 1_000, "of the revoked ones the newest stay");
    assert!(kept.iter().all(|token| token.id != "t0"));
}
