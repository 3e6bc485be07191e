//! Whole files: what each kind of document becomes, and how mistakes are shown.

use std::sync::Arc;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::ast::{Body, Compare, Correlation, CorrelationKind, Kind, LogSource, Node, Rule};
use super::*;
use crate::alert::Level;
use crate::time::{Span, Timestamp};

fn file(path: &str, text: &str) -> RuleFile {
    RuleFile { path: path.into(), text: text.to_owned() }
}

fn load_one(text: &str) -> Loaded {
    load(&[file("rule.yml", text)], &Lists::new())
}

/// The only rule of a file without mistakes.
pub(super) fn rule_of(text: &str) -> Rule {
    let mut loaded = load_one(text);
    assert_eq!(loaded.diagnostics, [], "{text}");
    loaded.rules.pop().unwrap()
}

pub(super) fn diagnostics_of(text: &str) -> Vec<Diagnostic> {
    load_one(text).diagnostics
}

fn shown(path: &str, text: &str) -> String {
    let loaded = load(&[file(path, text)], &Lists::new());
    render(&loaded.diagnostics, &|_| Some(text), false)
}

const RULE: &str = "\
title: One account clones many projects
id: gitlab-mass-clone
status: stable
level: high
description: Someone copies far more projects in ten minutes than a person reads.
tags: [attack.t1213.003, exfiltration]
falsepositives: [A new colleague setting up a workstation]
logsource: {product: gitlab, service: audit}
detection:
  clone:
    event_type: repository_git_operation
    details.custom_message.action: git-upload-pack
  robot:
    details.author_class: [DeployKey, DeployToken]
  condition: clone and not robot
behavior:
  by: author_id
  distinct: entity_id
  within: 10m
  at_least: 20
suppress: 1h
respond: [page-secops, block-author]
tests:
  - name: nineteen are fine
    events: {repeat: 19, every: 25s, event: {event_type: repository_git_operation, entity_id: \"${n}\"}}
    alerts: []
";

#[test]
fn a_rule_is_read_with_all_its_parts() {
    let rule = rule_of(RULE);
    assert_eq!(
        (rule.id.as_ref(), rule.level, rule.suppress),
        ("gitlab-mass-clone", Level::High, Span::hours(1))
    );
    assert_eq!(rule.logsource.product.as_deref(), Some("gitlab"));
    assert_eq!(rule.respond, ["page-secops", "block-author"]);
    assert_eq!(rule.tests[0].events.len(), 19);
    assert_eq!(rule.origin.line, 1);
    let Body::Behavior(detection, behavior) = &rule.body else { panic!("{:?}", rule.body) };
    assert_eq!(print_condition(&detection.condition, &["clone", "robot"]), "clone and not robot");
    assert_eq!((detection.selections[1].name.as_str(), detection.selections[1].line), ("robot", 13));
    assert!(matches!(&behavior.kind, Kind::Distinct(fields) if fields == &["entity_id"]));
    assert_eq!(behavior.compare, Compare::AtLeast(20.0));
}

#[test]
fn a_rule_without_an_id_is_called_by_its_name_or_title() {
    let text = "title: 'Root: logged  in!'\nlogsource: {product: a}\ndetection: {s: {f: 1}, condition: s}\n";
    assert_eq!(rule_of(text).id.as_ref(), "root-logged-in");
    assert_eq!(rule_of(&format!("name: root_login\n{text}")).id.as_ref(), "root_login");
}

#[test]
fn selections_take_every_shape_sigma_has() {
    let text = "\
title: T
logsource: {product: a}
detection:
  map: {f: 1, g|contains: x}
  maps:
    - {f: 1}
    - {f: 2}
  words: [alpha, 'be*ta']
  mixed:
    - alpha
    - {f: 1}
  every:
    '|all': [alpha, beta]
  code:
    f: 1
    script: |
      level(event.to) > 3
  condition: [1 of m*, words or every, code]
";
    let rule = rule_of(text);
    let Body::Single(detection) = rule.body else { panic!() };
    let lengths: Vec<String> = detection
        .selections
        .iter()
        .map(|selection| match &selection.node {
            Node::And(parts) => format!("and {}", parts.len()),
            Node::Or(parts) => format!("or {}", parts.len()),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(lengths, ["and 2", "or 2", "or 2", "or 2", "and 2", "and 2"]);
    let Node::And(code) = &detection.selections[5].node else { panic!() };
    assert!(
        matches!(&code[1], Node::Script(script) if script.line == 17 && script.source.starts_with("level("))
    );
    let names: Vec<&str> = detection.selections.iter().map(|selection| selection.name.as_str()).collect();
    assert_eq!(
        print_condition(&detection.condition, &names),
        "(map or maps or mixed) or (words or every) or code"
    );
}

const PAIR: &str = "\
title: Failed
name: failed
id: 5638f7c0-ac70-491d-8465-2a65075e0d86
logsource: {product: gitlab}
detection: {s: {f: 1}, condition: s}
---
title: Many failed
correlation:
  type: event_count
  rules: [failed]
  group-by: [author_id]
  timespan: 1h
  condition: {gte: 100}
level: high
";

#[test]
fn correlations_refer_to_rules_by_name_or_id() {
    let loaded = load_one(PAIR);
    assert_eq!(loaded.diagnostics, []);
    let Body::Correlation(correlation) = &loaded.rules[1].body else { panic!() };
    assert_eq!(correlation.kind, CorrelationKind::EventCount);
    assert_eq!(correlation.rules, [loaded.rules[0].id.as_ref()]);
    assert_eq!((correlation.within, correlation.compare), (Span::hours(1), Some(Compare::AtLeast(100.0))));
    assert!(!correlation.generate);
}

#[test]
fn correlation_conditions_are_read() {
    for (condition, expected) in [
        ("gte: 10, lte: 20", Ok(Compare::Between(10.0, 20.0))),
        ("lt: 20, gt: 10", Ok(Compare::Between(11.0, 19.0))),
        ("eq: 3", Ok(Compare::Exactly(3.0))),
        ("neq: 3", Ok(Compare::NotEqual(3.0))),
        ("gte: 10, lte: 5", Err("nothing can meet both bounds")),
        ("gte: 10, eq: 5", Err("these comparisons cannot be combined")),
        ("gte: 1.5", Err("`gte` must be a whole number, not negative")),
        ("gteq: 1", Err("unknown key `gteq` in `condition` of a correlation")),
        ("field: x, gte: 1", Err("unknown key `field` in `condition` of a correlation")),
    ] {
        let loaded = load_one(&PAIR.replace("gte: 100", condition));
        match (expected, loaded.rules.get(1).map(|rule| &rule.body)) {
            (Ok(compare), Some(Body::Correlation(correlation))) => {
                assert_eq!(correlation.compare, Some(compare))
            }
            (Err(message), None) => assert_eq!(loaded.diagnostics[0].message, message),
            (_, body) => panic!("{condition}: {body:?} {:?}", loaded.diagnostics),
        }
    }
}

#[test]
fn temporal_correlations_need_no_condition_and_value_counts_a_field() {
    let temporal = PAIR.replace("event_count", "temporal_ordered").replace("  condition: {gte: 100}\n", "");
    let temporal = temporal
        .replace("  timespan", "  aliases: {user: {failed: author_id}}\n  generate: true\n  timespan");
    let loaded = load_one(&temporal);
    let Body::Correlation(correlation) = &loaded.rules[1].body else { panic!() };
    assert_eq!((correlation.compare, correlation.generate), (None, true));
    assert_eq!(correlation.aliases[0].1, loaded.rules[0].id.as_ref());
    let loaded = load_one(&PAIR.replace("event_count", "value_count"));
    assert!(loaded.diagnostics[0].message.contains("has no `field`"));
    let loaded =
        load_one(&PAIR.replace("event_count", "value_count").replace("gte: 100", "gte: 5, field: [a, b]"));
    let Body::Correlation(correlation) = &loaded.rules[1].body else { panic!() };
    assert_eq!(correlation.fields, ["a", "b"]);
}

#[test]
fn references_are_resolved_over_all_files() {
    let base = file("a.yml", PAIR.split("---\n").next().unwrap());
    let over = file("b.yml", PAIR.split("---\n").nth(1).unwrap());
    assert!(!load(&[over.clone(), base.clone()], &Lists::new()).has_errors());

    let mistyped = file("b.yml", &over.text.replace("[failed]", "[faild]"));
    let loaded = load(&[base.clone(), mistyped], &Lists::new());
    assert_eq!(loaded.diagnostics[0].help.as_deref(), Some("did you mean `failed`?"));
    assert_eq!((loaded.diagnostics[0].line, loaded.diagnostics[0].column, loaded.rules.len()), (4, 11, 1));

    let broken = file("a.yml", &base.text.replace("condition: s", "condition: x"));
    let loaded = load(&[broken, over.clone()], &Lists::new());
    assert!(loaded.diagnostics[1].message.contains("left out because of its own errors"));
    assert!(loaded.rules.is_empty());

    let chain = file("c.yml", &over.text.replace("[failed]", "[many-failed]").replace("Many", "More"));
    let loaded = load(&[base.clone(), over, chain], &Lists::new());
    assert_eq!(loaded.diagnostics, []);
    assert_eq!(loaded.rules.len(), 3);

    let twice = file("d.yml", &base.text.replace("name: failed\n", ""));
    let loaded = load(&[base, twice], &Lists::new());
    assert_eq!((loaded.diagnostics[0].code, loaded.rules.len()), ("duplicate-id", 1));
    assert_eq!(loaded.diagnostics[0].path.as_ref(), "d.yml");
}

/// The correlation of [`PAIR`] with other words in it, or the first diagnostic.
fn correlation_of(changes: &[(&str, &str)]) -> Result<Correlation, Diagnostic> {
    let text = changes.iter().fold(PAIR.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    });
    let mut loaded = load_one(&text);
    match (loaded.diagnostics.pop(), loaded.rules.pop().map(|rule| rule.body)) {
        (None, Some(Body::Correlation(correlation))) => Ok(correlation),
        (Some(diagnostic), _) => Err(diagnostic),
        (None, body) => panic!("{body:?}"),
    }
}

#[test]
fn correlations_over_numbers_take_real_thresholds_and_one_field() {
    for (kind, condition, expected, compare) in [
        ("value_sum", "field: n, gte: 1.5", CorrelationKind::ValueSum, Compare::AtLeast(1.5)),
        ("value_avg", "field: n, lt: -2", CorrelationKind::ValueAvg, Compare::FewerThan(-2.0)),
        ("value_median", "field: [n], neq: 0.1", CorrelationKind::ValueMedian, Compare::NotEqual(0.1)),
        ("value_sum", "field: n, gte: 1, lte: 2.5", CorrelationKind::ValueSum, Compare::Between(1.0, 2.5)),
        (
            "value_percentile",
            "field: n, percentile: 99.9, gt: 3",
            CorrelationKind::ValuePercentile(99.9),
            Compare::MoreThan(3.0),
        ),
    ] {
        let correlation = correlation_of(&[("event_count", kind), ("gte: 100", condition)]).unwrap();
        assert_eq!((correlation.kind, correlation.compare), (expected, Some(compare)), "{condition}");
        assert_eq!(correlation.fields, ["n"]);
    }
    let open =
        correlation_of(&[("event_count", "value_avg"), ("gte: 100", "field: n, gt: 1, lt: 2")]).unwrap();
    let Some(Compare::Between(low, high)) = open.compare else { panic!("{open:?}") };
    assert!(1.0 < low && low < 1.000_001 && 1.999_999 < high && high < 2.0);
}

#[test]
fn mistakes_in_correlations_are_told() {
    for (kind, condition, expected) in [
        ("value_sum", "gte: 1", "`condition` of a correlation over values has no `field`"),
        ("value_sum", "field: [a, b], gte: 1", "only one field can be computed with"),
        (
            "value_sum",
            "field: a, percentile: 5, gte: 1",
            "unknown key `percentile` in `condition` of a correlation",
        ),
        ("value_percentile", "field: a, percentile: 101, gte: 1", "`percentile` must lie between 0 and 100"),
        (
            "value_percentile",
            "field: a, gte: 1",
            "no `percentile` says which one is meant: 50 is taken, the median",
        ),
        ("value_count", "field: a, gte: 1.5", "`gte` must be a whole number, not negative"),
        ("value_median", "field: a", "`condition` has no `gte`"),
        ("value_mean", "field: a, gte: 1", "unknown correlation type `value_mean`"),
        (
            "event_count",
            "lt: 1",
            "this can never hold: it is judged when something has happened, so there is at least one",
        ),
        ("temporal", "gte: 2", "this can never hold: there are only 1 rules"),
        ("temporal", "failed and other", "there is no rule `other`"),
    ] {
        let written = if condition.contains(':') { format!("{{{condition}}}") } else { condition.to_owned() };
        let found = correlation_of(&[("event_count", kind), ("{gte: 100}", &written)]).unwrap_err();
        assert_eq!(found.message, expected, "{kind} {condition}");
    }
    let generate = "  generate: true\ngenerate: false\nlevel";
    assert_eq!(correlation_of(&[("level", generate)]).unwrap_err().code, "two-answers");
    assert!(correlation_of(&[("level", "generate: true\nlevel")]).unwrap().generate);
}

/// Three rules and a correlation of this type, with this condition, over them.
fn temporal(kind: &str, condition: &str) -> Loaded {
    let rule = |name: &str| {
        format!(
            "title: {name} rule\nname: {name}\nid: id-{name}\nlogsource: {{product: a}}\ndetection: {{s: {{f: 1}}, condition: s}}\n---\n"
        )
    };
    load_one(&format!(
        "{}{}{}title: T\ncorrelation:\n  type: {kind}\n  rules: [a, id-b, c]\n  timespan: 1h\n  condition: {condition}\n",
        rule("a"),
        rule("b"),
        rule("c")
    ))
}

#[test]
fn temporal_rules_take_conditions_over_rules() {
    for (kind, condition, expected) in [
        ("temporal", "a and (id-b or not c)", "0 and (1 or not 2)"),
        // Each rule may be called by its other name.
        ("temporal_extended", "id-a and (b or not id-c)", "0 and (1 or not 2)"),
        ("temporal", "1 of them", "0 or 1 or 2"),
        ("temporal", "a and b and c", "all"),
        ("temporal", "all of them", "all"),
        ("temporal_ordered", "a and id-b and c", "all"),
        ("temporal_ordered_extended", "all of them", "all"),
        ("temporal", "a and id-b", "unused-rule"),
        ("temporal", "not a and not b and not c", "holds-of-nothing"),
        ("temporal", "a or not (b and c)", "holds-of-nothing"),
        ("temporal_ordered", "a and (b or c)", "ordered-condition"),
        ("temporal_ordered", "{eq: 3}", "all"),
        ("temporal_ordered", "{gte: 3}", "all"),
        ("temporal_ordered", "{gte: 2}", "ordered-condition"),
        ("temporal", "a and d", "unknown-selection"),
    ] {
        let loaded = temporal(kind, condition);
        let shown = match (loaded.diagnostics.first(), loaded.rules.get(3).map(|rule| &rule.body)) {
            (Some(first), _) => first.code.to_owned(),
            (None, Some(Body::Correlation(correlation))) => {
                assert_eq!(correlation.rules, ["id-a", "id-b", "id-c"]);
                let expression = correlation.expression.as_ref();
                expression.map_or("all".to_owned(), |found| print_condition(found, &["0", "1", "2"]))
            }
            (None, body) => panic!("{body:?}"),
        };
        assert_eq!(shown, expected, "{kind} {condition}");
    }
}

#[test]
fn chains_know_what_the_inner_rule_can_give() {
    let chain = |inner: &str, outer: &str| {
        load_one(&format!(
            "{PAIR}---\ntitle: Loud\nname: loud\nlogsource: {{product: a}}\ndetection: {{s: {{f: 1}}, condition: s}}\n\
             behavior: {{by: ip_address, within: 1h, at_least: 3}}\n---\n\
             title: Outer\nid: outer\ncorrelation:\n  type: temporal\n  rules: [{inner}]\n  timespan: 1d\n{outer}"
        ))
    };
    for (inner, outer, expected) in [
        ("many-failed", "  group-by: [author_id]\n", ""),
        ("many-failed", "", ""),
        (
            "loud, many-failed",
            "  group-by: [who]\n  aliases: {who: {loud: ip_address, many-failed: author_id}}\n",
            "",
        ),
        ("failed, loud", "  group-by: [ip_address]\n", ""),
        (
            "many-failed",
            "  group-by: [ip_address]\n",
            "what `many-failed` finds has no `ip_address`: its key is `author_id`",
        ),
        (
            "loud",
            "  group-by: [author_id]\n",
            "what `loud` finds has no `author_id`: its key is `ip_address`",
        ),
        (
            "many-failed",
            "  group-by: [who]\n  aliases: {who: {many-failed: ip_address}}\n",
            "what `many-failed` finds has no `ip_address`: its key is `author_id`",
        ),
    ] {
        let found = chain(inner, outer);
        let messages: Vec<&str> = found.diagnostics.iter().map(|found| found.message.as_str()).collect();
        assert_eq!(messages.join("; "), expected, "{inner} {outer}");
        assert_eq!(found.rules.len(), if expected.is_empty() { 4 } else { 3 });
    }
}

#[test]
fn correlations_in_a_circle_are_shown() {
    let over = |id: &str, rules: &str| {
        format!(
            "title: {id}\nid: {id}\ncorrelation: {{type: event_count, rules: [{rules}], timespan: 1h, condition: {{gte: 2}}}}\n---\n"
        )
    };
    let text = [over("a", "b"), over("b", "c"), over("c", "a"), over("d", "a"), over("e", "e")].concat();
    let loaded = load_one(&text);
    let messages: Vec<(u32, &str)> =
        loaded.diagnostics.iter().map(|found| (found.line, found.message.as_str())).collect();
    let expected = [
        (3, "correlations in a circle: `a` → `b` → `c` → `a`"),
        (7, "correlations in a circle: `b` → `c` → `a` → `b`"),
        (11, "correlations in a circle: `c` → `a` → `b` → `c`"),
        (15, "the rule `a` is left out because of its own errors"),
        (19, "correlations in a circle: `e` → `e`"),
    ];
    assert_eq!(messages, expected);
    assert!(loaded.rules.is_empty());
    let deep: String = (0..20).map(|level| over(&format!("r{level}"), &format!("r{}", level - 1))).collect();
    let base = "title: base\nid: r-1\nlogsource: {product: a}\ndetection: {s: {f: 1}, condition: s}\n---\n";
    let loaded = load_one(&format!("{base}{deep}"));
    assert_eq!((loaded.rules.len(), loaded.diagnostics[0].code), (17, "chain-too-deep"));
}

#[test]
fn aliases_are_checked() {
    let with = |aliases: &str| {
        correlation_of(&[("group-by: [author_id]", &format!("group-by: [who]\n  aliases: {aliases}"))])
    };
    let linked = with("{who: {5638f7c0-ac70-491d-8465-2a65075e0d86: author_id}}").unwrap();
    assert_eq!(linked.aliases[0].1, linked.rules[0]);
    for (aliases, code) in [
        ("{who: {faild: x}}", "unknown-rule"),
        ("{who: {failed: a}, other: {failed: b}}", "unused-alias"),
        ("{who: {failed: a, 5638f7c0-ac70-491d-8465-2a65075e0d86: b}}", "duplicate-alias"),
        ("{who: {}}", ""),
    ] {
        let found = with(aliases).map_or_else(|found| found.code, |_| "");
        assert_eq!(found, code, "{aliases}");
    }
    let second = PAIR
        .replace("name: failed\nid: 5638f7c0-ac70-491d-8465-2a65075e0d86", "name: other")
        .replace("rules: [failed]", "rules: [failed, other]");
    let second =
        second.replace("group-by: [author_id]", "group-by: [who]\n  aliases: {who: {failed: author_id}}");
    let text = format!("{}---\n{second}", PAIR.split("---\n").next().unwrap());
    let loaded = load_one(&text);
    assert_eq!(loaded.diagnostics[0].code, "alias-gap");
}

#[test]
fn filters_are_read_with_owner_and_expiry() {
    let text = "\
title: Administrators
logsource: {product: gitlab}
filter:
  rules: any
  selection: {author_name|startswith: adm_}
  condition: selection
owner: secops
expires: 2026-03-31
";
    let loaded = load_one(text);
    assert_eq!(loaded.diagnostics, []);
    let filter = &loaded.filters[0];
    assert!(filter.rules.is_empty());
    assert_eq!(filter.owner.as_deref(), Some("secops"));
    assert_eq!(filter.expires, Some(Timestamp::parse("2026-04-01").unwrap()));
    let loaded = load_one(&text.replace("rules: any", "rules: [nobody]"));
    assert_eq!(loaded.filters[0].rules, ["nobody"]);
    assert_eq!(
        (loaded.diagnostics[0].severity, loaded.diagnostics[0].code),
        (Severity::Warning, "unknown-rule")
    );
}

#[test]
fn filters_that_cannot_work_are_warned_about() {
    let filter = |rules: &str, logsource: &str| {
        format!(
            "{PAIR}---\ntitle: F\nlogsource: {logsource}\nfilter: {{rules: {rules}, s: {{f: 1}}, condition: s}}\n"
        )
    };
    for (rules, logsource, expected) in [
        ("[failed]", "{product: gitlab}", None),
        (
            "[failed]",
            "{product: github}",
            Some("the `logsource` of this filter does not fit the rule `failed`"),
        ),
        (
            "[failed]",
            "{product: gitlab, service: audit}",
            Some("the `logsource` of this filter does not fit the rule `failed`"),
        ),
        (
            "[many-failed]",
            "{product: gitlab}",
            Some("`many-failed` is a correlation, which sees no events that could be excepted"),
        ),
    ] {
        let loaded = load_one(&filter(rules, logsource));
        assert_eq!(loaded.diagnostics.first().map(|found| found.message.as_str()), expected);
        assert_eq!(loaded.filters.len(), 1);
    }
    let azure = |product: &str| LogSource { product: Some(product.to_owned()), ..LogSource::default() };
    assert!(fits(&azure("azuredevops"), &azure("azure_devops")));
    assert!(fits(&LogSource::default(), &azure("gitlab")) && !fits(&azure("gitlab"), &LogSource::default()));
}

#[test]
fn script_files_have_their_header_in_a_comment() {
    let text = "/*\ntitle: Failures\nlogsource: {product: gitlab}\nbehavior: {by: author_id, within: 10m}\n*/\nfn on_event(event, state, window) { () }\n";
    let loaded = load(&[file("failures.rhai", text)], &Lists::new());
    assert_eq!(loaded.diagnostics, []);
    let Body::Script(detection, behavior, script) = &loaded.rules[0].body else { panic!() };
    assert!(detection.selections.is_empty());
    assert_eq!((behavior.within, script.line), (Span::minutes(10), 6));
    assert_eq!(loaded.rules[0].origin.line, 2);
    let found = shown("failures.rhai", &text.replace("within", "withn"));
    assert_snapshot!(found, @r#"
error[unknown-key]: unknown key `withn` in `behavior` of a script
 --> failures.rhai:4:27
  |
4 | behavior: {by: author_id, withn: 10m}
  |                           ^^^^^
  |
  = help: did you mean `within`?
"#);
}

#[test]
fn a_document_with_a_mistake_leaves_the_others() {
    let text = format!(
        "{RULE}---\ntitle: broken\ndetection: 5\n---\n{}",
        RULE.replace("gitlab-mass-clone", "other")
    );
    let loaded = load_one(&text);
    assert_eq!(loaded.rules.len(), 2);
    assert_eq!(loaded.rules[1].origin.line, 31);
    assert!(loaded.has_errors());
}

#[test]
fn keys_beside_the_known_ones_are_warned_about_or_refused() {
    let head = "title: T\nlogsource: {product: a}\ndetection: {s: {f: 1}, condition: s}\n";
    for (key, severity, help) in [
        ("Level: high", Severity::Error, "did you mean `level`?"),
        ("behaviour: {}", Severity::Error, "did you mean `behavior`?"),
        ("false_positive: x", Severity::Error, "did you mean `falsepositives`?"),
        ("within: 10m", Severity::Error, "indent it below `behavior:`"),
        ("timespan: 10m", Severity::Error, "indent it below `correlation:`"),
        ("team: secops", Severity::Warning, "keys of your own belong under `custom`"),
    ] {
        let loaded = load_one(&format!("{head}{key}\n"));
        let [found] = loaded.diagnostics.as_slice() else { panic!("{key}: {:?}", loaded.diagnostics) };
        assert_eq!((found.severity, found.help.as_deref(), found.line), (severity, Some(help), 4), "{key}");
        assert_eq!(loaded.rules.len(), usize::from(severity == Severity::Warning));
    }
    assert_eq!(load_one(&format!("{head}custom_attributes: {{a: 1}}\n")).diagnostics, []);
}

#[test]
fn every_mistake_of_a_file_is_shown_at_once() {
    let text = RULE
        .replace("level: high", "level: hihg")
        .replace("event_type:", "event_type|containz:")
        .replace("clone and not robot", "clone and not robott")
        .replace("distinct:", "distnict:")
        .replace("suppress: 1h", "suppress: 1 hour")
        .replace("alerts: []", "alert: []");
    assert_snapshot!(shown("rules/clone.yml", &text), @r#"
error[bad-value]: unknown level `hihg`
 --> rules/clone.yml:4:8
  |
4 | level: hihg
  |        ^^^^
  |
  = help: did you mean `high`?

error[unknown-modifier]: unknown modifier `containz`
  --> rules/clone.yml:11:16
   |
11 |     event_type|containz: repository_git_operation
   |                ^^^^^^^^
   |
   = help: did you mean `contains`?

error[unknown-selection]: there is no selection `robott`
  --> rules/clone.yml:15:28
   |
15 |   condition: clone and not robott
   |                            ^^^^^^
   |
   = help: did you mean `robot`?

error[unknown-key]: unknown key `distnict` in `behavior`
  --> rules/clone.yml:18:3
   |
18 |   distnict: entity_id
   |   ^^^^^^^^
   |
   = help: did you mean `distinct`?

error[bad-span]: `suppress`: `1 hour` is not a length of time: expected a number and a unit (ms, s, m, h, d, w, y), such as 10m
  --> rules/clone.yml:21:11
   |
21 | suppress: 1 hour
   |           ^^^^^^

error[unknown-key]: unknown key `alert` in a test
  --> rules/clone.yml:26:5
   |
26 |     alert: []
   |     ^^^^^
   |
   = help: did you mean `alerts`?
"#);
}

#[test]
fn mistakes_of_detections_are_shown_with_their_line() {
    let rule = |detection: &str| format!("title: T\nlogsource: {{product: a}}\ndetection:\n{detection}");
    assert_snapshot!(shown("a.yml", &rule("  sel:\n    name|re: 'adm(?!in)'\n  condition: sel\n")), @r#"
error[bad-regex]: look-around (`(?=`, `(?!`, `(?<=`, `(?<!`) is not supported in regular expressions
 --> a.yml:5:18
  |
5 |     name|re: 'adm(?!in)'
  |                  ^^^
  |
  = help: use a second selection with `not` in the condition
"#);
    assert_snapshot!(shown("a.yml", &rule("  sel: {f: 1}\n  condition: sel | count() by f > 5\n")), @r#"
error[bad-condition]: aggregations behind a `|` are no longer part of Sigma
 --> a.yml:5:18
  |
5 |   condition: sel | count() by f > 5
  |                  ^
  |
  = help: use `behavior:` beside `detection`, as `by: author_id`, `within: 10m`, `at_least: 5`, or a `correlation`
"#);
    assert_snapshot!(shown("a.yml", &rule("  sel: {f: 1}\n  other: {f: 2}\n  condition: sel\n")), @r#"
warning[unused-selection]: the selection `other` is not used
 --> a.yml:5:3
  |
5 |   other: {f: 2}
  |   ^^^^^
  |
  = help: name it in the condition
"#);
}

#[test]
fn mistakes_of_values_and_of_yaml_are_shown_with_their_line() {
    let rule = |detection: &str| format!("title: T\nlogsource: {{product: a}}\ndetection:\n{detection}");
    assert_snapshot!(shown("a.yml", &rule("  sel: {ip|cidr: 10.0.0.0/40}\n  conditon: sel\n")), @r#"
error[bad-value]: `10.0.0.0/40` is not a network
 --> a.yml:4:18
  |
4 |   sel: {ip|cidr: 10.0.0.0/40}
  |                  ^^^^^^^^^^^
  |
  = help: expected an address with a prefix, as 10.0.0.0/8 or fd00::/8, or one address

error[missing-key]: `detection` has no `condition`
 --> a.yml:5:3
  |
5 |   conditon: sel
  |   ^^^^^^^^
  |
  = help: did you mean `condition`?
"#);
    assert_snapshot!(shown("a.yml", &rule("  sel:\n    f|expand: '%vip%'\n  condition: sel\n")), @r#"
error[unknown-list]: there is no list `vip`
 --> a.yml:5:16
  |
5 |     f|expand: '%vip%'
  |                ^^^^^
  |
  = help: put the values into `vip.txt` in the lists folder, one a line
"#);
    assert_snapshot!(shown("a.yml", &rule("\tsel: {f: 1}\n")), @r#"
error[yaml-syntax]: not valid YAML: tabs disallowed within this context (block indentation)
 --> a.yml:4:2
  |
4 |     sel: {f: 1}
  |     ^
  |
  = help: indent with spaces; YAML forbids tabs there
"#);
    assert_snapshot!(shown("a.yml", "title: T\ndetections: {}\n"), @r#"
error[unknown-key]: unknown key `detections`
 --> a.yml:2:1
  |
2 | detections: {}
  | ^^^^^^^^^^
  |
  = help: did you mean `detection`?
"#);
}

#[test]
fn without_the_text_only_the_place_is_shown() {
    let diagnostics = diagnostics_of("title: T\nlogsource: {product: a}\n");
    assert_snapshot!(render(&diagnostics, &|_| None, false), @r#"
error[missing-key]: this rule has no `detection`
--> rule.yml:1:1
 = help: add `detection:` with selections and a condition, or `correlation:`, or `filter:`
"#);
    assert!(render(&diagnostics, &|_| None, true).contains('\u{1b}'));
}

/// The files below a folder of `../shared` beside a checkout, or one folder higher beside a worktree.
fn shared_files(folder: &str) -> Vec<std::path::PathBuf> {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    let mut folders: Vec<_> = here
        .ancestors()
        .skip(1)
        .map(|above| above.join("shared").join(folder))
        .filter(|it| it.is_dir())
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => paths.push(path),
            }
        }
    }
    paths
}

/// The documents by which the specification tests its schemas. The rules they are over are not among them.
#[test]
fn the_specification_s_own_documents_load_without_an_error() {
    for path in shared_files("sigma/tests") {
        let text = std::fs::read_to_string(&path).unwrap();
        let unknown: Vec<String> = load_one(&text)
            .diagnostics
            .iter()
            .filter_map(|found| found.message.strip_prefix("there is no rule with the id or name `"))
            .map(|rest| rest.trim_end_matches('`').to_owned())
            .collect();
        let rule = |name: &String| {
            format!(
                "---\ntitle: x {name}\nname: {name}\nlogsource: {{product: windows}}\ndetection: {{s: {{f: 1}}, condition: s}}\n"
            )
        };
        let loaded = load_one(&format!("{text}\n{}", unknown.iter().map(rule).collect::<String>()));
        assert!(!loaded.has_errors(), "{}: {:?}", path.display(), loaded.diagnostics);
        assert_eq!(loaded.rules.len() + loaded.filters.len(), unknown.len() + 1, "{}", path.display());
    }
}

#[test]
fn published_sigma_rules_load_without_an_error() {
    let mut paths = shared_files("sigma/rules");
    if paths.is_empty() {
        println!("skipped: there are no rules in ../shared/sigma");
        return;
    }
    paths.sort();
    let files: Vec<RuleFile> = paths
        .iter()
        .map(|path| file(&path.to_string_lossy(), &std::fs::read_to_string(path).unwrap()))
        .collect();
    let loaded = load(&files, &Lists::new());
    let text_of =
        |path: &str| files.iter().find(|file| file.path.as_ref() == path).map(|file| file.text.as_str());
    assert_eq!(render(&loaded.diagnostics, &text_of, false), "");
    assert_eq!((files.len(), loaded.rules.len()), (652, 652));
}

fn mutated() -> impl Strategy<Value = String> {
    let sources = [RULE, PAIR, "title: F\nfilter: {rules: any, s: {f: 1}, condition: s}\n"];
    let change = (0..2000usize, 0..40usize, "[ -~\\n\\t]{0,6}");
    (0..sources.len(), prop::collection::vec(change, 1..4)).prop_map(move |(source, changes)| {
        let mut chars: Vec<char> = sources[source].chars().collect();
        for (at, cut, insert) in changes {
            let start = at.min(chars.len());
            let end = (start + cut).min(chars.len());
            chars.splice(start..end, insert.chars());
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in mutated()) {
        let files = [file("a.yml", &text), file("b.rhai", &format!("/*\n{text}*/\nfn f() {{}}"))];
        let loaded = load(&files, &Lists::new());
        let source = |path: &str| files.iter().find(|file| file.path.as_ref() == path).map(|file| file.text.as_str());
        let shown = render(&loaded.diagnostics, &source, false);
        prop_assert_eq!(shown.is_empty(), loaded.diagnostics.is_empty());
        for diagnostic in &loaded.diagnostics {
            prop_assert!(diagnostic.width >= 1 && diagnostic.column >= 1);
            prop_assert!(Arc::clone(&diagnostic.path).len() > 1);
        }
    }
}
