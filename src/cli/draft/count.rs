//! How many at once: what sets examples apart that are common one by one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::facts::{Fact, Flat, flat};
use crate::event::{Catalogue, Event, canonical};
use crate::time::{Span, Timestamp};

/// So many of one author within a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crowd {
    /// The field whose different values are counted; none: the events.
    pub(super) distinct: Option<String>,
    pub(super) within: Span,
    pub(super) at_least: usize,
    /// The most that the history had.
    pub(super) most: usize,
    /// What the examples had.
    pub(super) examples: usize,
}

/// The windows that people write.
const WINDOWS: [Span; 9] = [
    Span::minutes(1),
    Span::minutes(5),
    Span::minutes(10),
    Span::minutes(30),
    Span::hours(1),
    Span::hours(4),
    Span::days(1),
    Span::days(7),
    Span::days(30),
];

/// What may be counted beside events.
const COUNTED: [&str; 3] = ["entity_id", "target_id", "ip_address"];

/// The windows of the authors of the history, and the most each measure reached.
pub(super) struct Measured {
    within: Span,
    measures: Vec<Measure>,
}

struct Measure {
    field: Option<&'static str>,
    examples: usize,
    windows: BTreeMap<String, VecDeque<(Timestamp, String)>>,
    most: usize,
}

impl Measured {
    /// Looks at the examples of their busiest author.
    pub(super) fn new(examples: &[Event], catalogue: &Catalogue) -> Self {
        let mut by_author: BTreeMap<String, Vec<(Timestamp, Flat)>> = BTreeMap::new();
        for event in examples {
            let flat = flat(&canonical(event, catalogue));
            let author = flat.get("author_id").cloned().unwrap_or_default();
            by_author.entry(author).or_default().push((event.time, flat));
        }
        let busiest = by_author.into_values().max_by_key(Vec::len).unwrap_or_default();
        let times = || busiest.iter().map(|(time, _)| *time);
        let length = times().max().unwrap_or_default().since(times().min().unwrap_or_default());
        let within = WINDOWS.into_iter().find(|window| *window > length).unwrap_or(Span::days(30));
        let counted = COUNTED.into_iter().map(Some).chain([None]);
        let measures = counted.map(|field| Measure {
            field,
            examples: match field {
                None => busiest.len(),
                Some(field) => {
                    busiest.iter().filter_map(|(_, event)| event.get(field)).collect::<BTreeSet<_>>().len()
                }
            },
            windows: BTreeMap::new(),
            most: 0,
        });
        Self { within, measures: measures.collect() }
    }

    /// Takes in an event of the history, if it has the facts.
    pub(super) fn meet(&mut self, event: &Event, facts: &[&Fact], catalogue: &Catalogue) {
        let flat = flat(&canonical(event, catalogue));
        if !facts.iter().all(|fact| fact.holds(&flat)) {
            return;
        }
        let Some(author) = flat.get("author_id") else { return };
        for measure in &mut self.measures {
            let value = match measure.field {
                None => String::new(),
                Some(field) => match flat.get(field) {
                    Some(value) => value.clone(),
                    None => continue,
                },
            };
            measure.meet(author, (event.time, value), self.within);
        }
    }

    /// The measure that sets the examples apart best: their number is more than the history ever had.
    pub(super) fn crowd(&self) -> Option<Crowd> {
        let telling = self.measures.iter().filter(|measure| measure.examples > measure.most.max(1));
        let best = telling.max_by_key(|measure| measure.examples * 1000 / measure.most.max(1))?;
        Some(Crowd {
            distinct: best.field.map(str::to_owned),
            within: self.within,
            // Half way between what was usual and what happened.
            at_least: (best.most + best.examples).div_ceil(2).max(2),
            most: best.most,
            examples: best.examples,
        })
    }
}

impl Measure {
    fn meet(&mut self, author: &str, entry: (Timestamp, String), within: Span) {
        let window = self.windows.entry(author.to_owned()).or_default();
        let now = entry.0;
        window.push_back(entry);
        while window.front().is_some_and(|(time, _)| time.plus(within) <= now) {
            window.pop_front();
        }
        let measure = match self.field {
            None => window.len(),
            Some(_) => window.iter().map(|(_, value)| value).collect::<BTreeSet<_>>().len(),
        };
        self.most = self.most.max(measure);
    }
}
