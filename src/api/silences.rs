//! `/api/v1/silences`: what nobody is told of for a while, since somebody said so.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::{Asked, Sent, check_text};
use super::control::Control;
use super::page::{Cursor, Limit, Page, PageAsked};
use super::problem::Problem;
use super::record::{Recorded, Ticket};
use crate::route::{Case, Matchers};
use crate::store::{NewSilence, Silence, SilenceState, Store, StoreError};
use crate::time::{Span, Timestamp};

const LIST: &str = "silences";
/// How far back a preview looks.
const PREVIEW: Span = Span::days(30);

/// A silence.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Silence)]
pub(super) struct SilenceShown {
    id: i64,
    /// All of them must hold.
    matchers: Vec<String>,
    reason: String,
    /// Who answers for it.
    owner: String,
    #[schema(format = DateTime)]
    starts_at: String,
    #[schema(format = DateTime)]
    ends_at: String,
    state: SilenceState,
    #[schema(format = DateTime)]
    created_at: String,
    created_by: String,
    /// When somebody ended it before its time.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    ended_by: Option<String>,
    end_reason: Option<String>,
}

/// A silence to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SilenceWanted)]
pub(super) struct SilenceWanted {
    /// `FIELD=VALUE`, `FIELD!=VALUE` (`*` and `?` are wildcards), `FIELD=~REGEX`, `FIELD!~REGEX`. Fields: rule, level, tag,
    /// source, forge, entity, author, and those of keys.
    #[schema(min_items = 1, max_items = 20, example = json!(["rule=gitlab-mass-clone", "author_id=7"]))]
    matchers: Vec<String>,
    /// Why.
    #[schema(min_length = 1, max_length = 1000)]
    reason: String,
    /// Who answers for it.
    #[schema(min_length = 1, max_length = 1000)]
    owner: String,
    /// When it begins: a time; at once when left out.
    #[serde(default)]
    starts_at: Option<String>,
    /// When it ends: a time or a day.
    #[schema(example = "2027-01-31T09:00:00Z")]
    ends_at: String,
    /// That more than 90 days are meant.
    #[serde(default)]
    long: bool,
}

/// What would be silenced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SilencePreviewWanted)]
pub(super) struct PreviewWanted {
    /// As those of a silence.
    #[schema(min_items = 1, max_items = 20, example = json!(["rule=gitlab-mass-clone"]))]
    matchers: Vec<String>,
}

/// What a silence would have held back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SilencePreview)]
pub(super) struct Preview {
    /// Alerts of the last 30 days that it would have silenced.
    silenced: u64,
    /// All alerts of that time, of which the newest 100,000 are looked at.
    alerts: u64,
    /// The newest of those that it would have silenced, by id; at most 20.
    newest: Vec<String>,
}

/// Another end of a silence.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SilenceExtendWanted)]
pub(super) struct ExtendWanted {
    /// When it ends now: a time or a day, later or sooner than before.
    ends_at: String,
    /// That more than 90 days are meant.
    #[serde(default)]
    long: bool,
}

/// Why a silence is ended.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SilenceEndAsked {
    /// For the record.
    #[param(min_length = 1, max_length = 1000)]
    reason: String,
}

/// Which silences to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SilencesAsked {
    /// Also those that have ended.
    #[serde(default)]
    #[param(required = false)]
    ended: bool,
    /// The `next` of the page before.
    #[param(value_type = String, required = false)]
    cursor: Option<Cursor>,
    /// How many.
    #[serde(default)]
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
}

fn shown(known: Silence, now: Timestamp) -> SilenceShown {
    let state = known.state(now);
    let NewSilence { matchers, reason, owner, starts_at, ends_at } = known.silence;
    SilenceShown {
        id: known.id,
        matchers: matchers.texts(),
        reason,
        owner,
        starts_at: starts_at.to_string(),
        ends_at: ends_at.to_string(),
        state,
        created_at: known.created_at.to_string(),
        created_by: known.created_by,
        ended_at: known.ended_at.map(|at| at.to_string()),
        ended_by: known.ended_by,
        end_reason: known.end_reason,
    }
}

/// List silences
///
/// The newest first.
#[utoipa::path(get, path = "/api/v1/silences", tag = "alerts", params(SilencesAsked),
    responses((status = 200, description = "A page of silences", body = Page<SilenceShown>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Asked(SilencesAsked { ended, cursor, limit }): Asked<SilencesAsked>,
) -> Result<Json<Page<SilenceShown>>, Problem> {
    let now = control.clock.now();
    let mut silences = control.ask(|store| store.silences()).await?;
    silences.retain(|silence| ended || silence.state(now) != SilenceState::Ended);
    let page = PageAsked { cursor, limit };
    Page::numbered(LIST, silences, page, (|silence| silence.id, |silence| shown(silence, now))).map(Json)
}

/// Make a silence
///
/// Nobody is told of alerts that match all of its matchers, and nothing is done about them, while it is in force; they
/// are stored, listed and counted. What stands in events (source, forge, entity, author) must match in all events of an
/// alert.
#[utoipa::path(post, path = "/api/v1/silences", tag = "alerts", request_body = SilenceWanted,
    responses(
        (status = 201, description = "The silence", body = SilenceShown),
        (status = 409, description = "There are 1,000 silences already"),
    ))]
pub(super) async fn add(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Sent(wanted): Sent<SilenceWanted>,
) -> Result<Recorded<(StatusCode, Json<SilenceShown>)>, Problem> {
    let SilenceWanted { matchers, reason, owner, starts_at, ends_at, long } = wanted;
    let cut = |text: &str| text.chars().take(200).collect::<String>();
    let deed = ticket.asking(format!(
        "matchers {:?}, until {:?}, owner {:?}, reason {:?}",
        cut(&matchers.join(" ")),
        cut(&ends_at),
        cut(&owner),
        cut(&reason)
    ));
    let matchers = parse(&matchers)?;
    let starts_at = starts_at.as_deref().map(|text| moment("starts_at", text)).transpose()?;
    let (starts_at, ends_at) = (starts_at.unwrap_or(deed.at), moment("ends_at", &ends_at)?);
    let silence = NewSilence { matchers, reason, owner, starts_at, ends_at };
    silence.check(deed.at, long).map_err(|(field, what)| unfit(field, &what))?;
    let now = deed.at;
    let made = control
        .ask(move |store| {
            let id = store.silence_add(&silence, &deed)?;
            store.silence(id)
        })
        .await?;
    let made = made.ok_or_else(Problem::internal)?;
    Ok(Recorded((StatusCode::CREATED, Json(shown(made, now)))))
}

/// Try matchers
///
/// How many of the alerts of the last 30 days such a silence would have held back. Nothing is changed.
#[utoipa::path(post, path = "/api/v1/silences/preview", tag = "alerts", request_body = PreviewWanted,
    responses((status = 200, description = "What it would have held back", body = Preview)))]
pub(super) async fn preview(
    State(control): State<Arc<Control>>,
    Sent(wanted): Sent<PreviewWanted>,
) -> Result<Json<Preview>, Problem> {
    let matchers = parse(&wanted.matchers)?;
    let since = control.clock.now().minus(PREVIEW);
    let counted = control.ask(move |store| counted(store, &matchers, since)).await?;
    Ok(Json(counted))
}

fn counted(store: &Store, matchers: &Matchers, since: Timestamp) -> Result<Preview, StoreError> {
    let mut preview = Preview { silenced: 0, alerts: 0, newest: Vec::new() };
    store.scenes_since(since, |alert, scene| {
        preview.alerts += 1;
        if matchers.hold(&Case { alert, scene }) {
            preview.silenced += 1;
            if preview.newest.len() < 20 {
                preview.newest.push(alert.id.0.clone());
            }
        }
    })?;
    Ok(preview)
}

/// Show a silence
#[utoipa::path(get, path = "/api/v1/silences/{id}", tag = "alerts",
    params(("id" = i64, Path, description = "The silence's number")),
    responses((status = 200, description = "The silence", body = SilenceShown)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<SilenceShown>, Problem> {
    let id = number(&id)?;
    let found = control.ask(move |store| store.silence(id)).await?;
    found.map(|silence| Json(shown(silence, control.clock.now()))).ok_or_else(missing)
}

/// Let a silence end at another time
#[utoipa::path(post, path = "/api/v1/silences/{id}/extend", tag = "alerts", request_body = ExtendWanted,
    params(("id" = i64, Path, description = "The silence's number")),
    responses(
        (status = 200, description = "The silence", body = SilenceShown),
        (status = 409, description = "That time will not do"),
    ))]
pub(super) async fn extend(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Path(id): Path<String>,
    Sent(wanted): Sent<ExtendWanted>,
) -> Result<Recorded<Json<SilenceShown>>, Problem> {
    let ExtendWanted { ends_at, long } = wanted;
    let deed = ticket.asking(format!("until {:?}", ends_at.chars().take(200).collect::<String>()));
    let (id, ends_at, now) = (number(&id)?, moment("ends_at", &ends_at)?, deed.at);
    let changed = control
        .ask(move |store| {
            let is_changed = store.silence_extend(id, (ends_at, long), &deed).map_err(said_long)?;
            if is_changed { store.silence(id) } else { Ok(None) }
        })
        .await?;
    changed.map(|silence| Recorded(Json(shown(silence, now)))).ok_or_else(missing)
}

/// End a silence
///
/// From now on such alerts are told again; what it held back is not. It stays in the record.
#[utoipa::path(delete, path = "/api/v1/silences/{id}", tag = "alerts",
    params(("id" = i64, Path, description = "The silence's number"), SilenceEndAsked),
    responses(
        (status = 204, description = "It has ended"),
        (status = 422, description = "The reason is empty or too long"),
    ))]
pub(super) async fn end(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Path(id): Path<String>,
    Asked(SilenceEndAsked { reason }): Asked<SilenceEndAsked>,
) -> Result<Recorded<StatusCode>, Problem> {
    let deed = ticket.asking(format!("reason {:?}", reason.chars().take(200).collect::<String>()));
    check_text("reason", &reason)?;
    let id = number(&id)?;
    if !control.ask(move |store| store.silence_end(id, &reason, &deed)).await? {
        return Err(missing());
    }
    Ok(Recorded(StatusCode::NO_CONTENT))
}

fn parse(matchers: &[String]) -> Result<Matchers, Problem> {
    Matchers::parse(matchers).map_err(|error| Problem::unfit("matchers", error.to_string()))
}

fn moment(field: &str, text: &str) -> Result<Timestamp, Problem> {
    Timestamp::parse(text).map_err(|error| Problem::unfit(field, error.to_string()))
}

fn unfit(field: &str, what: &str) -> Problem {
    Problem::unfit(field, said(what))
}

/// How a long silence is asked for here.
fn said(what: &str) -> String {
    what.replace("ask for a long silence", "send `long: true`")
}

fn said_long(error: StoreError) -> StoreError {
    match error {
        StoreError::Conflict { what } => StoreError::Conflict { what: said(&what) },
        other => other,
    }
}

fn number(id: &str) -> Result<i64, Problem> {
    id.parse().map_err(|_| missing())
}

fn missing() -> Problem {
    Problem::missing("silence of this number that has not ended")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::testing::{Setup, of};
    use crate::store::Role;

    const SILENCES: &str = "/api/v1/silences";

    #[tokio::test]
    async fn a_silence_is_made_extended_and_ended() {
        let setup = Setup::new(true);
        let (analyst, viewer) = (setup.token("a", Role::Analyst), setup.token("b", Role::Viewer));
        let wanted = json!({"matchers": ["rule=noisy*", "author_id=7"], "reason": "migration", "owner": "ops",
                            "ends_at": "2026-03-03T12:00:00Z"});
        assert_eq!(setup.post(SILENCES, &viewer, wanted.clone()).await.0, 403);
        let (status, made) = setup.post(SILENCES, &analyst, wanted).await;
        assert_eq!((status, &made["state"]), (201, &json!("active")), "{made}");
        let (_, list) = setup.get(SILENCES, &viewer).await;
        assert_eq!(list["items"], json!([made]));
        let path = format!("{SILENCES}/{}", made["id"]);
        let extend = format!("{path}/extend");
        let until = |end: &str| json!({"ends_at": end});
        let (status, longer) = setup.post(&extend, &analyst, until("2026-03-09")).await;
        assert_eq!((status, &longer["ends_at"]), (200, &json!("2026-03-09T00:00:00.000Z")), "{longer}");
        assert_eq!(setup.post(&extend, &analyst, until("2026-03-01")).await.0, 409, "in the past");
        let (status, too_long) = setup.post(&extend, &analyst, until("2026-08-01")).await;
        assert_eq!(status, 409, "{too_long}");
        assert!(too_long["detail"].as_str().unwrap().contains("send `long: true`"), "{too_long}");
        let long = json!({"ends_at": "2026-08-01", "long": true});
        assert_eq!(setup.post(&extend, &analyst, long).await.0, 200);
        let ending = format!("{path}?reason=done");
        assert_eq!(setup.json(of("DELETE", &ending, Some(&viewer))).await.0, 403);
        assert_eq!(setup.json(of("DELETE", &ending, Some(&analyst))).await, (204, json!(null)));
        assert_eq!(setup.json(of("DELETE", &ending, Some(&analyst))).await.0, 404);
        assert_eq!(setup.get(SILENCES, &viewer).await.1["items"], json!([]));
        let again = json!({"matchers": ["rule=x"], "reason": "r", "owner": "o", "ends_at": "2026-03-04"});
        assert_eq!(setup.post(SILENCES, &analyst, again).await.0, 201);
        let (_, page) = setup.get(&format!("{SILENCES}?ended=true&limit=1"), &viewer).await;
        assert_eq!((&page["items"][0]["id"], page["items"].as_array().unwrap().len()), (&json!(2), 1));
        let next = page["next"].as_str().unwrap();
        let (_, page) = setup.get(&format!("{SILENCES}?ended=true&limit=1&cursor={next}"), &viewer).await;
        assert_eq!((&page["items"][0]["end_reason"], &page["next"]), (&json!("done"), &json!(null)));
        let (_, nothing) =
            setup.post(&format!("{SILENCES}/preview"), &analyst, json!({"matchers": ["rule=x"]})).await;
        assert_eq!(nothing, json!({"silenced": 0, "alerts": 0, "newest": []}));
    }

    #[tokio::test]
    async fn what_is_no_silence_is_refused() {
        let setup = Setup::new(true);
        let analyst = setup.token("a", Role::Analyst);
        for (matchers, reason, ends_at, words) in [
            (json!([]), "r", "2026-03-03", "1 to 20"),
            (json!(["rule"]), "r", "2026-03-03", "FIELD=VALUE"),
            (json!(["rule=*"]), "r", "2026-03-03", "everything"),
            (json!(["level!=low"]), "r", "2026-03-03", "everything"),
            (json!(["rules=x"]), "r", "2026-03-03", "did you mean `rule`"),
            (json!(["level=hihg"]), "r", "2026-03-03", "no such level"),
            (json!(["rule=~("]), "r", "2026-03-03", "rule=~("),
            (json!(["rule=x"]), " ", "2026-03-03", "reason"),
            (json!(["rule=x"]), "r", "2026-03-01", "future"),
            (json!(["rule=x"]), "r", "2026-08-01", "long: true"),
            (json!(["rule=x"]), "r", "soon", "ends_at"),
        ] {
            let body = json!({"matchers": matchers, "reason": reason, "owner": "o", "ends_at": ends_at});
            let (status, answer) = setup.post(SILENCES, &analyst, body).await;
            assert_eq!(status, 422, "{answer}");
            assert!(answer.to_string().contains(words), "{words}: {answer}");
        }
    }
}
