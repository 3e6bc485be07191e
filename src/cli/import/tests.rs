use std::path::Path;

use clap::Parser;

use super::*;
use crate::event::{Entry, Event};
use crate::log::Reader;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: ImportArgs,
}

/// What GitLab streamed.
const STREAMED: &str = r#"{"id":"1","author_id":1,"entity_id":6,"entity_type":"Project","details":{"custom_message":"Project archived","target_id":6},"entity_path":"flightjs/flight","created_at":"2019-08-30T07:00:41.885Z","target_id":6,"event_type":"project_archived"}"#;
/// The same event and another one, in the other forms.
const REST: &str = r#"[
  {"id":2,"author_id":1,"entity_id":60,"entity_type":"Group","details":{"add":"group",
    "target_id":"flightjs"},"created_at":"2019-08-27T18:36:44.162Z"},
  {"id":1,"author_id":1,"entity_id":6,"entity_type":"Project","details":{"custom_message":"Project archived","target_id":"flightjs/flight"},"created_at":"2019-08-30T07:00:41.885Z"}
]"#;
const LOG: &str = concat!(
    r#"{"severity":"INFO","time":"2019-08-30T07:00:41.9Z","id":1,"author_id":1,"entity_id":6,"entity_type":"Project","created_at":"2019-08-30T07:00:41.885Z","details":{},"custom_message":"Project archived"}"#,
    "\n",
    r#"{"severity":"INFO","time":"2018-10-17T17:38:22.523Z","author_id":3,"entity_id":2,"entity_type":"Project","change":"visibility","from":"Private","to":"Public"}"#,
    "\nnonsense\n",
);
const CSV: &str = "ID,Author ID,Author Name,Entity ID,Entity Type,Entity Path,Target ID,Target Type,Target Details,Action,IP Address,Created At (UTC)\n\
    1,1,Administrator,6,Project,flightjs/flight,6,Project,flightjs/flight,Project archived,127.0.0.1,2019-08-30T07:00:41Z\n\
    2,1,Administrator,60,Group,flightjs,60,Group,flightjs,Added group,127.0.0.1,2019-08-27T18:36:44Z\n\
    3,51,Andreas,51,User,Andreas,51,User,Andreas,Changed email address,127.0.0.1,2019-08-22T16:34:25Z\n";

fn import(dir: &Path, more: &[&str]) -> (ExitCode, Vec<Event>) {
    let data = dir.join("data");
    let mut words = vec!["import", "--data-dir", data.to_str().unwrap()];
    words.extend(more);
    let code = run(&Line::parse_from(words).args).unwrap();
    let entries = Reader::open(&data).unwrap().read_after(0, 100).unwrap();
    let events = entries.into_iter().filter_map(|entry| match entry {
        Entry::Event(event) => Some(event),
        Entry::Tick { .. } => None,
    });
    (code, events.collect())
}

fn file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn whatever_form_an_event_comes_in_it_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let streamed = file(dir.path(), "stream.ndjson", STREAMED);
    let (code, events) = import(dir.path(), &[&streamed, "--source", "gitlab", "--judge"]);
    assert_eq!((code, events.len()), (ExitCode::SUCCESS, 1));
    let [rest, log, csv] = [("rest.json", REST), ("audit_json.log", LOG), ("export.csv", CSV)]
        .map(|(name, text)| file(dir.path(), name, text));
    let (code, events) = import(dir.path(), &[&rest, &log, &csv]);
    assert_eq!(code, ExitCode::FAILURE, "a line of the log is nonsense");
    let found: Vec<(String, String)> =
        events.iter().map(|event| (event.source.to_string(), event.time.to_string())).collect();
    let expected = [
        ("gitlab", "2019-08-30T07:00:41.885Z"),
        ("past/import", "2018-10-17T17:38:22.523Z"),
        ("past/import", "2019-08-22T16:34:25.000Z"),
        // Of the export and of the REST API the earlier one, by whole seconds.
        ("past/import", "2019-08-27T18:36:44.000Z"),
    ];
    assert_eq!(found, expected.map(|(source, time)| (source.to_owned(), time.to_owned())));
    let (code, again) = import(dir.path(), &[&csv, &rest]);
    assert_eq!((code, again.len()), (ExitCode::SUCCESS, 4), "all of it is known");
    let row = String::from_utf8(events[2].raw.to_vec()).unwrap();
    assert!(row.contains(r#""Author Name":"Andreas""#) && row.contains(r#""ID":"3""#), "{row}");
}

#[test]
fn a_dry_run_stores_nothing_and_needs_no_folder() {
    let dir = tempfile::tempdir().unwrap();
    let csv = file(dir.path(), "export.csv", CSV);
    let words = ["import", "--dry-run", "--data-dir", "/nonexistent/folder", &csv];
    assert_eq!(run(&Line::parse_from(words).args).unwrap(), ExitCode::SUCCESS);
    let broken = file(dir.path(), "log", LOG);
    let words = ["import", "--dry-run", "--data-dir", "/nonexistent/folder", &broken];
    assert_eq!(run(&Line::parse_from(words).args).unwrap(), ExitCode::FAILURE);
}

#[test]
fn a_folder_in_use_is_told_with_the_way_through() {
    let dir = tempfile::tempdir().unwrap();
    let csv = file(dir.path(), "export.csv", CSV);
    let data = dir.path().join("data");
    let _held = crate::log::Log::open(&data, crate::log::LogOptions::default(), Clock::system()).unwrap();
    let words = ["import", "--data-dir", data.to_str().unwrap(), &csv];
    let error = run(&Line::parse_from(words).args).unwrap_err().to_string();
    assert!(error.contains(&std::process::id().to_string()) && error.contains("--url"), "{error}");
}

#[test]
fn names_that_could_be_another_sources_are_refused() {
    for name in ["", "past/x", "A", "a b"] {
        assert!(Line::try_parse_from(["import", "f", "--source", name]).is_err(), "{name}");
    }
}
