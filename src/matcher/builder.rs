//! Building a matcher: from the conditions of rules to shared tests and targets over them.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::TargetId;
use super::aim::type_fields;
use super::expr::Expr;
use super::gate::{Known, Sorter, arrange};
use super::literal::literals;
use super::predicate::Predicate;
use super::run::Matcher;
use crate::decode;
use crate::event::{Catalogue, Format, Plan};
use crate::rule::ast::{Condition, Detection, Node, Op, ScriptSource, Test};
use crate::script::{Cage, Predicate as ScriptPredicate, ScriptError};

/// Collects fields, tests and targets; see [`Builder::build`].
#[derive(Debug)]
pub struct Builder {
    format: Format,
    cage: Arc<Cage>,
    catalogue: Arc<Catalogue>,
    fields: Vec<String>,
    field_numbers: FxHashMap<String, usize>,
    tests: Vec<(Test, Predicate)>,
    test_numbers: FxHashMap<String, u32>,
    scripts: Vec<ScriptPredicate>,
    targets: Vec<Expr>,
}

/// Why a rule does not compile.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A pattern.
    #[error("the pattern does not compile: {0}")]
    Regex(#[from] Box<regex_automata::meta::BuildError>),
    /// A script.
    #[error("{0}")]
    Script(#[from] ScriptError),
    /// More literals than the automaton can hold.
    #[error("too many patterns for one index: {0}")]
    Index(#[from] aho_corasick::BuildError),
}

impl Builder {
    /// A builder for events of one format.
    #[must_use]
    pub fn new(format: Format, cage: Arc<Cage>, catalogue: Arc<Catalogue>) -> Self {
        // First the fields a decoder needs, so that history is decoded and matched in one pass.
        let fields = decode::FIELDS.map(str::to_owned).to_vec();
        let field_numbers = fields.iter().cloned().zip(0..).collect();
        Self {
            format,
            cage,
            catalogue,
            fields,
            field_numbers,
            tests: Vec::new(),
            test_numbers: FxHashMap::default(),
            scripts: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// The number of a field, by which [`super::Scratch::text`] gives its value.
    pub fn field(&mut self, name: &str) -> usize {
        if let Some(number) = self.field_numbers.get(name) {
            return *number;
        }
        self.fields.push(name.to_owned());
        self.field_numbers.insert(name.to_owned(), self.fields.len() - 1);
        self.fields.len() - 1
    }

    /// Adds a target: something that matches when its expression holds.
    pub fn target(&mut self, expr: Expr) -> TargetId {
        self.targets.push(expr.tidy());
        u32::try_from(self.targets.len() - 1).unwrap_or(u32::MAX)
    }

    /// Compiles a condition over a detection's selections.
    pub fn condition(&mut self, detection: &Detection, condition: &Condition) -> Result<Expr, BuildError> {
        self.condition_or_not(detection, condition, false)
    }

    fn condition_or_not(
        &mut self,
        detection: &Detection,
        condition: &Condition,
        negated: bool,
    ) -> Result<Expr, BuildError> {
        let all = |builder: &mut Self, children: &[Condition]| -> Result<Vec<Expr>, BuildError> {
            children.iter().map(|child| builder.condition_or_not(detection, child, negated)).collect()
        };
        Ok(match condition {
            Condition::And(children) => junction(all(self, children)?, !negated),
            Condition::Or(children) => junction(all(self, children)?, negated),
            Condition::Not(child) => self.condition_or_not(detection, child, !negated)?,
            Condition::Selection(index) => match detection.selections.get(*index) {
                Some(selection) => self.node_or_not(&selection.node, negated)?,
                None => junction(Vec::new(), false),
            },
        })
    }

    /// Compiles the inside of a selection.
    pub fn node(&mut self, node: &Node) -> Result<Expr, BuildError> {
        self.node_or_not(node, false)
    }

    fn node_or_not(&mut self, node: &Node, negated: bool) -> Result<Expr, BuildError> {
        let all = |builder: &mut Self, children: &[Node]| -> Result<Vec<Expr>, BuildError> {
            children.iter().map(|child| builder.node_or_not(child, negated)).collect()
        };
        Ok(match node {
            Node::And(children) => junction(all(self, children)?, !negated),
            Node::Or(children) => junction(all(self, children)?, negated),
            Node::Not(child) => self.node_or_not(child, !negated)?,
            Node::Test(test) => Expr::Test(self.test(test)?, negated),
            Node::Script(script) => Expr::Script(self.script(script)?, negated),
        })
    }

    fn test(&mut self, test: &Test) -> Result<u32, BuildError> {
        let renamed = self.renamed(test);
        let test = renamed.as_ref().unwrap_or(test);
        let identity = identity(test);
        if let Some(number) = self.test_numbers.get(&identity) {
            return Ok(*number);
        }
        let predicate = Predicate::compile(test, |name| self.field(name))?;
        let number = u32::try_from(self.tests.len()).unwrap_or(u32::MAX);
        self.tests.push((test.clone(), predicate));
        self.test_numbers.insert(identity, number);
        Ok(number)
    }

    /// Events show their type by its current name; a rule may know it by a former one.
    fn renamed(&self, test: &Test) -> Option<Test> {
        let Op::Exact(name) = &test.op else { return None };
        let known = self.catalogue.get(self.format, name).filter(|known| known.name != *name)?;
        let is_type = test.field.as_deref() == Some("event_type");
        is_type.then(|| Test { op: Op::Exact(known.name.clone()), ..test.clone() })
    }

    fn script(&mut self, script: &ScriptSource) -> Result<u32, BuildError> {
        let number = u32::try_from(self.scripts.len()).unwrap_or(u32::MAX);
        self.scripts.push(ScriptPredicate::compile(
            &self.cage,
            &script.source,
            (script.line, script.column),
        )?);
        Ok(number)
    }

    /// The finished matcher.
    pub fn build(self) -> Result<Matcher, BuildError> {
        let known: Vec<Known<'_>> = self
            .tests
            .iter()
            .map(|(test, predicate)| Known { test, field: predicate.field, literals: literals(test) })
            .collect();
        let (mut gate, mut open) = Sorter::new(&known, &self.targets).sort()?;
        let predicates: Vec<Predicate> = self.tests.into_iter().map(|(_, predicate)| predicate).collect();
        let has_keywords = predicates.iter().any(|predicate| predicate.field.is_none());
        let enrichment = self.catalogue.enrichment();
        let plan = Plan::enriched(self.format, &self.fields, has_keywords, enrichment);
        arrange(&mut gate, &mut open, &plan);
        let type_fields = type_fields(self.format, &self.fields, enrichment);
        Ok(Matcher {
            format: self.format,
            type_fields,
            catalogue: self.catalogue,
            cage: self.cage,
            plan,
            fields: self.fields.len(),
            gate,
            open,
            predicates,
            scripts: self.scripts,
            targets: self.targets,
        })
    }
}

/// Equal tests are one, and have the same identity; for the usual ones it is made without the formatting
/// machinery.
fn identity(test: &Test) -> String {
    let (kind, text) = match &test.op {
        Op::Exact(text) => ("exact", text),
        Op::Contains(text) => ("contains", text),
        Op::StartsWith(text) => ("start", text),
        Op::EndsWith(text) => ("end", text),
        Op::Regex(text) => ("regex", text),
        _ => return format!("{test:?}"),
    };
    let case = if test.cased { "cased" } else { "folded" };
    let (is_keyword, field) = (test.field.is_none(), test.field.as_deref().unwrap_or_default());
    let length = field.len().to_string();
    [kind, case, if is_keyword { "any" } else { &length }, field, text].join(" ")
}

/// A conjunction or disjunction of children.
fn junction(children: Vec<Expr>, is_and: bool) -> Expr {
    if is_and { Expr::And(children) } else { Expr::Or(children) }
}
