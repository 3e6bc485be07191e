use super::super::Env;
use super::*;
use crate::event::Format;
use crate::source::Input;

const SET: &Env<'static> = &|name| Some(format!("value of {name}"));

fn parsed(text: &str) -> Result<Config, ConfigError> {
    parse(text, Path::new("/etc/watchfire/config.yaml"), Some(SET))
}

/// `line:column+width code: message (help)` of each mistake.
fn mistakes(text: &str) -> Vec<String> {
    let error = parsed(text).err().unwrap_or_else(|| panic!("nothing is wrong with:\n{text}"));
    let line = |d: &crate::rule::Diagnostic| {
        let help = d.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{}:{}+{} {}: {}{help}", d.line, d.column, d.width, d.code, d.message)
    };
    error.diagnostics().iter().map(line).collect()
}

#[test]
fn the_minimal_example_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/minimal.yaml");
    let config = load(&path, SET).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8650");
    assert_eq!(config.lateness, Span::minutes(5));
    let [gitlab, generic] = &config.sources[..] else { panic!("{:?}", config.sources) };
    let Input::Gitlab { path, tokens } = &gitlab.input else { panic!("{gitlab:?}") };
    assert_eq!((path.as_str(), gitlab.format), ("/ingest/gitlab", Some(Format::Gitlab)));
    assert!(tokens.admit(b"value of WATCHFIRE_GITLAB_TOKEN"));
    let Input::Http { path, tokens } = &generic.input else { panic!("{generic:?}") };
    assert_eq!((path.as_str(), generic.format), ("/ingest/generic", None));
    assert!(tokens.admit(b"value of WATCHFIRE_INGEST_TOKEN"));
    assert!(config.rules[0].ends_with("rules/gitlab"));
}

#[test]
fn the_full_example_says_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/full.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let full = load_without_secrets(&path).unwrap_or_else(|error| panic!("{error}"));
    let defaults = parse("sources: []", &path, None).unwrap();
    assert_eq!(format!("{:?}", full.limits), format!("{:?}", defaults.limits));
    assert_eq!((full.logging, full.lateness), (defaults.logging, defaults.lateness));
    assert_eq!((full.data_dir, full.listen), (defaults.data_dir, defaults.listen));
    for key in [
        "body",
        "decompressed",
        "events",
        "in_flight",
        "connections",
        "connections_per_address",
        "header",
        "queue",
        "dedupe_horizon",
        "state",
        "state_per_rule",
    ] {
        assert!(text.contains(&format!("\n  {key}: ")), "{key} is not shown");
    }
}

#[test]
fn paths_are_relative_to_the_file() {
    let config = parsed(
        "data_dir: data\nrules: [rules, /usr/share/rules]\nlists: lists\n\
         sources: [{name: a, type: file, file: in.log}]\n",
    )
    .unwrap();
    assert_eq!(config.data_dir, Path::new("/etc/watchfire/data"));
    assert_eq!(config.rules, [Path::new("/etc/watchfire/rules"), Path::new("/usr/share/rules")]);
    assert_eq!(config.lists.as_deref(), Some(Path::new("/etc/watchfire/lists")));
    assert!(
        matches!(&config.sources[0].input, Input::File(file) if file == Path::new("/etc/watchfire/in.log"))
    );
}

#[test]
fn an_unknown_key_is_shown_with_what_was_meant() {
    assert_eq!(mistakes("lisen: 1\n"), ["1:1+5 unknown-key: unknown key `lisen` (did you mean `listen`?)"]);
    assert_eq!(
        mistakes("sources:\n  - {name: a, typ: stdin}\n"),
        ["2:15+3 unknown-key: unknown key `typ` (did you mean `type`?)"]
    );
    assert_eq!(
        mistakes("limits:\n  bodi: 1MiB\n"),
        ["2:3+4 unknown-key: unknown key `bodi` (did you mean `body`?)"]
    );
    assert_eq!(
        mistakes("sources:\n  - {name: a, type: fiel}\n"),
        ["2:21+4 unknown-value: unknown value `fiel` (did you mean `file`?)"]
    );
}

#[test]
fn an_unknown_key_in_a_section_with_a_type_is_found_too() {
    let text = "actions:\n  other: {type: webhook, url: x}\n  hook:\n    type: webhook\n    urll: x\n";
    let found = mistakes(text);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("5:5+4 unknown-key: unknown key `urll`"), "{found:?}");
}

#[test]
fn who_keeps_checkpoints_must_be_able_to() {
    let text = "actions:\n  mail: {type: email, smtp: {host: a}, from: a@b, to: [c@d]}\n  \
        block: {type: gitlab, url: x, token: {env: T}, do: block}\nforward:\n  \
        - {name: siem, type: http, url: 'https://x'}\ncheckpoints: {every: 30s, to: [mail, siem, block, mial]}\n";
    let found = mistakes(text);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().any(|found| found.starts_with("6:22+3 limit: `checkpoints.every`")), "{found:?}");
    assert!(found.iter().any(|found| found.contains("`block` that can keep checkpoints")), "{found:?}");
    assert!(found.iter().any(|found| found.contains("did you mean `mail`?")), "{found:?}");
    assert!(found.iter().any(|found| found.contains("`block` cannot: it changes something")), "{found:?}");
    assert_eq!(parsed("{}\n").unwrap().checkpoints.every.0, Span::hours(1));
}

#[test]
fn who_would_cut_a_checkpoint_is_not_given_any() {
    let actions = "actions:\n  chat: {type: slack, url: 'https://x'}\n  tickets: {type: jira, url: 'https://x', token: {env: T}, project: S}\n  \
        short: {type: gitlab_alert, url: 'https://x', key: {env: T}}\n  any: {type: http, url: 'https://x'}\n  \
        run: {type: command, command: [/bin/keep]}\n  page: {type: command, command: [/bin/page, '{{ alert.id }}']}\n";
    let found = mistakes(&format!("{actions}checkpoints: {{to: [chat, tickets, run, short, any, page]}}\n"));
    let expected = [
        "`any` cannot: what it sends is made of an alert",
        "`page` cannot: its arguments are made of an alert",
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for words in expected {
        assert!(found.iter().any(|found| found.contains(words)), "{words}: {found:?}");
    }
}

#[test]
fn the_error_shows_the_line() {
    let error = parsed("listen: 127.0.0.1:1\nlateness: 5\n").unwrap_err().to_string();
    assert!(error.contains("error[invalid]: `5` is not a length of time"), "{error}");
    assert!(error.contains("/etc/watchfire/config.yaml:2:11"), "{error}");
    assert!(error.contains("lateness: 5") && error.contains('^'), "{error}");
}

#[test]
fn a_secret_written_out_is_refused_and_never_shown() {
    let text = "sources:\n  - name: a\n    type: gitlab\n    path: /a\n    token: s3cr3t-value\n\
        \n  - {name: b, type: http, path: /b, tokens: [an0ther-one, {env: T}]}\n\
        actions:\n  page: {type: email, smtp: {password: hunter2}}\nnonsense: 1\n";
    let found = mistakes(text);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[0].starts_with("5:12+12 plain-secret: `token` is written into the configuration (secrets come")
    );
    let error = parsed(text).unwrap_err();
    for shown in [error.to_string(), error.to_ansi(), format!("{error:?}")] {
        for secret in ["s3cr3t-value", "an0ther-one", "hunter2"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    let broken = parsed("sources: [{token: s3cr3t-value, name: }\n").unwrap_err().to_string();
    assert!(!broken.contains("s3cr3t"), "{broken}");
}

#[test]
fn what_a_source_lacks_is_said_at_the_source() {
    let found = mistakes(
        "sources:\n  - {name: a, type: gitlab, path: /a}\n  - {name: b, type: http, path: b, token: {env: T}}\n  \
         - {name: c, type: stdin, format: gitlab, path: /c}\n",
    );
    assert_eq!(
        found,
        [
            "2:5+1 source: a source of type gitlab needs `token` (add `token: {env: WATCHFIRE_TOKEN}`)",
            "3:33+1 source: the path `b` does not begin with `/` (write `/b`)",
            "4:50+2 source: a source of type stdin has no `path` (only `type: gitlab` and `type: http` are posted to)",
        ]
    );
}

#[test]
fn doubles_are_found() {
    let found = mistakes(
        "sources:\n  - {name: a, type: http, path: /x, token: {env: T}}\n  \
         - {name: a, type: gitlab, path: /x, token: {env: T}}\n  - {name: s, type: stdin}\n  \
         - {name: t, type: stdin}\n",
    );
    assert_eq!(
        found,
        [
            "3:12+1 duplicate: another source has the name `a` already (the first one is on line 2)",
            "3:35+2 duplicate: another source has the path `/x` already (the first one is on line 2)",
            "5:21+5 duplicate: only one source can read standard input",
        ]
    );
    assert_eq!(
        mistakes("listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n"),
        ["2:1+6 duplicate-key: the key `listen` stands here twice (leave one of them)"]
    );
}

#[test]
fn routes_name_actions_that_exist() {
    let text = "actions:\n  page-secops: {type: webhook, url: x}\nroutes:\n  \
        - {levels: [high], actions: [page-secop, page-secops, nobody]}\n  - {actions: []}\n";
    assert_eq!(
        mistakes(text),
        [
            "4:32+10 unknown-action: there is no action `page-secop` (did you mean `page-secops`?)",
            "4:57+6 unknown-action: there is no action `nobody` (the configured actions are `page-secops`)",
            "5:15+1 route: a route without actions does nothing (name the actions that this route adds)",
        ]
    );
    assert_eq!(
        mistakes("routes: [{levels: [hihg], actions: [x]}]\n"),
        ["1:20+4 unknown-value: unknown value `hihg` (did you mean `high`?)"]
    );
}

#[test]
fn limits_that_let_nothing_through_are_refused() {
    let found = mistakes("limits:\n  connections: 0\n  in_flight: 1MiB\n  header_time: 10ms\n");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("2:16+1 limit: `limits.connections` is too small (it must be at least 1)"));
    assert!(found[1].starts_with("3:14+4 limit: `limits.in_flight` is too small"));
    assert!(found[2].starts_with("4:16+4 limit: `limits.header_time` is too small"));
}

#[test]
fn a_missing_or_empty_secret_is_said_where_it_is_wanted() {
    let text = "sources:\n  - {name: a, type: gitlab, path: /a, token: {env: GONE}, tokens: [{env: EMPTY}]}\n\
        api: {token: {file: no-such-file}}\n";
    let env: &Env<'_> = &|name| (name == "EMPTY").then(|| " ".to_owned());
    let error = parse(text, Path::new("/nowhere/config.yaml"), Some(env)).unwrap_err();
    let places: Vec<_> = error.diagnostics().iter().map(|d| (d.line, d.column, d.code)).collect();
    assert_eq!(places, [(2, 46, "secret"), (2, 68, "secret"), (3, 14, "secret")]);
    assert!(error.to_string().contains("GONE"), "{error}");
    let unchecked = parse(text, Path::new("/nowhere/config.yaml"), None).unwrap();
    assert!(!unchecked.administrators.unwrap().admit(b""), "without its token nobody gets in");
}

#[test]
fn what_is_no_yaml_says_where() {
    for (text, line) in
        [("sources: [\n", 1), ("a: b: c\n", 1), ("- a\n", 1), ("listen: x\n", 1), ("a: 1\n---\nb: 1\n", 3)]
    {
        let error = parsed(text).unwrap_err();
        assert_eq!(error.diagnostics()[0].line, line, "{text}: {error}");
    }
    assert!(parsed("").unwrap_err().to_string().contains("empty"));
    let unreadable = load(Path::new("/no/such/file.yaml"), SET).unwrap_err().to_string();
    assert!(unreadable.contains("/no/such/file.yaml cannot be read"), "{unreadable}");
}

#[test]
fn retention_is_read_with_its_mistakes() {
    let config = parsed(
        "sources: [{name: gitlab, type: gitlab, path: /x, token: {env: T}}]
retention:
  keep: 10y
  rules:
    - {name: clones, types: [repository_git_*], store: no}
    - {tiers: [routine], sources: [gitlab], keep: 90d}
  coverage: {default: advanced, categories: {Compliance management: full}}
",
    )
    .unwrap();
    let retention = config.retention;
    assert_eq!(retention.default, Span::years(10));
    assert_eq!(retention.rules[0].keep, crate::retention::Keep::ToJudge);
    assert_eq!((&*retention.rules[0].name, &*retention.rules[1].name), ("clones", "rule 2"));
    assert_eq!(retention.coverage.default, crate::retention::Level::Advanced);
    insta::assert_snapshot!(mistakes(
        "sources: [{name: gitlab, type: gitlab, path: /x, token: {env: T}}]
retention:
  keep: 5m
  rules:
    - {tiers: [routine]}
    - {types: [x], keep: 9d, store: no}
    - {sources: [gitlub], categories: [User managment], keep: 200y}
  coverage: {categories: {User profil: full}}
",
    ).join("\n"), @r"
    3:9+2 retention: events cannot be kept for 5m (between `1h` and `99y`; what shall not be stored at all is `store: no`)
    5:7+1 retention: this rule says nothing (write how long (`keep: 90d`), or `store: no` for what is only judged and forwarded)
    6:7+1 retention: what is not stored is not kept (write how long (`keep: 90d`), or `store: no` for what is only judged and forwarded)
    7:18+6 retention: there is no `gitlub` among the sources (did you mean `gitlab`?)
    7:40+14 retention: there is no `User managment` among the categories (did you mean `User management`?)
    7:63+4 retention: events cannot be kept for 73200d (between `1h` and `99y`; what shall not be stored at all is `store: no`)
    8:40+4 retention: there is no category `User profil` (did you mean `User profile`?)
    ");
    insta::assert_snapshot!(mistakes("retention: {rules: [{tiers: [routin], keep: 9d}]}").join("\n"), @"1:30+6 invalid: there is no tier `routin`: did you mean `routine`?");
    insta::assert_snapshot!(mistakes("retention: {coverage: {default: ful}}").join("\n"), @"1:33+3 invalid: there is no level `ful`: did you mean `full`?");
    insta::assert_snapshot!(mistakes("retention: {rules: [{store: perhaps}]}").join("\n"), @"1:29+7 invalid: `perhaps` is neither `yes` nor `no`");
}

#[test]
fn mistakes_in_schedules_have_their_place() {
    let start = "actions:\n  hook: {type: webhook, url: 'https://x.example', secret: {env: S}}\n";
    let all = mistakes(&format!(
        "{start}reports:\n  - {{name: Bad Name, every: daily, action: hook}}\n  - {{name: a, every: daily, action: hok, \
         sections: []}}\n  - {{name: a, every: weekly, action: hook, query: '('}}\nexports:\n  - {{name: b, every: daily, \
         folder: ''}}\n"
    ));
    for (place, part) in [
        ("4:", "`Bad Name` will not do as a name"),
        ("4:", "the action `hook` sends no mail (reports are mailed: name an action of type email)"),
        ("5:", "there is no action `hok`"),
        ("5:", "a report without sections says nothing"),
        ("6:", "another report has the name `a` already"),
        ("6:", "`query`: "),
        ("8:", "`folder` is empty"),
    ] {
        assert!(all.iter().any(|line| line.starts_with(place) && line.contains(part)), "{part}\n{all:#?}");
    }
    for (line, part) in [
        ("{name: a, every: hourly, action: hook}", "unknown value `hourly`"),
        (
            "{name: a, every: daily, action: hook, at: '25:00'}",
            "`25:00` is no time of day: write hours and minutes, such as 07:00",
        ),
        ("{name: a, every: daily, action: hook, time_zone: Europe/Berln}", "did you mean `Europe/Berlin`?"),
        ("{name: a, every: daily, action: hook, sections: [acces_gained]}", "unknown value `acces_gained`"),
        ("{name: a, every: daily}", "needs the key `action`"),
    ] {
        let all = mistakes(&format!("{start}reports:\n  - {line}\n"));
        assert!(all.len() == 1 && all[0].starts_with("4:") && all[0].contains(part), "{part}\n{all:#?}");
    }
}

#[test]
fn where_requests_may_go_is_checked() {
    let config =
        parsed("sources: []\negress: {allow: [10.0.0.0/8], proxy: 'http://proxy:3128', no_proxy: [a]}\n")
            .unwrap();
    assert_eq!(config.egress.allow.len(), 1);
    assert_eq!(
        mistakes("sources: []\negress:\n  proxy: proxy\n"),
        ["3:10+5 egress: `egress.proxy` will not do (url: relative URL without a base, or `environment`)"]
    );
    assert!(mistakes("sources: []\negress:\n  alow: [ten]\n")[0].contains("unknown key `alow`"));
}
