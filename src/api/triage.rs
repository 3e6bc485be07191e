//! What people do with alerts: `/api/v1/alerts/{id}/acknowledge` and its like.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::alerts::{Alert, stood};
use super::ask::Sent;
use super::conditional::seen;
use super::control::Control;
use super::page::Counted;
use super::problem::Problem;
use super::record::{Recorded, Ticket};
use crate::alert::{AlertId, Change, NAME_MAX, NOTE_MAX, Refusal, Verdict};

/// An alert is taken up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AlertAcknowledge)]
pub(super) struct AcknowledgeWanted {
    /// For the history and for those who are told.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 2000)]
    pub(super) note: Option<String>,
    /// The alert's `revision` as you saw it: if it has another one, the answer is 412.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub(super) revision: Option<Counted>,
}

/// An alert is resolved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AlertResolve)]
pub(super) struct ResolveWanted {
    /// What it turned out to be.
    pub(super) verdict: Verdict,
    /// Of a duplicate, the id of the alert that told the same.
    #[serde(default)]
    pub(super) of: Option<String>,
    /// For the history and for those who are told.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 2000)]
    pub(super) note: Option<String>,
    /// The alert's `revision` as you saw it: if it has another one, the answer is 412.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub(super) revision: Option<Counted>,
}

/// An alert is given to somebody.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AlertAssign)]
pub(super) struct AssignWanted {
    /// To whom; null: to nobody.
    #[serde(deserialize_with = "given")]
    #[schema(min_length = 1, max_length = 200, required)]
    pub(super) assignee: Option<String>,
    /// The alert's `revision` as you saw it: if it has another one, the answer is 412.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub(super) revision: Option<Counted>,
}

/// Something is written to an alert.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AlertComment)]
pub(super) struct CommentWanted {
    #[schema(min_length = 1, max_length = 2000)]
    text: String,
}

/// Null is an answer, leaving it out is none.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

impl ResolveWanted {
    /// The change, and the revision that was seen.
    pub(super) fn change(self) -> (Change, Option<Counted>) {
        let Self { verdict, of, note, revision } = self;
        (Change::Resolve { verdict, of: of.map(AlertId), note }, revision)
    }
}

/// What is wrong with a change by itself is the body's fault.
pub(super) fn checked(change: &Change) -> Result<(), Problem> {
    let field = |refusal: &Refusal| match (refusal, change) {
        (Refusal::NotOf | Refusal::OfWhat, _) => "of",
        (_, Change::Assign { .. }) => "assignee",
        (_, Change::Comment { .. }) => "text",
        _ => "note",
    };
    change.check().map_err(|refusal| Problem::unfit(field(&refusal), refusal.to_string()))
}

type Answer = Result<Recorded<Json<Alert>>, Problem>;

async fn change(
    control: &Control,
    id: String,
    (change, revision): (Change, Option<Counted>),
    (headers, ticket): (HeaderMap, Ticket),
) -> Answer {
    checked(&change)?;
    let (seen, deed, id) =
        (seen(&headers).or(revision.map(|revision| revision.0)), ticket.asking(change.asked()), AlertId(id));
    let changed = control.ask(move |store| {
        store.change(&id, &change, seen, &deed)?;
        stood(store, &id)
    });
    let stood = changed.await?.ok_or_else(Problem::internal)?;
    // Those who were told of the alert may be owed word of this.
    control.wake.notify_one();
    Ok(Recorded(Json(Alert::from(&stood))))
}

/// Take an alert up
///
/// Somebody looks into it: reminders end. Once more is no error; an alert that is resolved is opened again first. Send
/// the `ETag` of the alert as `If-Match`, or its `revision`, and nothing is changed if somebody else did so meanwhile;
/// that the alert has grown does not matter.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/acknowledge", tag = "alerts",
    params(("id" = String, Path, description = "The alert's id")), request_body = AcknowledgeWanted,
    responses(
        (status = 200, description = "The alert", body = Alert),
        (status = 409, description = "It is resolved"),
        (status = 412, description = "It was changed meanwhile"),
    ))]
pub(super) async fn acknowledge(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Path(id): Path<String>,
    headers: HeaderMap,
    Sent(AcknowledgeWanted { note, revision }): Sent<AcknowledgeWanted>,
) -> Answer {
    change(&control, id, (Change::Acknowledge { note }, revision), (headers, ticket)).await
}

/// Resolve an alert
///
/// Says what it was. One that is resolved already gets another verdict. A true positive that goes on is opened again by
/// itself; findings of any other are only counted (`findings_since`).
#[utoipa::path(post, path = "/api/v1/alerts/{id}/resolve", tag = "alerts",
    params(("id" = String, Path, description = "The alert's id")), request_body = ResolveWanted,
    responses(
        (status = 200, description = "The alert", body = Alert),
        (status = 409, description = "The other alert of a duplicate is not there, or leads back to this one"),
        (status = 412, description = "It was changed meanwhile"),
    ))]
pub(super) async fn resolve(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Path(id): Path<String>,
    headers: HeaderMap,
    Sent(wanted): Sent<ResolveWanted>,
) -> Answer {
    change(&control, id, wanted.change(), (headers, ticket)).await
}

/// Open an alert again
///
/// One that is resolved loses its verdict, which stays in the history; one that somebody looks into is let go.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/reopen", tag = "alerts",
    params(("id" = String, Path, description = "The alert's id")), request_body = AcknowledgeWanted,
    responses(
        (status = 200, description = "The alert", body = Alert),
        (status = 412, description = "It was changed meanwhile"),
    ))]
pub(super) async fn reopen(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Path(id): Path<String>,
    headers: HeaderMap,
    Sent(AcknowledgeWanted { note, revision }): Sent<AcknowledgeWanted>,
) -> Answer {
    change(&control, id, (Change::Reopen { note }, revision), (headers, ticket)).await
}

/// Give an alert to somebody
#[utoipa::path(post, path = "/api/v1/alerts/{id}/assign", tag = "alerts",
    params(("id" = String, Path, description = "The alert's id")), request_body = AssignWanted,
    responses(
        (status = 200, description = "The alert", body = Alert),
        (status = 412, description = "It was changed meanwhile"),
    ))]
pub(super) async fn assign(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Path(id): Path<String>,
    headers: HeaderMap,
    Sent(AssignWanted { assignee, revision }): Sent<AssignWanted>,
) -> Answer {
    change(&control, id, (Change::Assign { to: assignee }, revision), (headers, ticket)).await
}

/// Write something to an alert
///
/// The same text twice in a row by the same caller is written once. An alert takes 1,000 lines of history by people.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/comment", tag = "alerts",
    params(("id" = String, Path, description = "The alert's id")), request_body = CommentWanted,
    responses(
        (status = 200, description = "The alert", body = Alert),
        (status = 409, description = "Its history is full"),
    ))]
pub(super) async fn comment(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Path(id): Path<String>,
    Sent(CommentWanted { text }): Sent<CommentWanted>,
) -> Answer {
    change(&control, id, (Change::Comment { text }, None), (HeaderMap::new(), ticket)).await
}

/// What the schemas say must be what is checked.
const _: () = assert!(NOTE_MAX == 2_000 && NAME_MAX == 200);
