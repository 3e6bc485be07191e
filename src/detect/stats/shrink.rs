//! Ratios of few observations, drawn towards 1 as far as they are noise.

/// What was seen of one group, and what was expected.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Group {
    /// The sum of the counts.
    pub(super) seen: f64,
    /// What it would be if the group were like all others.
    pub(super) expected: f64,
    /// The sum of the squares of what was expected of each count.
    pub(super) squares: f64,
}

impl Group {
    /// The noise that the dispersion puts into the sum, as a share of the square of what is expected.
    fn bursts(&self, dispersion: f64) -> f64 {
        dispersion * self.squares / (self.expected * self.expected)
    }
}

/// How much more or less a group has than expected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factor {
    /// The ratio.
    pub(super) mean: f64,
    /// Its variance as a share of its square: how little is known.
    pub(super) variance: f64,
    /// How much of it is the group's own observation, 0 to 1.
    pub(super) own: f64,
}

impl Factor {
    /// Like all others, for certain.
    pub(super) const NONE: Self = Self { mean: 1.0, variance: 0.0, own: 0.0 };
}

/// The factor of each group.
///
/// Empirical Bayes: the factors are taken as drawn from a Gamma distribution around 1, whose variance t is found
/// from how much more the ratios differ than their noise v makes them (DerSimonian and Laird, *Controlled Clinical
/// Trials* 7, 1986). Each ratio then counts t / (t + v), the credibility of Bühlmann (*ASTIN Bulletin* 4, 1967), which
/// is exact for Poisson counts. Where all differences are noise, t is 0 and every factor 1.
pub(super) fn factors(groups: &[Group], dispersion: f64) -> Vec<Factor> {
    let noise = |group: &Group| 1.0 / group.expected + group.bursts(dispersion);
    let known = || groups.iter().filter(|group| group.expected > 0.0);
    let (mut number, mut weights, mut squares, mut differences) = (0.0, 0.0, 0.0, 0.0);
    for group in known() {
        let weight = 1.0 / noise(group);
        let difference = group.seen / group.expected - 1.0;
        number += 1.0;
        weights += weight;
        squares += weight * weight;
        differences += weight * difference * difference;
    }
    let room = weights - if weights > 0.0 { squares / weights } else { 0.0 };
    let spread = if room > 0.0 { ((differences - number) / room).max(0.0) } else { 0.0 };
    let factor = |group: &Group| {
        if spread <= 0.0 {
            return Factor::NONE;
        }
        if group.expected <= 0.0 {
            return Factor { mean: 1.0, variance: spread, own: 0.0 };
        }
        let own = spread / (spread + noise(group));
        let mean = 1.0 + own * (group.seen / group.expected - 1.0);
        let own_variance = 1.0 / group.seen.max(1e-9) + group.bursts(dispersion);
        Factor { mean, variance: 1.0 / (1.0 / spread + 1.0 / own_variance), own }
    };
    groups.iter().map(factor).collect()
}
