//! The field that most targets fix to a few values (as a rule the event's type): each of its values has an index
//! of its own, and an event looks only into those of its own values.

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::TargetId;
use super::expr::{Expr, Witness};
use super::fold::fold;
use super::index::{FieldIndex, Literal};
use super::literal::price;
use crate::event::Plan;
use crate::rule::ast::{Op, Test};

/// Targets by what they wait for.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// By field; none for keywords.
    pub(super) indexes: Vec<(Option<usize>, FieldIndex)>,
    pub(super) order: Order,
    /// What waits for nothing, or is so little that waiting does not pay.
    pub(super) always: Vec<TargetId>,
}

/// Which of a shelf's indexes to look into. With many fields most are not in an event, and asking for each would take
/// longer than all look-ups.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// For every event: fields that are made rather than found, and keywords.
    pub(super) always: Vec<u32>,
    /// By slot of the plan: for events that have something there.
    pub(super) by_slot: Vec<SmallVec<[u32; 2]>>,
}

/// A shelf with no more indexes than this looks into all of them.
const ORDERLESS_MAX: usize = 8;

impl Shelf {
    /// Notes which index belongs to which slot.
    fn arrange(&mut self, plan: &Plan) {
        let is_large = self.indexes.len() > ORDERLESS_MAX;
        let mut order = Order::default();
        for (number, (field, _)) in (0..).zip(&self.indexes) {
            let slots = field.filter(|_| is_large).and_then(|field| plan.slots_of_field(field));
            let Some(slots) = slots else {
                order.always.push(number);
                continue;
            };
            for slot in slots.iter().map(|slot| usize::from(*slot)) {
                if order.by_slot.len() <= slot {
                    order.by_slot.resize_with(slot + 1, SmallVec::new);
                }
                if let Some(numbers) = order.by_slot.get_mut(slot) {
                    numbers.push(number);
                }
            }
        }
        self.order = order;
    }
}

impl Gate {
    /// Likewise, on all its shelves.
    fn arrange(&mut self, plan: &Plan) {
        self.shelves.values_mut().for_each(|shelf| shelf.arrange(plan));
    }
}

/// Makes shelves quick to look into, once it is known where the plan puts the fields.
pub(super) fn arrange(gate: &mut Option<Gate>, open: &mut Shelf, plan: &Plan) {
    gate.iter_mut().for_each(|gate| gate.arrange(plan));
    open.arrange(plan);
}

/// The shelves of one field's values, folded.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) field: usize,
    pub(super) shelves: FxHashMap<Box<str>, Shelf>,
}

/// A target that accepts more values than this does not get a place on the shelf of each.
const VALUES_MAX: usize = 16;
/// Fields looked at as gates, those that most tests look at first.
const FIELDS_MAX: usize = 4;
/// A shelf with no more targets than this has no index.
const BARE_MAX: usize = 8;

/// What is known of one compiled test.
#[derive(Debug)]
pub(super) struct Known<'t> {
    pub(super) test: &'t Test,
    pub(super) field: Option<usize>,
    pub(super) literals: Vec<Literal>,
}

/// Puts targets on shelves.
pub(super) struct Sorter<'t> {
    tests: &'t [Known<'t>],
    targets: &'t [Expr],
    /// How many targets use each test.
    shares: Vec<u64>,
}

impl<'t> Sorter<'t> {
    pub(super) fn new(tests: &'t [Known<'t>], targets: &'t [Expr]) -> Self {
        let mut shares = vec![0; tests.len()];
        for target in targets {
            target.each_test(&mut |test| shares[test as usize] += 1);
        }
        Self { tests, targets, shares }
    }

    /// The gate, if there is a field worth it, and the shelf of the targets that it cannot hold.
    pub(super) fn sort(&self) -> Result<(Option<Gate>, Shelf), aho_corasick::BuildError> {
        let Some(field) = self.field() else {
            let all: Vec<TargetId> = (0..).zip(self.targets).map(|(number, _)| number).collect();
            return Ok((None, self.shelf(&all, None)?));
        };
        let mut open = Vec::new();
        let mut gated: FxHashMap<Box<str>, Vec<TargetId>> = FxHashMap::default();
        for (number, target) in (0..).zip(self.targets) {
            match self.values(target, field) {
                Some(values) => {
                    for value in values {
                        gated.entry(value.into()).or_default().push(number);
                    }
                }
                None => open.push(number),
            }
        }
        let mut shelves = FxHashMap::default();
        for (value, targets) in gated {
            shelves.insert(value, self.shelf(&targets, Some(field))?);
        }
        Ok((Some(Gate { field, shelves }), self.shelf(&open, None)?))
    }

    /// The text a test wants its field to be, if it wants that.
    fn exact(&self, test: u32, field: usize) -> Option<&'t str> {
        let known = self.tests.get(test as usize)?;
        match &known.test.op {
            Op::Exact(text) if known.field == Some(field) => Some(text),
            _ => None,
        }
    }

    /// The folded values of a field of which an event must have one for the target to match.
    fn values(&self, target: &Expr, field: usize) -> Option<FxHashSet<String>> {
        let witness = target.witness(&|test| self.exact(test, field).map(|_| 1))?;
        let values: FxHashSet<String> =
            witness.tests.iter().filter_map(|test| self.exact(*test, field)).map(fold).collect();
        (values.len() <= VALUES_MAX).then_some(values)
    }

    /// The field that keeps most targets from most events: those it fixes, less those of its commonest value.
    fn field(&self) -> Option<usize> {
        let mut uses: FxHashMap<usize, u64> = FxHashMap::default();
        for (known, share) in self.tests.iter().zip(&self.shares) {
            if let (Some(field), Op::Exact(_)) = (known.field, &known.test.op) {
                *uses.entry(field).or_default() += share;
            }
        }
        let mut fields: Vec<(u64, usize)> = uses.into_iter().map(|(field, uses)| (uses, field)).collect();
        fields.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut best = None;
        for (_, field) in fields.into_iter().take(FIELDS_MAX) {
            let mut counts: FxHashMap<String, usize> = FxHashMap::default();
            let mut fixed = 0;
            for values in self.targets.iter().filter_map(|target| self.values(target, field)) {
                fixed += 1;
                values.into_iter().for_each(|value| *counts.entry(value).or_default() += 1);
            }
            let gain = fixed - counts.into_values().max().unwrap_or_default();
            if gain > best.map_or(0, |(gain, _)| gain) {
                best = Some((gain, field));
            }
        }
        best.map(|(_, field)| field)
    }

    /// A shelf for these targets. On the shelf of a gate's value nobody waits for the gate's field.
    fn shelf(&self, targets: &[TargetId], gate: Option<usize>) -> Result<Shelf, aho_corasick::BuildError> {
        let mut shelf = Shelf::default();
        if gate.is_some() && targets.len() <= BARE_MAX {
            shelf.always = targets.to_vec();
            return Ok(shelf);
        }
        let mut by_field: FxHashMap<Option<usize>, Vec<(Literal, TargetId)>> = FxHashMap::default();
        for number in targets.iter().copied() {
            let target = self.targets.get(number as usize);
            match target.and_then(|target| self.witness(target, gate)) {
                Some(witness) => {
                    for known in witness.tests.iter().filter_map(|test| self.tests.get(*test as usize)) {
                        let entries = by_field.entry(known.field).or_default();
                        entries.extend(known.literals.iter().map(|literal| (literal.clone(), number)));
                    }
                }
                None => shelf.always.push(number),
            }
        }
        for (field, literals) in by_field {
            shelf.indexes.push((field, FieldIndex::build(&literals)?));
        }
        shelf.indexes.sort_by_key(|(field, _)| *field);
        Ok(shelf)
    }

    fn witness(&self, target: &Expr, gate: Option<usize>) -> Option<Witness> {
        target.witness(&|test| {
            if gate.is_some_and(|field| self.exact(test, field).is_some()) {
                return None;
            }
            price(&self.tests.get(test as usize)?.literals, *self.shares.get(test as usize)?)
        })
    }
}
