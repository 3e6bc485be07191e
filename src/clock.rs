//! The only clock. Edges are handed one; the core is handed times.

use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::time::{Span, Timestamp};

/// Tells the time: the machine's, or one that a test or the demo moves by hand.
#[derive(Debug, Clone)]
pub struct Clock(Hand);

#[derive(Debug, Clone)]
enum Hand {
    System,
    Set(Arc<watch::Sender<Shown>>),
}

/// What a clock that is moved by hand shows, and how much of that is no time that passed.
#[derive(Debug, Clone, Copy)]
struct Shown {
    now: Timestamp,
    stepped: Span,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Hand::System)
    }

    /// A clock that stands at `at` until it is [`Clock::set`].
    #[must_use]
    pub fn fixed(at: Timestamp) -> Self {
        Self(Hand::Set(Arc::new(watch::Sender::new(Shown { now: at, stepped: Span(0) }))))
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Hand::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Hand::Set(shown) => shown.borrow().now,
        }
    }

    /// How much time has passed since some moment before the first question, however the clock was set meanwhile. A
    /// machine that sleeps does not count it.
    #[must_use]
    pub fn uptime(&self) -> Span {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            Hand::System => {
                let passed = BEGAN.get_or_init(Instant::now).elapsed();
                Span::millis(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))
            }
            Hand::Set(shown) => {
                let shown = *shown.borrow();
                Span(shown.now.0.saturating_sub(shown.stepped.0))
            }
        }
    }

    /// Lets time pass on a fixed clock until `at`, and wakes its sleepers; the machine's clock is not moved.
    pub fn set(&self, at: Timestamp) {
        if let Hand::Set(shown) = &self.0 {
            shown.send_modify(|shown| shown.now = at);
        }
    }

    /// Puts a fixed clock forward, or back, as a time server does: it shows another time, but none has passed.
    pub fn step(&self, by: Span) {
        if let Hand::Set(shown) = &self.0 {
            shown.send_modify(|shown| {
                shown.now = shown.now.plus(by);
                shown.stepped = Span(shown.stepped.0.saturating_add(by.0));
            });
        }
    }

    /// Waits until `span` has passed, however the clock is set meanwhile.
    pub async fn sleep(&self, span: Span) {
        match &self.0 {
            Hand::System => tokio::time::sleep(span.to_std()).await,
            Hand::Set(shown) => {
                let until = self.uptime().0.saturating_add(span.0);
                let mut changes = shown.subscribe();
                // The sender lives as long as `self`, so waiting cannot fail while somebody waits.
                drop(changes.wait_for(|shown| shown.now.0.saturating_sub(shown.stepped.0) >= until).await);
            }
        }
    }
}

/// Less than this is drift, not a step.
const STEP_MIN: Span = Span::seconds(10);

/// Notices when a clock is set.
#[derive(Debug)]
pub struct Steps {
    clock: Clock,
    /// What the clock shows less what has passed: the same as long as nobody sets it.
    offset: i64,
}

impl Steps {
    /// Counts from now on.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let offset = offset(&clock);
        Self { clock, offset }
    }

    /// By how much the clock was put forward, or back, since the last question; less than ten seconds count as nothing.
    pub fn taken(&mut self) -> Option<Span> {
        let offset = offset(&self.clock);
        let step = Span(offset.saturating_sub(self.offset));
        self.offset = offset;
        (step.0.saturating_abs() >= STEP_MIN.0).then_some(step)
    }
}

fn offset(clock: &Clock) -> i64 {
    clock.now().0.saturating_sub(clock.uptime().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_from_time_that_passes() {
        let clock = Clock::fixed(Timestamp(1_000_000));
        let mut steps = Steps::new(clock.clone());
        clock.set(Timestamp(9_000_000));
        assert_eq!(steps.taken(), None);
        let before = clock.uptime();
        clock.step(Span::minutes(-5));
        assert_eq!((steps.taken(), steps.taken()), (Some(Span::minutes(-5)), None));
        clock.step(Span::seconds(9));
        assert_eq!((steps.taken(), clock.uptime()), (None, before));
        assert_eq!(clock.now(), Timestamp(9_000_000 - 291_000));
        assert_eq!(Steps::new(Clock::system()).taken(), None);
    }

    #[tokio::test]
    async fn a_step_wakes_nobody() {
        let clock = Clock::fixed(Timestamp(0));
        let sleeper = clock.sleep(Span::seconds(30));
        let mut sleeper = std::pin::pin!(sleeper);
        let is_awake = async |sleeper: std::pin::Pin<&mut _>| {
            tokio::select! { biased; () = sleeper => true, () = std::future::ready(()) => false }
        };
        assert!(!is_awake(sleeper.as_mut()).await);
        clock.step(Span::minutes(60));
        assert!(!is_awake(sleeper.as_mut()).await);
        clock.set(clock.now().plus(Span::seconds(30)));
        assert!(is_awake(sleeper).await);
    }
}
