//! One round over all targets: one of them in trouble does not hold up the others.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::config::Target;
use super::run::{Broken, REFUSED_PAUSE};
use super::trouble::Trouble;
use crate::time::Timestamp;

/// So many targets without a sensible answer, one after the other, and it is GitLab that is in trouble.
const IN_A_ROW_MAX: u32 = 3;

/// So many refused targets are known; beyond it, all are asked again.
const RESTING_MAX: usize = 10_000;

/// How a round goes.
#[derive(Debug, Default)]
pub(super) struct Round {
    troubles: Vec<(String, Trouble)>,
    good: usize,
    in_a_row: u32,
}

impl Round {
    /// Notes what became of a target. Breaks off where the next ones would fare no better; patience that GitLab asks for
    /// and what is wrong with ourselves come back as they are.
    pub(super) fn note(
        &mut self,
        target: &Target,
        done: Result<(), Broken>,
    ) -> Result<ControlFlow<()>, Broken> {
        let trouble = match done {
            Ok(()) => {
                self.good += 1;
                self.in_a_row = 0;
                return Ok(ControlFlow::Continue(()));
            }
            Err(Broken::Forge(trouble @ (Trouble::Failing { .. } | Trouble::Lying { .. }))) => {
                self.in_a_row += 1;
                trouble
            }
            Err(Broken::Forge(trouble @ Trouble::Refused { .. })) => trouble,
            Err(other) => return Err(other),
        };
        self.troubles.push((target.to_string(), trouble));
        Ok(if self.in_a_row < IN_A_ROW_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }

    /// Whether anything was answered well.
    pub(super) const fn has_good(&self) -> bool {
        self.good > 0
    }

    /// The first trouble, and how many targets more are in any; none if all is well.
    pub(super) fn trouble(mut self) -> Option<Trouble> {
        let others = self.troubles.len().saturating_sub(1);
        if self.troubles.is_empty() {
            return None;
        }
        let (target, trouble) = self.troubles.swap_remove(0);
        // With one target, it is clear which.
        if others == 0 && self.good == 0 {
            return Some(trouble);
        }
        let more =
            if others > 0 { format!("; and {others} more targets are in trouble") } else { String::new() };
        Some(trouble.worded(|reason| format!("{target}: {reason}{more}")))
    }
}

/// Targets that were refused, and until when they are not asked again.
#[derive(Debug, Default)]
pub(super) struct Resting(BTreeMap<String, (Timestamp, Trouble)>);

impl Resting {
    /// Why a target was refused, if that was a moment ago.
    pub(super) fn of(&mut self, target: &Target, now: Timestamp) -> Option<Trouble> {
        let name = target.to_string();
        let (at, trouble) = self.0.get(&name)?;
        // Also over when the clock was set back.
        if now >= *at && now.since(*at) < REFUSED_PAUSE {
            return Some(trouble.clone());
        }
        self.0.remove(&name);
        None
    }

    /// Notes that a target was refused.
    pub(super) fn note(&mut self, target: &Target, done: &Result<(), Broken>, now: Timestamp) {
        if let Err(Broken::Forge(trouble @ Trouble::Refused { .. })) = done {
            if self.0.len() >= RESTING_MAX {
                self.0.clear();
            }
            self.0.insert(target.to_string(), (now, trouble.clone()));
        }
    }

    /// A new token may be allowed what the old one was not.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
