//! Reports and exports over weeks of a clock that is moved by hand: each once, also when the daemon was stopped meanwhile.

use std::collections::BTreeSet;

use serde_json::json;
use watchfire::clock::Clock;
use watchfire::store::{DeliveryKind, OutboxRow, OutboxState};
use watchfire::time::{Span, Timestamp};

use crate::harness::{ADMIN_TOKEN, Daemon, START, Setup, deed, until};
use crate::smtp::{DOMAIN, MailServer};

fn sections(port: u16) -> String {
    format!(
        r#"
actions:
  mail:
    type: email
    smtp: {{host: 127.0.0.1, port: {port}, security: none}}
    from: Watchfire <watchfire@{DOMAIN}>
    to: [soc@{DOMAIN}]
reports:
  - {{name: every-day, every: daily, action: mail}}
  - {{name: every-week, every: weekly, at: "08:30", time_zone: Europe/Berlin, action: mail}}
  - {{name: every-month, every: monthly, at: "00:00", time_zone: America/New_York, action: mail}}
exports:
  - {{name: all, every: daily, at: "01:00", format: ndjson, folder: out, keep: 3}}
"#
    )
}

/// The subjects, with the period that they name: `every-day, Monday 5 January 2026`.
fn told(mails: &MailServer) -> Vec<String> {
    let subject = |subject: String| {
        let start = subject.find("report ").map_or(0, |at| at + "report ".len());
        subject[start..].split(": ").next().unwrap().to_owned()
    };
    mails.mails().into_iter().map(|mail| subject(mail.subject)).collect()
}

/// Waits while the clock goes on slowly: what was about to sleep when it was set would otherwise sleep on.
async fn passing(clock: &Clock, is_so: impl Fn() -> bool, what: impl Fn() -> String) {
    let look = || {
        clock.set(clock.now().plus(Span::millis(100)));
        is_so()
    };
    until(look, what).await;
}

/// A daemon whose schedules are known: what is due from now on is sent.
async fn started(setup: &Setup) -> Daemon {
    let daemon = setup.start().await;
    let store = daemon.app.store();
    let names = [
        "report/every-day/daily",
        "report/every-week/weekly",
        "report/every-month/monthly",
        "export/all/daily",
    ];
    let known = || names.iter().all(|name| store.checkpoint(name).unwrap().is_some());
    until(known, || "no schedule begins".to_owned()).await;
    daemon
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_of_reports_comes_once_each() {
    let (clock, mails) = (Clock::fixed(START), MailServer::start().await);
    let setup = Setup::new(clock.clone(), &sections(mails.port()));
    let mut daemon = started(&setup).await;
    // The day and the week that ended as the daemon began are due on its first day.
    let mut expected = vec![
        "every-day, Sunday 4 January 2026".to_owned(),
        "every-week, 29 December 2025 to 4 January 2026".to_owned(),
    ];
    let day = Span::days(1);
    let mut now = START;
    for number in 1..=32_i64 {
        // Something happens on the third day, and on no other.
        if number == 3 {
            let made = deed("member_created", 7, now.plus(Span::hours(3)));
            clock.set(now.plus(Span::hours(3)));
            daemon.post_all(&[made]).await;
        }
        let yesterday = now.civil().date();
        now = START.plus(Span(day.0 * number));
        clock.set(now.plus(Span::hours(7)));
        expected.push(format!("every-day, {}", yesterday.strftime("%A %-d %B %Y")));
        let today = now.civil().date();
        if today.weekday() == jiff::civil::Weekday::Monday {
            // Half past eight in Berlin is half past seven in Greenwich.
            let owed = expected.len();
            passing(&clock, || mails.mails().len() >= owed, || format!("{:?}", told(&mails))).await;
            clock.set(now.plus(Span::hours(8)));
            let first = today.checked_sub(jiff::Span::new().days(7)).unwrap();
            let last = today.yesterday().unwrap();
            let form = if first.month() == last.month() { "%-d" } else { "%-d %B" };
            expected.push(format!("every-week, {} to {}", first.strftime(form), last.strftime("%-d %B %Y")));
        }
        // Midnight of the first in New York was two hours before.
        if today.day() == 1 {
            expected.push("every-month, January 2026".to_owned());
        }
        let owed = expected.len();
        passing(&clock, || mails.mails().len() >= owed, || format!("day {number}: {:?}", told(&mails))).await;
        // A restart in between sends nothing again.
        if number % 10 == 0 {
            daemon.stop().await;
            daemon = started(&setup).await;
        }
    }
    let (mut told, mut expected) = (told(&mails), expected);
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
    assert!(mails.refusals().is_empty(), "{:?}", mails.refusals());
    let ids: BTreeSet<String> = mails.mails().into_iter().map(|mail| mail.id).collect();
    assert_eq!(ids.len(), expected.len(), "one key for each");
    let with_files = mails.mails().into_iter().filter(|mail| mail.text.contains("access_gained.csv"));
    let subjects: Vec<String> = with_files.map(|mail| mail.subject.replace('\n', "")).collect();
    assert_eq!(subjects.len(), 3, "the day, the week and the month of what happened: {subjects:?}");
    // The files: the last three days, and of the others none. They come beside the mails.
    let files = || {
        let names = std::fs::read_dir(setup.path("out")).unwrap();
        let mut names: Vec<String> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let last = ["all-2026-02-03.ndjson", "all-2026-02-04.ndjson", "all-2026-02-05.ndjson"];
    until(|| files() == last, || format!("{:?}", files())).await;
    // The server has a mail before the store knows that it does.
    let rows = || daemon.app.store().outbox_list(None, 0).unwrap();
    let is_done = |row: &OutboxRow| row.kind == DeliveryKind::Report && row.state == OutboxState::Done;
    until(|| rows().iter().all(is_done), || format!("{:#?}", rows())).await;
    let rows = rows();
    assert_eq!(
        rows.iter().filter(|row| daemon.app.store().report_mail(&row.id).unwrap().is_some()).count(),
        0
    );
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_is_made_up_for() {
    let (clock, mails) = (Clock::fixed(START), MailServer::start().await);
    let setup = Setup::new(clock.clone(), &sections(mails.port()));
    let daemon = started(&setup).await;
    daemon.post_all(&[deed("user_created", 7, START)]).await;
    daemon.stop().await;
    // Stopped over the due times of the days 4 to 10 January and of the week before; 11 January is due at seven.
    clock.set(time("2026-01-12T06:30:00Z"));
    let daemon = started(&setup).await;
    passing(&clock, || mails.mails().len() >= 5, || format!("{:?}", told(&mails))).await;
    clock.set(time("2026-01-12T07:00:00Z"));
    passing(&clock, || mails.mails().len() >= 6, || format!("{:?}", told(&mails))).await;
    clock.set(time("2026-01-12T07:30:00Z"));
    passing(&clock, || mails.mails().len() >= 7, || format!("{:?}", told(&mails))).await;
    assert_eq!(
        told(&mails),
        [
            "every-day, Wednesday 7 January 2026",
            "every-day, Thursday 8 January 2026",
            "every-day, Friday 9 January 2026",
            "every-day, Saturday 10 January 2026",
            "every-week, 29 December 2025 to 4 January 2026",
            "every-day, Sunday 11 January 2026",
            "every-week, 5 to 11 January 2026",
        ]
    );
    // Lines are folded and escaped on their way: only short pieces stay whole.
    let texts: Vec<String> =
        mails.mails().into_iter().map(|mail| mail.text.replace("=\n", "").replace('\n', " ")).collect();
    assert!(
        texts[3].contains(
            "3 earlier reports were not sent, of Sunday 4 January 2026 until Tuesday 6 January 2026"
        ),
        "{}",
        texts[3]
    );
    assert!(!texts[2].contains("were not sent") && texts[2].contains("and is late"), "{}", texts[2]);
    assert!(!texts[5].contains("were not sent") && !texts[5].contains("and is late"), "{}", texts[5]);
    // What could not be seen is the outage itself.
    assert!(texts[6].contains("blind spot"), "{}", texts[6]);
    let path = setup.path("out").join("all-2026-01-09.ndjson");
    assert!(path.exists() && !setup.path("out").join("all-2026-01-05.ndjson").exists());
    daemon.stop().await;
}

/// A mail server that is away, a clock that was years ahead for a while, a configuration that is read anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_clock_silences_nothing_and_a_reload_begins_new_reports() {
    let (clock, mails) = (Clock::fixed(START), MailServer::start().await);
    let setup = Setup::new(clock.clone(), &sections(mails.port()));
    let daemon = started(&setup).await;
    let note =
        |name: &str| daemon.app.store().checkpoint(name).unwrap().map(|key| String::from_utf8(key).unwrap());
    let daily = "report/every-day/daily";
    assert_eq!(note(daily).as_deref(), Some("2026-01-03"), "before seven, the day before yesterday");
    clock.set(time("2026-01-05T07:00:00Z"));
    passing(&clock, || told(&mails).len() == 1, || format!("{:?}", told(&mails))).await;
    // A step wakes nobody: the clock is looked at once a minute.
    let seconds = |is_so: &dyn Fn() -> bool| {
        clock.set(clock.now().plus(Span::seconds(1)));
        is_so()
    };
    clock.step(Span::days(3_000));
    let is_ahead = || note(daily).is_some_and(|key| key.starts_with("2034"));
    until(|| seconds(&is_ahead), || format!("{:?}", note(daily))).await;
    clock.step(Span::days(-3_000));
    let is_back = || note(daily).as_deref() == Some("2026-01-04");
    until(|| seconds(&is_back), || format!("{:?}", note(daily))).await;
    clock.set(time("2026-01-06T07:05:00Z"));
    let monday = "every-day, Monday 5 January 2026".to_owned();
    passing(&clock, || told(&mails).contains(&monday), || format!("{:?}", told(&mails))).await;

    let config = std::fs::read_to_string(setup.path("watchfire.yaml")).unwrap();
    let changed =
        config.replace("{name: every-day, every: daily,", "{name: fresh, every: daily, sections: [alerts],");
    std::fs::write(setup.path("watchfire.yaml"), changed).unwrap();
    daemon.app.reload().await.unwrap();
    passing(
        &clock,
        || note("report/fresh/daily").as_deref() == Some("2026-01-05"),
        || format!("{:?}", note("report/fresh/daily")),
    )
    .await;
    clock.set(time("2026-01-07T07:00:00Z"));
    let fresh = "fresh, Tuesday 6 January 2026".to_owned();
    passing(&clock, || told(&mails).contains(&fresh), || format!("{:?}", told(&mails))).await;
    assert!(!told(&mails).contains(&"every-day, Tuesday 6 January 2026".to_owned()));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_over_the_api_goes_on_where_it_broke_off() {
    let setup = Setup::new(Clock::fixed(START.plus(Span::hours(1))), "");
    let daemon = setup.start().await;
    let body: String = (0..5_000_i64)
        .map(|number| {
            let mut event = deed("member_created", number % 7, START.plus(Span::millis(number)));
            event["author_name"] = json!("=1+1");
            format!("{event}\n")
        })
        .collect();
    let sent = daemon.request(reqwest::Method::POST, "/ingest/generic").bearer_auth(crate::harness::TOKEN);
    let answer = sent.header("content-type", "application/x-ndjson").body(body).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    let get = async |path: &str| {
        let answer =
            daemon.request(reqwest::Method::GET, path).bearer_auth(ADMIN_TOKEN).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.headers().get("etag").is_none() && answer.headers().get("content-length").is_none());
        answer.text().await.unwrap()
    };
    let whole = get("/api/v1/exports?q=type:member_created&format=ndjson").await;
    let positions: Vec<u64> = whole
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["position"].as_u64().unwrap())
        .collect();
    assert_eq!(positions.len(), 5_000);
    assert!(positions.windows(2).all(|pair| pair[0] < pair[1]));
    let rest =
        get(&format!("/api/v1/exports?q=type:member_created&format=ndjson&after={}", positions[1_233])).await;
    assert!(whole.ends_with(&rest) && rest.lines().count() == 5_000 - 1_234);
    let csv = get("/api/v1/exports?format=csv").await;
    assert!(csv.starts_with("position,created_at,") && csv.contains(",'=1+1,"), "{}", &csv[..300]);
    let rest = get(&format!("/api/v1/exports?format=csv&after={}", positions[4_998])).await;
    assert!(csv.ends_with(&rest) && rest.lines().count() == 1, "no heading again");
    // A caller that goes away frees its place, again and again.
    for _ in 0..12 {
        let path = "/api/v1/exports?format=ndjson";
        let mut answer =
            daemon.request(reqwest::Method::GET, path).bearer_auth(ADMIN_TOKEN).send().await.unwrap();
        if answer.status() == 503 {
            continue;
        }
        assert!(answer.chunk().await.unwrap().is_some());
        drop(answer);
    }
    let (status, report) = daemon.admin(reqwest::Method::GET, "/api/v1/reports/daily?on=2026-01-05").await;
    assert_eq!((status, &report["sections"][0]["count"]), (200, &json!(5_000)));
    daemon.stop().await;
}
