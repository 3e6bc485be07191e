//! Putting together what an action is told.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::alert::{Alert, Occasion, Triage};
use crate::encode::{Notification, Place, Response, ResponseState, RuleText};
use crate::store::{DeliveryKind, OutboxRow, OutboxState};

/// What is told of an alert, beside its events and responses.
#[derive(Debug, Clone)]
pub struct Told {
    /// The alert.
    pub alert: Alert,
    /// Where it stands.
    pub triage: Triage,
    /// The rule's texts.
    pub rule: RuleText,
}

/// The notification for `row`. `siblings` are all deliveries of the same alert; `events` its canonical evidence
/// in any order, with where it happened.
#[must_use]
pub fn compose(
    told: Told,
    row: &OutboxRow,
    siblings: &[OutboxRow],
    (events, places): (Vec<Map<String, Value>>, BTreeSet<Place>),
) -> Notification {
    let Told { alert, triage, rule } = told;
    let mut events = events;
    // Canonical times are RFC 3339 in UTC of one length, so that their texts are in the order of time.
    events.sort_by(|left, right| order(left).cmp(&order(right)));
    let responses = siblings
        .iter()
        .filter(|sibling| sibling.kind == DeliveryKind::Respond && sibling.id != row.id)
        // What is undone after a set time is told with the response itself until then.
        .filter(|sibling| sibling.occasion != Occasion::Undo || sibling.state != OutboxState::Pending)
        .map(response)
        .collect();
    let attempt = row.attempts.saturating_add(1);
    Notification {
        occasion: row.occasion,
        alert,
        triage,
        others: Vec::new(),
        rule,
        events,
        places,
        responses,
        idempotency_key: row.id.clone(),
        attempt,
    }
}

/// A delivery as notifications, the API and the console tell it.
#[must_use]
pub fn response(row: &OutboxRow) -> Response {
    let state = match row.state {
        OutboxState::Pending => ResponseState::Pending,
        OutboxState::Waiting => ResponseState::Waiting,
        OutboxState::Done => ResponseState::Done,
        OutboxState::Dead => ResponseState::Failed,
    };
    let outcome = row.outcome.as_ref();
    Response {
        action: row.action.clone(),
        state,
        changed: outcome.is_some_and(|outcome| outcome.changed),
        dry_run: outcome.is_some_and(|outcome| outcome.dry_run),
        needs_human: outcome.is_some_and(|outcome| outcome.needs_human),
        summary: outcome.map(|outcome| outcome.summary.clone()).or_else(|| row.last_error.clone()),
        undo: outcome.and_then(|outcome| outcome.undo.clone()),
    }
}

fn order(event: &Map<String, Value>) -> (&str, u64) {
    let time = event.get("created_at").and_then(Value::as_str).unwrap_or_default();
    (time, event.get("position").and_then(Value::as_u64).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::tests_support::{alert, event};
    use crate::store::Outcome;
    use crate::time::Timestamp;

    fn row(id: &str, kind: DeliveryKind, state: OutboxState) -> OutboxRow {
        OutboxRow {
            occasion: Occasion::Opened,
            id: id.into(),
            alert: alert().id,
            action: format!("action-{id}"),
            kind,
            created_at: Timestamp(0),
            due_at: Timestamp(0),
            attempts: 2,
            state,
            last_error: Some("the receiver was away".into()),
            outcome: None,
        }
    }

    #[test]
    fn a_notification_tells_what_the_responses_did() {
        let mail = row("mail", DeliveryKind::Notify, OutboxState::Pending);
        let outcome = Outcome {
            changed: true,
            dry_run: false,
            summary: "blocked".into(),
            undo: Some("unblock".into()),
            needs_human: false,
        };
        let siblings = [
            mail.clone(),
            OutboxRow { outcome: Some(outcome), ..row("block", DeliveryKind::Respond, OutboxState::Done) },
            row("ticket", DeliveryKind::Respond, OutboxState::Dead),
            row("hook", DeliveryKind::Notify, OutboxState::Done),
        ];
        let events = vec![event(5), event(2), event(9)];
        let told = Told { alert: alert(), triage: Triage::default(), rule: RuleText::default() };
        let found = compose(told, &mail, &siblings, (events, BTreeSet::new()));
        assert_eq!((found.idempotency_key.as_str(), found.attempt), ("mail", 3));
        assert_eq!(
            found.events.iter().map(|event| event["id"].as_u64().unwrap()).collect::<Vec<_>>(),
            [2, 5, 9]
        );
        let told: Vec<_> =
            found.responses.iter().map(|r| (r.action.as_str(), r.state, r.summary.as_deref())).collect();
        assert_eq!(
            told,
            [
                ("action-block", ResponseState::Done, Some("blocked")),
                ("action-ticket", ResponseState::Failed, Some("the receiver was away")),
            ]
        );
        assert!(found.responses[0].changed && !found.responses[1].changed);
    }
}
