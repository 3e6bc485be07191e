//! A detection with the truth and the value at every leaf. Each leaf is asked of the real matcher, by itself, so that
//! nothing is cut short and nothing is told that the daemon would see otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::words;
use crate::daemon::Reading;
use crate::event::{Catalogue, Event, Extracted, Plan, Scalar};
use crate::matcher::{BuildError, Builder, Scratch, TargetId};
use crate::rule::ast::{Condition, Detection, Node};

/// A part of a condition and how it came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Tree {
    pub(in crate::cli) holds: bool,
    /// A selection's name, a test in words, or how the parts are joined.
    pub(in crate::cli) label: String,
    /// What the event has there.
    pub(in crate::cli) found: Option<String>,
    pub(in crate::cli) parts: Vec<Self>,
}

/// A detection's selections and its condition, evaluated.
#[derive(Debug)]
pub(in crate::cli) struct Evaluated {
    /// In the order of the file.
    pub(in crate::cli) selections: Vec<Tree>,
    pub(in crate::cli) condition: Tree,
}

/// Evaluates a detection on an event.
pub(in crate::cli) fn evaluate(
    detection: &Detection,
    event: &Event,
    (reading, catalogue): (&Reading, &Arc<Catalogue>),
) -> Result<Evaluated, BuildError> {
    let mut survey = Survey {
        builder: Builder::new(
            event.format,
            Arc::clone(&reading.environment.cage),
            Arc::clone(&reading.environment.catalogue),
        ),
        fields: Vec::new(),
    };
    let mut drafts = Vec::new();
    for selection in &detection.selections {
        let inside = survey.node(&selection.node)?;
        drafts.push(Draft::Joined(Join::Named(selection.name.clone()), vec![inside]));
    }
    let answers = survey.ask(event, catalogue)?;
    let selections: Vec<Tree> = drafts.iter().map(|draft| answers.tree(draft)).collect();
    let condition = condition(&detection.condition, &selections);
    Ok(Evaluated { selections, condition })
}

/// A tree before its leaves are known.
enum Draft {
    Joined(Join, Vec<Self>),
    Leaf { label: String, target: TargetId, field: Option<usize>, tells_itself: bool },
}

#[derive(Clone)]
enum Join {
    All,
    Any,
    Not,
    Named(String),
}

/// Gathers the leaves of a detection.
struct Survey {
    builder: Builder,
    fields: Vec<String>,
}

impl Survey {
    fn node(&mut self, node: &Node) -> Result<Draft, BuildError> {
        let mut all = |join: Join, children: &[Node]| -> Result<Draft, BuildError> {
            let parts: Result<_, _> = children.iter().map(|child| self.node(child)).collect();
            Ok(Draft::Joined(join, parts?))
        };
        match node {
            Node::Or(children) => match words::one_of(children) {
                Some((label, field)) => self.leaf(node, label, (field, false)),
                None => all(Join::Any, children),
            },
            Node::And(children) => all(Join::All, children),
            Node::Not(child) => all(Join::Not, std::slice::from_ref(child.as_ref())),
            Node::Test(test) => {
                let is_exact = matches!(test.op, crate::rule::ast::Op::Exact(_));
                self.leaf(node, words::test(test), (test.field.as_deref(), is_exact))
            }
            Node::Script(script) => {
                let first = script.source.trim().lines().next().unwrap_or_default();
                self.leaf(node, format!("script: {first}"), (None, false))
            }
        }
    }

    fn leaf(
        &mut self,
        node: &Node,
        label: String,
        (field, tells_itself): (Option<&str>, bool),
    ) -> Result<Draft, BuildError> {
        let expr = self.builder.node(node)?;
        let target = self.builder.target(expr);
        let field = field.map(|field| {
            self.fields.push(field.to_owned());
            self.fields.len() - 1
        });
        Ok(Draft::Leaf { label, target, field, tells_itself })
    }

    fn ask(self, event: &Event, catalogue: &Arc<Catalogue>) -> Result<Answers, BuildError> {
        let plan = Plan::enriched(event.format, &self.fields, false, catalogue.enrichment());
        let matcher = self.builder.build()?;
        let mut answers = Answers::default();
        let raw = String::from_utf8_lossy(&event.raw);
        let mut scratch = Scratch::default();
        if matcher.extract(event, &raw, &mut scratch).is_ok() {
            matcher.run(event, &raw, &mut scratch);
            answers.matched = scratch.matched().to_vec();
            let failures = scratch.failures().iter();
            answers.failures = failures.map(|failure| (failure.target, failure.error.to_string())).collect();
        }
        let mut extracted = Extracted::default();
        if plan.extract(event, &raw, catalogue, &mut extracted).is_ok() {
            let value = |field: usize| told(extracted.values(field, &raw));
            answers.values = (0..self.fields.len()).map(value).collect();
        }
        Ok(answers)
    }
}

/// Values for people.
fn told<'a>(values: impl Iterator<Item = Scalar<'a>>) -> String {
    let texts: Vec<String> = values
        .map(|value| match value {
            Scalar::Null => "null".to_owned(),
            Scalar::Composite => "an object or a list".to_owned(),
            Scalar::Text("") => "the empty text".to_owned(),
            other => other.text().unwrap_or_default().to_owned(),
        })
        .collect();
    match texts.len() {
        0 => "missing".to_owned(),
        1..=3 => texts.join(", "),
        count => format!("{} and {} more", texts.get(..3).unwrap_or_default().join(", "), count - 3),
    }
}

#[derive(Default)]
struct Answers {
    matched: Vec<TargetId>,
    failures: BTreeMap<TargetId, String>,
    values: Vec<String>,
}

impl Answers {
    fn tree(&self, draft: &Draft) -> Tree {
        match draft {
            Draft::Leaf { label, target, field, tells_itself } => {
                let holds = self.matched.contains(target);
                let failure = self.failures.get(target).map(|error| format!("failed: {error}"));
                let value = field.and_then(|field| self.values.get(field)).cloned();
                let found = failure.or_else(|| value.filter(|_| !(holds && *tells_itself)));
                Tree { holds, label: label.clone(), found, parts: Vec::new() }
            }
            Draft::Joined(join, parts) => {
                let mut parts: Vec<Tree> = parts.iter().map(|part| self.tree(part)).collect();
                // The fields of a selection stand right below its name.
                if let (Join::Named(_), [only]) = (join, parts.as_slice())
                    && only.label == ALL
                {
                    parts = only.parts.clone();
                }
                joined(join, parts)
            }
        }
    }
}

const ALL: &str = "all of";
const ANY: &str = "one of";

fn joined(join: &Join, parts: Vec<Tree>) -> Tree {
    let (label, holds) = match join {
        Join::All => (ALL.to_owned(), parts.iter().all(|part| part.holds)),
        Join::Any => (ANY.to_owned(), parts.iter().any(|part| part.holds)),
        Join::Not => ("not".to_owned(), !parts.iter().any(|part| part.holds)),
        Join::Named(name) => (name.clone(), parts.iter().all(|part| part.holds)),
    };
    Tree { holds, label, found: None, parts }
}

fn condition(condition: &Condition, selections: &[Tree]) -> Tree {
    let each =
        |children: &[Condition]| children.iter().map(|child| self::condition(child, selections)).collect();
    match condition {
        Condition::And(children) if children.is_empty() => {
            Tree { holds: true, label: "any event".to_owned(), found: None, parts: Vec::new() }
        }
        Condition::And(children) => joined(&Join::All, each(children)),
        Condition::Or(children) => joined(&Join::Any, each(children)),
        Condition::Not(child) => joined(&Join::Not, each(std::slice::from_ref(child.as_ref()))),
        Condition::Selection(index) => {
            let missing = || joined(&Join::Any, Vec::new());
            selections.get(*index).cloned().unwrap_or_else(missing)
        }
    }
}
