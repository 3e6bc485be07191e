use clap::Parser;

use super::*;
use crate::config::load_without_secrets;
use crate::route::{Matchers, Told, way};
use crate::store::{Candidate, Commit, Deed, DeliveryKind, NewSilence, Routing};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: RouteArgs,
}

const CONFIG: &str = r#"
rules: [rules]
actions:
  mail: {type: webhook, url: 'https://mail.example.com'}
  page: {type: webhook, url: 'https://page.example.com'}
  lead: {type: webhook, url: 'https://lead.example.com'}
  block: {type: gitlab, url: 'https://gitlab.example.com', token: {env: T}, do: block}
routes:
  - levels: [high, critical]
    actions: [page]
    repeat: 1h
    escalate: [{after: 15m, actions: [lead]}]
    routes:
      - {entities: [sandbox/*], stop: true}
      - {hours: "22:00-06:00", time_zone: Europe/Berlin, actions: [lead]}
  - actions: [mail]
    group: {by: [rule, author_id], repeat: 4h}
maintenance:
  - {name: patch-night, reason: GitLab is updated, days: [sun], hours: "02:00-04:00", match: {entities: [infra/*]}}
"#;

const RULE: &str = "title: Mass clone\nid: mass-clone\nlevel: high\nlogsource: {product: gitlab}\n\
    detection: {any: {event_type: repository_git_operation}, condition: any}\nrespond: [block, ticket]\n";

struct Setup {
    dir: tempfile::TempDir,
    config: Config,
    rules: Arc<RuleSet>,
}

fn setup() -> Setup {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("rules")).unwrap();
    std::fs::write(dir.path().join("rules/r.yml"), RULE).unwrap();
    std::fs::write(dir.path().join("c.yaml"), CONFIG).unwrap();
    let config = load_without_secrets(&dir.path().join("c.yaml")).unwrap_or_else(|error| panic!("{error}"));
    let book = crate::daemon::RulebookConfig { rules: config.rules.clone(), ..Default::default() };
    let rules = Rulebook::new(book, Arc::new(Catalogue::built_in())).read(Timestamp(0)).rules;
    Setup { dir, config, rules }
}

fn line(words: &[&str]) -> Box<ExplainArgs> {
    let line = Line::try_parse_from([&["route", "explain"], words].concat())
        .unwrap_or_else(|error| panic!("{error}"));
    let RouteCommand::Explain(args) = line.args.command;
    args
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

#[test]
fn the_way_of_an_alert_that_is_thought_of() {
    let Setup { config, rules, .. } = setup();
    let args = line(&[
        "--rule",
        "mass-clone",
        "--key",
        "author_id=7",
        "--entity",
        "infra/vault",
        "--source",
        "gitlab",
    ]);
    let now = at("2026-01-04T02:30:00Z");
    let text = explain(&args, (&config, &rules), None, (None, now)).unwrap().unwrap();
    insta::assert_snapshot!(text, @r"
    mass-clone  high
      key       author_id = 7
      source    gitlab
      author    7
      entity    infra/vault
      at        2026-01-04T02:30:00.000Z

    Way
      rule           names block, ticket
      route 1        matches: adds page, repeats every 1h, escalates, asks the routes inside it
        route 1.1    no: entity is infra/vault, not sandbox/*
        route 1.2    matches: adds lead
      route 2        matches: adds mail, groups

    Actions
      block                at once, behind its guards
      ticket               is not configured: it is passed over
      page                 at once; it waits up to 60s for the responses; again every 1h while nobody acknowledges it
      lead                 at once; it waits up to 60s for the responses; again every 1h while nobody acknowledges it
      mail                 together with `rule = mass-clone, author_id = 7`: 30s after the first, then 5m after each message; again every 4h while one of them is unresolved
      lead                 15m later, if nobody has acknowledged it by then

    Held back
      maintenance          maintenance window patch-night: GitLab is updated
    ");
}

#[test]
fn the_way_of_an_alert_that_there_is() {
    let Setup { dir, config, rules } = setup();
    let store = Store::open(dir.path()).unwrap();
    let args = line(&["--rule", "mass-clone", "--key", "author_id=7", "--entity", "sandbox/a"]);
    let now = at("2026-01-05T12:00:00Z");
    let alert = Alert { id: AlertId("0123456789abcdef".into()), findings: 3, ..args.thought_of(&rules, now) };
    let scene = args.scene(&alert.key);
    let silence = NewSilence {
        matchers: Matchers::parse(&["rule=mass-*"]).unwrap(),
        reason: "a new mirror".into(),
        owner: "ops@example.com".into(),
        starts_at: now,
        ends_at: now.plus(Span::hours(4)),
    };
    store.silence_add(&silence, &Deed::new(now, "ann", "test")).unwrap();
    let told = way(&config.routes, &["block".to_owned()], &Case { alert: &alert, scene: &scene }, now).told;
    let kind = |told: Told| match told.action.as_str() {
        "block" => (DeliveryKind::Respond, told),
        _ => (DeliveryKind::Notify, told),
    };
    let told = told.into_iter().map(kind).collect();
    let candidates =
        [Candidate { alert: alert.clone(), scene, told, escalate: Vec::new(), rehearses: false }];
    let commit = Commit { position: 1, at: now, alerts: &[alert], outbox: &[], ledger: &[], snapshot: None };
    let routing = Routing { candidates: &candidates, policy: &config.noise, suppressed: 0 };
    store.commit_routed(&commit, &routing, &|_| None).unwrap();
    let later = now.plus(Span::hours(5));
    let text = explain(&line(&["0123"]), (&config, &rules), Some(&store), (None, later)).unwrap().unwrap();
    insta::assert_snapshot!(text, @r"
    mass-clone  high
      alert     0123456789abcdef
      key       author_id = 7
      author    7
      entity    sandbox/a
      at        2026-01-05T12:00:00.000Z

    Way
      rule           names block, ticket
      route 1        matches: adds page, repeats every 1h, escalates, asks the routes inside it
        route 1.1    matches: stops here
        route 1.2    not asked: a route before it has `stop`
      route 2        matches: adds mail, groups

    Actions
      block                at once, behind its guards
      ticket               is not configured: it is passed over
      page                 at once; it waits up to 60s for the responses; again every 1h while nobody acknowledges it
      mail                 together with `rule = mass-clone, author_id = 7`: 30s after the first, then 5m after each message; again every 4h while one of them is unresolved
      lead                 15m later, if nobody has acknowledged it by then

    Another one like it, now
      by nothing

    What became of it
      nothing was sent

    Held back
      block                silence   silence 1 of ops@example.com until 2026-01-05T16:00:00.000Z: a new mirror
      mail                 silence   silence 1 of ops@example.com until 2026-01-05T16:00:00.000Z: a new mirror
      page                 silence   silence 1 of ops@example.com until 2026-01-05T16:00:00.000Z: a new mirror
      suppressed           2 further findings of the same stretch were not told again
    ");
    assert!(explain(&line(&["ffff"]), (&config, &rules), Some(&store), (None, later)).unwrap().is_none());
}

#[test]
fn it_asks_for_one_alert() {
    for words in
        [&[][..], &["0123", "--rule", "x"], &["0123", "--key", "a=b"], &["--rule", "x", "--key", "a"]]
    {
        assert!(Line::try_parse_from([&["route", "explain"], words].concat()).is_err(), "{words:?}");
    }
}
