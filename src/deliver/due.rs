//! Which deliveries may start now: responses first, of each action as many as its receiver takes and one of each alert, not
//! while the receiver asked for patience.

use std::collections::{HashMap, HashSet};

use crate::alert::AlertId;
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
    busy: HashMap<String, HashSet<AlertId>>,
    cooling: HashMap<String, Timestamp>,
}

impl Desk {
    /// Takes from `due`, in its order but responses first, what may start. `most` says how many of an action may be under way
    /// at once; of one alert it is always one.
    pub(super) fn start(
        &mut self,
        due: Vec<OutboxRow>,
        now: Timestamp,
        most: impl Fn(&str) -> usize,
    ) -> Vec<OutboxRow> {
        self.cooling.retain(|_, until| *until > now);
        let (respond, notify): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|row| row.kind == DeliveryKind::Respond);
        let mut started = Vec::new();
        for row in respond.into_iter().chain(notify) {
            if self.room() == 0 {
                break;
            }
            if self.cooling.contains_key(&row.action) {
                continue;
            }
            let busy = self.busy.entry(row.action.clone()).or_default();
            if busy.len() < most(&row.action).max(1) && busy.insert(row.alert.clone()) {
                started.push(row);
            }
        }
        self.busy.retain(|_, alerts| !alerts.is_empty());
        started
    }

    /// Lets no action rest any longer: the clock by which the rests end was set.
    pub(super) fn end_rests(&mut self) {
        self.cooling.clear();
    }

    /// How many more may start.
    pub(super) fn room(&self) -> usize {
        RUNNING_MAX.saturating_sub(self.busy.values().map(HashSet::len).sum())
    }

    /// A delivery of `action` about `alert` ended; the action's next one may start, not before `cool_until`.
    pub(super) fn finish(&mut self, action: &str, alert: &AlertId, cool_until: Option<Timestamp>) {
        if let Some(alerts) = self.busy.get_mut(action) {
            alerts.remove(alert);
        }
        self.busy.retain(|_, alerts| !alerts.is_empty());
        if let Some(until) = cool_until {
            let rest = self.cooling.entry(action.to_owned()).or_insert(until);
            *rest = until.max(*rest);
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
        Err(DeliveryError::Permanent { reason, .. }) => (Settlement::Dead { error: reason }, None),
        Err(DeliveryError::Retryable { reason, after, .. }) => {
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
            alert: AlertId(format!("a{id}")),
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

    fn about(id: &str) -> AlertId {
        AlertId(format!("a{id}"))
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
        assert_eq!(ids(&desk.start(due(), NOW, |_| 1)), ["3", "1", "4"]);
        assert_eq!(ids(&desk.start(due(), NOW, |_| 1)), [""; 0], "all are busy");
        desk.finish("mail", &about("1"), None);
        assert_eq!(ids(&desk.start(due(), NOW, |_| 1)), ["1"], "the store decides what is still due");
    }

    #[test]
    fn several_alerts_may_be_told_at_once_and_one_alert_is_told_once_at_a_time() {
        let again = OutboxRow { alert: about("1"), ..row("1b", "hook", DeliveryKind::Notify) };
        let due = || {
            let rows = ["1", "2", "3"].map(|id| row(id, "hook", DeliveryKind::Notify));
            [again.clone()].into_iter().chain(rows).collect::<Vec<_>>()
        };
        let mut desk = Desk::default();
        assert_eq!(ids(&desk.start(due(), NOW, |_| 2)), ["1b", "2"]);
        assert!(desk.start(due(), NOW, |_| 2).is_empty());
        desk.finish("hook", &about("1"), None);
        assert_eq!(ids(&desk.start(due()[1..].to_vec(), NOW, |_| 2)), ["1"]);
        assert_eq!(desk.room(), RUNNING_MAX - 2);
    }

    #[test]
    fn at_most_so_many_are_under_way() {
        let due: Vec<_> =
            (0..50).map(|n| row(&n.to_string(), &format!("a{n}"), DeliveryKind::Notify)).collect();
        let mut desk = Desk::default();
        assert_eq!(desk.start(due.clone(), NOW, |_| 1).len(), RUNNING_MAX);
        assert_eq!(desk.room(), 0);
        desk.finish("a3", &about("3"), None);
        assert_eq!(ids(&desk.start(due, NOW, |_| 1)), ["3"]);
    }

    #[test]
    fn an_action_rests_as_long_as_its_receiver_asked() {
        let due = || vec![row("1", "hook", DeliveryKind::Notify)];
        let mut desk = Desk::default();
        desk.start(due(), NOW, |_| 1);
        let until = NOW.plus(Span::seconds(20));
        desk.finish("hook", &about("1"), Some(until));
        assert!(desk.start(due(), NOW, |_| 1).is_empty());
        assert_eq!(desk.wake_at(None, NOW), NOW.plus(Span::seconds(20)));
        assert_eq!(desk.wake_at(Some(NOW.plus(Span::seconds(5))), NOW), NOW.plus(Span::seconds(5)));
        assert_eq!(ids(&desk.start(due(), until, |_| 1)), ["1"]);
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
        let retryable =
            |after| Err(DeliveryError::Retryable { reason: "away".into(), after, answered: None });
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
