//! `/api/v1/alerts/stream`: new and changed alerts as they come, as server-sent events.
//!
//! Every change of an alert has a number in the store, so that a stream that broke off goes on where it was: nothing is
//! missed, not even what the command line or the time before a restart did. The store is looked at a few times a second:
//! changes may be made beside the daemon.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::admit::Caller;
use super::alerts::{Alert, stood};
use super::ask::Asked;
use super::conditional::Streamed;
use super::control::Control;
use super::guard::STREAMS_MAX;
use super::problem::Problem;
use crate::time::Span;

/// How often the store is asked for changes.
const LOOK: Duration = Duration::from_millis(250);
/// A comment is sent when nothing else was for so long, and the token is looked at this often whatever is sent.
const CHECK: Span = Span::seconds(15);
/// Alerts sent in one piece.
const PIECE: usize = 100;
/// Who takes nothing for so long is cut off; it comes again with the last number it got.
const PATIENCE: Span = Span::seconds(30);
/// How long a client waits before it comes again, in milliseconds.
const RETRY_MS: u32 = 2_000;

/// Where to begin.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamAsked {
    /// Begin after this number, for clients that cannot send `Last-Event-ID`; 0: with all alerts there are.
    #[param(value_type = u64, required = false)]
    after: Option<u64>,
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
    responses((status = 200, description = "The stream", body = String, content_type = "text/event-stream")))]
pub(super) async fn stream(
    State(control): State<Arc<Control>>,
    caller: Caller,
    headers: HeaderMap,
    Asked(StreamAsked { after }): Asked<StreamAsked>,
) -> Result<Response, Problem> {
    let turn = Arc::clone(&control.guard.streams).try_acquire_owned();
    let turn = turn.map_err(|_| Problem::unavailable(&format!("there are {STREAMS_MAX} streams already")))?;
    let wanted = last_id(&headers)?.or(after);
    let newest = control.ask(|store| store.alerts_changed()).await?;
    let (name, number) = match wanted {
        Some(number) if number > newest => ("reset", newest),
        Some(number) => ("position", number),
        None => ("position", newest),
    };
    let first = format!("retry: {RETRY_MS}\n{}", event(name, number, &format!("{{\"number\":{number}}}")));
    let (sender, receiver) = mpsc::channel(1);
    let sending = Sending { control, caller, sender, number, every: CHECK, _turn: turn };
    tokio::spawn(sending.run(first));
    let mut response = ([(CONTENT_TYPE, "text/event-stream")], Body::new(Pieces(receiver))).into_response();
    response.extensions_mut().insert(Streamed);
    Ok(response)
}

fn last_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let wrong =
        || Problem::bad("bad_last_event_id", "`Last-Event-ID` is not the `id` of an event of this stream");
    number.map(Some).ok_or_else(wrong)
}

/// The text of one event; `data` is one line.
fn event(name: &str, number: u64, data: &str) -> String {
    format!("id: {number}\nevent: {name}\ndata: {data}\n\n")
}

/// A stream on its way.
struct Sending {
    control: Arc<Control>,
    caller: Caller,
    sender: mpsc::Sender<Bytes>,
    /// Sent up to here.
    number: u64,
    /// How often the token is looked at, and how long it is silent at most.
    every: Span,
    _turn: OwnedSemaphorePermit,
}

impl Sending {
    async fn run(mut self, first: String) {
        let stop = self.control.guard.stop.clone();
        tokio::select! {
            () = self.send_all(first) => {}
            () = stop.cancelled() => {}
        }
    }

    /// Until nobody takes it any more, or may.
    async fn send_all(&mut self, first: String) {
        let mut piece = first;
        let clock = self.control.clock.clone();
        let (mut spoke, mut asked) = (clock.uptime(), clock.uptime());
        loop {
            // Before the next piece: alerts that keep coming do not keep a stream open whose token ended.
            if clock.uptime().0 - asked.0 >= self.every.0 {
                if !self.may_go_on().await {
                    return;
                }
                asked = clock.uptime();
            }
            if piece.is_empty() && clock.uptime().0 - spoke.0 >= self.every.0 {
                ": nothing new\n\n".clone_into(&mut piece);
            }
            if !piece.is_empty() {
                if !self.send(std::mem::take(&mut piece)).await {
                    return;
                }
                spoke = clock.uptime();
            }
            match self.next().await {
                Ok(next) if !next.is_empty() => piece = next,
                Ok(_) => {
                    tokio::select! {
                        () = tokio::time::sleep(LOOK) => {}
                        () = self.sender.closed() => return,
                    }
                }
                // It comes again; the log says why.
                Err(_) => return,
            }
        }
    }

    async fn send(&self, piece: String) -> bool {
        tokio::select! {
            sent = self.sender.send(piece.into()) => sent.is_ok(),
            () = tokio::time::sleep(PATIENCE.to_std()) => false,
        }
    }

    /// What changed since the last piece; empty if nothing did.
    async fn next(&mut self) -> Result<String, Problem> {
        let behind = self.number;
        let found = self.control.ask(move |store| {
            let mut found = Vec::new();
            for (number, id) in store.alerts_changed_after(behind, PIECE)? {
                found.extend(stood(store, &id)?.map(|stood| (number, stood)));
            }
            Ok(found)
        });
        let mut piece = String::new();
        for (number, stood) in found.await? {
            let data = serde_json::to_string(&Alert::from(&stood)).map_err(|error| {
                tracing::error!(%error, "an alert cannot be written");
                Problem::internal()
            })?;
            piece.push_str(&event("alert", number, &data));
            self.number = number;
        }
        Ok(piece)
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

/// Pieces as they are made.
struct Pieces(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
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

    /// What is sent to this caller while there are alerts for three pieces, its token being looked at before each.
    async fn sent(setup: &Setup, caller: Caller) -> Vec<Bytes> {
        let control = setup.control();
        let turn = Arc::clone(&control.guard.streams).try_acquire_owned().unwrap();
        let (sender, mut receiver) = mpsc::channel(1);
        let sending = Sending { control, caller, sender, number: 0, every: Span(0), _turn: turn };
        tokio::spawn(sending.run("first".to_owned()));
        let mut pieces = Vec::new();
        while let Some(piece) = receiver.recv().await {
            // It is silent: everything was sent.
            if piece.starts_with(b":") {
                break;
            }
            pieces.push(piece);
        }
        pieces
    }

    #[tokio::test]
    async fn alerts_that_keep_coming_do_not_keep_a_stream_open_whose_token_ended() {
        let setup = Setup::new(false);
        let alert = |n: usize| Alert { id: AlertId(format!("a{n}")), ..notification().alert };
        let alerts: Vec<Alert> = (0..2 * PIECE + 1).map(alert).collect();
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
        assert_eq!(sent(&setup, good).await.len(), 4, "where it begins, and three pieces");
        setup.store.token_revoke(revoked.id.as_ref().unwrap(), &Deed::new(now, "ann", "test")).unwrap();
        setup.wait(Span::minutes(2));
        assert_eq!(sent(&setup, revoked).await.len(), 0);
        assert_eq!(sent(&setup, expired).await.len(), 0);
    }
}
