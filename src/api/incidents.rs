//! `/api/v1/incidents`: the alerts about one author or entity that came one after the other.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::alerts::{Alert, with_standings};
use super::ask::{Asked, Sent};
use super::control::Control;
use super::page::{Cursor, Limit, Page, number};
use super::problem::{Problem, ProblemBody};
use super::record::{Recorded, Ticket};
use super::timeline::TimelineEntry;
use super::triage::{AcknowledgeWanted, AssignWanted, ResolveWanted, asked, checked};
use crate::alert::{self, AlertState, Change, Level};
use crate::store::{self, AlertQuery, IncidentPlace, IncidentQuery};
use crate::time::Timestamp;

const LIST: &str = "incidents";
/// Alerts that are shown with an incident.
const ALERTS_MAX: usize = 100;
/// Lines of history that are shown with one.
const LINES_MAX: usize = 500;

/// Which incidents to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct IncidentsAsked {
    /// Only those that stand so.
    #[param(value_type = AlertState, required = false)]
    state: Option<AlertState>,
    /// Only those with an alert of this level or a graver one.
    #[param(value_type = Level, required = false)]
    level: Option<Level>,
    /// The `next` of the page before.
    #[param(value_type = String, required = false)]
    cursor: Option<Cursor>,
    /// How many.
    #[serde(default)]
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
}

/// The alerts about one author or entity that came one after the other.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Incident {
    /// Derived from its first alert's id, or from the limit it is about.
    id: String,
    /// What its alerts have in common.
    #[schema(example = "author_id = 7 at gitlab")]
    about: String,
    /// The title of its gravest alert, and how many rules more; or that responses have reached a limit.
    title: String,
    /// The gravest alert's.
    level: Level,
    /// Open as long as one of its alerts is; else acknowledged as long as one is.
    state: AlertState,
    /// How many alerts.
    alerts: u64,
    /// How many of them are open.
    open: u64,
    /// How many of them somebody looks into.
    acknowledged: u64,
    /// Event time of the first moment.
    #[schema(format = DateTime)]
    first_at: String,
    /// Event time of the last finding.
    #[schema(format = DateTime)]
    last_at: String,
    /// When its first alert was stored.
    #[schema(format = DateTime)]
    created_at: String,
    /// Where its alerts went, if all of them went up in those of another.
    merged_into: Option<String>,
}

/// An incident with its alerts and its history.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IncidentWhole {
    incident: Incident,
    /// Open ones first, then those somebody looks into; at most 100. `/api/v1/alerts?incident=` has all.
    items: Vec<Alert>,
    /// What people and Watchfire did with them: the newest 500 lines, oldest first.
    timeline: Vec<IncidentEntry>,
}

/// A line of an incident's history.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IncidentEntry {
    /// The alert it is about.
    alert: String,
    #[serde(flatten)]
    entry: TimelineEntry,
}

/// What was done with an incident.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct IncidentChanged {
    incident: Incident,
    /// The alerts that are different now.
    changed: Vec<String>,
}

impl From<store::Incident> for Incident {
    fn from(incident: store::Incident) -> Self {
        let [open, acknowledged, _] = incident.states;
        Self {
            id: incident.id,
            about: incident.about,
            title: incident.title,
            level: incident.level,
            state: incident.state,
            alerts: incident.alerts,
            open,
            acknowledged,
            first_at: incident.first_at.to_string(),
            last_at: incident.last_at.to_string(),
            created_at: incident.created_at.to_string(),
            merged_into: incident.merged_into,
        }
    }
}

fn missing() -> Problem {
    Problem::missing("incident of this id")
}

/// List incidents
///
/// Those whose last finding is newest first. Alerts about one author (else one entity, else the same key) of one forge
/// gather until none came for `incidents.gap` (24 hours by default), or all are resolved.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "alerts", params(IncidentsAsked),
    responses((status = 200, description = "A page of incidents", body = Page<Incident>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Asked(IncidentsAsked { state, level, cursor, limit }): Asked<IncidentsAsked>,
) -> Result<Json<Page<Incident>>, Problem> {
    let after = cursor.map(|cursor| {
        let [last_at, id] = cursor.place(LIST)?;
        Ok::<_, Problem>(IncidentPlace { last_at: Timestamp(number(last_at)?), id: id.to_owned() })
    });
    let query = IncidentQuery { state, level, after: after.transpose()?, limit: limit.and_one() };
    let rows = control.ask(move |store| store.incidents(&query)).await?;
    let place = |row: &store::Incident| Cursor::new(LIST, &[&row.last_at.0, &row.id]);
    Ok(Json(Page::new(rows, limit, place, Incident::from)))
}

/// Show an incident
#[utoipa::path(get, path = "/api/v1/incidents/{id}", tag = "alerts",
    params(("id" = String, Path, description = "The incident's id")),
    responses((status = 200, description = "The incident", body = IncidentWhole)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<IncidentWhole>, Problem> {
    let found = control.ask(move |store| {
        let Some(incident) = store.incident(&id)? else { return Ok(None) };
        let query = AlertQuery {
            incident: Some(id.clone()),
            whole_only: true,
            open_first: true,
            limit: ALERTS_MAX,
            ..AlertQuery::default()
        };
        let alerts = with_standings(store, store.alerts(&query)?)?;
        Ok(Some((incident, alerts, store.incident_history(&id, LINES_MAX)?)))
    });
    let (incident, alerts, history) = found.await?.ok_or_else(missing)?;
    let entry = |(alert, record): (alert::AlertId, alert::Record)| {
        let moment = alert::Moment::Record(Box::new(record));
        IncidentEntry { alert: alert.0, entry: moment.into() }
    };
    let timeline = history.into_iter().map(entry).collect();
    let items = alerts.iter().map(Alert::from).collect();
    Ok(Json(IncidentWhole { incident: incident.into(), items, timeline }))
}

type Answer = Result<Recorded<Json<IncidentChanged>>, Problem>;

async fn change(control: &Control, id: String, change: Change, ticket: Ticket) -> Answer {
    checked(&change)?;
    let deed = ticket.asking(asked(&change));
    let changed = control.ask(move |store| {
        let changed = store.change_incident(&id, &change, &deed)?;
        if changed.is_empty() {
            let nothing = deed.asking(format!("incident {id}"));
            store.record(&nothing, "nothing to do: it is so already")?;
        }
        Ok(store.incident(&id)?.map(|incident| (incident, changed)))
    });
    let (incident, changed) = changed.await?.ok_or_else(missing)?;
    control.wake.notify_one();
    let changed = changed.into_iter().filter(|one| one.record.is_some()).map(|one| one.alert.0).collect();
    Ok(Recorded(Json(IncidentChanged { incident: incident.into(), changed })))
}

/// Take an incident up
///
/// All of its alerts that are open; once more is no error.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/acknowledge", tag = "alerts",
    params(("id" = String, Path, description = "The incident's id")), request_body = AcknowledgeWanted,
    responses((status = 200, description = "The incident", body = IncidentChanged)))]
pub(super) async fn acknowledge(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Path(id): Path<String>,
    Sent(AcknowledgeWanted { note, revision }): Sent<AcknowledgeWanted>,
) -> Answer {
    no_revision(revision)?;
    change(&control, id, Change::Acknowledge { note }, ticket).await
}

/// Resolve an incident
///
/// All of its alerts that are not resolved; the others keep their verdicts.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/resolve", tag = "alerts",
    params(("id" = String, Path, description = "The incident's id")), request_body = ResolveWanted,
    responses(
        (status = 200, description = "The incident", body = IncidentChanged),
        (status = 409, description = "The other alert of a duplicate is not there, or is one of these",
            body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn resolve(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Path(id): Path<String>,
    Sent(wanted): Sent<ResolveWanted>,
) -> Answer {
    let (change_wanted, revision) = wanted.change();
    no_revision(revision)?;
    change(&control, id, change_wanted, ticket).await
}

/// Give an incident to somebody
///
/// All of its alerts, also those that are resolved.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/assign", tag = "alerts",
    params(("id" = String, Path, description = "The incident's id")), request_body = AssignWanted,
    responses((status = 200, description = "The incident", body = IncidentChanged)))]
pub(super) async fn assign(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Path(id): Path<String>,
    Sent(AssignWanted { assignee, revision }): Sent<AssignWanted>,
) -> Answer {
    no_revision(revision)?;
    change(&control, id, Change::Assign { to: assignee }, ticket).await
}

fn no_revision(revision: Option<u64>) -> Result<(), Problem> {
    let refused =
        || Problem::unfit("revision", "an incident has none: change its alerts one by one for that");
    revision.map_or(Ok(()), |_| Err(refused()))
}
