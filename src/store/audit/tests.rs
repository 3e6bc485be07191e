use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

fn deed(number: i64) -> Deed {
    let deed = Deed::new(Timestamp(1_790_000_000_000 + number), "alice", "POST /api/v1/tokens");
    Deed { address: "192.0.2.7".to_owned(), ..deed.asking(format!("name {number}")) }
}

fn with_rows(rows: i64) -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for number in 1..=rows {
        assert_eq!(store.record(&deed(number), "done").unwrap(), number.cast_unsigned());
    }
    (dir, store)
}

/// Changes the file behind the store's back, as somebody who knows SQLite would.
fn meddle(dir: &TempDir, sql: &str) {
    let connection = Connection::open(dir.path().join("control.db")).unwrap();
    connection
        .execute_batch("DROP TRIGGER IF EXISTS audit_stays; DROP TRIGGER IF EXISTS audit_is_kept")
        .unwrap();
    connection.execute_batch(sql).unwrap();
}

#[test]
fn rows_are_listed_newest_first_and_the_chain_holds() {
    let (_dir, store) = with_rows(5);
    store.record(&Deed { author: "bob".to_owned(), ..deed(6) }, "refused: 403").unwrap();
    let list = |query: &AuditQuery| -> Vec<u64> {
        store.audit(query).unwrap().into_iter().map(|row| row.number).collect()
    };
    assert_eq!(list(&AuditQuery::default()), [6, 5, 4, 3, 2, 1]);
    assert_eq!(list(&AuditQuery { before: Some(4), limit: 2, ..AuditQuery::default() }), [3, 2]);
    let of_bob = AuditQuery { author: Some("bob".to_owned()), ..AuditQuery::default() };
    assert_eq!(list(&of_bob), [6]);
    let newest = store.audit(&of_bob).unwrap().remove(0);
    assert_eq!((newest.outcome.as_str(), newest.deed.request.as_str()), ("refused: 403", "name 6"));
    let verified = store.audit_verify().unwrap();
    assert_eq!(verified, AuditVerified { rows: 6, head: newest.hash, wrong: None });
    let (_other, empty) = with_rows(0);
    assert_eq!(empty.audit_verify().unwrap(), AuditVerified { rows: 0, head: [0; 32], wrong: None });
}

#[test]
fn the_first_wrong_row_is_named() {
    let cases = [
        ("UPDATE audit SET author = 'mallory' WHERE number = 3", 3, "is not what was written"),
        ("UPDATE audit SET address = 'x', what = 'y' WHERE number = 1", 1, "is not what was written"),
        // What moves from one column to the next is noticed too.
        ("UPDATE audit SET author = 'alic', address = 'e192.0.2.7' WHERE number = 2", 2, "is not what was"),
        ("UPDATE audit SET at = at + 1 WHERE number = 5", 5, "is not what was written"),
        ("UPDATE audit SET hash = zeroblob(32) WHERE number = 4", 4, "is not what was written"),
        ("UPDATE audit SET hash = x'00' WHERE number = 4", 4, "cannot be read"),
        ("DELETE FROM audit WHERE number = 2", 2, "is missing"),
        ("DELETE FROM audit WHERE number = 1", 1, "is missing"),
        ("DELETE FROM audit WHERE number >= 4", 4, "is missing, as is all after it"),
        ("DELETE FROM audit", 1, "is missing"),
        (
            "INSERT INTO audit SELECT 0, at, author, address, what, request, outcome, hash FROM audit LIMIT 1",
            0,
            "inserted",
        ),
        (
            "INSERT INTO audit SELECT 6, at, author, address, what, request, outcome, hash FROM audit LIMIT 1",
            6,
            "is not what",
        ),
        ("UPDATE audit_head SET hash = zeroblob(32)", 5, "the end of the chain"),
        ("UPDATE audit_head SET number = 4", 5, "past the end"),
    ];
    for (sql, number, reason) in cases {
        let (dir, store) = with_rows(5);
        meddle(&dir, sql);
        let wrong = store.audit_verify().unwrap().wrong.unwrap_or_else(|| panic!("{sql}"));
        assert_eq!(wrong.number, number, "{sql}");
        assert!(wrong.reason.contains(reason), "{sql}: {}", wrong.reason);
    }
}

#[test]
fn a_row_belongs_to_the_transaction_of_what_it_records() {
    let (_dir, store) = with_rows(1);
    let failed = store.write(|transaction| {
        record(transaction, &deed(2), "done")?;
        Err::<(), _>(StoreError::Unknown { what: "delivery x".to_owned() })
    });
    assert!(failed.is_err());
    assert_eq!(store.audit_verify().unwrap().rows, 1);
}

#[test]
fn the_table_refuses_changes_and_long_texts_are_cut() {
    let (dir, store) = with_rows(2);
    let connection = Connection::open(dir.path().join("control.db")).unwrap();
    for sql in ["UPDATE audit SET author = 'x'", "DELETE FROM audit"] {
        let error = connection.execute_batch(sql).unwrap_err();
        assert!(error.to_string().contains("only added to"), "{error}");
    }
    store.record(&deed(3).asking("ü".repeat(5_000)), "done").unwrap();
    let row = store.audit(&AuditQuery { limit: 1, ..AuditQuery::default() }).unwrap().remove(0);
    assert_eq!(row.deed.request.chars().count(), TEXT_MAX / 2 + 1);
    assert_eq!(store.audit_verify().unwrap().wrong, None);
}
