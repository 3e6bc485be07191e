//! `/api/v1/responses`: what was done to whom, by hand or by an alert.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::Asked;
pub(super) use super::ask::check_text as check;
use super::control::Control;
use super::page::{Cursor, Limit, Moment, Page, number};
use super::problem::Problem;
use crate::store::{Approval, Response, ResponsePlace, ResponseQuery, ResponseStatus, Step, UndoStatus};
use crate::time::Timestamp;

const LIST: &str = "responses";

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
    /// That limit's name, as in `approvals`.
    limit: Option<String>,
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
            limit: response.limit,
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
    let query =
        ResponseQuery { status, action, rule, alert, since, in_force, after, to_undo: false, limit: wanted };
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
