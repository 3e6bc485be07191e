use std::fs;

use super::*;

fn args(paths: &[&Path], config: Option<&Path>) -> CheckArgs {
    CheckArgs {
        paths: paths.iter().map(|path| path.to_path_buf()).collect(),
        config: config.map(Path::to_path_buf),
        lists: None,
        format: Format::Text,
        enrich: EnrichArgs::default(),
        deny_warnings: false,
    }
}

fn shown(args: &CheckArgs, dir: &Path) -> String {
    let mut found = check(args, Timestamp::parse("2026-06-01").unwrap());
    diagnostics::sort(&mut found.diagnostics);
    found.text(Paint::plain()).replace(&format!("{}/", dir.display()), "")
}

const RULE: &str = "\
title: T
id: some-rule
logsource: {product: gitlab}
detection:
  a: {event_type: projet_destroyed}
  condition: a
respond:
  - pgae
tags: [exfiltration]
";

const CONFIG: &str = "\
sources:
  - {name: gitlab, type: gitlab, path: /ingest/gitlab, token: {env: TOKEN}}
rules: [rules]
actions:
  page:
    type: email
    smtp: {host: mail.example.com}
    from: w@example.com
    to: [a@example.com]
  hook: {type: webhook, url: 'ftp://hooks.example.com/very-secret'}
routes:
  - {rules: [some-rulle], tags: [exfil], actions: [page]}
forward:
  - name: siem
    type: http
    url: https://siem.example.com/secret-path
    condition: {a: {b: 1}, condition: c}
";

#[test]
fn configuration_and_rules_are_checked_together() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("rules")).unwrap();
    fs::write(path("rules/a.yml"), RULE).unwrap();
    fs::write(path("watchfire.yaml"), CONFIG).unwrap();
    let found = shown(&args(&[&path("watchfire.yaml")], None), dir.path());
    assert!(!found.contains("secret"), "{found}");
    insta::assert_snapshot!(found, @r"
    warning[unknown-event-type]: GitLab has no event type `projet_destroyed`
     --> rules/a.yml:5:19
      |
    5 |   a: {event_type: projet_destroyed}
      |                   ^^^^^^^^^^^^^^^^
      |
      = help: did you mean `project_destroyed`?

    error[unknown-action]: there is no action `pgae` in watchfire.yaml
     --> rules/a.yml:8:5
      |
    8 |   - pgae
      |     ^^^^
      |
      = help: did you mean `page`?

    error[bad-setting]: action `hook`: url: expected http://… or https://…
      --> watchfire.yaml:10:3
       |
    10 |   hook: …
       |   ^^^^

    warning[unknown-rule]: no rule has the id `some-rulle`: this route never matches it
      --> watchfire.yaml:12:14
       |
    12 |   - {rules: [some-rulle], tags: [exfil], actions: [page]}
       |              ^^^^^^^^^^
       |
       = help: did you mean `some-rule`?

    warning[unknown-tag]: no rule has the tag `exfil`
      --> watchfire.yaml:12:34
       |
    12 |   - {rules: [some-rulle], tags: [exfil], actions: [page]}
       |                                  ^^^^^

    error[bad-setting]: forward `siem`: condition: there is no selection `c`; expected `a`
      --> watchfire.yaml:14:11
       |
    14 |   - name: siem
       |           ^^^^

    2 files, 1 rule, 3 errors, 3 warnings
    ");
    // A path that the configuration has too is not read twice.
    let again = shown(&args(&[&path("rules/a.yml")], Some(&path("watchfire.yaml"))), dir.path());
    assert_eq!(again, found);
    // Nor is a folder that has the configuration's folder in it, however it is spelt.
    fs::create_dir(path("rules/more")).unwrap();
    let around = shown(&args(&[&path("rules/more/..")], Some(&path("watchfire.yaml"))), dir.path());
    assert_eq!(around, found);
    let alone = shown(&args(&[&path("rules")], None), dir.path());
    assert!(alone.ends_with("1 file, 1 rule, 0 errors, 1 warning\n"), "{alone}");
}

#[test]
fn a_broken_configuration_shows_no_secret_and_hides_no_rule() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("a.yml"), RULE).unwrap();
    fs::write(path("w.yaml"), "lisen: 1\nactions: {hook: {type: gitlab, token: glpat-1}}\n").unwrap();
    let found = shown(&args(&[&path("a.yml"), &path("w.yaml")], None), dir.path());
    assert!(!found.contains("glpat"), "{found}");
    assert!(
        found.contains("error[plain-secret]") && found.contains("warning[unknown-event-type]"),
        "{found}"
    );
    assert!(found.ends_with("2 files, 1 rule, 1 error, 1 warning\n"), "{found}");
    let missing = shown(&args(&[&path("none.yml")], None), dir.path());
    assert!(missing.contains("cannot be read"), "{missing}");
}

#[test]
fn what_ships_is_clean() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths =
        ["rules", "examples/rules", "examples/coming-from", "examples/minimal.yaml", "examples/full.yaml"]
            .map(|p| root.join(p));
    for path in &paths {
        let found = check(&args(&[path], None), Timestamp::parse("2026-06-01").unwrap());
        let errors: Vec<_> = found.diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
        assert!(found.rules > 0, "{}", path.display());
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}
