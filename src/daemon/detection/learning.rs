//! Other rules, and what new ones learn from the stored log.

use std::sync::Arc;

use super::{Detection, DetectionError};
use crate::engine::{Effects, Engine, RuleSet};
use crate::store::Commit;

impl Detection {
    /// Other rules: those that mean the same keep their state, new ones learn from the stored log. The snapshot
    /// that is written at once makes a restart come to the same point with the same rules.
    pub(super) fn replace_rules(&mut self, rules: Arc<RuleSet>) -> Result<(), DetectionError> {
        self.engine.replace_rules(rules)?;
        self.warm_up()?;
        self.commit(true)?;
        self.report();
        Ok(())
    }

    /// Lets rules without a past judge the stored log without effects, and takes over what they learnt.
    /// Answers whether there were any.
    pub(super) fn warm_up(&mut self) -> Result<bool, DetectionError> {
        let newcomers = self.engine.newcomers().to_vec();
        let position = self.engine.position();
        if newcomers.is_empty() || position == 0 {
            self.engine.settle_newcomers();
            return Ok(false);
        }
        tracing::info!(rules = newcomers.len(), entries = position, "new rules learn from the stored log");
        let rules = Arc::clone(self.engine.rules());
        let catalogue = Arc::clone(rules.catalogue());
        let mut learner = Engine::new(rules, catalogue, self.context.limits);
        let mut ignored = Effects::default();
        while learner.position() < position {
            let entries = self.read(learner.position())?;
            if !self.matching.judge_until(position, entries, &mut learner, &mut ignored)? {
                break;
            }
            ignored.clear();
            self.attend()?;
        }
        self.engine.adopt(learner, &newcomers);
        Ok(true)
    }

    /// What cannot wait until new rules have learnt: rules that are newer still can, or none would ever learn.
    fn attend(&mut self) -> Result<(), DetectionError> {
        self.show();
        let told = self.context.inbox.look_except_rules();
        if told.tick {
            self.notice_gaps();
        }
        if let Some(plan) = told.plan {
            self.context.plan = *plan;
        }
        if told.stop { Err(DetectionError::Interrupted) } else { Ok(()) }
    }

    /// Writes a snapshot of what newcomers learnt: without it they would be newcomers again after a crash, and
    /// forget which alerts they opened since.
    pub(super) fn keep_warmth(&mut self) -> Result<(), DetectionError> {
        let snapshot = self.engine.snapshot()?;
        let (position, at) = (self.engine.position(), self.context.clock.now());
        let commit =
            Commit { position, at, alerts: &[], outbox: &[], ledger: &[], snapshot: Some(&snapshot) };
        self.context.store.commit(&commit)?;
        self.snapshot_position = position;
        Ok(())
    }
}
