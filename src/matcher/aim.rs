//! Which event types a target can match at all: its expression with the type known and everything else open.

use super::TargetId;
use super::expr::Expr;
use super::fold::fold;
use super::predicate::{Check, Predicate};
use super::run::Matcher;
use crate::enrich::Enrichment;
use crate::event::{Format, Scalar};

/// A field that the event's type alone decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypeField {
    Name,
    Category,
    Tier,
}

/// What is known of an event by its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeFacts<'a> {
    /// Its name, as events show it.
    pub name: &'a str,
    /// Its category; none where the catalogue does not know the type.
    pub category: Option<&'a str>,
    /// Its tier, likewise.
    pub tier: Option<&'a str>,
}

/// The fields among these that the type decides: the canonical one, the original ones where it stands, and what the
/// catalogue says.
pub(super) fn type_fields(
    format: Format,
    names: &[String],
    enrichment: &Enrichment,
) -> Vec<(usize, TypeField)> {
    let originals = format.paths("event_type").unwrap_or_default();
    let kind = |name: &str| match name {
        "event_type" => Some(TypeField::Name),
        "category" => Some(TypeField::Category),
        "tier" => Some(TypeField::Tier),
        name => originals.contains(&name).then_some(TypeField::Name),
    };
    // What a lookup lays over a field may be anything.
    let own = |name: &&str| !enrichment.lays_over(name);
    let kinds = names.iter().map(|name| Some(name.as_str()).filter(own).and_then(kind));
    kinds.enumerate().filter_map(|(number, kind)| Some((number, kind?))).collect()
}

/// Whether an expression can hold, and whether it can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chance {
    holds: bool,
    fails: bool,
}

const OPEN: Chance = Chance { holds: true, fails: true };

impl Chance {
    const fn sure(holds: bool) -> Self {
        Self { holds, fails: !holds }
    }

    const fn or_not(self, negated: bool) -> Self {
        if negated { Self { holds: self.fails, fails: self.holds } } else { self }
    }
}

impl Matcher {
    /// Whether there can be an event of this type that the target matches. What is not about the type counts as open, so
    /// a target whose parts contradict each other may be said to match.
    #[must_use]
    pub fn can_match(&self, target: TargetId, facts: TypeFacts<'_>) -> bool {
        self.targets.get(target as usize).is_some_and(|expr| self.chance(expr, facts).holds)
    }

    /// Whether the target matches events whatever their type is: also of one that nobody ever heard of.
    #[must_use]
    pub fn is_of_any_type(&self, target: TargetId) -> bool {
        self.can_match(target, TypeFacts { name: "\u{0}", category: None, tier: None })
    }

    fn chance(&self, expr: &Expr, facts: TypeFacts<'_>) -> Chance {
        let children =
            |all: &[Expr]| -> Vec<Chance> { all.iter().map(|child| self.chance(child, facts)).collect() };
        match expr {
            Expr::And(all) => {
                let all = children(all);
                Chance { holds: all.iter().all(|c| c.holds), fails: all.iter().any(|c| c.fails) }
            }
            Expr::Or(any) => {
                let any = children(any);
                Chance { holds: any.iter().any(|c| c.holds), fails: any.iter().all(|c| c.fails) }
            }
            Expr::Test(number, negated) => {
                let predicate = self.predicates.get(*number as usize);
                predicate.map_or(OPEN, |predicate| self.test(predicate, facts)).or_not(*negated)
            }
            Expr::Script(..) => OPEN,
        }
    }

    fn test(&self, predicate: &Predicate, facts: TypeFacts<'_>) -> Chance {
        let kind = self.type_fields.iter().find(|(number, _)| Some(*number) == predicate.field);
        let Some((_, kind)) = kind else { return OPEN };
        let value = match kind {
            TypeField::Name => Some(facts.name),
            TypeField::Category => facts.category,
            TypeField::Tier => facts.tier,
        };
        match &predicate.check {
            Check::FieldRef(..) => OPEN,
            Check::Exists(wanted) => Chance::sure(value.is_some() == *wanted),
            Check::Null => Chance::sure(value.is_none()),
            check => Chance::sure(value.is_some_and(|value| {
                let folded = predicate.wants_folded().then(|| fold(value));
                check.passes(Scalar::Text(value), Some(folded.as_deref().unwrap_or(value)))
            })),
        }
    }
}
