//! What the fuzzers kept is shown to the same checks again.

use std::path::Path;

use crate::fuzz_checks;

/// Shows every file of a target's corpus to its check; the last path printed is the one that failed.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    for path in paths {
        println!("{}", path.display());
        check(&std::fs::read(&path).unwrap());
    }
}

#[test]
fn rule_files_hold() {
    replay("rule_file", fuzz_checks::rule_file);
}

#[test]
fn script_files_hold() {
    replay("script_file", fuzz_checks::script_file);
}

#[test]
fn conditions_hold() {
    replay("condition", fuzz_checks::condition);
}

#[test]
fn events_hold() {
    replay("event", fuzz_checks::event);
}

#[test]
fn queries_hold() {
    replay("query", fuzz_checks::query);
}
