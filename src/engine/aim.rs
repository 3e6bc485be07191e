//! Which event types each rule looks at.

use super::RuleSet;
use crate::event::Format;
use crate::matcher::TypeFacts;

/// What a set of rules looks at, for one format.
#[derive(Debug)]
pub struct Aims<'a> {
    rules: &'a RuleSet,
    /// The targets of each rule of this format, by the rule's number; none: it sees no events of the format itself.
    targets: Vec<Vec<u32>>,
    lane: Option<usize>,
}

impl RuleSet {
    /// What these rules look at in events of this format.
    #[must_use]
    pub fn aims(&self, format: Format) -> Aims<'_> {
        let mut targets = vec![Vec::new(); self.units.len()];
        let lane = self.lanes.iter().position(|lane| lane.matcher.format() == format);
        let emits = lane.and_then(|lane| self.lanes.get(lane)).map(|lane| lane.emits.as_slice());
        for (target, emits) in (0_u32..).zip(emits.unwrap_or_default()) {
            for emit in emits {
                if let Some(of_rule) = targets.get_mut(emit.detector as usize)
                    && of_rule.last() != Some(&target)
                {
                    of_rule.push(target);
                }
            }
        }
        Aims { rules: self, targets, lane }
    }
}

impl Aims<'_> {
    /// Whether a rule looks at events of every type, also of those nobody ever heard of: it has no condition on the
    /// type, or one that only leaves some out.
    #[must_use]
    pub fn is_general(&self, rule: usize) -> bool {
        self.any(rule, |matcher, target| matcher.is_of_any_type(target))
    }

    /// Whether a rule can match an event of this type; its own conditions beside the type are not looked at.
    #[must_use]
    pub fn looks_at(&self, rule: usize, facts: TypeFacts<'_>) -> bool {
        self.any(rule, |matcher, target| matcher.can_match(target, facts))
    }

    fn any(&self, rule: usize, is_so: impl Fn(&crate::matcher::Matcher, u32) -> bool) -> bool {
        let Some(lane) = self.lane.and_then(|lane| self.rules.lanes.get(lane)) else { return false };
        self.targets
            .get(rule)
            .is_some_and(|targets| targets.iter().any(|target| is_so(&lane.matcher, *target)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::{Environment, compile};
    use crate::event::Catalogue;
    use crate::rule::{Lists, RuleFile, load};
    use crate::script::{Cage, ListTable};
    use crate::time::{Span, Timestamp};

    fn rules(detections: &[&str]) -> RuleSet {
        let file = |(number, detection): (usize, &&str)| RuleFile {
            path: format!("{number}.yml").into(),
            text: format!("title: r{number}\nid: r{number}\nlogsource: {{}}\n{detection}\n"),
        };
        let files: Vec<RuleFile> = detections.iter().enumerate().map(file).collect();
        let loaded = load(&files, &Lists::default());
        let environment = Environment {
            catalogue: Arc::new(Catalogue::built_in()),
            cage: Arc::new(Cage::new(Arc::new(ListTable::default()))),
            lateness: Span::minutes(5),
            today: Timestamp(0),
        };
        let compiled = compile(loaded.rules, &loaded.filters, &environment);
        assert_eq!(compiled.rules.units().len(), detections.len(), "{:?}", loaded.diagnostics);
        compiled.rules
    }

    /// Which of the types each rule looks at, and whether at all of them.
    fn aims(format: Format, detections: &[&str], names: &[&str]) -> Vec<(String, bool)> {
        let rules = rules(detections);
        let aims = rules.aims(format);
        let catalogue = Catalogue::built_in();
        let one = |rule: usize| {
            let found = names.iter().filter(|name| {
                let known = catalogue.get(format, name);
                let facts = TypeFacts {
                    name,
                    category: known.map(|known| known.category.as_str()),
                    tier: known.map(|known| known.tier.name()),
                };
                aims.looks_at(rule, facts)
            });
            (found.copied().collect::<Vec<_>>().join(" "), aims.is_general(rule))
        };
        (0..detections.len()).map(one).collect()
    }

    const NAMES: [&str; 4] = ["user_created", "user_destroyed", "project_destroyed", "made_up"];

    #[test]
    fn the_types_of_a_rule_follow_from_its_condition() {
        let of = |detection: &str| {
            let text = format!("detection: {detection}");
            aims(Format::Gitlab, &[&text], &NAMES).remove(0)
        };
        for (detection, types, is_general) in [
            ("{a: {event_type: user_created}, condition: a}", "user_created", false),
            ("{a: {event_type: USER_CREATED}, condition: a}", "user_created", false),
            ("{a: {event_type: [user_created, made_up]}, condition: a}", "user_created made_up", false),
            (
                "{a: {event_type|endswith: _destroyed}, condition: a}",
                "user_destroyed project_destroyed",
                false,
            ),
            ("{a: {event_type: '*user*'}, condition: a}", "user_created user_destroyed", false),
            ("{a: {event_type|re: '^pro'}, condition: a}", "project_destroyed", false),
            ("{a: {event_type: user_created, author_id: 7}, condition: a}", "user_created", false),
            ("{a: {tier: destructive}, condition: a}", "user_destroyed project_destroyed", false),
            (
                "{a: {author_id: 7}, condition: a}",
                "user_created user_destroyed project_destroyed made_up",
                true,
            ),
            (
                "{a: {author_id: 7}, b: {event_type: user_created}, condition: a and not b}",
                "user_destroyed project_destroyed made_up",
                true,
            ),
            (
                "{a: {event_type|endswith: d}, b: {event_type: user_created}, condition: a and not b}",
                "user_destroyed project_destroyed",
                false,
            ),
            (
                "{a: {author_id: 7}, b: {event_type: user_created}, condition: a or b}",
                "user_created user_destroyed project_destroyed made_up",
                true,
            ),
            ("{a: ['user_*'], condition: a}", "user_created user_destroyed project_destroyed made_up", true),
        ] {
            assert_eq!(of(detection), (types.to_owned(), is_general), "{detection}");
        }
    }

    #[test]
    fn a_sequence_looks_at_all_its_steps_and_a_correlation_at_none() {
        let sequence = "detection:\n  a: {event_type: user_created}\n  b: {event_type: user_destroyed}\n  condition: a or b\nbehavior: {by: author_id, within: 10m, at_least: 2}";
        let found = aims(Format::Gitlab, &[sequence], &NAMES);
        assert_eq!(found, [("user_created user_destroyed".to_owned(), false)]);
    }

    #[test]
    fn other_forges_have_their_own_names_for_the_type() {
        let rules = [
            "detection: {a: {action: repo.destroy}, condition: a}",
            "detection: {a: {event_type: repo.destroy}, condition: a}",
        ];
        let found = aims(Format::Github, &rules, &["repo.destroy", "repo.create"]);
        assert_eq!(found, [("repo.destroy".to_owned(), false), ("repo.destroy".to_owned(), false)]);
        // The same field means nothing there.
        let found = aims(Format::Gitlab, &rules[..1], &["repo.destroy"]);
        assert_eq!(found, [("repo.destroy".to_owned(), true)]);
    }
}
