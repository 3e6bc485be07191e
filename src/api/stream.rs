//! `/api/v1/alerts/stream`: new and changed alerts as they come, as server-sent events.
//!
//! Every change of an alert has a number in the store, so that a stream that broke off goes on where it was: nothing is
//! missed, not even what the command line or the time before a restart did. The store is looked at a few times a second:
//! changes may be made beside the daemon.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::admit::Caller;
use super::alerts::{Alert, stood};
use super::ask::Asked;
use super::conditional::Streamed;
use super::control::Control;
use super::guard::STREAMS_MAX;
use super::page::Counted;
use super::problem::Problem;
use crate::time::Span;

/// How often the store is asked for changes.
const LOOK: Duration = Duration::from_millis(250);
/// A comment is sent when nothing else was for so long, and the token is looked at this often whatever is sent.
const CHECK: Span = Span::seconds(15);
/// Alerts that are fetched at once.
const PIECE: usize = 100;
/// How long a client waits before it comes again.
const RETRY: Duration = Duration::from_secs(2);

/// Where to begin.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamAsked {
    /// Begin after this number, for clients that cannot send `Last-Event-ID`; 0: with all alerts there are.
    #[param(value_type = u64, required = false)]
    after: Option<Counted>,
}

/// One event of the stream, as a client of server-sent events has it.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "axum writes them; this is how they are described")]
pub(super) struct StreamEvent {
    event: StreamEventKind,
    /// A number, for `Last-Event-ID`.
    id: String,
    /// JSON: of `alert` the alert; of the others an object with the `number`.
    data: String,
    /// How long to wait before coming again, in milliseconds; only of the first.
    #[schema(nullable = false)]
    retry: Option<u64>,
}

/// What an event of the stream is.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "likewise")]
#[schema(rename_all = "lowercase")]
pub(super) enum StreamEventKind {
    /// Where the stream begins.
    Position,
    /// Where it begins, and that no such place was given out: fetch the lists anew.
    Reset,
    /// An alert is new or has changed.
    Alert,
}

/// Follow alerts
///
/// Server-sent events. Each `alert` has an alert as it now stands as its `data`, as `/api/v1/alerts` shows it, and the
/// number of its last change as its `id`. The first event is `position`: where the stream begins, which is now unless
/// `Last-Event-ID` (or `after`) says where the last one ended. Then nothing is missed; an alert that changed several times
/// comes once. `reset` comes in place of `position` where that number was never given out, since a backup was restored:
/// fetch the lists anew. A comment comes every 15 seconds without anything else. 32 streams at once; beyond that 503. A
/// stream ends when its token does, and when the daemon stops.
#[utoipa::path(get, path = "/api/v1/alerts/stream", tag = "alerts",
    params(StreamAsked, ("Last-Event-ID" = Option<u64>, Header, description = "The `id` of the last event that came")),
    responses((status = 200, description = "The stream, event by event", body = StreamEvent,
        content_type = "text/event-stream")))]
pub(super) async fn stream(
    State(control): State<Arc<Control>>,
    caller: Caller,
    headers: HeaderMap,
    Asked(StreamAsked { after }): Asked<StreamAsked>,
) -> Result<Response, Problem> {
    let turn = Arc::clone(&control.guard.streams).try_acquire_owned();
    let turn = turn.map_err(|_| Problem::unavailable(&format!("there are {STREAMS_MAX} streams already")))?;
    let wanted = last_id(&headers)?.or(after).map(|counted| counted.0);
    let newest = control.ask(|store| store.alerts_changed()).await?;
    let (name, number) = match wanted {
        Some(number) if number > newest => ("reset", newest),
        Some(number) => ("position", number),
        None => ("position", newest),
    };
    let (asked, stop) = (control.clock.uptime(), control.guard.stop.clone());
    let due = VecDeque::from([event(name, number, &json!({"number": number}))?.retry(RETRY)]);
    let sending = Sending { control, caller, number, due, every: CHECK, asked, _turn: turn };
    let events = stream::unfold(sending, Sending::next).map(Ok::<_, Infallible>);
    let silent = KeepAlive::new().interval(CHECK.to_std()).text("nothing new");
    let mut response = Sse::new(events.take_until(stop.cancelled_owned())).keep_alive(silent).into_response();
    // All answers are marked, more strictly.
    response.headers_mut().remove(CACHE_CONTROL);
    response.extensions_mut().insert(Streamed);
    Ok(response)
}

fn last_id(headers: &HeaderMap) -> Result<Option<Counted>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok()).and_then(Counted::new);
    let wrong =
        || Problem::bad("bad_last_event_id", "`Last-Event-ID` is not the `id` of an event of this stream");
    number.map(Some).ok_or_else(wrong)
}

fn event(name: &str, number: u64, data: &impl Serialize) -> Result<Event, Problem> {
    Event::default().id(number.to_string()).event(name).json_data(data).map_err(|error| {
        tracing::error!(%error, "an event of the stream cannot be written");
        Problem::internal()
    })
}

/// A stream on its way.
struct Sending {
    control: Arc<Control>,
    caller: Caller,
    /// Everything up to here is sent, or among what is `due`.
    number: u64,
    due: VecDeque<Event>,
    /// How often the token is looked at, and when it was last, as the daemon has run then.
    every: Span,
    asked: Span,
    _turn: OwnedSemaphorePermit,
}

impl Sending {
    /// The next event, once there is one; none if nobody may see it any more.
    async fn next(mut self) -> Option<(Event, Self)> {
        loop {
            // Before the next one: alerts that keep coming do not keep a stream open whose token ended.
            let now = self.control.clock.uptime();
            if now.0 - self.asked.0 >= self.every.0 {
                if !self.may_go_on().await {
                    return None;
                }
                self.asked = now;
            }
            if let Some(event) = self.due.pop_front() {
                return Some((event, self));
            }
            // It comes again; the log says why.
            self.due = self.changed().await.ok()?;
            if self.due.is_empty() {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// What changed since the last time.
    async fn changed(&mut self) -> Result<VecDeque<Event>, Problem> {
        let behind = self.number;
        let found = self.control.ask(move |store| {
            let mut found = Vec::new();
            for (number, id) in store.alerts_changed_after(behind, PIECE)? {
                found.extend(stood(store, &id)?.map(|stood| (number, stood)));
            }
            Ok(found)
        });
        let mut due = VecDeque::new();
        for (number, stood) in found.await? {
            due.push_back(event("alert", number, &Alert::from(&stood))?);
            self.number = number;
        }
        Ok(due)
    }

    /// Whether the token still opens this. That of the configuration does until the daemon stops.
    async fn may_go_on(&self) -> bool {
        let Some(id) = self.caller.id.clone() else { return true };
        let now = self.control.clock.now();
        let found = self.control.ask(move |store| store.token(&id)).await;
        found.is_ok_and(|row| {
            row.is_some_and(|row| row.revoked_at.is_none() && row.expires_at.is_none_or(|until| now < until))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Setup;
    use super::*;
    use crate::alert::{Alert, AlertId};
    use crate::encode::tests_support::notification;
    use crate::store::{Commit, Deed, Role};
    use crate::time::Timestamp;

    /// For three fetches.
    const ALERTS: usize = 2 * PIECE + 1;

    /// How many alerts are sent to this caller, its token being looked at before each.
    async fn sent(setup: &Setup, caller: Caller) -> usize {
        let control = setup.control();
        let turn = Arc::clone(&control.guard.streams).try_acquire_owned().unwrap();
        let asked = control.clock.uptime();
        let due = VecDeque::new();
        let sending = Sending { control, caller, number: 0, due, every: Span(0), asked, _turn: turn };
        stream::unfold(sending, Sending::next).take(ALERTS).count().await
    }

    #[test]
    fn where_a_stream_broke_off_is_a_number_that_was_given_out() {
        let last = |text: &'static str| {
            let headers = HeaderMap::from_iter([("last-event-id".parse().unwrap(), text.parse().unwrap())]);
            last_id(&headers).map(|counted| counted.map(|counted| counted.0))
        };
        assert_eq!(last(" 7").unwrap(), Some(7));
        assert_eq!(last_id(&HeaderMap::new()).unwrap().map(|counted| counted.0), None);
        for wrong in ["", "x", "-1", "9223372036854775808"] {
            assert!(last(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn alerts_that_keep_coming_do_not_keep_a_stream_open_whose_token_ended() {
        let setup = Setup::new(false);
        let alert = |n: usize| Alert { id: AlertId(format!("a{n}")), ..notification().alert };
        let alerts: Vec<Alert> = (0..ALERTS).map(alert).collect();
        let now = setup.clock.now();
        let commit =
            Commit { position: 1, at: now, alerts: &alerts, outbox: &[], ledger: &[], snapshot: None };
        setup.store.commit(&commit).unwrap();
        let caller = |name: &str, until: Option<Timestamp>| {
            setup.token_until(name, Role::Viewer, until);
            let row = setup.store.tokens().unwrap().into_iter().find(|row| row.name == name).unwrap();
            Caller { id: Some(row.id), name: name.to_owned(), role: Role::Viewer, expires_at: until }
        };
        let (good, revoked) = (caller("good", None), caller("revoked", None));
        let expired = caller("expired", Some(now.plus(Span::minutes(1))));
        assert_eq!(sent(&setup, good).await, ALERTS);
        setup.store.token_revoke(revoked.id.as_ref().unwrap(), &Deed::new(now, "ann", "test")).unwrap();
        setup.wait(Span::minutes(2));
        assert_eq!(sent(&setup, revoked).await, 0);
        assert_eq!(sent(&setup, expired).await, 0);
    }
}
