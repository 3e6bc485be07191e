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
    let earlier = earlier(row, siblings);
    Notification {
        occasion: row.occasion,
        alert,
        triage,
        others: Vec::new(),
        rule,
        events,
        places,
        responses,
        incident: None,
        earlier,
        idempotency_key: row.id.clone(),
        attempt,
    }
}

/// What the row's action said when it last told of the row's alert. Of several alerts that were told together it spoke of
/// the first only, whose row that is.
fn earlier(row: &OutboxRow, siblings: &[OutboxRow]) -> Option<String> {
    let is_earlier = |sibling: &&OutboxRow| {
        let is_same = sibling.action == row.action && sibling.alert == row.alert && sibling.id != row.id;
        is_same && sibling.kind == DeliveryKind::Notify && sibling.state == OutboxState::Done
    };
    let last = siblings.iter().filter(is_earlier).max_by_key(|sibling| sibling.created_at)?;
    last.outcome.as_ref().map(|outcome| outcome.summary.clone())
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
        assert_eq!(found.earlier, None);
    }

    #[test]
    fn a_ticket_system_is_reminded_of_the_ticket_it_made() {
        let said = |id: &str, at: i64, summary: &str| OutboxRow {
            action: "tickets".into(),
            created_at: Timestamp(at),
            outcome: Some(Outcome {
                changed: false,
                dry_run: false,
                summary: summary.into(),
                undo: None,
                needs_human: false,
            }),
            ..row(id, DeliveryKind::Notify, OutboxState::Done)
        };
        let now = OutboxRow { state: OutboxState::Pending, outcome: None, ..said("d", 9, "") };
        let elsewhere = OutboxRow { alert: crate::alert::AlertId("another".into()), ..said("c", 7, "SEC-9") };
        let chat = OutboxRow { action: "chat".into(), ..said("b", 8, "ok") };
        let siblings =
            [said("y", 2, "a comment on SEC-1"), said("x", 1, "made SEC-1"), elsewhere, chat, now.clone()];
        assert_eq!(earlier(&now, &siblings).as_deref(), Some("a comment on SEC-1"));
        assert_eq!(earlier(&now, &siblings[2..]), None);
    }
}
