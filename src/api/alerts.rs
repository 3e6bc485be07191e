//! `/api/v1/alerts`: what was found, with its evidence, where it stands, and what was done about it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::ask::Asked;
use super::conditional::Revision;
use super::control::Control;
use super::lookup::Object;
use super::outbox::Delivery;
use super::page::{Cursor, Limit, Moment, Page, number};
use super::problem::Problem;
use super::timeline::TimelineEntry;
use crate::alert::{AlertId, AlertState, Level, Verdict};
use crate::route::{Held, HeldBy};
use crate::store::{AlertPlace, AlertQuery, HeldFilter, Standing, Store, StoreError, StoredAlert};
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
    /// Only those that stand so.
    #[param(value_type = AlertState, required = false)]
    state: Option<AlertState>,
    /// Only those that were resolved so.
    #[param(value_type = Verdict, required = false)]
    verdict: Option<Verdict>,
    /// Only this person's; empty: nobody's.
    #[param(value_type = String, required = false)]
    assignee: Option<String>,
    /// Only this incident's, by id.
    #[param(value_type = String, required = false)]
    incident: Option<String>,
    /// Only those of which this held something back; `true`: a silence, a maintenance window, another alert or a storm;
    /// `false`: none of these; `group`: it was told with others; `suppressed`: further findings were not told again.
    #[param(value_type = HeldAsked, required = false, inline)]
    held: Option<HeldAsked>,
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

/// What held something back, as it is asked for.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum HeldAsked {
    True,
    False,
    Silence,
    Maintenance,
    Inhibition,
    Storm,
    Group,
    Unwanted,
    Suppressed,
}

impl From<HeldAsked> for HeldFilter {
    fn from(asked: HeldAsked) -> Self {
        match asked {
            HeldAsked::True => Self::Any,
            HeldAsked::False => Self::Nothing,
            HeldAsked::Silence => Self::By(HeldBy::Silence),
            HeldAsked::Maintenance => Self::By(HeldBy::Maintenance),
            HeldAsked::Inhibition => Self::By(HeldBy::Inhibition),
            HeldAsked::Storm => Self::By(HeldBy::Storm),
            HeldAsked::Group => Self::By(HeldBy::Group),
            HeldAsked::Unwanted => Self::By(HeldBy::Unwanted),
            HeldAsked::Suppressed => Self::Suppressed,
        }
    }
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
    /// The alert it went up in; it stands where that one does.
    merged_into: Option<String>,
    /// When it was first stored.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it last changed by what was found.
    #[schema(format = DateTime)]
    updated_at: String,
    /// What held back anything that it was to set off: `silence`, `maintenance`, `inhibition`, `storm`, `group` (it was told
    /// with others), `unwanted`, `suppressed` (further findings were not told again).
    #[schema(example = json!(["silence"]))]
    held: Vec<&'static str>,
    #[serde(flatten)]
    standing: AlertStanding,
}

/// Where an alert stands with the people who look into it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AlertStanding {
    state: AlertState,
    /// Who looks into it.
    assignee: Option<String>,
    /// What it turned out to be; only of a resolved one.
    verdict: Option<Verdict>,
    /// The alert that told the same; only of a duplicate.
    duplicate_of: Option<String>,
    /// What was said when it came to its state.
    note: Option<String>,
    /// When it came to its state; null while nobody has touched it.
    #[schema(format = DateTime)]
    changed_at: Option<String>,
    /// Who brought it there.
    changed_by: Option<String>,
    /// The number of the last line of its history; for `revision`, or as the end of the `ETag` for `If-Match`.
    revision: u64,
    /// Findings since it was resolved.
    findings_since: u64,
    /// The incident it belongs to.
    incident: Option<String>,
}

/// An alert with its evidence, its deliveries and its history.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AlertWhole {
    alert: Alert,
    /// The events of `evidence` that the log still has.
    #[schema(value_type = Vec<Object>)]
    events: Vec<Object>,
    /// Responses and notifications, in the order in which they are made.
    deliveries: Vec<Delivery>,
    /// All that happened: what people and Watchfire did with it, who was told, what was done; what waits comes last.
    timeline: Vec<TimelineEntry>,
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

impl From<Standing> for AlertStanding {
    fn from(standing: Standing) -> Self {
        let Standing { triage, duplicate_of, revision, findings_since, incident, held: _ } = standing;
        Self {
            state: triage.state,
            assignee: triage.assignee,
            verdict: triage.verdict,
            duplicate_of: duplicate_of.map(|id| id.0),
            note: triage.note,
            changed_at: triage.changed_at.map(|at| at.to_string()),
            changed_by: triage.changed_by,
            revision,
            findings_since,
            incident,
        }
    }
}

/// An alert and where it stands.
pub(super) type Stood = (StoredAlert, Standing);

impl From<&Stood> for Alert {
    fn from((stored, standing): &Stood) -> Self {
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
            held: standing.marks(alert),
            standing: standing.clone().into(),
        }
    }
}

/// Alerts with where each stands.
pub(super) fn with_standings(store: &Store, alerts: Vec<StoredAlert>) -> Result<Vec<Stood>, StoreError> {
    let ids: Vec<AlertId> = alerts.iter().map(|stored| stored.alert.id.clone()).collect();
    Ok(alerts.into_iter().zip(store.standings(&ids)?).collect())
}

/// One alert with where it stands, if it is there.
pub(super) fn stood(store: &Store, id: &AlertId) -> Result<Option<Stood>, StoreError> {
    let alert = store.alert(id)?;
    alert.map(|alert| Ok((alert, store.standing(id)?))).transpose()
}

fn place((stored, _): &Stood) -> Cursor {
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
        state: asked.state,
        verdict: asked.verdict,
        assignee: asked.assignee,
        incident: asked.incident,
        held: asked.held.map(HeldFilter::from),
        open_first: false,
        after: after.transpose()?,
        limit: asked.limit.and_one(),
    };
    let rows = control.ask(move |store| with_standings(store, store.alerts(&query)?)).await?;
    Ok(Json(Page::new(rows, asked.limit, place, |stood| Alert::from(&stood))))
}

/// Show an alert
///
/// With the events that are its evidence, and all that happened around it.
#[utoipa::path(get, path = "/api/v1/alerts/{id}", tag = "alerts",
    params(("id" = String, Path, description = "The alert's id")),
    responses((status = 200, description = "The alert", body = AlertWhole)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = AlertId(id);
    let found = control.ask(move |store| {
        let Some(stood) = stood(store, &id)? else { return Ok(None) };
        Ok(Some((stood, store.outbox_of(&id)?, (store.timeline(&id)?, store.held_of(&id)?))))
    });
    let (stood, deliveries, (timeline, held)) =
        found.await?.ok_or_else(|| Problem::missing("alert of this id"))?;
    let (alert, revision) = (Alert::from(&stood), Revision(stood.1.revision));
    let events = control.find(move |events| events.at(&stood.0.alert.evidence)).await?;
    let deliveries = deliveries.iter().map(Delivery::from).collect();
    let timeline = timeline.into_iter().map(TimelineEntry::from).collect();
    let held = held.into_iter().map(HeldShown::from).collect();
    let mut response = Json(AlertWhole { alert, events, deliveries, timeline, held }).into_response();
    response.extensions_mut().insert(revision);
    Ok(response)
}
