//! What detection is told. Of each kind only the newest counts, so whoever tells something never waits, however long
//! detection takes to look.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::plan::Plan;
use crate::engine::RuleSet;

/// All that detection was told since it last looked.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The log has grown.
    pub(super) grown: bool,
    /// A second has passed, or more.
    pub(super) tick: bool,
    /// Run these rules from here on.
    pub(super) rules: Option<Arc<RuleSet>>,
    /// Send alerts these ways from here on.
    pub(super) plan: Option<Box<Plan>>,
    /// Judge what is in the log, write a snapshot, end. Never taken back.
    pub(super) stop: bool,
}

impl Told {
    const fn is_nothing(&self) -> bool {
        !self.grown && !self.tick && !self.stop && self.rules.is_none() && self.plan.is_none()
    }
}

/// Where it looks.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    told: Mutex<Told>,
    changed: Condvar,
}

/// Tells detection something. When the last one is gone, it stops.
#[derive(Debug, Clone)]
pub(super) struct Teller(Arc<Mouth>);

#[derive(Debug)]
struct Mouth(Arc<Inbox>);

impl Drop for Mouth {
    fn drop(&mut self) {
        self.0.tell(|told| told.stop = true);
    }
}

impl Inbox {
    /// An empty one, and who fills it.
    pub(super) fn new() -> (Teller, Arc<Self>) {
        let inbox = Arc::<Self>::default();
        (Teller(Arc::new(Mouth(Arc::clone(&inbox)))), inbox)
    }

    /// All that was told since; waits until there is something.
    pub(super) fn wait(&self) -> Told {
        let waited = self.changed.wait_while(self.lock(), |told| told.is_nothing());
        take(&mut waited.unwrap_or_else(PoisonError::into_inner))
    }

    /// All that was told since, perhaps nothing.
    pub(super) fn look(&self) -> Told {
        take(&mut self.lock())
    }

    /// All that was told since but for rules, which stay for later.
    pub(super) fn look_except_rules(&self) -> Told {
        let mut told = self.lock();
        let rules = told.rules.take();
        let taken = take(&mut told);
        told.rules = rules;
        taken
    }

    /// Waits so long unless it is told to stop, and answers whether it is. Everything else stays for later.
    pub(super) fn is_stopped_within(&self, pause: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), pause, |told| !told.stop);
        waited.unwrap_or_else(PoisonError::into_inner).0.stop
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take(told: &mut Told) -> Told {
    let stop = told.stop;
    Told { stop, ..std::mem::replace(told, Told { stop, ..Told::default() }) }
}

impl Teller {
    /// The log has grown.
    pub(super) fn grown(&self) {
        self.0.0.tell(|told| told.grown = true);
    }

    /// A second has passed.
    pub(super) fn tick(&self) {
        self.0.0.tell(|told| told.tick = true);
    }

    /// Run these rules from here on.
    pub(super) fn rules(&self, rules: Arc<RuleSet>) {
        self.0.0.tell(|told| told.rules = Some(rules));
    }

    /// Send alerts these ways from here on.
    pub(super) fn plan(&self, plan: Plan) {
        self.0.0.tell(|told| told.plan = Some(Box::new(plan)));
    }

    /// Judge what is in the log, and end.
    pub(super) fn stop(&self) {
        self.0.0.tell(|told| told.stop = true);
    }
}

#[cfg(test)]
mod tests {
    use super::super::rulebook::{Rulebook, RulebookConfig};
    use super::*;
    use crate::event::Catalogue;
    use crate::time::Timestamp;

    #[test]
    fn nobody_waits_and_the_newest_counts() {
        let (teller, inbox) = Inbox::new();
        let mut book = Rulebook::new(RulebookConfig::default(), Arc::new(Catalogue::built_in()));
        let mut rules = || book.read(Timestamp(0)).rules;
        for _ in 0..1000 {
            teller.grown();
            teller.tick();
            teller.rules(rules());
        }
        let newest = rules();
        teller.rules(Arc::clone(&newest));
        let told = inbox.wait();
        assert!(told.grown && told.tick && !told.stop && Arc::ptr_eq(&told.rules.unwrap(), &newest));
        assert!(inbox.look().is_nothing(), "it was taken");
        assert!(!inbox.is_stopped_within(Duration::ZERO));
    }

    #[test]
    fn who_waits_hears_of_the_end() {
        let (teller, inbox) = Inbox::new();
        let waiting =
            std::thread::spawn(move || (inbox.is_stopped_within(Duration::MAX / 4), inbox.wait().stop));
        teller.clone().grown();
        drop(teller);
        assert_eq!(waiting.join().unwrap(), (true, true), "all who could tell are gone");
    }
}
