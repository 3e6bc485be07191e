//! How far back rules look.

use std::sync::Arc;

use super::{Hits, RuleSet};
use crate::detect::Detector;
use crate::event::Event;
use crate::time::Span;

/// How long the rules of a set need each event: as long as the longest window or learning period of those that it matters
/// to. What a rule remembers beyond that it has in its state.
#[derive(Debug)]
pub struct Needs {
    rules: Arc<RuleSet>,
    /// By the number of the detector.
    reaches: Vec<Span>,
}

impl Needs {
    /// Of these rules.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>) -> Self {
        let reaches = rules.reaches();
        Self { rules, reaches }
    }

    /// How long the rules need this event; nothing if it matters to none.
    pub fn of(&self, event: &Event, scratch: &mut Hits) -> Span {
        self.rules.hits(event, scratch);
        let reach = |hit: &crate::detect::Hit| {
            usize::try_from(hit.detector).ok().and_then(|number| self.reaches.get(number)).copied()
        };
        scratch.hits.iter().filter_map(reach).max().unwrap_or_default()
    }

    /// The longest of all.
    #[must_use]
    pub fn longest(&self) -> Span {
        self.reaches.iter().copied().max().unwrap_or_default()
    }

    /// Of which rules.
    #[must_use]
    pub const fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }
}

impl RuleSet {
    /// How long after its time an event may still matter to each rule. Its alert may be counted by another rule, whose
    /// window comes on top.
    fn reaches(&self) -> Vec<Span> {
        let mut reaches: Vec<Span> = self.units().iter().map(|unit| own(&unit.detector)).collect();
        let mut order: Vec<usize> = (0..self.units().len()).collect();
        order.sort_by_key(|number| std::cmp::Reverse(self.units().get(*number).map(|unit| unit.rank)));
        for number in order {
            let Some(unit) = self.units().get(number) else { continue };
            let of = |follower: &super::ruleset::Follower| {
                usize::try_from(follower.detector).ok().and_then(|number| reaches.get(number)).copied()
            };
            let longest = unit.followers.iter().filter_map(of).max().unwrap_or_default();
            if let Some(reach) = reaches.get_mut(number) {
                *reach = Span(reach.0.saturating_add(longest.0));
            }
        }
        reaches
    }
}

fn own(detector: &Detector) -> Span {
    match detector {
        Detector::FirstSeen(spec) => spec.learn.max(spec.forget),
        Detector::Dormant(spec) => spec.silence,
        Detector::Script(spec) => spec.within,
        Detector::Spike(spec) => Span(spec.spike.history.0.saturating_add(spec.spike.bucket.0)),
        Detector::UnusualHour(spec) => spec.learn,
        other => other.memory().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::engine::{Environment, compile};
    use crate::event::Catalogue;
    use crate::rule::{Lists, RuleFile, load};
    use crate::script::{Cage, ListTable};
    use crate::time::{Span, Timestamp};

    fn reach(texts: &[&str]) -> Span {
        let environment = Environment {
            catalogue: Arc::new(Catalogue::built_in()),
            cage: Arc::new(Cage::new(Arc::new(ListTable::default()))),
            lateness: Span::minutes(5),
            today: Timestamp(0),
        };
        let file = |(number, text): (usize, &&str)| RuleFile {
            path: format!("{number}.yml").into(),
            text: (*text).to_owned(),
        };
        let files: Vec<RuleFile> = texts.iter().enumerate().map(file).collect();
        let loaded = load(&files, &Lists::default());
        let compiled = compile(loaded.rules, &loaded.filters, &environment);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        assert_eq!(compiled.rules.units().len(), texts.len(), "{:?}", compiled.diagnostics);
        super::Needs::new(Arc::new(compiled.rules)).longest()
    }

    const WINDOW: &str = "title: A\nid: a\nlogsource: {product: gitlab}\n\
        detection: {s: {event_type: user_created}, condition: s}\n\
        behavior: {count: true, at_least: 3, within: 2h, by: author_id}\n";
    const LEARNING: &str = "title: B\nid: b\nlogsource: {product: gitlab}\n\
        detection: {s: {event_type: user_created}, condition: s}\n\
        behavior: {first_seen: ip_address, learn: 14d, by: author_id}\n";
    const OVER: &str = "title: C\nid: c\ncorrelation:\n  type: event_count\n  rules: [a]\n  group-by: [author_id]\n  \
        timespan: 1d\n  condition: {gte: 2}\n";

    #[test]
    fn the_longest_window_or_learning_period_counts() {
        assert_eq!(reach(&[]), Span(0));
        assert_eq!(reach(&[WINDOW]), Span::hours(2));
        assert_eq!(reach(&[WINDOW, LEARNING]), Span::days(14));
        assert!(reach(&[WINDOW, OVER]) >= Span::days(1));
    }
}
