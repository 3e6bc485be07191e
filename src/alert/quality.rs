//! How good a rule is, from what people said its alerts were.

use super::Verdict;
use crate::time::Span;

/// What became of a rule's alerts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quality {
    /// The rule's id.
    pub rule: String,
    /// How many, those left out that went up in another.
    pub alerts: u64,
    /// How many are not resolved.
    pub unresolved: u64,
    /// How many were resolved so, in the order of [`Verdict::ALL`].
    pub verdicts: [u64; 5],
    /// From the first storing to the first acknowledgement: the middle one.
    pub acknowledge_time: Option<Span>,
    /// From the first storing to the last resolution: the middle one.
    pub resolve_time: Option<Span>,
    /// Messages that were delivered.
    pub notifications: u64,
}

/// 97.5 % of a normal distribution lie below so many deviations.
const Z: f64 = 1.959_963_984_540_054;

impl Quality {
    /// So many alerts more that were resolved so, or are not resolved.
    pub fn add(&mut self, verdict: Option<Verdict>, count: u64) {
        self.alerts += count;
        let place = verdict.and_then(|verdict| Verdict::ALL.iter().position(|known| *known == verdict));
        match place.and_then(|place| self.verdicts.get_mut(place)) {
            Some(slot) => *slot += count,
            None => self.unresolved += count,
        }
    }

    /// How many were resolved so.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> u64 {
        let place = Verdict::ALL.iter().position(|known| *known == verdict);
        place.and_then(|place| self.verdicts.get(place)).copied().unwrap_or_default()
    }

    /// Of how many it is known whether they were worth a person's time: trials and duplicates say nothing of that.
    #[must_use]
    pub fn judged(&self) -> u64 {
        [Verdict::TruePositive, Verdict::Benign, Verdict::FalsePositive].map(|it| self.count(it)).iter().sum()
    }

    /// The share of true positives among those that were judged; none without any.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        let judged = self.judged();
        (judged > 0).then(|| real(self.count(Verdict::TruePositive)) / real(judged))
    }

    /// Between which shares the true one lies with a confidence of 95 %: the score interval of E. B. Wilson (Probable
    /// inference, the law of succession, and statistical inference, 1927).
    #[must_use]
    pub fn interval(&self) -> Option<(f64, f64)> {
        let (share, count) = (self.precision()?, real(self.judged()));
        let square = Z * Z;
        let middle = share + square / (2.0 * count);
        let half = Z * (share * (1.0 - share) / count + square / (4.0 * count * count)).sqrt();
        let whole = 1.0 + square / count;
        Some((((middle - half) / whole).max(0.0), ((middle + half) / whole).min(1.0)))
    }

    /// Whether it is sure that more than half of its alerts were not worth looking at.
    #[must_use]
    pub fn is_noisy(&self) -> bool {
        self.interval().is_some_and(|(_, most)| most < 0.5)
    }

    /// What the figures mean, in a sentence.
    #[must_use]
    pub fn words(&self) -> String {
        let (judged, good) = (self.judged(), self.count(Verdict::TruePositive));
        let nothing = judged - good.min(judged);
        let Some((least, most)) = self.interval() else {
            return "nobody has said yet what its alerts were".to_owned();
        };
        if self.is_noisy() {
            let rule = &self.rule;
            return format!(
                "noisy: {nothing} of {judged} were nothing to act on; `watchfire rules tune {rule}` looks for an exception"
            );
        }
        if least > 0.5 {
            return format!("good: {good} of {judged} were what it looks for");
        }
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        format!(
            "too few to tell: of {judged}, {good} were what it looks for ({} to {})",
            percent(least),
            percent(most)
        )
    }
}

/// Counts are far below what a real number holds exactly.
#[expect(clippy::cast_precision_loss, reason = "there are no 2^53 alerts")]
const fn real(count: u64) -> f64 {
    count as f64
}

/// The middle one; of an even number the lower of the two in the middle.
#[must_use]
pub fn median(mut spans: Vec<Span>) -> Option<Span> {
    spans.sort_unstable();
    spans.get(spans.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quality(good: u64, benign: u64, wrong: u64) -> Quality {
        let verdicts = [good, benign, wrong, 4, 4];
        Quality { rule: "r".into(), alerts: good + benign + wrong + 8, verdicts, ..Quality::default() }
    }

    #[test]
    fn the_interval_is_wilsons() {
        // 8 of 10: 0.4902 to 0.9433, as published tables have it.
        let (least, most) = quality(8, 1, 1).interval().unwrap();
        assert!((least - 0.4902).abs() < 5e-4 && (most - 0.9433).abs() < 5e-4, "{least} {most}");
        let (least, most) = quality(0, 2, 2).interval().unwrap();
        assert!(least == 0.0 && (most - 0.4899).abs() < 5e-4, "{most}");
        assert_eq!(quality(0, 0, 0).interval(), None);
        assert_eq!(quality(3, 1, 0).precision(), Some(0.75));
    }

    #[test]
    fn a_noisy_rule_says_so() {
        assert!(quality(1, 2, 11).words().starts_with("noisy: 13 of 14"), "{}", quality(1, 2, 11).words());
        assert!(!quality(0, 0, 3).is_noisy(), "three may be chance");
        assert!(quality(19, 0, 1).words().starts_with("good: 19 of 20"));
        assert!(quality(2, 1, 1).words().starts_with("too few"));
        assert!(quality(0, 0, 0).words().contains("nobody"));
        assert_eq!(median(vec![Span(9), Span(1), Span(5), Span(7)]), Some(Span(5)));
        assert_eq!(median(Vec::new()), None);
    }
}
