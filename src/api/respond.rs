//! `/api/v1/respond` and what changes responses: asking for one by hand, undoing them, stopping all.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::Sent;
use super::control::Control;
use super::problem::{Problem, ProblemBody};
use super::record::{Recorded, Ticket};
use super::responses::{Shown, check};
use crate::alert::AlertId;
use crate::store::{Response, ResponseQuery, ResponseStatus, UndoAsked, asked_id};
use crate::time::Timestamp;

/// So many are undone by one call at most.
const UNDO_MAX: usize = 10_000;
/// The header by which a request is known again.
const KEY: &str = "idempotency-key";
/// Longer ones are refused.
const KEY_MAX: usize = 255;

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
/// The same guards hold as for a rule's. Who asks cannot approve it. A request that is sent again with the same
/// `Idempotency-Key` is the same response.
#[utoipa::path(post, path = "/api/v1/responses", tag = "responses", request_body = Wanted,
    params(("Idempotency-Key" = Option<String>, Header,
        description = "Chosen by the caller for this request, and sent again with it; 1 to 255 visible characters")),
    responses(
        (status = 202, description = "It has begun; look at it again", body = Shown),
        (status = 404, description = "There is no such alert or action"),
        (status = 409, description = "Responses are stopped, or something else was asked for under this key",
            body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn ask(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    headers: HeaderMap,
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
    let key = key_of(&headers)?;
    let asked = action.clone();
    if let Some(none) = control.ask(move |store| store.no_response(&asked)).await? {
        return Err(match none.tells {
            true => Problem::unfit("action", none.what).help(none.help),
            false => Problem::new(StatusCode::NOT_FOUND, "not_found", none.what).help(none.help),
        });
    }
    if let Some(alert) = alert.clone() {
        let found = control.ask(move |store| store.alert(&AlertId(alert))).await?;
        found.ok_or_else(|| Problem::missing("alert of this id"))?;
    }
    let mut response = Response::new("", action, "do", deed.at);
    (response.user, response.reason, response.alert) = (user, Some(reason), alert.map(AlertId));
    response.id = asked_id(&response, &deed, key.as_deref());
    let made = control.ask(move |store| store.response_ask(&response, &deed)).await?;
    control.wake.notify_one();
    Ok(Recorded((StatusCode::ACCEPTED, Json(made.into()))))
}

/// The caller's own name for a request, which makes the same of it however often it is sent.
fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get(KEY) else { return Ok(None) };
    let key = key.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > KEY_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let detail = format!("`{KEY}` must be 1 to {KEY_MAX} visible ASCII characters");
        return Err(Problem::bad("bad_header", detail));
    }
    Ok(Some(key.to_owned()))
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
    /// Those that were done at this time or later.
    #[serde(default)]
    since: Option<String>,
    /// All that are in force, and all of which nobody knows whether they changed anything.
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
    /// Why it is not undone, or not yet; null: it is at once.
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
    responses(
        (status = 200, description = "What becomes of each", body = UndoAnswer),
        (status = 404, description = "One of `ids` is no response"),
    ))]
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
    if !ids.is_empty() && (rule.is_some() || since.is_some() || all) {
        return Err(Problem::unfit("ids", "either `ids`, or `rule`, `since` and `all`: not both"));
    }
    if ids.len() > UNDO_MAX {
        return Err(Problem::unfit("ids", format!("at most {UNDO_MAX} at once")));
    }
    let asked = control
        .ask(move |store| {
            let ids = if ids.is_empty() {
                let query =
                    ResponseQuery { rule, since, to_undo: true, limit: UNDO_MAX, ..ResponseQuery::default() };
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
