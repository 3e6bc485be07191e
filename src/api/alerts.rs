//! `/api/v1/alerts`: what was found, with its evidence, and what was done about it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::ask::Asked;
use super::control::Control;
use super::lookup::Object;
use super::outbox::Delivery;
use super::page::{Cursor, Limit, Moment, Page, number};
use super::problem::Problem;
use crate::alert::{AlertId, Level};
use crate::route::{Held, HeldBy};
use crate::store::{AlertPlace, AlertQuery, StoredAlert};
use crate::time::{Span, Timestamp};

const LIST: &str = "alerts";

/// Which alerts to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AlertsAsked {
    /// Only this rule's, by id.
    #[param(value_type = String, required = false)]
    rule: Option<String>,
    /// Only those of this level or a graver one.
    #[param(value_type = Level, required = false)]
    level: Option<Level>,
    /// Only those whose last finding is of this time or later: RFC 3339, or a day.
    #[param(value_type = String, required = false, example = "2026-01-31T09:00:00Z")]
    since: Option<Moment>,
    /// Only those whose last finding is of before this time.
    #[param(value_type = String, required = false, example = "2026-02-01")]
    until: Option<Moment>,
    /// Also those that went up in another alert when late events joined the two.
    #[serde(default)]
    #[param(required = false)]
    merged: bool,
    /// The `next` of the page before.
    #[param(value_type = String, required = false)]
    cursor: Option<Cursor>,
    /// How many.
    #[serde(default)]
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
}

/// An alert: one rule, one key, one unbroken stretch of time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Alert {
    /// Derived from rule, key and the event that opened it.
    id: String,
    rule: String,
    title: String,
    level: Level,
    tags: Vec<String>,
    /// Whom it is about: field names and values.
    #[schema(value_type = Object, example = json!({"author_id": 7}))]
    key: Map<String, Value>,
    /// Event time of its first moment.
    #[schema(format = DateTime)]
    started_at: String,
    /// Event time of its last finding.
    #[schema(format = DateTime)]
    last_at: String,
    /// The log position of the event that opened it.
    position: u64,
    findings: u64,
    /// What the last finding measured.
    value: f64,
    /// The last finding in a sentence.
    reason: String,
    /// Log positions of events that count: a sample.
    evidence: Vec<u64>,
    /// How many events count.
    evidence_count: u64,
    /// The alert it went up in.
    merged_into: Option<String>,
    /// When it was first stored.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// An alert with its evidence and its deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AlertWhole {
    alert: Alert,
    /// The events of `evidence` that the log still has.
    #[schema(value_type = Vec<Object>)]
    events: Vec<Object>,
    /// Responses and notifications, in the order in which they are made.
    deliveries: Vec<Delivery>,
    /// What was not done or told, or not yet, and what held it back.
    held: Vec<HeldShown>,
}

/// Something that was held back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Held)]
pub(super) struct HeldShown {
    /// The action that was not set off; null where none was due.
    action: Option<String>,
    by: HeldBy,
    /// The silence's number, the window's name, the alert that inhibits, the delivery that is waited for.
    which: String,
    /// In a sentence.
    why: String,
    #[schema(format = DateTime)]
    at: String,
}

impl From<Held> for HeldShown {
    fn from(held: Held) -> Self {
        let action = Some(held.action).filter(|action| !action.is_empty());
        Self { action, by: held.by, which: held.which, why: held.why, at: held.at.to_string() }
    }
}

impl From<&StoredAlert> for Alert {
    fn from(stored: &StoredAlert) -> Self {
        let alert = &stored.alert;
        Self {
            id: alert.id.0.clone(),
            rule: alert.rule.to_string(),
            title: alert.title.clone(),
            level: alert.level,
            tags: alert.tags.clone(),
            key: alert.key.to_json(),
            started_at: alert.started_at.to_string(),
            last_at: alert.last_at.to_string(),
            position: alert.position,
            findings: alert.findings,
            // JSON has no other numbers.
            value: if alert.value.is_finite() { alert.value } else { 0.0 },
            reason: alert.reason.clone(),
            evidence: alert.evidence.clone(),
            evidence_count: alert.evidence_count,
            merged_into: alert.merged_into.as_ref().map(|id| id.0.clone()),
            created_at: stored.created_at.to_string(),
            updated_at: stored.updated_at.to_string(),
        }
    }
}

fn place(stored: &StoredAlert) -> Cursor {
    let alert = &stored.alert;
    Cursor::new(LIST, &[&alert.last_at.0, &alert.position, &alert.id.0])
}

/// List alerts
///
/// By the event time of their last finding, newest first. An alert that grows while a list is read moves to its
/// beginning: it may be seen twice, but none is missed.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts", params(AlertsAsked),
    responses((status = 200, description = "A page of alerts", body = Page<Alert>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Asked(asked): Asked<AlertsAsked>,
) -> Result<Json<Page<Alert>>, Problem> {
    let after = asked.cursor.map(|cursor| {
        let [last_at, position, id] = cursor.place(LIST)?;
        let (last_at, position) = (Timestamp(number(last_at)?), number(position)?);
        Ok::<_, Problem>(AlertPlace { last_at, position, id: id.to_owned() })
    });
    let query = AlertQuery {
        rule: asked.rule,
        level: asked.level,
        since: asked.since.map(|moment| moment.0.minus(Span::millis(1))),
        until: asked.until.map(|moment| moment.0),
        whole_only: !asked.merged,
        after: after.transpose()?,
        limit: asked.limit.and_one(),
    };
    let rows = control.ask(move |store| store.alerts(&query)).await?;
    Ok(Json(Page::new(rows, asked.limit, place, |stored| Alert::from(&stored))))
}

/// Show an alert
///
/// With the events that are its evidence, and what was done about it.
#[utoipa::path(get, path = "/api/v1/alerts/{id}", tag = "alerts",
    params(("id" = String, Path, description = "The alert's id")),
    responses((status = 200, description = "The alert", body = AlertWhole)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<AlertWhole>, Problem> {
    let id = AlertId(id);
    let found = control.ask(move |store| {
        let alert = store.alert(&id)?;
        let whole = |alert: StoredAlert| {
            let id = &alert.alert.id;
            Ok((store.outbox_of(id)?, store.held_of(id)?, alert))
        };
        alert.map(whole).transpose()
    });
    let (deliveries, held, stored) = found.await?.ok_or_else(|| Problem::missing("alert of this id"))?;
    let alert = Alert::from(&stored);
    let events = control.find(move |events| events.at(&stored.alert.evidence)).await?;
    let deliveries = deliveries.iter().map(Delivery::from).collect();
    Ok(Json(AlertWhole { alert, events, deliveries, held: held.into_iter().map(HeldShown::from).collect() }))
}
