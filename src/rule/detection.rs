//! `detection` (and the like part of `filter`): named selections and the condition over them.

use super::ast::{Condition, Detection, Node, Selection};
use super::condition::Over;
use super::read::{Context, Entries};
use super::report::Report;
use super::suggest;
use super::yaml::{Content, Key, Place, Yaml};

/// A detection whose selections are named but not yet read: a behaviour refers to them by name first.
pub(super) struct Draft<'a> {
    selections: Vec<(&'a Key, &'a Yaml)>,
    names: Vec<String>,
    used: Vec<bool>,
    condition: Option<(&'a Key, &'a Yaml)>,
    place: Place,
}

impl<'a> Draft<'a> {
    /// From the entries of `detection`; `reserved` are the keys that are no selections, beside
    /// `condition`; a map of that name still is one.
    pub(super) fn new(entries: Entries<'a>, reserved: &[&str], place: Place, report: &mut Report) -> Self {
        let mut draft =
            Self { selections: Vec::new(), names: Vec::new(), used: Vec::new(), condition: None, place };
        for (key, value) in entries {
            match key.text.as_str() {
                "condition" => draft.condition = Some((key, value)),
                "timeframe" => {
                    let message = "`timeframe` is no longer part of Sigma";
                    let help = "use `behavior:` with `within`, or a correlation with `timespan`";
                    report.error("unsupported", key.place, message).help(help);
                }
                name if reserved.contains(&name) && (name == "rules" || value.scalar().is_some()) => {}
                name => {
                    draft.names.push(name.to_owned());
                    draft.used.push(false);
                    draft.selections.push((key, value));
                }
            }
        }
        if draft.selections.is_empty() {
            let noted = super::read::missing("selection", "`detection`", place, report);
            noted.help("name one, such as `selection:` with fields and their values");
        }
        draft
    }

    /// A detection that lets every event through.
    pub(super) fn empty(place: Place) -> Self {
        Self { selections: Vec::new(), names: Vec::new(), used: Vec::new(), condition: None, place }
    }

    /// The selection of that name, now used. A name that is not there is reported.
    pub(super) fn index(&mut self, name: &str, place: Place, report: &mut Report) -> Option<usize> {
        let found = self.names.iter().position(|known| known == name);
        match found.and_then(|index| self.used.get_mut(index)) {
            Some(used) => *used = true,
            None => {
                let message = format!("there is no selection `{name}`");
                let names = self.names.iter().map(String::as_str);
                report.error("unknown-selection", place, message).suggest(name, names);
            }
        }
        found
    }

    /// Reads the selections and the condition. Where a behaviour names selections and there is no condition,
    /// one of those must match. Nothing after a mistake, which is reported.
    pub(super) fn finish(mut self, context: &mut Context<'_>) -> Option<Detection> {
        let mut selections = Vec::with_capacity(self.selections.len());
        let mut is_whole = true;
        for (key, value) in &self.selections {
            let node = super::selection::selection(key, value, context);
            is_whole &= node.is_some();
            let node = node.unwrap_or_else(|| Node::And(Vec::new()));
            selections.push(Selection { name: key.text.clone(), node, line: key.place.own_line() });
        }
        let condition = self.condition(context.report)?;
        for ((key, _), used) in self.selections.iter().zip(&self.used) {
            // What rules share need not be used by each of them.
            if !used && !key.text.starts_with('_') && key.place.file == 0 {
                let message = format!("the selection `{}` is not used", key.text);
                context
                    .report
                    .warning("unused-selection", key.place, message)
                    .help("name it in the condition");
            }
        }
        is_whole.then_some(Detection { selections, condition })
    }

    /// As [`Self::finish`] where the behaviour could not be read, so that it is unknown which selections it uses.
    pub(super) fn finish_loosely(mut self, context: &mut Context<'_>) -> Option<Detection> {
        self.used.fill(true);
        self.finish(context)
    }

    fn condition(&mut self, report: &mut Report) -> Option<Condition> {
        let Some((_, node)) = self.condition else {
            return self.condition_of_used(report);
        };
        let nodes: Vec<&Yaml> = match &node.content {
            Content::List(items) => items.iter().collect(),
            Content::Map(_) | Content::Scalar(_) => vec![node],
        };
        if nodes.is_empty() {
            super::read::wrong_type(node, "`condition`", "a text", report);
        }
        let mut parts = Vec::with_capacity(nodes.len());
        for node in &nodes {
            let over = Over { names: &self.names, noun: "selection" };
            parts.push(super::condition::parse(node, over, &mut self.used, report));
        }
        let mut parts: Vec<Condition> = parts.into_iter().collect::<Option<_>>()?;
        if parts.len() == 1 { parts.pop() } else { Some(Condition::Or(parts)) }
    }

    fn condition_of_used(&self, report: &mut Report) -> Option<Condition> {
        let used: Vec<usize> =
            self.used.iter().enumerate().filter(|(_, used)| **used).map(|(index, _)| index).collect();
        if self.names.is_empty() {
            return Some(Condition::default());
        }
        if let [only] = used.as_slice() {
            return Some(Condition::Selection(*only));
        }
        if used.is_empty() {
            let near = self.selections.iter().find(|(key, _)| suggest::is_slip(&key.text, "condition"));
            let place = near.map_or(self.place, |(key, _)| key.place);
            let noted = super::read::missing("condition", "`detection`", place, report);
            match (near, self.names.as_slice()) {
                (Some(_), _) => noted.help("did you mean `condition`?"),
                (None, [only]) => noted.help(format!("add `condition: {only}`")),
                (None, _) => noted.help("say which selections must match, as `a and not b`"),
            }
            return None;
        }
        Some(Condition::Or(used.into_iter().map(Condition::Selection).collect()))
    }
}
