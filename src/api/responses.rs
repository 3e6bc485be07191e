//! `/api/v1/responses`: what was done to whom, by hand or by an alert; asking for it, undoing it, stopping all.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::{Asked, Sent};
use super::control::Control;
use super::page::{Cursor, Limit, Moment, Page, number};
use super::problem::{Problem, ProblemBody};
use super::record::{Recorded, Ticket};
use crate::alert::AlertId;
use crate::store::{
    Approval, Response, ResponsePlace, ResponseQuery, ResponseStatus, Step, UndoAsked, UndoStatus,
};
use crate::time::Timestamp;

const LIST: &str = "responses";
/// Longer texts are refused.
pub(super) const TEXT_MAX: usize = 1_000;
/// So many are undone by one call at most.
const UNDO_MAX: usize = 10_000;

/// Which responses to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ResponsesAsked {
    /// Only those that stand so.
    #[param(value_type = ResponseStatus, required = false)]
    status: Option<ResponseStatus>,
    /// Only this action's, by its configured name.
    #[param(value_type = String, required = false)]
    action: Option<String>,
    /// Only those to alerts of this rule.
    #[param(value_type = String, required = false)]
    rule: Option<String>,
    /// Only those to this alert.
    #[param(value_type = String, required = false)]
    alert: Option<String>,
    /// Only those that began at this time or later.
    #[param(value_type = String, required = false)]
    since: Option<Moment>,
    /// Only those that were done and are not undone.
    #[serde(default)]
    #[param(required = false)]
    in_force: bool,
    /// The `next` of the page before.
    #[param(value_type = String, required = false)]
    cursor: Option<Cursor>,
    /// How many.
    #[serde(default)]
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
}

/// A response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResponseRecord)]
pub(super) struct Shown {
    id: String,
    alert: Option<String>,
    rule: Option<String>,
    /// The fingerprint of the rule as it was then.
    rule_version: Option<String>,
    /// Where the alert's evidence is in the log.
    #[schema(value_type = Vec<u64>)]
    evidence: Vec<u64>,
    action: String,
    /// What it does: `block`.
    verb: String,
    status: ResponseStatus,
    /// Whether it only rehearses: nothing is changed.
    dry_run: bool,
    /// `watchfire`, or who asked for it.
    requested_by: String,
    reason: Option<String>,
    /// For people: `user 7 (alice)`.
    who: Option<String>,
    forge: Option<String>,
    /// The account's id.
    identity: Option<String>,
    page: Option<String>,
    /// The state it was found in.
    state_before: Option<String>,
    /// The state it was left in.
    state_after: Option<String>,
    summary: String,
    /// The call that changed it.
    request: Option<String>,
    answer: Option<String>,
    approvals_needed: u32,
    approvals: Vec<Approval>,
    /// The limit it would go beyond, if it waits for that.
    beyond: Option<String>,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    #[schema(format = DateTime)]
    acted_at: Option<String>,
    undoable: bool,
    undo: UndoStatus,
    #[schema(format = DateTime)]
    undo_at: Option<String>,
    undo_by: Option<String>,
    undo_reason: Option<String>,
    undo_summary: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// A response with its history.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResponseWithSteps)]
pub(super) struct Whole {
    response: Shown,
    /// What happened to it, oldest first.
    steps: Vec<StepShown>,
}

/// One change of a response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResponseStep)]
pub(super) struct StepShown {
    #[schema(format = DateTime)]
    at: String,
    status: String,
    author: String,
    summary: String,
}

impl From<Response> for Shown {
    fn from(response: Response) -> Self {
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let (state_before, state_after) = response.states;
        let (request, answer) = response.receipt.unzip();
        let (undo_by, undo_reason) = response.undo_by.unzip();
        let (forge, identity) = response.hit.map(|hit| (hit.forge, hit.id)).unzip();
        Self {
            id: response.id,
            alert: response.alert.map(|alert| alert.0),
            rule: response.rule,
            rule_version: response.rule_version,
            evidence: response.evidence,
            action: response.action,
            verb: response.verb,
            status: response.status,
            dry_run: response.dry_run,
            requested_by: response.requested_by,
            reason: response.reason,
            who: response.who,
            forge,
            identity,
            page: response.page,
            state_before,
            state_after,
            summary: response.summary,
            request,
            answer,
            approvals_needed: response.approvals_needed,
            approvals: response.approvals,
            beyond: response.beyond,
            expires_at: text(response.expires_at),
            acted_at: text(response.acted_at),
            undoable: response.undoable,
            undo: response.undo,
            undo_at: text(response.undo_at),
            undo_by,
            undo_reason,
            undo_summary: response.undo_summary,
            created_at: response.created_at.to_string(),
            updated_at: response.updated_at.to_string(),
        }
    }
}

impl From<Step> for StepShown {
    fn from(Step { at, status, author, summary, .. }: Step) -> Self {
        Self { at: at.to_string(), status, author, summary }
    }
}

/// List responses
///
/// By the time of their beginning, newest first.
#[utoipa::path(get, path = "/api/v1/responses", tag = "responses", params(ResponsesAsked),
    responses((status = 200, description = "A page of responses", body = Page<Shown>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Asked(asked): Asked<ResponsesAsked>,
) -> Result<Json<Page<Shown>>, Problem> {
    let after = asked.cursor.map(|cursor| {
        let [created_at, id] = cursor.place(LIST)?;
        Ok::<_, Problem>(ResponsePlace { created_at: Timestamp(number(created_at)?), id: id.to_owned() })
    });
    let ResponsesAsked { status, action, rule, alert, since, in_force, limit, .. } = asked;
    let (since, after, wanted) = (since.map(|since| since.0), after.transpose()?, limit.and_one());
    let query = ResponseQuery { status, action, rule, alert, since, in_force, after, limit: wanted };
    let rows = control.ask(move |store| store.responses(&query)).await?;
    let place = |row: &Response| Cursor::new(LIST, &[&row.created_at.0, &row.id]);
    Ok(Json(Page::new(rows, limit, place, Shown::from)))
}

/// Show a response
#[utoipa::path(get, path = "/api/v1/responses/{id}", tag = "responses",
    params(("id" = String, Path, description = "The response's id")),
    responses((status = 200, description = "The response and its history", body = Whole)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<Whole>, Problem> {
    whole(&control, id).await.map(Json)
}

pub(super) async fn whole(control: &Control, id: String) -> Result<Whole, Problem> {
    let found = control
        .ask(move |store| {
            let Some(response) = store.response(&id)? else { return Ok(None) };
            Ok(Some((response, store.response_steps(&id)?)))
        })
        .await?;
    let (response, steps) = found.ok_or_else(missing)?;
    Ok(Whole { response: response.into(), steps: steps.into_iter().map(StepShown::from).collect() })
}

pub(super) fn missing() -> Problem {
    Problem::missing("response of this id")
}

pub(super) fn check(field: &str, text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() {
        return Err(Problem::unfit(field, "it must not be empty"));
    }
    if text.chars().count() > TEXT_MAX {
        return Err(Problem::unfit(field, format!("it must have at most {TEXT_MAX} characters")));
    }
    Ok(())
}

/// A response that a person asks for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ResponseWanted)]
pub(super) struct Wanted {
    /// The action's configured name.
    #[schema(min_length = 1, max_length = 1000)]
    action: String,
    /// Whom, by the id in the action's system; absent: whom the alert is about.
    #[serde(default)]
    user: Option<String>,
    /// The alert it answers; without `user` it says whom.
    #[serde(default)]
    alert: Option<String>,
    /// Why.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

/// Ask for a response
///
/// The same guards hold as for a rule's. Who asks cannot approve it.
#[utoipa::path(post, path = "/api/v1/responses", tag = "responses", request_body = Wanted,
    responses(
        (status = 202, description = "It has begun; look at it again", body = Shown),
        (status = 409, description = "Responses are stopped", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
pub(super) async fn ask(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Sent(wanted): Sent<Wanted>,
) -> Result<Recorded<(StatusCode, Json<Shown>)>, Problem> {
    let Wanted { action, user, alert, reason } = wanted;
    let deed = ticket.asking(format!("action {action:?}, user {user:?}, alert {alert:?}"));
    for (field, text) in [("action", &action), ("reason", &reason)] {
        check(field, text)?;
    }
    if user.is_none() && alert.is_none() {
        return Err(Problem::unfit("user", "say whom: a `user`, or an `alert` that is about one"));
    }
    if let Some(alert) = alert.clone() {
        let found = control.ask(move |store| store.alert(&AlertId(alert))).await?;
        found.ok_or_else(|| Problem::missing("alert of this id"))?;
    }
    let mut response = Response::new(asked_id(), action, "do", deed.at);
    (response.user, response.reason, response.alert) = (user, Some(reason), alert.map(AlertId));
    let made = control
        .ask(move |store| {
            store.response_ask(&response, &deed)?;
            store.response(&response.id)
        })
        .await?;
    control.wake.notify_one();
    let made = made.ok_or_else(Problem::internal)?;
    Ok(Recorded((StatusCode::ACCEPTED, Json(made.into()))))
}

/// Nobody else has the same: who asks twice is answered twice, and looked at first.
fn asked_id() -> String {
    let id: [u8; 16] = rand::random();
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is to be undone: of these conditions, each that is given must hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UndoWanted)]
pub(super) struct UndoWanted {
    /// These.
    #[serde(default)]
    ids: Vec<String>,
    /// Those to alerts of this rule.
    #[serde(default)]
    rule: Option<String>,
    /// Those that began at this time or later.
    #[serde(default)]
    since: Option<String>,
    /// All that are in force.
    #[serde(default)]
    all: bool,
    /// Why.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

/// What becomes of each.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UndoAnswer {
    items: Vec<UndoOf>,
}

/// What becomes of one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UndoOf {
    id: String,
    what: String,
    /// Why it is not undone; null: it is at once.
    refused: Option<String>,
}

impl From<UndoAsked> for UndoOf {
    fn from(UndoAsked { id, what, refused }: UndoAsked) -> Self {
        Self { id, what, refused }
    }
}

/// Undo responses
///
/// Exactly what was found is put back, unless somebody has changed it since. It is done by a delivery: look at the
/// responses again.
#[utoipa::path(post, path = "/api/v1/responses/undo", tag = "responses", request_body = UndoWanted,
    responses((status = 200, description = "What becomes of each", body = UndoAnswer)))]
pub(super) async fn undo(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Sent(wanted): Sent<UndoWanted>,
) -> Result<Recorded<Json<UndoAnswer>>, Problem> {
    let UndoWanted { ids, rule, since, all, reason } = wanted;
    let deed = ticket.asking(format!("{} ids, rule {rule:?}, since {since:?}, all {all}", ids.len()));
    check("reason", &reason)?;
    let since = since.as_deref().map(Timestamp::parse).transpose();
    let since = since.map_err(|error| Problem::unfit("since", error.to_string()))?;
    if ids.is_empty() && rule.is_none() && since.is_none() && !all {
        return Err(Problem::unfit("ids", "say which: `ids`, `rule`, `since` or `all`"));
    }
    if ids.len() > UNDO_MAX {
        return Err(Problem::unfit("ids", format!("at most {UNDO_MAX} at once")));
    }
    let asked = control
        .ask(move |store| {
            let ids = if ids.is_empty() {
                let query = ResponseQuery {
                    rule,
                    since,
                    in_force: true,
                    limit: UNDO_MAX,
                    ..ResponseQuery::default()
                };
                store.responses(&query)?.into_iter().map(|response| response.id).collect()
            } else {
                ids
            };
            store.responses_undo(&ids, &reason, &deed)
        })
        .await?;
    control.wake.notify_one();
    Ok(Recorded(Json(UndoAnswer { items: asked.into_iter().map(UndoOf::from).collect() })))
}

/// Whether responses are stopped, and how many there are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ResponsesState {
    stopped: bool,
    #[schema(format = DateTime)]
    stopped_at: Option<String>,
    stopped_by: Option<String>,
    reason: Option<String>,
    /// How many wait for people.
    waiting: u64,
    /// How many were done and are not undone.
    in_force: u64,
}

/// Show whether responses are stopped
#[utoipa::path(get, path = "/api/v1/respond", tag = "responses",
    responses((status = 200, description = "How they stand", body = ResponsesState)))]
pub(super) async fn state(State(control): State<Arc<Control>>) -> Result<Json<ResponsesState>, Problem> {
    let (stop, counts) =
        control.ask(|store| Ok((store.responses_stopped()?, store.response_counts()?))).await?;
    let waiting = counts.by_status.iter().filter(|(status, ..)| *status == ResponseStatus::Waiting);
    Ok(Json(ResponsesState {
        stopped: stop.is_some(),
        stopped_at: stop.as_ref().map(|stop| stop.at.to_string()),
        stopped_by: stop.as_ref().map(|stop| stop.by.clone()),
        reason: stop.map(|stop| stop.reason),
        waiting: waiting.map(|(.., count)| count).sum(),
        in_force: counts.in_force,
    }))
}

/// Why all responses are stopped, or let go on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StopWanted)]
pub(super) struct StopWanted {
    /// For the record.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
}

/// Stop all responses
///
/// None acts from now on, also none that is approved. What was done can be undone all the while.
#[utoipa::path(post, path = "/api/v1/respond/stop", tag = "responses", request_body = StopWanted,
    responses(
        (status = 204, description = "They are stopped"),
        (status = 409, description = "They were", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn stop(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Sent(StopWanted { reason }): Sent<StopWanted>,
) -> Result<Recorded<StatusCode>, Problem> {
    let deed = ticket.asking(format!("reason {reason:?}"));
    check("reason", &reason)?;
    control.ask(move |store| store.responses_stop(&reason, &deed)).await?;
    Ok(Recorded(StatusCode::NO_CONTENT))
}

/// Let responses act again
///
/// Those that were held back meanwhile are not made up for.
#[utoipa::path(post, path = "/api/v1/respond/resume", tag = "responses", request_body = StopWanted,
    responses(
        (status = 204, description = "They may act"),
        (status = 409, description = "They were not stopped", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
pub(super) async fn resume(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Sent(StopWanted { reason }): Sent<StopWanted>,
) -> Result<Recorded<StatusCode>, Problem> {
    let deed = ticket.asking(format!("reason {reason:?}"));
    check("reason", &reason)?;
    control.ask(move |store| store.responses_resume(&deed)).await?;
    Ok(Recorded(StatusCode::NO_CONTENT))
}
