//! `/api/v1/outbox`: deliveries to people and systems.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::Asked;
use super::control::Control;
use super::page::{Cursor, Limit, Page, number};
use super::problem::Problem;
use super::record::{Recorded, Ticket};
use crate::store::{DeliveryKind, OutboxPlace, OutboxQuery, OutboxRow, OutboxState};
use crate::time::Timestamp;

const LIST: &str = "outbox";

/// Which deliveries to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OutboxAsked {
    /// Only those that stand so.
    #[param(value_type = OutboxState, required = false)]
    state: Option<OutboxState>,
    /// Only this action's, by its configured name.
    #[param(value_type = String, required = false)]
    action: Option<String>,
    /// Only this alert's, by id.
    #[param(value_type = String, required = false)]
    alert: Option<String>,
    /// The `next` of the page before.
    #[param(value_type = String, required = false)]
    cursor: Option<Cursor>,
    /// How many.
    #[serde(default)]
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
}

/// One delivery by one action: of an alert, or of a report.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Delivery {
    /// The idempotency key.
    id: String,
    /// The alert's id; of a report its name and period.
    alert: String,
    /// The action's configured name.
    action: String,
    kind: DeliveryKind,
    state: OutboxState,
    /// How often it was tried.
    attempts: u32,
    #[schema(format = DateTime)]
    created_at: String,
    /// When it may be tried next.
    #[schema(format = DateTime)]
    due_at: String,
    /// Why the last try failed.
    last_error: Option<String>,
    /// What it did, once done.
    outcome: Option<DeliveryOutcome>,
}

/// What a delivery did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryOutcome {
    /// Whether the world is different now.
    changed: bool,
    /// Whether it was only rehearsed.
    dry_run: bool,
    summary: String,
    /// How a person undoes it.
    undo: Option<String>,
    /// Whether a person must decide what it did not dare to do.
    needs_human: bool,
}

/// How many deliveries stand where.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Counts {
    pending: u64,
    done: u64,
    dead: u64,
    /// Responses that wait for people.
    waiting: u64,
}

impl From<&OutboxRow> for Delivery {
    fn from(row: &OutboxRow) -> Self {
        Self {
            id: row.id.clone(),
            alert: row.alert.0.clone(),
            action: row.action.clone(),
            kind: row.kind,
            state: row.state,
            attempts: row.attempts,
            created_at: row.created_at.to_string(),
            due_at: row.due_at.to_string(),
            last_error: row.last_error.clone(),
            outcome: row.outcome.as_ref().map(|outcome| DeliveryOutcome {
                changed: outcome.changed,
                dry_run: outcome.dry_run,
                summary: outcome.summary.clone(),
                undo: outcome.undo.clone(),
                needs_human: outcome.needs_human,
            }),
        }
    }
}

/// List deliveries
///
/// By the time of their making, newest first.
#[utoipa::path(get, path = "/api/v1/outbox", tag = "outbox", params(OutboxAsked),
    responses((status = 200, description = "A page of deliveries", body = Page<Delivery>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Asked(asked): Asked<OutboxAsked>,
) -> Result<Json<Page<Delivery>>, Problem> {
    let after = asked.cursor.map(|cursor| {
        let [created_at, id] = cursor.place(LIST)?;
        Ok::<_, Problem>(OutboxPlace { created_at: Timestamp(number(created_at)?), id: id.to_owned() })
    });
    let OutboxAsked { state, action, alert, limit, .. } = asked;
    let query = OutboxQuery { state, action, alert, after: after.transpose()?, limit: limit.and_one() };
    let rows = control.ask(move |store| store.outbox(&query)).await?;
    let place = |row: &OutboxRow| Cursor::new(LIST, &[&row.created_at.0, &row.id]);
    Ok(Json(Page::new(rows, limit, place, |row| Delivery::from(&row))))
}

/// Count deliveries
#[utoipa::path(get, path = "/api/v1/outbox/counts", tag = "outbox",
    responses((status = 200, description = "How many stand where", body = Counts)))]
pub(super) async fn counts(State(control): State<Arc<Control>>) -> Result<Json<Counts>, Problem> {
    let counts = control.ask(|store| store.outbox_counts()).await?;
    Ok(Json(Counts {
        pending: counts.pending,
        done: counts.done,
        dead: counts.dead,
        waiting: counts.waiting,
    }))
}

/// Show a delivery
#[utoipa::path(get, path = "/api/v1/outbox/{id}", tag = "outbox",
    params(("id" = String, Path, description = "The delivery's id")),
    responses((status = 200, description = "The delivery", body = Delivery)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<Delivery>, Problem> {
    Ok(Json(find(&control, id).await?))
}

/// Try a delivery again that was given up
///
/// It is due at once, with its tries counted anew.
#[utoipa::path(post, path = "/api/v1/outbox/{id}/redrive", tag = "outbox",
    params(("id" = String, Path, description = "The delivery's id")),
    responses(
        (status = 200, description = "The delivery, pending again", body = Delivery),
        (status = 409, description = "It was not given up"),
    ))]
pub(super) async fn redrive(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Path(id): Path<String>,
) -> Result<Recorded<Json<Delivery>>, Problem> {
    let (deed, wanted) = (ticket.asking(""), id.clone());
    if !control.ask(move |store| store.redrive(&wanted, &deed)).await? {
        find(&control, id).await?;
        return Err(Problem::conflict("not_given_up", "only a delivery that was given up can be redriven"));
    }
    control.wake.notify_one();
    Ok(Recorded(Json(find(&control, id).await?)))
}

/// Which deliveries to try again.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RedriveAsked {
    /// The action's configured name.
    action: String,
}

/// How many deliveries are due again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Redriven {
    count: u64,
}

/// Try all deliveries of an action again that were given up
///
/// They are due at once, with their tries counted anew.
#[utoipa::path(post, path = "/api/v1/outbox/redrive", tag = "outbox", params(RedriveAsked),
    responses(
        (status = 200, description = "How many are due again", body = Redriven),
        (status = 409, description = "It gave nothing up"),
    ))]
pub(super) async fn redrive_action(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Asked(asked): Asked<RedriveAsked>,
) -> Result<Recorded<Json<Redriven>>, Problem> {
    let deed = ticket.asking(format!("action={}", asked.action));
    let count = control.ask(move |store| store.redrive_action(&asked.action, &deed)).await?;
    if count == 0 {
        return Err(Problem::conflict("nothing_given_up", "this action has given nothing up"));
    }
    control.wake.notify_one();
    Ok(Recorded(Json(Redriven { count: u64::try_from(count).unwrap_or(u64::MAX) })))
}

async fn find(control: &Control, id: String) -> Result<Delivery, Problem> {
    let found = control.ask(move |store| store.outbox_get(&id)).await?;
    found.as_ref().map(Delivery::from).ok_or_else(|| Problem::missing("delivery of this id"))
}
