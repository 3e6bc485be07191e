//! `/api/v1/verify`: checking in the background that the logs are what was written.

use std::collections::VecDeque;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderName, LOCATION};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::Sent;
use super::control::Control;
use super::page::{Moment, Page};
use super::problem::Problem;
use super::record::{Recorded, Ticket};
use crate::log::{Hex, LogError, Progress, VerifyOptions};
use crate::proof::{Verdict, prove};
use crate::store::Deed;
use crate::time::Timestamp;

/// So many runs are remembered, the newest ones; the audit log knows all.
const KEPT: usize = 20;

/// The runs since the daemon was started. When this is dropped, one that is under way ends.
#[derive(Debug, Default)]
pub struct Verifications {
    runs: Mutex<VecDeque<Arc<Run>>>,
    /// Held by who starts one, so that there is one at a time.
    starting: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Run {
    id: u64,
    started_at: Timestamp,
    deep: bool,
    progress: Arc<Progress>,
    ended: OnceLock<(Timestamp, Outcome)>,
}

/// What came of a run.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = VerifyOutcome)]
pub(super) struct Outcome {
    /// Whether log and audit log are what was written; null if that could not be found out.
    intact: Option<bool>,
    /// How many entries the log has.
    entries: Option<u64>,
    /// The chain after them, in hex.
    head: Option<String>,
    /// How many checkpoints of the folder were compared.
    checkpoints: Option<u64>,
    /// The first position of the log that cannot be trusted.
    first_wrong: Option<u64>,
    /// The last one that is not told apart from it.
    last_wrong: Option<u64>,
    /// How many rows of the audit log are in order, from the first.
    audit_rows: Option<u64>,
    /// What is wrong, or why it could not be found out.
    reason: Option<String>,
}

/// A run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Verification)]
pub(super) struct Shown {
    /// Its number: that of the audit row in which it was asked for.
    id: u64,
    /// Whether every entry is recomputed.
    deep: bool,
    state: RunState,
    #[schema(format = DateTime)]
    started_at: String,
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// How many entries the log had when it began.
    entries: u64,
    /// How many of them were checked.
    checked: u64,
    /// What came of it, once it has ended.
    outcome: Option<Outcome>,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RunState {
    Running,
    Ended,
}

/// How much is checked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyWanted {
    /// Recompute every entry, key and index row, not only the digests of sealed segments.
    #[serde(default)]
    deep: bool,
    /// Leave out the files of segments whose last event arrived before this.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "2026-03-01")]
    since: Option<Moment>,
}

impl Run {
    fn shown(&self) -> Shown {
        let ended = self.ended.get();
        Shown {
            id: self.id,
            deep: self.deep,
            state: if ended.is_some() { RunState::Ended } else { RunState::Running },
            started_at: self.started_at.to_string(),
            ended_at: ended.map(|(at, _)| at.to_string()),
            entries: self.progress.entries(),
            checked: self.progress.done(),
            outcome: ended.map(|(_, outcome)| outcome.clone()),
        }
    }
}

impl Verifications {
    fn all(&self) -> Vec<Arc<Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn running(&self) -> Option<Arc<Run>> {
        self.all().into_iter().find(|run| run.ended.get().is_none())
    }

    fn add(&self, run: &Arc<Run>) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.push_front(Arc::clone(run));
        runs.truncate(KEPT);
    }
}

impl Drop for Verifications {
    fn drop(&mut self) {
        self.all().iter().for_each(|run| run.progress.stop());
    }
}

/// List checks
///
/// Those since the daemon was started, the newest first; all on one page.
#[utoipa::path(get, path = "/api/v1/verify", tag = "proof",
    responses((status = 200, description = "The checks", body = Page<Shown>)))]
pub(super) async fn list(State(control): State<Arc<Control>>) -> Json<Page<Shown>> {
    Json(Page::whole(control.verifications.all().iter().map(|run| run.shown()).collect()))
}

/// Start a check
///
/// In the background, one at a time: whether log and audit log are what was written. `Location` says where to look for
/// what came of it, and so does the audit log.
#[utoipa::path(post, path = "/api/v1/verify", tag = "proof", request_body = VerifyWanted,
    responses(
        (status = 202, description = "It has begun", body = Shown,
            headers(("Location" = String, description = "Where it is shown"))),
        (status = 409, description = "One is running already"),
    ))]
pub(super) async fn start(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Sent(VerifyWanted { deep, since }): Sent<VerifyWanted>,
) -> Result<Recorded<(StatusCode, [(HeaderName, String); 1], Json<Shown>)>, Problem> {
    let since = since.map(|since| since.0);
    let how = if deep { "deep" } else { "digests and signatures" };
    let deed = ticket.asking(since.map_or(how.to_owned(), |since| format!("{how}, since {since}")));
    let turn = control.verifications.starting.lock().await;
    if let Some(running) = control.verifications.running() {
        let detail = format!("check {} is running; one runs at a time", running.id);
        let help = format!("look at {}", place(running.id));
        return Err(Problem::conflict("verify_running", detail).help(help));
    }
    let asked = deed.clone();
    let id = control.ask(move |store| store.record(&asked, "started")).await?;
    let (progress, ended) = (Arc::default(), OnceLock::new());
    let run = Arc::new(Run { id, started_at: deed.at, deep, progress, ended });
    control.verifications.add(&run);
    drop(turn);
    let progress = Arc::clone(&run.progress);
    let options = VerifyOptions { deep, keys: deep, since, progress, ..VerifyOptions::default() };
    let shown = run.shown();
    let (clock, store, dir) = (control.clock.clone(), control.store.clone(), control.events.dir().to_owned());
    tokio::task::spawn_blocking(move || {
        let outcome = outcome(&dir, &options);
        let (now, said) = (clock.now(), outcome.told());
        if outcome.intact == Some(false) {
            tracing::error!(id, "the log is not what was written: {said}");
        }
        let deed = Deed { what: format!("check {id} ended"), at: now, ..deed };
        if let Err(error) = store.record(&deed, &said) {
            tracing::error!(%error, "what came of a check could not be recorded in the audit log");
        }
        // Recorded before it is shown. It cannot have ended before.
        drop(run.ended.set((now, outcome)));
    });
    Ok(Recorded((StatusCode::ACCEPTED, [(LOCATION, place(id))], Json(shown))))
}

/// Show a check
///
/// How far it is, or what came of it. The newest twenty since the daemon was started are remembered.
#[utoipa::path(get, path = "/api/v1/verify/{id}", tag = "proof",
    params(("id" = u64, Path, description = "Its number")),
    responses((status = 200, description = "The check", body = Shown)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<Shown>, Problem> {
    let found =
        id.parse().ok().and_then(|id: u64| control.verifications.all().into_iter().find(|run| run.id == id));
    found.map(|run| Json(run.shown())).ok_or_else(|| Problem::missing("check of this number"))
}

fn place(id: u64) -> String {
    format!("/api/v1/verify/{id}")
}

fn outcome(dir: &FilePath, options: &VerifyOptions) -> Outcome {
    match prove(dir, options, &[]) {
        Ok(verdict) => Outcome::of(&verdict),
        Err(error) => Outcome { reason: Some(error.to_string()), ..Outcome::nothing() },
    }
}

impl Outcome {
    const fn nothing() -> Self {
        Self {
            intact: None,
            entries: None,
            head: None,
            checkpoints: None,
            first_wrong: None,
            last_wrong: None,
            audit_rows: None,
            reason: None,
        }
    }

    fn of(verdict: &Verdict) -> Self {
        let mut own = Self { audit_rows: Some(verdict.audit.rows), ..Self::nothing() };
        match &verdict.log {
            Ok(verified) => {
                own.intact = Some(verdict.is_intact());
                own.entries = Some(verified.entries);
                own.head = Some(Hex(verified.head).to_string());
                own.checkpoints = Some(verified.checkpoints);
                own.reason = verdict.audit.wrong.as_ref().map(|wrong| format!("the audit log: {wrong}"));
            }
            Err(error) => {
                if let LogError::Corrupt { first, last, .. } = error {
                    (own.first_wrong, own.last_wrong) = (Some(*first), Some(*last));
                }
                let is_told = matches!(error, LogError::Corrupt { .. } | LogError::Broken { .. });
                own.intact = is_told.then_some(false);
                own.reason = Some(error.to_string());
            }
        }
        own
    }

    fn told(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or_default();
        match self.intact {
            Some(true) => format!("intact: {} entries", self.entries.unwrap_or_default()),
            Some(false) => format!("NOT what was written: {reason}"),
            None => format!("not found out: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use crate::api::testing::{CONFIGURED, Setup, of};
    use crate::store::{AuditQuery, Role};

    async fn ended(setup: &Setup, place: &str) -> Value {
        let waiting = async {
            loop {
                let (status, run) = setup.get(place, CONFIGURED).await;
                assert_eq!(status, 200, "{run}");
                if run["state"] == "ended" {
                    return run;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it ends")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_check_runs_in_the_background_and_says_what_is_wrong() {
        let setup = Setup::new(true);
        let event = |number: u32| {
            format!(
                r#"{{"id":"e{number}","created_at":"2026-03-01T09:00:{number:02}Z","event_type":"user_created","author_id":1,"entity_id":1}}"#
            )
        };
        setup.append(&(0..9).map(event).collect::<Vec<_>>()).await;
        for deep in [false, true] {
            let mut request = of("POST", "/api/v1/verify", Some(CONFIGURED));
            request.headers_mut().insert("content-type", "application/json".parse().unwrap());
            *request.body_mut() = json!({"deep": deep}).to_string().into();
            let (status, headers, body) = setup.send(request).await;
            assert_eq!(status, 202, "{body}");
            let run = ended(&setup, headers["location"].to_str().unwrap()).await;
            let outcome = &run["outcome"];
            assert_eq!((&outcome["intact"], &outcome["entries"]), (&json!(true), &json!(9)), "{run}");
            assert_eq!(
                (&run["entries"], &run["checked"], &run["deep"]),
                (&json!(9), &json!(9), &json!(deep))
            );
            let rows = setup.store.audit(&AuditQuery { limit: 2, ..AuditQuery::default() }).unwrap();
            assert_eq!(run["id"], rows[1].number);
        }
        let database = rusqlite::Connection::open(setup.dir.path().join("log/hot.db")).unwrap();
        database.execute("UPDATE block SET head = zeroblob(32)", []).unwrap();
        let (_, run) = setup.post("/api/v1/verify", CONFIGURED, json!({})).await;
        let run = ended(&setup, &format!("/api/v1/verify/{}", run["id"])).await;
        let outcome = &run["outcome"];
        assert_eq!((&outcome["intact"], &outcome["first_wrong"]), (&json!(false), &json!(1)), "{run}");
        let (_, list) = setup.get("/api/v1/verify", CONFIGURED).await;
        assert_eq!((list["items"].as_array().unwrap().len(), &list["items"][0]["id"]), (3, &run["id"]));
        assert_eq!(setup.get("/api/v1/verify/999", CONFIGURED).await.0, 404);
        for (role, status) in [(Role::Responder, 403), (Role::Admin, 202)] {
            let token = setup.token(role.name(), role);
            assert_eq!(setup.post("/api/v1/verify", &token, json!({})).await.0, status, "{role:?}");
        }
    }
}
