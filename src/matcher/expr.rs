//! The condition of a target, compiled: negations pushed down to the tests, tests shared by number.

use smallvec::SmallVec;

/// A boolean expression over predicates and scripts, by their numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// All must hold; true when empty.
    And(Vec<Self>),
    /// One must hold; false when empty.
    Or(Vec<Self>),
    /// A predicate's number, and whether it must fail instead.
    Test(u32, bool),
    /// A script's number, and whether it must fail instead.
    Script(u32, bool),
}

/// Tests of which at least one must have fired for the expression to hold, with the guessed cost of waking up
/// for them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Witness {
    pub(super) tests: SmallVec<[u32; 2]>,
    pub(super) cost: u64,
}

impl Expr {
    /// Simplifies nested conjunctions and disjunctions, cheap children first (scripts last).
    pub(super) fn tidy(self) -> Self {
        match self {
            Self::And(children) => Self::join(children, true),
            Self::Or(children) => Self::join(children, false),
            leaf @ (Self::Test(..) | Self::Script(..)) => leaf,
        }
    }

    fn join(children: Vec<Self>, is_and: bool) -> Self {
        let mut flat = Vec::with_capacity(children.len());
        for child in children {
            match (child.tidy(), is_and) {
                (Self::And(inner), true) | (Self::Or(inner), false) => flat.extend(inner),
                (other, _) => flat.push(other),
            }
        }
        // Stable: equal ranks keep the order of the file, which `explain` shows.
        flat.sort_by_key(Self::rank);
        match (flat.len(), is_and) {
            (1, _) => flat.remove(0),
            (_, true) => Self::And(flat),
            (_, false) => Self::Or(flat),
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Test(..) => 0,
            Self::And(_) | Self::Or(_) => 1,
            Self::Script(..) => 2,
        }
    }

    /// The cheapest set of tests without which the expression cannot hold. `cost` prices a test, none where it
    /// cannot be indexed. None: the expression may hold without any of them.
    pub(super) fn witness(&self, cost: &dyn Fn(u32) -> Option<u64>) -> Option<Witness> {
        match self {
            Self::Test(number, false) => {
                Some(Witness { tests: SmallVec::from_slice(&[*number]), cost: cost(*number)? })
            }
            Self::Test(_, true) | Self::Script(..) => None,
            Self::And(children) => {
                children.iter().filter_map(|child| child.witness(cost)).min_by_key(|witness| witness.cost)
            }
            Self::Or(children) => {
                let mut all = Witness { tests: SmallVec::new(), cost: 0 };
                for child in children {
                    let witness = child.witness(cost)?;
                    all.tests.extend(witness.tests);
                    all.cost = all.cost.saturating_add(witness.cost);
                }
                Some(all)
            }
        }
    }

    /// Calls `visit` with the number of every predicate in the expression.
    pub(super) fn each_test(&self, visit: &mut dyn FnMut(u32)) {
        match self {
            Self::And(children) | Self::Or(children) => {
                for child in children {
                    child.each_test(visit);
                }
            }
            Self::Test(number, _) => visit(*number),
            Self::Script(..) => {}
        }
    }
}
