//! `/api/v1/holds`: what is kept however old it is, since somebody may need it in court.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::{Asked, Sent, check_text};
use super::control::Control;
use super::page::{Page, PageAsked};
use super::problem::Problem;
use super::record::{Recorded, Ticket};
use crate::query::Query;
use crate::store::{Hold, NewHold};
use crate::time::Timestamp;

const LIST: &str = "holds";

/// A legal hold.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
pub(super) struct HoldShown {
    id: i64,
    /// What is held, in the search language; times in it are relative to `created_at`.
    query: String,
    reason: String,
    /// Who answers for it.
    owner: String,
    /// When it ends by itself; null: when somebody ends it.
    #[schema(format = DateTime)]
    until: Option<String>,
    /// Whether it is in force now.
    active: bool,
    #[schema(format = DateTime)]
    created_at: String,
    created_by: String,
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    ended_by: Option<String>,
    end_reason: Option<String>,
}

/// A hold to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HoldWanted)]
pub(super) struct HoldWanted {
    /// What is held, in the search language.
    #[schema(min_length = 1, max_length = 1000, example = "author:alice")]
    query: String,
    /// Why.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
    /// Who answers for it.
    #[schema(min_length = 1, max_length = 1000)]
    owner: String,
    /// When it ends by itself: a time or a day.
    #[serde(default)]
    until: Option<String>,
}

/// Why a hold is ended.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EndAsked {
    /// For the record.
    #[param(min_length = 1, max_length = 1000)]
    reason: String,
}

fn shown(hold: Hold, now: Timestamp) -> HoldShown {
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let active = hold.is_active(now);
    let NewHold { query, reason, owner, until } = hold.hold;
    HoldShown {
        id: hold.id,
        query,
        reason,
        owner,
        until: text(until),
        active,
        created_at: hold.created_at.to_string(),
        created_by: hold.created_by,
        ended_at: text(hold.ended_at),
        ended_by: hold.ended_by,
        end_reason: hold.end_reason,
    }
}

/// List legal holds
///
/// The newest first, also those that have ended.
#[utoipa::path(get, path = "/api/v1/holds", tag = "retention", params(PageAsked),
    responses((status = 200, description = "A page of holds", body = Page<HoldShown>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Asked(asked): Asked<PageAsked>,
) -> Result<Json<Page<HoldShown>>, Problem> {
    let now = control.clock.now();
    let holds = control.ask(|store| store.holds()).await?;
    Page::numbered(LIST, holds, asked, (|hold| hold.id, |hold| shown(hold, now))).map(Json)
}

/// Make a legal hold
///
/// What its query finds is not deleted from now on, whatever the policy says.
#[utoipa::path(post, path = "/api/v1/holds", tag = "retention", request_body = HoldWanted,
    responses(
        (status = 201, description = "The hold", body = HoldShown),
        (status = 409, description = "There are 1,000 holds already"),
    ))]
pub(super) async fn add(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Sent(wanted): Sent<HoldWanted>,
) -> Result<Recorded<(StatusCode, Json<HoldShown>)>, Problem> {
    let HoldWanted { query, reason, owner, until } = wanted;
    let cut = |text: &str| text.chars().take(200).collect::<String>();
    let deed = ticket.asking(format!("query {:?}, owner {:?}", cut(&query), cut(&owner)));
    Query::parse(&query, deed.at).map_err(|error| Problem::unfit("query", error.to_string()))?;
    let until = until.as_deref().map(Timestamp::parse).transpose();
    let until = until.map_err(|error| Problem::unfit("until", error.to_string()))?;
    let hold = NewHold { query, reason, owner, until };
    hold.check(deed.at).map_err(|(field, what)| Problem::unfit(field, what))?;
    let now = deed.at;
    let made = control
        .ask(move |store| {
            let id = store.hold_add(&hold, &deed)?;
            store.hold(id)
        })
        .await?;
    let made = made.ok_or_else(Problem::internal)?;
    Ok(Recorded((StatusCode::CREATED, Json(shown(made, now)))))
}

/// Show a legal hold
#[utoipa::path(get, path = "/api/v1/holds/{id}", tag = "retention",
    params(("id" = i64, Path, description = "The hold's number")),
    responses((status = 200, description = "The hold", body = HoldShown)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<HoldShown>, Problem> {
    let id = number(&id)?;
    let found = control.ask(move |store| store.hold(id)).await?;
    found.map(|hold| Json(shown(hold, control.clock.now()))).ok_or_else(missing)
}

/// End a legal hold
///
/// What it kept is deleted when it is due and nothing else holds it. The hold stays in the record.
#[utoipa::path(delete, path = "/api/v1/holds/{id}", tag = "retention",
    params(("id" = i64, Path, description = "The hold's number"), EndAsked),
    responses(
        (status = 204, description = "It has ended"),
        (status = 422, description = "The reason is empty or too long"),
    ))]
pub(super) async fn end(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Path(id): Path<String>,
    Asked(EndAsked { reason }): Asked<EndAsked>,
) -> Result<Recorded<StatusCode>, Problem> {
    let deed = ticket.asking(format!("reason {:?}", reason.chars().take(200).collect::<String>()));
    check_text("reason", &reason)?;
    let id = number(&id)?;
    if !control.ask(move |store| store.hold_end(id, &reason, &deed)).await? {
        return Err(missing());
    }
    Ok(Recorded(StatusCode::NO_CONTENT))
}

fn number(id: &str) -> Result<i64, Problem> {
    id.parse().map_err(|_| missing())
}

fn missing() -> Problem {
    Problem::missing("hold of this number that is in force")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::testing::{Setup, of};
    use crate::store::Role;

    const HOLDS: &str = "/api/v1/holds";

    #[tokio::test]
    async fn a_hold_is_made_listed_and_ended() {
        let setup = Setup::new(true);
        let (admin, analyst) = (setup.token("a", Role::Admin), setup.token("b", Role::Analyst));
        let wanted = json!({"query": "author:alice", "reason": "case 7", "owner": "legal"});
        assert_eq!(setup.post(HOLDS, &analyst, wanted.clone()).await.0, 403);
        let (status, made) = setup.post(HOLDS, &admin, wanted).await;
        assert_eq!((status, &made["active"], &made["until"]), (201, &json!(true), &json!(null)));
        let (_, list) = setup.get(HOLDS, &analyst).await;
        assert_eq!(list["items"], json!([made]));
        let path = format!("{HOLDS}/{}", made["id"]);
        assert_eq!(setup.json(of("DELETE", &path, Some(&admin))).await.0, 400, "without a reason");
        let ending = format!("{path}?reason=closed");
        assert_eq!(setup.json(of("DELETE", &ending, Some(&analyst))).await.0, 403);
        assert_eq!(setup.json(of("DELETE", &ending, Some(&admin))).await, (204, json!(null)));
        assert_eq!(setup.json(of("DELETE", &ending, Some(&admin))).await.0, 404);
        let again = json!({"query": "author:bob", "reason": "case 8", "owner": "legal"});
        assert_eq!(setup.post(HOLDS, &admin, again).await.0, 201);
        let (_, page) = setup.get(&format!("{HOLDS}?limit=1"), &analyst).await;
        assert_eq!(page["items"][0]["query"], "author:bob");
        let next = format!("{HOLDS}?cursor={}", page["next"].as_str().unwrap());
        let (_, page) = setup.get(&next, &analyst).await;
        assert_eq!((&page["items"][0]["query"], &page["next"]), (&json!("author:alice"), &json!(null)));
        let (_, ended) = setup.get(&path, &analyst).await;
        assert_eq!((&ended["active"], &ended["end_reason"]), (&json!(false), &json!("closed")));
        let (_, audit) = setup.get("/api/v1/audit", &admin).await;
        assert!(audit.to_string().contains("author:alice"), "{audit}");
    }

    #[tokio::test]
    async fn what_is_no_hold_is_refused() {
        let setup = Setup::new(true);
        let admin = setup.token("a", Role::Admin);
        for (query, reason, until, words) in [
            ("", "r", json!(null), "empty"),
            ("created_at:>", "r", json!(null), "query"),
            ("a", " ", json!(null), "reason"),
            ("a", "r", json!("2001-01-01"), "future"),
            ("a", "r", json!("soon"), "until"),
        ] {
            let body = json!({"query": query, "reason": reason, "owner": "o", "until": until});
            let (status, answer) = setup.post(HOLDS, &admin, body).await;
            assert_eq!(status, 422, "{answer}");
            assert!(answer["detail"].as_str().unwrap().contains(words), "{answer}");
        }
        assert_eq!(setup.get("/api/v1/holds/x", &admin).await.0, 404);
    }
}
