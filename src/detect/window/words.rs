//! What a window found, in words that a person reads.

use super::super::hit::Hit;
use super::measure::{Entry, Measure};
use super::tally::Reading;
use super::{WindowSpec, WindowState};
use crate::rule::ast::Compare;
use crate::time::Timestamp;

impl WindowSpec {
    /// The noun of a ratio: what `of` and `to` are called.
    #[must_use]
    pub fn ratio_noun(of: &str, to: &str) -> String {
        format!("{of}{}{to}", Hit::SEPARATOR)
    }

    /// One sentence for people.
    pub(super) fn reason(&self, reading: Reading) -> String {
        let (noun, within, line) = (&self.noun, self.within, self.compare.words());
        let value = reading.value.unwrap_or_default();
        match &self.measure {
            Measure::Count | Measure::Distinct | Measure::Roles => {
                let noun = if value == 1.0 { noun.trim_end_matches('s') } else { noun };
                if value == 1.0 && self.compare == Compare::AtLeast(1.0) {
                    return format!("one matching {noun}");
                }
                format!("{} {noun} within {within} ({line})", number(value))
            }
            Measure::Sum | Measure::Avg | Measure::Min | Measure::Max | Measure::Percentile(_) => {
                format!("{noun} is {} within {within} ({line})", number(value))
            }
            Measure::Ratio { .. } => {
                let (of, to) = noun.split_once(Hit::SEPARATOR).unwrap_or(("matching", noun));
                let (some, all) = reading.parts;
                let (share, line) = (percent(value), self.compare.words_with(percent));
                let (some, all) = (number(some as f64), number(all as f64));
                format!("{share} of {to} were {of} ({some} of {all}) within {within} ({line})")
            }
            Measure::Rules(_) => format!("{noun} within {within}"),
        }
    }
}

impl WindowSpec {
    /// What the window that ends at a moment holds, what is missing until it is worth a finding, and when it empties.
    pub(in crate::detect) fn known(&self, state: &WindowState, at: Timestamp) -> Vec<String> {
        let window = state.window(at.minus(self.within), at);
        let reading = self.read(&window);
        let holds = reading.value.is_some_and(|value| self.compare.holds(value));
        let told = match &self.measure {
            Measure::Rules(_) => format!(
                "{}, of {} matches within {}",
                if holds { "the condition holds" } else { "the condition does not hold" },
                number(window.len() as f64),
                self.within
            ),
            Measure::Ratio { min_events } if reading.value.is_none() => {
                let (of, to) = self.noun.split_once(Hit::SEPARATOR).unwrap_or(("matching", &self.noun));
                let count = |role: u16| window.iter().filter(|entry| entry.role() == role).count();
                format!(
                    "{} {to} and {} {of} within {}; a share is only taken of at least {min_events}",
                    count(1),
                    count(0),
                    self.within
                )
            }
            _ => format!("{}{}", self.reason(reading), self.missing(reading, holds)),
        };
        let leaves = window.first().map(|oldest| {
            format!(
                "the oldest of {} leaves the window at {}",
                events(&window),
                oldest.time.plus(self.within)
            )
        });
        let last = (window.is_empty() && state.last() > Timestamp::MIN)
            .then(|| format!("the last event was at {}", state.last()));
        std::iter::once(told).chain(leaves).chain(last).collect()
    }

    /// How much more it takes, of measures that only grow.
    fn missing(&self, reading: Reading, holds: bool) -> String {
        let only_grows =
            matches!(self.measure, Measure::Count | Measure::Distinct | Measure::Roles | Measure::Sum);
        let value = reading.value.unwrap_or_default();
        let goal = match self.compare {
            Compare::AtLeast(limit) => Some(limit),
            Compare::MoreThan(limit) if self.measure != Measure::Sum => Some(limit.floor() + 1.0),
            _ => None,
        };
        match goal.filter(|_| only_grows && !holds).map(|goal| goal - value) {
            _ if holds => String::from(": that is enough"),
            Some(1.0) => String::from("; 1 more is missing"),
            Some(more) => format!("; {} more are missing", number(more)),
            None => String::from("; that is not it"),
        }
    }
}

fn events(window: &[Entry]) -> String {
    if window.len() == 1 {
        String::from("the 1 event")
    } else {
        format!("the {} events", number(window.len() as f64))
    }
}

impl Compare {
    /// For people: `at least 20`.
    #[must_use]
    pub fn words(self) -> String {
        self.words_with(number)
    }

    fn words_with(self, word: fn(f64) -> String) -> String {
        match self {
            Self::AtLeast(limit) => format!("at least {}", word(limit)),
            Self::MoreThan(limit) => format!("more than {}", word(limit)),
            Self::AtMost(limit) => format!("at most {}", word(limit)),
            Self::FewerThan(limit) => format!("fewer than {}", word(limit)),
            Self::Between(low, high) => format!("between {} and {}", word(low), word(high)),
            Self::Exactly(limit) => format!("exactly {}", word(limit)),
            Self::NotEqual(limit) => format!("not {}", word(limit)),
        }
    }
}

/// `62 %`, `0.5 %`.
fn percent(share: f64) -> String {
    let hundredths = share * 100.0;
    let digits = if hundredths.abs() < 10.0 { 100.0 } else { 10.0 };
    format!("{} %", number((hundredths * digits).round() / digits))
}

/// `1,200`, `0.25`: thousands in groups, at most six digits after the point.
pub(in crate::detect) fn number(value: f64) -> String {
    let is_whole = value.fract() == 0.0 && value.abs() < 1e15;
    let text = if is_whole { (value as i64).to_string() } else { format!("{value:.6}") };
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::with_capacity(text.len() + 8);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let said = [20.0, 999.0, 1000.0, 1_234_567.5, -1200.0, 0.25, 0.1 + 0.2, 0.0].map(number);
        assert_eq!(said, ["20", "999", "1,000", "1,234,567.5", "-1,200", "0.25", "0.3", "0"]);
        assert_eq!([0.62, 0.005, 1.2, 1.0 / 3.0].map(percent), ["62 %", "0.5 %", "120 %", "33.3 %"]);
    }
}
