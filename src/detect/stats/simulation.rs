//! Seeded streams of counts for the tests: the generator is written here, so that a test is the same for ever.

use libm::{cos, exp, lgamma, log, sqrt};

/// PCG-XSH-RR 64/32 (O'Neill 2014).
#[derive(Debug, Clone)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1) };
        (0..4).for_each(|_| {
            dice.next();
        });
        dice
    }

    fn next(&mut self) -> u32 {
        let old = self.state;
        self.state = old.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (((old >> 18) ^ old) >> 27) as u32;
        mixed.rotate_right((old >> 59) as u32)
    }

    /// In (0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        let bits = (u64::from(self.next()) << 21) ^ u64::from(self.next());
        (bits as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        sqrt(-2.0 * log(self.uniform())) * cos(std::f64::consts::TAU * self.uniform())
    }

    /// Gamma distributed with mean 1 and the variance `dispersion` (Marsaglia and Tsang 2000).
    fn gamma(&mut self, dispersion: f64) -> f64 {
        let shape = 1.0 / dispersion;
        let boosted = if shape < 1.0 { shape + 1.0 } else { shape };
        let d = boosted - 1.0 / 3.0;
        let c = 1.0 / sqrt(9.0 * d);
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && log(self.uniform()) < 0.5 * x * x + d - d * v + d * log(v) {
                let boost = if shape < 1.0 { exp(log(self.uniform()) / shape) } else { 1.0 };
                return d * v * boost / shape;
            }
        }
    }

    /// A Poisson count: multiplied uniforms for small means, Hörmann's rejection (PTRS, 1993) for large ones.
    pub(crate) fn poisson(&mut self, mean: f64) -> f64 {
        if mean < 30.0 {
            let limit = exp(-mean);
            let (mut count, mut product) = (0.0, self.uniform());
            while product > limit {
                count += 1.0;
                product *= self.uniform();
            }
            return count;
        }
        let b = 0.931 + 2.53 * sqrt(mean);
        let a = -0.059 + 0.02483 * b;
        let inverse = 1.1239 + 1.1328 / (b - 3.4);
        let fast = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let (u, v) = (self.uniform() - 0.5, self.uniform());
            let us = 0.5 - u.abs();
            let count = ((2.0 * a / us + b) * u + mean + 0.43).floor();
            if us >= 0.07 && v <= fast {
                return count;
            }
            if count < 0.0 || (us < 0.013 && v > us) {
                continue;
            }
            if log(v * inverse / (a / (us * us) + b)) <= count * log(mean) - mean - lgamma(count + 1.0) {
                return count;
            }
        }
    }

    /// A negative binomial count.
    pub(crate) fn count(&mut self, mean: f64, dispersion: f64) -> f64 {
        let rate = if dispersion > 0.0 { mean * self.gamma(dispersion) } else { mean };
        self.poisson(rate)
    }
}

/// A working week, as multiples of the mean: busy on weekdays from nine to five, quiet at night.
pub(crate) fn office(bucket: i64) -> f64 {
    let hour = bucket.rem_euclid(24);
    let is_weekend = matches!(bucket.div_euclid(24).rem_euclid(7), 2 | 3);
    let by_hour = match hour {
        9..17 => 2.2,
        7 | 8 | 17..20 => 0.9,
        _ => 0.15,
    };
    by_hour * if is_weekend { 0.2 } else { 1.3 }
}
