//! Which deliveries may start now: one at a time per action, responses first, not while the receiver asked for
//! patience.

use std::collections::{HashMap, HashSet};

use crate::store::{DeliveryKind, OutboxRow, Settlement};
use crate::time::{Span, Timestamp};

use super::error::DeliveryError;
use super::retry::{ATTEMPTS_MAX, delay, with_wish};
use crate::store::Outcome;

/// How many deliveries are under way at once.
pub(super) const RUNNING_MAX: usize = 8;
/// How long to wait when rows are due that nobody may start yet.
const HELD_BACK: Span = Span::seconds(1);
/// How long to wait when nothing is due at all; a wake-up comes before.
pub(super) const IDLE: Span = Span::minutes(1);

/// What is under way, and which actions wait. Both are bounded by the number of configured actions.
#[derive(Debug, Default)]
pub(super) struct Desk {
    busy: HashSet<String>,
    cooling: HashMap<String, Timestamp>,
}

impl Desk {
    /// Takes from `due`, in its order but responses first, what may start, and marks its actions busy.
    pub(super) fn start(&mut self, due: Vec<OutboxRow>, now: Timestamp) -> Vec<OutboxRow> {
        self.cooling.retain(|_, until| *until > now);
        let (respond, notify): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|row| row.kind == DeliveryKind::Respond);
        let mut started = Vec::new();
        for row in respond.into_iter().chain(notify) {
            if self.room() == 0 {
                break;
            }
            if !self.cooling.contains_key(&row.action) && self.busy.insert(row.action.clone()) {
                started.push(row);
            }
        }
        started
    }

    /// Lets no action rest any longer: the clock by which the rests end was set.
    pub(super) fn end_rests(&mut self) {
        self.cooling.clear();
    }

    /// How many more may start.
    pub(super) fn room(&self) -> usize {
        RUNNING_MAX.saturating_sub(self.busy.len())
    }

    /// A delivery of `action` ended; its next one may start, not before `cool_until`.
    pub(super) fn finish(&mut self, action: &str, cool_until: Option<Timestamp>) {
        self.busy.remove(action);
        if let Some(until) = cool_until {
            self.cooling.insert(action.to_owned(), until);
        }
    }

    /// Until when nothing can happen by itself: until the next row is due or an action has cooled down.
    pub(super) fn wake_at(&self, next_due: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let due = match next_due {
            None => IDLE,
            // Due but not started: its action is busy or cooling, or the store holds it back.
            Some(at) if at <= now => HELD_BACK,
            Some(at) => at.since(now),
        };
        let cooled = self.cooling.values().map(|until| until.since(now)).min();
        let wait = cooled.map_or(due, |cooled| if due == HELD_BACK { due } else { due.min(cooled) });
        now.plus(wait.clamp(Span::millis(1), IDLE))
    }
}

/// What becomes of a delivery after its `attempt`-th try, and until when its action should rest.
pub(super) fn settle(
    result: Result<Outcome, DeliveryError>,
    attempt: u32,
    now: Timestamp,
    unit_random: f64,
) -> (Settlement, Option<Timestamp>) {
    match result {
        Ok(outcome) => (Settlement::Done(outcome), None),
        Err(DeliveryError::Permanent { reason }) => (Settlement::Dead { error: reason }, None),
        Err(DeliveryError::Retryable { reason, after }) => {
            let rest =
                after.filter(|after| after.0 > 0).map(|after| now.plus(with_wish(Span(0), Some(after))));
            match delay(attempt, unit_random) {
                Some(own) => {
                    let at = now.plus(with_wish(own, after));
                    (Settlement::Retry { at, error: reason }, rest)
                }
                None => {
                    let error = format!("gave up after {ATTEMPTS_MAX} tries: {reason}");
                    (Settlement::Dead { error }, rest)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::AlertId;
    use crate::store::OutboxState;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn row(id: &str, action: &str, kind: DeliveryKind) -> OutboxRow {
        OutboxRow {
            occasion: crate::alert::Occasion::Opened,
            id: id.into(),
            alert: AlertId("a".into()),
            action: action.into(),
            kind,
            created_at: NOW,
            due_at: NOW,
            attempts: 0,
            state: OutboxState::Pending,
            last_error: None,
            outcome: None,
        }
    }

    fn ids(rows: &[OutboxRow]) -> Vec<&str> {
        rows.iter().map(|row| row.id.as_str()).collect()
    }

    #[test]
    fn one_at_a_time_per_action_in_order_and_responses_first() {
        use DeliveryKind::{Notify, Respond};
        let due = || {
            vec![
                row("1", "mail", Notify),
                row("2", "mail", Notify),
                row("3", "block", Respond),
                row("4", "hook", Notify),
            ]
        };
        let mut desk = Desk::default();
        assert_eq!(ids(&desk.start(due(), NOW)), ["3", "1", "4"]);
        assert_eq!(ids(&desk.start(due(), NOW)), [""; 0], "all are busy");
        desk.finish("mail", None);
        assert_eq!(ids(&desk.start(due(), NOW)), ["1"], "the store decides what is still due");
    }

    #[test]
    fn at_most_so_many_are_under_way() {
        let due: Vec<_> =
            (0..50).map(|n| row(&n.to_string(), &format!("a{n}"), DeliveryKind::Notify)).collect();
        let mut desk = Desk::default();
        assert_eq!(desk.start(due.clone(), NOW).len(), RUNNING_MAX);
        assert_eq!(desk.room(), 0);
        desk.finish("a3", None);
        assert_eq!(ids(&desk.start(due, NOW)), ["3"]);
    }

    #[test]
    fn an_action_rests_as_long_as_its_receiver_asked() {
        let due = || vec![row("1", "hook", DeliveryKind::Notify)];
        let mut desk = Desk::default();
        desk.start(due(), NOW);
        let until = NOW.plus(Span::seconds(20));
        desk.finish("hook", Some(until));
        assert!(desk.start(due(), NOW).is_empty());
        assert_eq!(desk.wake_at(None, NOW), NOW.plus(Span::seconds(20)));
        assert_eq!(desk.wake_at(Some(NOW.plus(Span::seconds(5))), NOW), NOW.plus(Span::seconds(5)));
        assert_eq!(ids(&desk.start(due(), until)), ["1"]);
    }

    #[test]
    fn waiting_neither_spins_nor_oversleeps() {
        let desk = Desk::default();
        assert_eq!(desk.wake_at(None, NOW), NOW.plus(IDLE));
        assert_eq!(desk.wake_at(Some(NOW), NOW), NOW.plus(HELD_BACK));
        assert_eq!(desk.wake_at(Some(NOW.plus(Span::days(9))), NOW), NOW.plus(IDLE));
    }

    #[test]
    fn failures_are_retried_or_given_up() {
        let retryable = |after| Err(DeliveryError::Retryable { reason: "away".into(), after });
        let at = |seconds| NOW.plus(Span::seconds(seconds));
        let error = || "away".to_owned();
        assert_eq!(
            settle(retryable(None), 1, NOW, 0.5),
            (Settlement::Retry { at: at(1), error: error() }, None)
        );
        let asked = Some(Span::seconds(90));
        assert_eq!(
            settle(retryable(asked), 1, NOW, 0.5),
            (Settlement::Retry { at: at(90), error: error() }, Some(at(90)))
        );
        let (last, _) = settle(retryable(None), ATTEMPTS_MAX, NOW, 0.5);
        assert_eq!(last, Settlement::Dead { error: "gave up after 11 tries: away".into() });
        let (never, _) = settle(Err(DeliveryError::permanent("no")), 1, NOW, 0.5);
        assert_eq!(never, Settlement::Dead { error: "no".into() });
    }
}
