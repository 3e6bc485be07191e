use super::super::ast::{Body, Compare, Kind, Node, Op};
use super::super::list::Lists;
use super::super::{Diagnostic, Loaded, RuleFile, load};
use super::*;

fn read(files: &[(&str, &str)]) -> Loaded {
    let files: Vec<RuleFile> = files
        .iter()
        .map(|(path, text)| RuleFile { path: (*path).into(), text: (*text).to_owned() })
        .collect();
    load(&files, &Lists::new())
}

fn shown(found: &Diagnostic) -> String {
    let help = found.help.clone().unwrap_or_default();
    format!("{}:{}:{}+{} {}: {help}", found.path, found.line, found.column, found.width, found.message)
}

fn told(files: &[(&str, &str)]) -> Vec<String> {
    read(files).diagnostics.iter().map(shown).collect()
}

const RULE: &str = "\
title: Many
import: packs/git.yaml
vars: {threshold: 30, who: '${first}-${threshold}'}
logsource: {product: gitlab}
detection:
  a:
    event_type: ${types}
    author_name: [root, '${bots}', '${who}']
    script: event.x == `${kept}` + `${threshold}`
    entity_path: 'x$${threshold}/${jndi:ldap}'
  condition: a and not robots
behavior: {by: author_id, at_least: '${threshold}'}
tests:
  - events: {repeat: '${threshold - 1}', event: {event_type: '${threshold}', entity_id: '${threshold + n}'}}
    alerts: []
";
const PACK: &str = "\
vars:
  threshold: 20
  window: 10m
  first: bot
  types: [project_created, '${second}']
  second: project_destroyed
  bots: [ci, renovate]
detection: {robots: {author_class: [DeployKey]}}
behavior: {within: '${window}', distinct: entity_id}
tags: [shared]
level: high
";

#[test]
fn a_rule_is_its_own_words_over_what_it_imports() {
    let loaded = read(&[("rules/many.yml", RULE), ("rules/packs/git.yaml", PACK)]);
    assert_eq!(loaded.diagnostics.iter().map(shown).collect::<Vec<_>>(), Vec::<String>::new());
    let [rule] = loaded.rules.as_slice() else { panic!() };
    assert_eq!((rule.tags.as_slice(), rule.level.name()), (&["shared".to_owned()][..], "high"));
    let Body::Behavior(detection, behavior) = &rule.body else { panic!() };
    assert_eq!((behavior.compare, behavior.within), (Compare::AtLeast(30.0), crate::time::Span::minutes(10)));
    assert!(matches!(&behavior.kind, Kind::Distinct(fields) if *fields == ["entity_id"]));
    let names: Vec<&str> = detection.selections.iter().map(|selection| selection.name.as_str()).collect();
    assert_eq!(names, ["a", "robots"]);
    let Node::And(tests) = &detection.selections[0].node else { panic!() };
    let exact = |node: &Node| match node {
        Node::Or(nodes) => nodes
            .iter()
            .map(|node| match node {
                Node::Test(test) => match &test.op {
                    Op::Exact(text) => text.clone(),
                    op => panic!("{op:?}"),
                },
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>(),
        Node::Test(test) => vec![format!("{:?}", test.op)],
        Node::Script(script) => vec![script.source.clone()],
        other => panic!("{other:?}"),
    };
    assert_eq!(exact(&tests[0]), ["project_created", "project_destroyed"]);
    assert_eq!(exact(&tests[1]), ["root", "ci", "renovate", "bot-30"]);
    assert_eq!(exact(&tests[2]), ["event.x == `${kept}` + `30`"]);
    assert_eq!(exact(&tests[3]), [r#"Exact("x${threshold}/${jndi:ldap}")"#]);
    let events = &rule.tests[0].events;
    assert_eq!(
        (events.len(), &events[0]["event_type"], &events[28]["entity_id"]),
        (29, &30.into(), &58.into())
    );
}

#[test]
fn rules_without_variables_are_left_alone() {
    let text =
        "title: T\nlogsource: {}\ndetection: {a: {x|contains: '${jndi:ldap}', y: '${name}'}, condition: a}\n";
    let loaded = read(&[("a.yml", text)]);
    assert_eq!((loaded.rules.len(), loaded.diagnostics), (1, Vec::new()));
}

fn rule(vars: &str, value: &str) -> String {
    format!(
        "title: T\n{vars}\nlogsource: {{}}\ndetection: {{a: {{x: 1}}, condition: a}}\n\
         behavior: {{by: a, within: 1h, at_least: {value}}}\n"
    )
}

#[test]
fn mistakes_with_variables_are_told_at_their_place() {
    for (vars, value, expected) in [
        (
            "vars: {threshold: 2}",
            "'${treshold}'",
            "a.yml:5:42+11 there is no variable `treshold`: did you mean `${threshold}`?",
        ),
        ("vars: {t: 2}", "'${zzzzz}'", "a.yml:5:42+8 there is no variable `zzzzz`: add it under `vars`"),
        ("vars: {t: 2}", "2", "a.yml:2:8+1 the variable `t` is not used: write it as `${t}`"),
        ("vars: {t: two}", "'${t}'", "a.yml:5:41+6 `at_least` must be a number, not a text"),
        ("vars: {t: '${u}', u: '${t}'}", "'${t}'", "a.yml:2:11+6 the variable `t` is made of itself"),
        ("vars: {t: [1]}", "'1${t}'", "a.yml:5:43+4 `${t}` is a list, which cannot stand inside a text"),
        ("vars: {n: 1}", "1", "a.yml:2:8+1 `n` cannot be the name of a variable: in tests `n`"),
        ("vars: {a b: 1}", "1", "a.yml:2:8+3 `a b` cannot be the name of a variable"),
        ("vars: [a]", "1", "a.yml:2:7+1 `vars` must be a map"),
        ("import: b.yml", "1", "a.yml:2:9+5 there is no file `b.yml` in the rules folders"),
        ("import: /b.yml", "1", "a.yml:2:9+6 `/b.yml` is no path from this file's folder"),
        ("import: a.yml", "1", "a.yml:2:9+5 `a.yml` is a rule of its own"),
        ("import: [{}]", "1", "a.yml:2:10+1 `import` must be a text"),
    ] {
        let found = told(&[("a.yml", &rule(vars, value))]);
        assert!(found.iter().any(|told| told.starts_with(expected)), "{vars} {value}:\n{found:#?}");
    }
}

#[test]
fn a_mistake_in_what_is_imported_is_told_there_and_once() {
    let one = rule("import: pack.yaml", "2");
    let two = one.replace("title: T", "title: U");
    let pack = "behavior:\n  wihtin: 1h\nlevel: '${how}'\nvars: {spare: 1}\n";
    let found = told(&[("r/a.yml", &one), ("r/b.yml", &two), ("r/pack.yaml", pack)]);
    let expected = [
        "r/a.yml:2:9+9 this rule is left out because of what it imports: correct the imported file first",
        "r/b.yml:2:9+9 this rule is left out because of what it imports: correct the imported file first",
        "r/pack.yaml:4:8+5 no rule that imports this file uses the variable `spare`: write it as `${spare}`",
        "r/pack.yaml:3:9+6 there is no variable `how`",
    ];
    for expected in expected {
        assert_eq!(
            found.iter().filter(|told| told.starts_with(expected)).count(),
            1,
            "{expected}\n{found:#?}"
        );
    }
    let found = told(&[("r/a.yml", &one), ("r/pack.yaml", "behavior:\n  wihtin: 1h\n")]);
    assert!(
        found.iter().any(|told| told.starts_with("r/pack.yaml:2:3+6 unknown key `wihtin`")),
        "{found:#?}"
    );
}

#[test]
fn files_cannot_import_one_another_without_end() {
    let first = rule("import: b.yaml", "'${t}'");
    let found = told(&[
        ("a.yml", &first),
        ("b.yaml", "import: c.yaml\n"),
        ("c.yaml", "import: b.yaml\nvars: {t: 1}\n"),
    ]);
    assert!(found.iter().any(|told| told.starts_with("c.yaml:1:9+6 `b.yaml` imports itself")), "{found:#?}");
    let mut files = vec![("a.yml".to_owned(), first.replace("b.yaml", "p0.yaml"))];
    for number in 0..12 {
        files.push((format!("p{number}.yaml"), format!("import: p{}.yaml\nvars: {{t: 1}}\n", number + 1)));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let found = told(&files);
    assert!(
        found.iter().any(|told| told.contains("more than 8 files import one another in a row")),
        "{found:#?}"
    );
    // A value that would grow without end.
    let bomb: String = (1..20)
        .map(|level| {
            let inside = vec![format!("'${{v{}}}'", level - 1); 10].join(", ");
            format!("  v{level}: [{inside}]\n")
        })
        .collect();
    let text = rule(&format!("vars:\n  v0: [a, b]\n{bomb}"), "'${v19}'");
    let found = told(&[("a.yml", &text)]);
    assert!(found.iter().any(|told| told.contains("more than 200000 values")), "{found:#?}");
}

#[test]
fn a_pack_that_nobody_imports_is_told() {
    let found = told(&[("pack.yaml", "vars: {t: 1}\n")]);
    assert_eq!(
        found,
        ["pack.yaml:1:1+4 no rule imports this file: write `import:` with its path into a rule"]
    );
    let rule = rule("import: pack.yaml", "'${t}'");
    let found = told(&[("a.yml", &rule), ("pack.yaml", "id: x\nvars: {t: 1}\n")]);
    assert_eq!(
        found,
        [
            "a.yml:2:9+9 `pack.yaml` has keys that are wrong there: correct the imported file first",
            "pack.yaml:1:1+2 `id` belongs into a rule, not into what rules import: remove it"
        ]
    );
    let found = told(&[("a.yml", &rule), ("pack.yaml", "vars: {t: 1}\n---\nvars: {t: 1}\n")]);
    assert!(found.iter().any(|told| told.contains("`pack.yaml` has several documents")), "{found:#?}");
}

#[test]
fn paths_lead_where_they_are_written() {
    for (importer, import, expected) in [
        ("rules/a.yml", "pack.yaml", Some("rules/pack.yaml")),
        ("./rules/x/a.yml", "../pack.yaml", Some("rules/pack.yaml")),
        ("a.yml", "./p/pack.yaml", Some("p/pack.yaml")),
        ("/r/a.yml", "../../pack.yaml", Some("/../pack.yaml")),
        ("../r/a.yml", "../pack.yaml", Some("../pack.yaml")),
        ("a.yml", "/pack.yaml", None),
        ("a.yml", " ", None),
    ] {
        assert_eq!(imported_path(importer, import).as_deref(), expected, "{importer} {import}");
    }
    assert_eq!(imports("a.yml", "import: [p.yaml, q.yaml]\ntitle: T\n"), ["p.yaml", "q.yaml"]);
    assert_eq!(imports("a.rhai", "/*\nimport: p.yaml\n*/\nfn on_event() {}\n"), ["p.yaml"]);
    assert_eq!(imports("a.yml", "title: import\n"), Vec::<String>::new());
}

#[test]
fn a_rule_is_left_out_when_what_it_imports_has_a_wrong_key() {
    let rule = "title: A\nimport: p.yaml\nlogsource: {product: gitlab}\ndetection: {a: {event_type: x}, condition: a}\n";
    for (pack, wrong) in [("suppres: 1h\n", "suppres"), ("tags: [t]\nid: shared\n", "id")] {
        let files = [("r/a.yml", rule), ("r/p.yaml", pack)];
        assert_eq!(read(&files).rules.len(), 0, "{pack}");
        let told = told(&files);
        assert!(
            told.iter().any(|line| line.starts_with("r/a.yml:2:9") && line.contains("p.yaml")),
            "{told:#?}"
        );
        assert!(told.iter().any(|line| line.starts_with("r/p.yaml:") && line.contains(wrong)), "{told:#?}");
    }
    let deep = [("r/a.yml", rule), ("r/p.yaml", "import: q.yaml\n"), ("r/q.yaml", "suppres: 1h\n")];
    assert_eq!(read(&deep).rules.len(), 0);
    assert_eq!(read(&[("r/a.yml", rule), ("r/p.yaml", "suppress: 1h\n")]).rules.len(), 1);
}
