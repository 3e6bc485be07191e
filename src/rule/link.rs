//! One correlation and the rules it is over: names become ids, aliases find their rules, the condition its indexes.

use super::ast::{Body, Condition, Correlation, CorrelationKind, Rule};
use super::condition::{self, Over};
use super::correlation::Links;
use super::report::Report;
use super::yaml::Yaml;

/// The correlation with ids in place of names. `rules` are those it is over, in its order. Nothing after a mistake,
/// which is reported.
pub(super) fn link(
    correlation: &Correlation,
    links: &Links,
    rules: &[&Rule],
    report: &mut Report,
) -> Option<Correlation> {
    let errors = report.errors();
    let mut linked = correlation.clone();
    linked.rules = rules.iter().map(|rule| rule.id.to_string()).collect();
    linked.aliases = aliases(correlation, links, rules, report);
    check_alias_use(&linked, links, rules, report);
    check_keys(&linked, links, rules, report);
    if let Some(node) = &links.condition {
        linked.expression = expression(correlation, node, links, rules, report);
    }
    check_order(&mut linked, links, report);
    (report.errors() == errors).then_some(linked)
}

fn is_called(rule: &Rule, name: &str) -> bool {
    &*rule.id == name || rule.name.as_deref() == Some(name)
}

fn aliases(
    correlation: &Correlation,
    links: &Links,
    rules: &[&Rule],
    report: &mut Report,
) -> Vec<(String, String, String)> {
    let mut found: Vec<(String, String, String)> = Vec::new();
    for ((alias, name, field), place) in correlation.aliases.iter().zip(&links.aliases) {
        let Some(rule) = rules.iter().find(|rule| is_called(rule, name)) else {
            let message = format!("`{name}` is not among the `rules` of this correlation");
            let known = links.rules.iter().map(|(known, _)| known.as_str());
            report.error("unknown-rule", *place, message).suggest(name, known);
            continue;
        };
        if found.iter().any(|(known, id, _)| known == alias && **id == *rule.id) {
            let message = format!("the alias `{alias}` names two fields of `{name}`");
            report.error("duplicate-alias", *place, message).help("remove one of them");
        }
        found.push((alias.clone(), rule.id.to_string(), field.clone()));
    }
    found
}

/// An alias that nothing uses is a slip, and so is one that leaves a rule without a field.
fn check_alias_use(correlation: &Correlation, links: &Links, rules: &[&Rule], report: &mut Report) {
    let mut checked: Vec<&str> = Vec::new();
    for ((alias, ..), place) in correlation.aliases.iter().zip(&links.aliases) {
        if checked.contains(&alias.as_str()) {
            continue;
        }
        checked.push(alias);
        if !correlation.by.contains(alias) && !correlation.fields.contains(alias) {
            let message = format!("the alias `{alias}` is not used");
            report.warning("unused-alias", *place, message).help("name it in `group-by`");
            continue;
        }
        let is_covered =
            |rule: &Rule| correlation.aliases.iter().any(|(a, id, _)| a == alias && **id == *rule.id);
        if let Some(rule) = rules.iter().find(|rule| !is_covered(rule)) {
            let message = format!("the alias `{alias}` has no field for the rule `{}`", rule.id);
            let help = format!("add one, or the field `{alias}` itself is looked at there");
            report.warning("alias-gap", *place, message).help(help);
        }
    }
}

/// The fields that findings of a rule carry; none if they are events, which have all their fields.
fn carried(rule: &Rule) -> Option<&[String]> {
    match &rule.body {
        Body::Single(_) => None,
        Body::Behavior(_, behavior) | Body::Script(_, behavior, _) => Some(&behavior.by),
        Body::Correlation(correlation) => Some(&correlation.by),
    }
}

/// Findings of rules with a behaviour carry their key and nothing else.
fn check_keys(correlation: &Correlation, links: &Links, rules: &[&Rule], report: &mut Report) {
    for (rule, (name, place)) in rules.iter().zip(&links.rules) {
        let Some(carried) = carried(rule) else { continue };
        for field in correlation.by.iter().chain(&correlation.fields) {
            let alias = correlation.aliases.iter().find(|(alias, id, _)| alias == field && **id == *rule.id);
            let wanted = alias.map_or(field, |(.., original)| original);
            if carried.contains(wanted) {
                continue;
            }
            let message = format!("what `{name}` finds has no `{wanted}`: {}", words(carried));
            let help = if carried.is_empty() {
                format!("group `{name}` by `{wanted}` too")
            } else {
                format!(
                    "group `{name}` by `{wanted}` too, or say with `aliases` which of its fields is meant"
                )
            };
            report.error("not-in-key", *place, message).help(help);
        }
    }
}

fn words(carried: &[String]) -> String {
    match carried {
        [] => "it is one group for all".to_owned(),
        [only] => format!("its key is `{only}`"),
        several => format!("its key is `{}`", several.join("`, `")),
    }
}

/// The condition over the rules. Each may be called as in `rules`, or by its other name.
fn expression(
    correlation: &Correlation,
    node: &Yaml,
    links: &Links,
    rules: &[&Rule],
    report: &mut Report,
) -> Option<Condition> {
    let text = node.scalar().map(|scalar| scalar.text.as_str()).unwrap_or_default();
    let called = |(rule, (written, _)): (&&Rule, &(String, _))| {
        let own = [Some(written.as_str()), Some(&*rule.id), rule.name.as_deref()];
        let spoken = own.into_iter().flatten().find(|name| condition::has_word(text, name));
        spoken.unwrap_or(written).to_owned()
    };
    let names: Vec<String> = rules.iter().zip(&links.rules).map(called).collect();
    let mut used = vec![false; names.len()];
    let found = condition::parse(node, Over { names: &names, noun: "rule" }, &mut used, report)?;
    for ((name, place), _) in links.rules.iter().zip(&used).filter(|(_, used)| !**used) {
        let message = format!("the condition does not speak of the rule `{name}`");
        report.warning("unused-rule", *place, message).help("name it in the condition, or take it out");
    }
    if is_all(&found, rules.len()) {
        return None;
    }
    if correlation.kind == CorrelationKind::TemporalOrdered {
        let message = "an order needs all of the rules, and nothing but them";
        let help = "leave the condition out; for alternatives or `not` write a rule with `behavior: {sequence: […], \
                    unless: …}`, or take the type `temporal`";
        report.error("ordered-condition", node.place, message).help(help);
    } else if holds_of_nothing(&found) {
        let message = "this condition holds where nothing has happened";
        let help =
            "let it need at least one of the rules; for what does not happen write `behavior: {absence: …}`";
        report.error("holds-of-nothing", node.place, message).help(help);
    }
    Some(found)
}

/// Whether it says what the type says without it.
fn is_all(condition: &Condition, rules: usize) -> bool {
    let mut seen = vec![false; rules];
    fn visit(condition: &Condition, seen: &mut [bool]) -> bool {
        match condition {
            Condition::And(parts) => parts.iter().all(|part| visit(part, seen)),
            Condition::Selection(index) => seen.get_mut(*index).is_some_and(|seen| {
                *seen = true;
                true
            }),
            Condition::Or(_) | Condition::Not(_) => false,
        }
    }
    visit(condition, &mut seen) && seen.iter().all(|seen| *seen)
}

fn holds_of_nothing(condition: &Condition) -> bool {
    match condition {
        Condition::And(parts) => parts.iter().all(holds_of_nothing),
        Condition::Or(parts) => parts.iter().any(holds_of_nothing),
        Condition::Not(part) => !holds_of_nothing(part),
        Condition::Selection(_) => false,
    }
}

/// A number of rules in an order means all of them, or nothing that is said anywhere.
fn check_order(correlation: &mut Correlation, links: &Links, report: &mut Report) {
    if correlation.kind != CorrelationKind::TemporalOrdered {
        return;
    }
    let all = correlation.rules.len() as f64;
    let needed = correlation.compare.take();
    let is_all = needed.is_none_or(|compare| compare.holds(all) && !compare.holds(all - 1.0));
    if let (false, Some((_, place))) = (is_all, links.rules.first()) {
        let message = "which of the rules must come, and in which order, this number does not say";
        let help =
            "leave the condition out: all must come, in the order of `rules`; or take the type `temporal`";
        report.error("ordered-condition", *place, message).help(help);
    }
}
