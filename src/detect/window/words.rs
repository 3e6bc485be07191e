//! What a window found, in words that a person reads.

use super::super::hit::Hit;
use super::WindowSpec;
use super::measure::Measure;
use super::tally::Reading;
use crate::rule::ast::Compare;

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
