//! Reports made of events, and what people are shown of them.

use serde_json::{Map, Value, json};

use super::render::{csv, html, mail, text};
use super::{AlertFact, CoverageFact, Draft, Every, Period, Report, ResponseFact, SectionKind, Told, Zone};
use crate::alert::{Key, Level, Verdict};
use crate::event::Format;
use crate::time::{Span, Timestamp};

const HOSTILE: &str = "<img src=x onerror=alert(1)>\r\n\u{202e}=cmd|'/C calc'!A0";

fn day() -> Period {
    let zone: Zone = "Europe/Berlin".parse().unwrap();
    Period::with(Every::Daily, "2026-11-21".parse().unwrap(), &zone)
}

fn at(hours: i64) -> Timestamp {
    day().start().plus(Span::hours(hours))
}

fn event(kind: &str, author: &str, details: Value) -> Map<String, Value> {
    let event = json!({
        "event_type": kind, "author_id": 7, "author_name": author, "target_details": "bob", "entity_path": "shop/api",
        "ip_address": "203.0.113.9", "source": "gitlab", "position": 4711, "details": details,
    });
    event.as_object().unwrap().clone()
}

fn draft() -> Draft {
    Draft::new(day(), &SectionKind::ALL)
}

fn filled() -> Report {
    let mut draft = draft();
    let mut add = |hours: i64, kind: &str, author: &str, details: Value| {
        draft.event(Format::Gitlab, at(hours), &event(kind, author, details));
    };
    add(9, "member_created", "alice", json!({"as": "Developer"}));
    add(8, "member_updated", "alice", json!({"from": "Developer", "to": "Owner"}));
    add(10, "member_updated", "alice", json!({"from": "Owner", "to": "Guest"}));
    add(-3, "member_destroyed", "alice", json!({}));
    add(
        11,
        "personal_access_token_created",
        HOSTILE,
        json!({"custom_message": "=HYPERLINK(\"http://evil\")"}),
    );
    add(24, "member_created", "tomorrow", json!({}));
    let mut deleted = event("project_destroyed", "mallory", json!({}));
    deleted.insert("tier".into(), "destructive".into());
    draft.event(Format::Gitlab, at(12), &deleted);
    let mut sign_in = |hours: i64, kind: &str, id: i64, name: &str, address: &str| {
        let mut event = event(kind, name, json!({}));
        event.insert("author_id".into(), id.into());
        event.insert("ip_address".into(), address.into());
        draft.event(Format::Gitlab, at(hours), &event);
    };
    sign_in(-500, "authenticated_with_password", 7, "alice", "10.0.0.1");
    sign_in(-2, "login_failed_with_standard_authentication", -1, "root", "192.0.2.1");
    sign_in(1, "authenticated_with_password", 7, "alice", "10.0.0.1");
    sign_in(2, "authenticated_with_two_factor", 7, "alice", "198.51.100.7");
    sign_in(3, "login_failed_with_standard_authentication", -1, "root", "192.0.2.1");
    sign_in(3, "login_failed_with_standard_authentication", -1, "ROOT", "192.0.2.1");
    alerts(&mut draft);
    draft.response(ResponseFact {
        at: at(1),
        action: "block-author".to_owned(),
        state: "done",
        result: "blocked user 7 (alice); read back: blocked".to_owned(),
        title: "One account clones many projects".to_owned(),
        about: "author_id = 7".to_owned(),
        alert: "0123".to_owned(),
    });
    draft.coverage(CoverageFact {
        from: at(4),
        to: at(5),
        what: "blind spot".to_owned(),
        source: "gitlab".to_owned(),
        detail: "nobody can be asked".to_owned(),
    });
    let mut report = draft.finish(at(31));
    report.name = Some("security".to_owned());
    report.events = Some((12_345, 998));
    report
}

/// One rule, five times today and once the day before.
fn alerts(draft: &mut Draft) {
    let alert = |hours: i64, author: &str, told: Told, verdict: Option<Verdict>| AlertFact {
        started_at: at(hours),
        last_at: at(hours).plus(Span::minutes(5)),
        rule: "mass-clone".to_owned(),
        title: "One account clones many projects".to_owned(),
        level: Level::High,
        key: Key(vec![("author_id".to_owned(), author.to_owned())]),
        told,
        verdict,
    };
    let (good, wrong) = (Some(Verdict::TruePositive), Some(Verdict::FalsePositive));
    for fact in [
        alert(-5, "1", Told::Nobody, good),
        alert(1, "7", Told::Done, good),
        alert(2, "8", Told::Failed, wrong),
        alert(3, "8", Told::Done, wrong),
        alert(4, "8", Told::Done, Some(Verdict::Test)),
        alert(5, "7", Told::Done, None),
    ] {
        draft.alert(&fact);
    }
}

fn section(report: &Report, kind: SectionKind) -> &super::Section {
    report.sections.iter().find(|section| section.kind == kind).unwrap()
}

#[test]
fn events_are_sorted_into_their_sections_and_compared_with_the_day_before() {
    let report = filled();
    let numbers = |kind| {
        let section = section(&report, kind);
        (section.count, section.before, section.rows.len())
    };
    assert_eq!(numbers(SectionKind::AccessGained), (2, 0, 2));
    assert_eq!(numbers(SectionKind::AccessLost), (1, 1, 1));
    assert_eq!(numbers(SectionKind::TokensMade), (1, 0, 1));
    assert_eq!(numbers(SectionKind::TokensRevoked), (0, 0, 0));
    assert_eq!(numbers(SectionKind::Destructive), (1, 0, 1));
    assert_eq!(numbers(SectionKind::SignIns), (4, 1, 2));
    assert_eq!(section(&report, SectionKind::SignIns).part, Some((2, 1)));
    assert_eq!(numbers(SectionKind::Alerts), (5, 1, 1));
    assert_eq!(numbers(SectionKind::Responses), (1, 0, 1));
    assert_eq!(numbers(SectionKind::Coverage), (1, 0, 1));
}

#[test]
fn the_text_reads_well() {
    insta::assert_snapshot!(mail(&filled(), 1 << 20).unwrap().text);
}

#[test]
fn the_page_is_as_it_was_looked_at() {
    insta::assert_snapshot!(html(&filled()).unwrap());
}

#[test]
fn what_an_attacker_types_stays_text() {
    let report = filled();
    let page = html(&report).unwrap();
    assert!(!page.contains("<img") && page.contains("&lt;img"), "{page}");
    let plain = text(&report).unwrap();
    assert!(!plain.contains(['\r', '\u{202e}']), "{plain}");
    let bytes = csv(section(&report, SectionKind::TokensMade), day().zone()).unwrap();
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let heading: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let row = reader.records().next().unwrap().unwrap();
    let cell = |key: &str| &row[heading.iter().position(|known| known == key).unwrap()];
    assert_eq!(cell("change"), "'=HYPERLINK(\"http://evil\")");
    assert_eq!(cell("time"), "2026-11-21T11:00:00+01:00");
    assert_eq!(cell("author"), HOSTILE, "the file has what was sent");
    assert!(row.iter().all(|cell| !cell.starts_with(['=', '+', '@', '\t', '\r', '-'])), "{row:?}");
    let mut named = report;
    named.name = Some("a\r\nBcc: all@example.com".to_owned());
    assert!(!mail(&named, 0).unwrap().subject.contains(['\r', '\n']));
}

#[test]
fn nothing_is_said_too() {
    let mut report = draft().finish(at(31));
    let written = mail(&report, 1 << 20).unwrap();
    assert!(written.attachments.is_empty());
    assert_eq!(written.subject, "[Watchfire] Daily report, Saturday 21 November 2026: nothing to report");
    for part in [&written.text, &written.html] {
        assert!(part.contains("Nothing happened that this report tells of."), "{part}");
    }
    report.events = Some((0, 80));
    assert!(
        text(&report)
            .unwrap()
            .contains("No event came in; the day before there were 80. Is a source silent?")
    );
}

#[test]
fn what_does_not_fit_is_named_with_its_command() {
    let report = filled();
    let whole = mail(&report, 1 << 20).unwrap();
    let names: Vec<&str> = whole.attachments.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names.len(), 8);
    assert_eq!(names[0], "security-2026-11-21-access_gained.csv");
    assert!(!whole.text.contains("too large"));
    let most: usize = whole.attachments.iter().skip(1).map(|file| file.text.len()).sum();
    let less = mail(&report, most).unwrap();
    assert!(less.attachments.iter().map(|file| file.text.len()).sum::<usize>() <= most);
    assert!(less.attachments.len() < 8);
    assert!(less.text.contains("not attached: the mail would be too large"), "{}", less.text);
    assert!(
        less.text
            .contains("watchfire report daily --config FILE --name 'security' --on 2026-11-21 --csv FOLDER"),
        "{}",
        less.text
    );
}

#[test]
fn rows_are_bounded_and_counted_on() {
    let mut draft = draft();
    let event = event("member_created", "alice", json!({}));
    for number in 0..(super::ROWS_KEPT as i64 + 5) {
        draft.event(Format::Gitlab, at(1).plus(Span::millis(number)), &event);
    }
    let report = draft.finish(at(31));
    let gained = section(&report, SectionKind::AccessGained);
    assert_eq!((gained.count, gained.rows.len() as u64, gained.left_out), (20_005, 20_000, 5));
    let plain = text(&report).unwrap();
    assert!(plain.contains("and 19,975 more; 5 further ones are only counted"), "{plain}");
}

#[test]
fn the_json_has_every_row() {
    let json = Value::Object(filled().json());
    assert_eq!((&json["period"], &json["time_zone"]), (&json!("2026-11-21"), &json!("Europe/Berlin")));
    assert_eq!(json["from"], "2026-11-21T00:00:00+01:00");
    let gained = &json["sections"][0];
    assert_eq!((&gained["section"], &gained["count"]), (&json!("access_gained"), &json!(2)));
    assert_eq!(gained["rows"][0]["change"], "Developer to Owner", "in the order of time");
    assert_eq!(json["sections"][5]["rows"][0]["author"], "root", "failures first");
    assert_eq!(json["sections"][5]["rows"][1]["new_addresses"], "198.51.100.7");
    let alerts = &json["sections"][6]["rows"][0];
    assert_eq!(alerts["status"], "1 not delivered, 4 delivered");
    let verdicts = ["open", "true_positive", "benign", "false_positive", "test", "duplicate"];
    assert_eq!(verdicts.map(|name| alerts[name].as_u64().unwrap()), [1, 1, 0, 2, 1, 0]);
    assert_eq!(alerts["precision"], 1.0 / 3.0, "trials say nothing of a rule");
    let bytes = csv(section(&filled(), SectionKind::Alerts), day().zone()).unwrap();
    assert!(String::from_utf8(bytes).unwrap().contains(",1,1,0,2,1,0,0.333"));
}
