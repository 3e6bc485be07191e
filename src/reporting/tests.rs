//! Reports and exports of a log that is really there.

use super::{Asked, ExportConfig, ExportFormat, make, write_export};
use crate::event::Catalogue;
use crate::report::{Every, Period, SectionKind, Zone};
use crate::search::Searcher;
use crate::store::{GapState, NewGap, NewRejected, Store};
use crate::time::{Span, Timestamp};

fn event(number: u32, day: u32, kind: &str) -> String {
    let (hour, minute) = (number / 60 % 24, number % 60);
    format!(
        r#"{{"id":"{day}-{number}-{kind}","created_at":"2026-01-{day:02}T{hour:02}:{minute:02}:00Z","event_type":"{kind}","author_id":7,"author_name":"alice","entity_id":1,"entity_type":"Group","entity_path":"shop/{number}","ip_address":"192.0.2.{}","details":{{}}}}"#,
        number % 200
    )
}

fn period(day: &str) -> Period {
    Period::with(Every::Daily, day.parse().unwrap(), &Zone::utc())
}

fn folder(events: &[String]) -> (tempfile::TempDir, Searcher, Store) {
    let at = Timestamp::parse("2026-01-06T12:00:00Z").unwrap();
    let dir = crate::log::testing::data_dir(events, at);
    let searcher = Searcher::open(dir.path(), Catalogue::built_in()).unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, searcher, store)
}

#[test]
fn a_report_is_made_of_log_and_store() {
    let mut events: Vec<String> = (0..30).map(|number| event(number, 2, "member_created")).collect();
    events.extend((0..10).map(|number| event(number, 1, "member_created")));
    events.extend((0..5).map(|number| event(number, 2, "repository_git_operation")));
    events.push(event(1, 2, "project_destroyed"));
    events.push(event(3, 2, "authenticated_with_password"));
    events.push(event(9, 2, "authenticated_with_password"));
    events.push(event(3, 1, "authenticated_with_password"));
    let (_dir, mut searcher, store) = folder(&events);
    let now = Timestamp::parse("2026-01-03T07:00:00Z").unwrap();
    let at = Timestamp::parse("2026-01-02T10:00:00Z").unwrap();
    let why = Some("stopped".to_owned());
    let gap = NewGap {
        source: "gitlab".into(),
        from: at,
        to: at.plus(Span::hours(20)),
        asked: false,
        state: GapState::Blind,
        why,
    };
    store.gap_add(&gap, now).unwrap();
    for at in [at, at.plus(Span::minutes(1)), at.minus(Span::days(5))] {
        let (source, reason) = ("gitlab".to_owned(), "no JSON".to_owned());
        store
            .reject(&NewRejected { source, received_at: at, reason, type_hint: None, body: b"x".to_vec() })
            .unwrap();
    }
    let mut asked = Asked {
        name: None,
        period: period("2026-01-02"),
        sections: SectionKind::ALL.to_vec(),
        query: String::new(),
    };
    let report = make(&mut searcher, &store, &asked, (now, &|| true)).unwrap();
    let of = |kind: SectionKind| report.sections.iter().find(|section| section.kind == kind).unwrap();
    assert_eq!((of(SectionKind::AccessGained).count, of(SectionKind::AccessGained).before), (30, 10));
    assert_eq!((of(SectionKind::Destructive).count, of(SectionKind::Coverage).count), (1, 2));
    assert_eq!(of(SectionKind::Coverage).rows[1][2], "2 bodies rejected".into());
    assert_eq!(of(SectionKind::SignIns).rows[0][5], "192.0.2.9".into(), "the other one was known");
    assert_eq!(report.events, Some((38, 11)));
    assert!(report.notes.is_empty());

    asked.query = "entity:shop/1*".to_owned();
    asked.sections = vec![SectionKind::AccessGained];
    let narrowed = make(&mut searcher, &store, &asked, (now, &|| true)).unwrap();
    assert_eq!((narrowed.sections.len(), narrowed.sections[0].count), (1, 11));
    let stopped = make(&mut searcher, &store, &asked, (now, &|| false)).unwrap_err();
    assert!(matches!(stopped, super::ReportError::Stopped), "{stopped}");
    asked.query = "(".to_owned();
    assert!(
        make(&mut searcher, &store, &asked, (now, &|| true)).unwrap_err().to_string().starts_with("query: ")
    );
    asked.query = String::new();
    asked.period = period("2026-01-03");
    let running = make(&mut searcher, &store, &asked, (now, &|| true)).unwrap();
    assert_eq!(running.notes, ["This period is not over yet."]);
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_reads_back() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;
    let events: Vec<String> = (0..2_500).map(|number| event(number, 1, "user_created")).collect();
    let (dir, mut searcher, _store) = folder(&events);
    let config = ExportConfig {
        name: "users".to_owned(),
        every: Every::Daily,
        at: "01:00".parse().unwrap(),
        time_zone: Zone::utc(),
        query: String::new(),
        format: ExportFormat::Parquet,
        folder: dir.path().join("out"),
        keep: 0,
    };
    let written = write_export(&mut searcher, &config, &period("2026-01-01"), &|| true).unwrap();
    let reader = SerializedFileReader::new(std::fs::File::open(&written.path).unwrap()).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!((rows.len() as u64, written.events), (2_500, 2_500));
    let names: Vec<String> = rows[0].get_column_iter().map(|(name, _)| name.clone()).collect();
    assert_eq!((names[0].as_str(), names[1].as_str(), names.len()), ("position", "created_at", 19));
    for (row, (number, sent)) in rows.iter().zip(events.iter().enumerate()) {
        assert_eq!(row.get_long(0).unwrap(), number as i64 + 1);
        assert_eq!(row.get_timestamp_millis(1).unwrap() % 60_000, 0);
        assert_eq!(row.get_string(5).unwrap(), "user_created");
        assert!(row.get_string(16).is_err(), "no correlation id: null");
        assert_eq!(row.get_string(18).unwrap(), sent);
    }
}

#[test]
fn a_file_is_whole_or_not_there_and_old_ones_go() {
    let events: Vec<String> =
        (1..=5).flat_map(|day| (0..3).map(move |number| event(number, day, "user_created"))).collect();
    let (dir, mut searcher, _store) = folder(&events);
    let out = dir.path().join("out");
    let config = ExportConfig {
        name: "users".to_owned(),
        every: Every::Daily,
        at: "01:00".parse().unwrap(),
        time_zone: Zone::utc(),
        query: "-id:1-0-user_created".to_owned(),
        format: ExportFormat::Csv,
        folder: out.clone(),
        keep: 2,
    };
    std::fs::create_dir(&out).unwrap();
    // What a crash left, and what is somebody else's.
    std::fs::write(out.join(".users-2026-01-01.csv.partial"), "half a li").unwrap();
    for name in ["users-x-2026-01-01.csv", "users-2026-01-01.ndjson", "users-notes.csv"] {
        std::fs::write(out.join(name), "").unwrap();
    }
    for (day, events, removed) in
        [("2026-01-01", 2, 0), ("2026-01-02", 3, 0), ("2026-01-03", 3, 1), ("2026-01-03", 3, 0)]
    {
        let written = write_export(&mut searcher, &config, &period(day), &|| true).unwrap();
        assert_eq!((written.events, written.removed), (events, removed), "{day}");
        let text = std::fs::read_to_string(&written.path).unwrap();
        assert!(text.starts_with("position,created_at,source,"), "{text}");
        assert_eq!(text.lines().count() as u64, events + 1);
    }
    let mut names: Vec<String> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "users-2026-01-01.ndjson",
        "users-2026-01-02.csv",
        "users-2026-01-03.csv",
        "users-notes.csv",
        "users-x-2026-01-01.csv",
    ];
    assert_eq!(names, expected);
    // A day without events is a file all the same.
    let empty = write_export(&mut searcher, &config, &period("2026-03-01"), &|| true).unwrap();
    assert_eq!((empty.events, std::fs::read_to_string(empty.path).unwrap().lines().count()), (0, 1));
    let blocked = ExportConfig { folder: out.join("users-notes.csv"), ..config };
    let error = write_export(&mut searcher, &blocked, &period("2026-01-01"), &|| true).unwrap_err();
    assert!(error.to_string().contains("users-notes.csv"), "{error}");
}
