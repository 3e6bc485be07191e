//! `sequence` of a behaviour: steps that follow each other.

use super::ast::{Sequence, Step};
use super::detection::Draft;
use super::read::{self, Entries};
use super::report::Report;
use super::yaml::{Content, Yaml};

/// Most steps of a sequence.
const STEPS_MAX: usize = 32;

/// Reads the steps and the options beside them. Nothing after a mistake, which is reported.
pub(super) fn sequence(
    node: &Yaml,
    entries: Entries<'_>,
    (by, draft): (&[String], &mut Draft<'_>),
    report: &mut Report,
) -> Option<Sequence> {
    let same = fields(entries, "same", report);
    let different = fields(entries, "different", report);
    let ordered = read::value(entries, "ordered").map(|node| read::boolean(node, "`ordered`", report));
    let unless = read::value(entries, "unless").map(|node| {
        let name = read::name(node, "`unless`", report)?;
        draft.index(&name, node.place, report)
    });
    let Content::List(items) = &node.content else {
        read::wrong_type(node, "`sequence`", "a list of selections", report);
        return None;
    };
    if !(2..=STEPS_MAX).contains(&items.len()) {
        let message = format!("a sequence has 2 to {STEPS_MAX} steps, not {}", items.len());
        report.error("bad-value", node.place, message);
        return None;
    }
    let renamable: Vec<&str> = by.iter().chain(&same).chain(&different).map(String::as_str).collect();
    let mut steps = Vec::with_capacity(items.len());
    for item in items {
        steps.push(step(item, &renamable, draft, report));
    }
    Some(Sequence {
        steps: steps.into_iter().collect::<Option<_>>()?,
        ordered: ordered.unwrap_or(Some(true))?,
        unless: match unless {
            None => None,
            Some(index) => Some(index?),
        },
        same,
        different,
    })
}

fn fields(entries: Entries<'_>, key: &str, report: &mut Report) -> Vec<String> {
    let what = format!("`{key}`");
    read::value(entries, key).map(|node| read::names(node, &what, report)).unwrap_or_default()
}

/// A selection's name, or `{name: {field: the field that carries it here}}`.
fn step(item: &Yaml, renamable: &[&str], draft: &mut Draft<'_>, report: &mut Report) -> Option<Step> {
    let Some(entries) = item.entries() else {
        let name = read::name(item, "a step", report)?;
        let selection = draft.index(&name, item.place, report)?;
        return Some(Step { selection, rename: Vec::new() });
    };
    let [(key, fields)] = entries else {
        let message = "a step is one selection";
        let help = "write `- merged: {author_id: details.merged_by}`, one item for each step";
        report.error("bad-value", item.place, message).help(help);
        return None;
    };
    let selection = draft.index(&key.text, key.place, report);
    let mut rename = Vec::new();
    for (field, value) in read::map(fields, "what a step renames", report)? {
        if !renamable.contains(&field.text.as_str()) {
            let message = format!("`{}` is in none of `by`, `same` and `different`", field.text);
            let known = renamable.iter().copied();
            report.error("unknown-field", field.place, message).suggest(&field.text, known);
        }
        rename.push((field.text.clone(), read::name(value, "a field's name", report)?));
    }
    Some(Step { selection: selection?, rename })
}

#[cfg(test)]
mod tests {
    use super::super::ast::{Body, Compare, Kind};
    use super::super::tests::{diagnostics_of, rule_of};

    const HEAD: &str = "title: T\nlogsource: {product: gitlab}\ndetection:\n  opened: {x: 1}\n  merged: {x: 2}\n  closed: {x: 3}\n";

    fn fails(behavior: &str) -> String {
        let found = diagnostics_of(&format!("{HEAD}behavior:\n{behavior}"));
        found.iter().map(|d| format!("{}:{} {}\n", d.line, d.column, d.message)).collect()
    }

    #[test]
    fn steps_options_and_the_condition_they_imply_are_read() {
        let text = format!(
            "{HEAD}behavior:\n  by: author_id\n  within: 1d\n  sequence: [opened, merged: {{author_id: details.merged_by}}]\n  unless: closed\n  same: target_id\n  different: [entity_id]\n"
        );
        let rule = rule_of(&text);
        let Body::Behavior(detection, behavior) = rule.body else { panic!() };
        let names = ["opened", "merged", "closed"];
        let printed = super::super::print_condition(&detection.condition, &names);
        assert_eq!(printed, "opened or merged or closed");
        assert_eq!(behavior.compare, Compare::AtLeast(2.0));
        let Kind::Sequence(sequence) = behavior.kind else { panic!() };
        assert!(sequence.ordered);
        assert_eq!(sequence.steps.iter().map(|step| step.selection).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(sequence.steps[1].rename, [("author_id".to_owned(), "details.merged_by".to_owned())]);
        assert_eq!(
            (sequence.unless, sequence.same, sequence.different),
            (Some(2), vec!["target_id".to_owned()], vec!["entity_id".to_owned()])
        );
    }

    #[test]
    fn mistakes_in_steps_are_named() {
        let found = fails("  {within: 1h, sequence: [opened, mergd]}");
        assert!(found.contains("8:35 there is no selection `mergd`"), "{found}");
        let found = fails("  {within: 1h, by: a, sequence: [opened, merged: {b: c}]}");
        assert!(found.contains("8:51 `b` is in none of `by`, `same` and `different`"), "{found}");
        assert!(fails("  {within: 1h, sequence: [opened]}").contains("2 to 32 steps, not 1"));
        assert!(fails("  {within: 1h, sequence: opened}").contains("must be a list of selections"));
        assert!(fails("  {within: 1h, sequence: [opened, merged], ordered: 3}").contains("true or false"));
    }
}
