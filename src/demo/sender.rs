//! Posts the simulated events to the daemon the way GitLab does: one event a request, JSON under a form's
//! content type, the token and the type in headers.
//!
//! GitLab does not try again when a receiver fails. The demo does, a few times: its story must not depend on
//! how fast the machine is.

use std::collections::BTreeMap;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode};
use tokio::task::JoinSet;

use super::traffic::SimEvent;
use super::{DemoError, Schedule};
use crate::clock::Clock;
use crate::time::{Span, Timestamp};

/// Requests under way at the same time.
const IN_FLIGHT_MAX: usize = 16;
/// No two events under way lie further apart than this, so that they arrive in order but for minutes.
const DISORDER_MAX: Span = Span::minutes(2);
const ATTEMPTS_MAX: u32 = 8;

/// How fast the events go out.
#[derive(Debug, Clone)]
pub enum Pace {
    /// As fast as they are taken.
    Full,
    /// As the schedule says, so that a person can follow.
    Shown(Schedule),
}

/// How far the sender is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Events accepted so far.
    pub count: u64,
    /// The simulated time of the newest.
    pub at: Timestamp,
}

/// Sends to one ingest endpoint with its token.
#[derive(Clone)]
pub struct Sender {
    client: Client,
    url: String,
    token: String,
    clock: Clock,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Sender {
    /// `url` is the endpoint, `http://127.0.0.1:8650/ingest/gitlab`.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(url: &str, token: &str, clock: Clock) -> Result<Self, DemoError> {
        // Without the environment's proxy: everything is on this machine.
        let client = Client::builder().no_proxy().build().map_err(DemoError::Client)?;
        Ok(Self { client, url: url.to_owned(), token: token.to_owned(), clock })
    }

    /// Sends all of them in order; `progress` is called after each one that was accepted.
    ///
    /// # Errors
    /// When the daemon refuses an event for good, or does not answer after several tries.
    pub async fn send(
        &self,
        events: &[SimEvent],
        pace: &Pace,
        progress: &mut (dyn FnMut(Sent) + Send),
    ) -> Result<u64, DemoError> {
        let begun = self.clock.now();
        let mut running: JoinSet<Result<usize, DemoError>> = JoinSet::new();
        let mut in_flight: BTreeMap<usize, Timestamp> = BTreeMap::new();
        let mut sent = Sent { count: 0, at: Timestamp::MIN };
        for (index, event) in events.iter().enumerate() {
            if let Pace::Shown(schedule) = pace {
                let offset = i64::try_from(schedule.offset(event.at).as_millis()).unwrap_or(0);
                self.clock.sleep(begun.plus(Span(offset)).since(self.clock.now())).await;
            }
            while is_full(&in_flight, event.at) {
                settle(&mut running, &mut in_flight, &mut sent, progress).await?;
            }
            in_flight.insert(index, event.at);
            let (sender, event) = (self.clone(), event.clone());
            running.spawn(async move { sender.post(index, &event).await.map(|()| index) });
        }
        while !in_flight.is_empty() {
            settle(&mut running, &mut in_flight, &mut sent, progress).await?;
        }
        Ok(sent.count)
    }

    async fn post(&self, index: usize, event: &SimEvent) -> Result<(), DemoError> {
        let mut reason = String::new();
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                self.clock.sleep(Span::millis(25 << attempt)).await;
            }
            let request = self
                .client
                .post(&self.url)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header("X-Gitlab-Event-Streaming-Token", &self.token)
                .header("X-Gitlab-Audit-Event-Type", &event.event_type)
                .body(event.body.clone());
            match request.send().await {
                Ok(response) if response.status().is_success() => return Ok(()),
                Ok(response) => {
                    let status = response.status();
                    reason = format!("{status}: {}", response.text().await.unwrap_or_default());
                    if !is_passing(status) {
                        break;
                    }
                }
                Err(error) => reason = error.to_string(),
            }
        }
        Err(DemoError::Refused { number: index + 1, event_type: event.event_type.clone(), reason })
    }
}

fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

fn is_full(in_flight: &BTreeMap<usize, Timestamp>, next: Timestamp) -> bool {
    let too_far = |(_, oldest): (&usize, &Timestamp)| next.since(*oldest) > DISORDER_MAX;
    in_flight.len() >= IN_FLIGHT_MAX || in_flight.first_key_value().is_some_and(too_far)
}

/// Waits for one request to end.
async fn settle(
    running: &mut JoinSet<Result<usize, DemoError>>,
    in_flight: &mut BTreeMap<usize, Timestamp>,
    sent: &mut Sent,
    progress: &mut (dyn FnMut(Sent) + Send),
) -> Result<(), DemoError> {
    match running.join_next().await {
        Some(Ok(done)) => {
            if let Some(at) = in_flight.remove(&done?) {
                *sent = Sent { count: sent.count + 1, at: sent.at.max(at) };
                progress(*sent);
            }
        }
        // Nothing runs any more, or a request's task was aborted: the runtime is going down.
        Some(Err(_)) | None => in_flight.clear(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::traffic::STORY;
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Bytes;
    use axum::http::HeaderMap;
    use axum::routing::post;

    use super::super::Schedule;
    use super::super::serving::{Cut, Serving};
    use super::*;

    type Seen = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

    /// Answers the first request with 503 and the rest with 200, or everything with `always`.
    async fn receiver(always: Option<u16>) -> (Serving, Seen) {
        drop(rustls::crypto::ring::default_provider().install_default());
        let seen: Seen = Arc::default();
        let store = Arc::clone(&seen);
        let handler = move |headers: HeaderMap, body: Bytes| {
            let store = Arc::clone(&store);
            async move {
                let mut seen = store.lock().unwrap();
                seen.push((headers, body));
                let status = always.unwrap_or(if seen.len() == 1 { 503 } else { 200 });
                StatusCode::from_u16(status).unwrap()
            }
        };
        let router = Router::new().route("/ingest/gitlab", post(handler));
        let serving = Serving::start("test", router, Cut::default()).await.unwrap();
        (serving, seen)
    }

    fn sender(serving: &Serving) -> Sender {
        let url = format!("http://{}/ingest/gitlab", serving.address);
        Sender::new(&url, "t0ken", Clock::system()).unwrap()
    }

    #[tokio::test]
    async fn events_go_out_as_gitlab_sends_them_and_nearly_in_order() {
        let simulation = &*STORY;
        let events = &simulation.events[simulation.events.len() - 300..];
        let (serving, seen) = receiver(None).await;
        let mut last = None;
        let count = sender(&serving).send(events, &Pace::Full, &mut |sent| last = Some(sent)).await.unwrap();
        assert_eq!(count, 300);
        assert_eq!(last, Some(Sent { count: 300, at: events[299].at }));
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 301, "the first was tried again");
        let mut newest = Timestamp::MIN;
        for (headers, body) in seen.iter().skip(1) {
            assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
            assert_eq!(headers["x-gitlab-event-streaming-token"], "t0ken");
            let event: serde_json::Value = serde_json::from_slice(body).unwrap();
            assert_eq!(headers["x-gitlab-audit-event-type"], event["event_type"].as_str().unwrap());
            let at = Timestamp::parse(event["created_at"].as_str().unwrap()).unwrap();
            assert!(newest.since(at) <= DISORDER_MAX);
            newest = newest.max(at);
        }
    }

    #[tokio::test]
    async fn a_refusal_says_which_event_and_why() {
        let simulation = &*STORY;
        let (serving, seen) = receiver(Some(401)).await;
        let error =
            sender(&serving).send(&simulation.events[..1], &Pace::Full, &mut |_| ()).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("event 1 (") && text.contains("401") && !text.contains("t0ken"), "{text}");
        assert_eq!(seen.lock().unwrap().len(), 1, "a 401 will not change by trying");
    }

    #[tokio::test]
    async fn the_shown_pace_waits_for_its_time() {
        let simulation = &*STORY;
        let week = simulation.events.iter().position(|event| event.at > simulation.week).unwrap();
        let events = simulation.events[week - 1..week + 1].to_vec();
        let schedule =
            Schedule::new(simulation.week, simulation.week.plus(Span::days(7)), &simulation.planted);
        let wait = i64::try_from(schedule.offset(events[1].at).as_millis()).unwrap();
        let (serving, seen) = receiver(Some(200)).await;
        let clock = Clock::fixed(Timestamp(0));
        let url = format!("http://{}/ingest/gitlab", serving.address);
        let sender = Sender::new(&url, "t", clock.clone()).unwrap();
        let task =
            tokio::spawn(async move { sender.send(&events, &Pace::Shown(schedule), &mut |_| ()).await });
        while seen.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(wait == 0 || seen.lock().unwrap().len() == 1, "the second waits");
        clock.set(Timestamp(wait));
        assert_eq!(task.await.unwrap().unwrap(), 2);
    }
}
