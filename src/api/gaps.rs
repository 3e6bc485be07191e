//! `/api/v1/gaps`: when events could have been missed, and having a time fetched again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::ask::{Asked, Sent};
use super::control::Control;
use super::page::{Cursor, Moment, Page, PageAsked, number};
use super::problem::Problem;
use super::record::{Recorded, Ticket};
use crate::rule::closest;
use crate::store::{Gap, GapState, NewGap};
use crate::time::Timestamp;

const LIST: &str = "gaps";

/// A time to be fetched again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GapWanted {
    /// The source that is missing something.
    #[schema(example = "gitlab")]
    source: String,
    /// The beginning: RFC 3339, or a day.
    #[schema(value_type = String, example = "2026-03-01T22:00:00Z")]
    from: Moment,
    /// The end; now without it.
    #[schema(value_type = Option<String>, example = "2026-03-02")]
    to: Option<Moment>,
}

/// List gaps
///
/// Times in which a source could not be heard, the one that began last first, and what became of them: `open`, it will
/// be filled; `filled`, everything is there; `partly`, what the forge keeps is there; `blind`, nobody can be asked.
#[utoipa::path(get, path = "/api/v1/gaps", tag = "gaps", params(PageAsked),
    responses((status = 200, description = "A page of gaps", body = Page<Gap>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Asked(PageAsked { cursor, limit }): Asked<PageAsked>,
) -> Result<Json<Page<Gap>>, Problem> {
    let place = cursor.map(|cursor| {
        let [begins, id] = cursor.place(LIST)?;
        Ok::<_, Problem>((Timestamp(number(begins)?), number(id)?))
    });
    let place = place.transpose()?;
    let rows = control.ask(move |store| store.gaps_before(place, limit.and_one())).await?;
    Ok(Json(Page::new(rows, limit, |gap| Cursor::new(LIST, &[&gap.from.0, &gap.id]), |gap| gap)))
}

/// Have a time fetched again
///
/// By the source of type `gitlab_api` that has the source among its `fills`, with its next look. Events that are stored
/// already are recognised.
#[utoipa::path(post, path = "/api/v1/gaps", tag = "gaps", request_body = GapWanted,
    responses(
        (status = 201, description = "The gap, open", body = Gap),
        (status = 409, description = "No source fetches what this one misses"),
    ))]
pub(super) async fn add(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Sent(GapWanted { source, from, to }): Sent<GapWanted>,
) -> Result<Recorded<(StatusCode, Json<Gap>)>, Problem> {
    let shown: String = source.chars().take(100).collect();
    let now = control.clock.now();
    let (from, to) = (from.0, to.map_or(now, |to| to.0.min(now)));
    let deed = ticket.asking(format!("source {shown:?}, {from} to {to}"));
    if !control.intakes.contains_key(&source) {
        let known = control.intakes.keys().map(String::as_str);
        let problem = Problem::unfit("source", format!("there is no source `{shown}`"));
        return Err(match closest(&source, known) {
            Some(meant) => problem.help(format!("did you mean `{meant}`?")),
            None => problem,
        });
    }
    if from >= to {
        return Err(Problem::unfit("from", "the beginning must be past, and before the end"));
    }
    if !control.filled.contains(&source) {
        let detail = format!("no source of type gitlab_api has `{shown}` among its `fills`");
        return Err(Problem::conflict("nobody_fills", detail));
    }
    let why = Some("asked for".to_owned());
    let gap = NewGap { source, from, to, asked: true, state: GapState::Open, why };
    let kept = control.ask(move |store| store.gap_ask(&gap, &deed)).await?;
    Ok(Recorded((StatusCode::CREATED, Json(kept))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::testing::{CONFIGURED, Setup};
    use crate::store::{GapState, NewGap, Role};
    use crate::time::{Span, Timestamp};

    #[tokio::test]
    async fn gaps_are_listed_page_by_page_and_asked_for() {
        let setup = Setup::new(true);
        let begins = Timestamp::parse("2026-03-01T00:00:00Z").unwrap();
        for hours in [2, 1, 1] {
            let (from, source) = (begins.plus(Span::hours(hours)), "gitlab".to_owned());
            let (to, state) = (from.plus(Span::minutes(5)), GapState::Blind);
            let gap = NewGap { source, from, to, asked: false, state, why: None };
            setup.store.gap_add(&gap, begins).unwrap();
        }
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let (status, page) = setup.get(&format!("/api/v1/gaps?limit=1{cursor}"), CONFIGURED).await;
            assert_eq!(status, 200, "{page}");
            found.extend(page["items"].as_array().unwrap().iter().map(|gap| gap["id"].as_i64().unwrap()));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found, [1, 3, 2]);

        let wanted = |source: &str, from: &str| json!({"source": source, "from": from, "to": "2026-03-02"});
        let (status, gap) =
            setup.post("/api/v1/gaps", CONFIGURED, wanted("gitlab", "2026-03-01T22:00:00Z")).await;
        assert_eq!((status, &gap["state"], &gap["asked"]), (201, &json!("open"), &json!(true)), "{gap}");
        assert_eq!(
            (&gap["from"], &gap["to"]),
            (&json!("2026-03-01T22:00:00.000Z"), &json!("2026-03-02T00:00:00.000Z"))
        );
        assert_eq!(setup.store.gaps_open().unwrap().len(), 1);
        for (body, status, code) in [
            (wanted("gitlba", "2026-03-01"), 422, "unprocessable"),
            (wanted("gitlab", "2026-03-04"), 422, "unprocessable"),
            (wanted("gitlab", "yesterday"), 422, "unprocessable"),
            (wanted("tools", "2026-03-01"), 409, "nobody_fills"),
            (json!({"source": "gitlab"}), 422, "unprocessable"),
            (json!({"source": "gitlab", "from": "2026-03-01", "until": "x"}), 422, "unknown_field"),
        ] {
            let (found, answer) = setup.post("/api/v1/gaps", CONFIGURED, body).await;
            assert_eq!((found, answer["code"].as_str()), (status, Some(code)), "{answer}");
        }
        let rows = setup.store.audit(&crate::store::AuditQuery::default()).unwrap();
        let done: Vec<&str> = rows.iter().map(|row| row.outcome.as_str()).collect();
        assert_eq!(done.last(), Some(&"done"), "{done:?}");
        assert_eq!(rows.last().unwrap().deed.what, "POST /api/v1/gaps");
        let viewer = setup.token("viewer", Role::Viewer);
        assert_eq!(setup.get("/api/v1/gaps", &viewer).await.0, 200);
        assert_eq!(setup.post("/api/v1/gaps", &viewer, wanted("gitlab", "2026-03-01")).await.0, 403);
    }
}
