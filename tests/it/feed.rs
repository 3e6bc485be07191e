//! Senders over several connections, and the moments at which the program they send to is killed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use watchfire::time::Timestamp;

use crate::harness::{TOKEN, as_gitlab, client};
use crate::process::{Killer, Program};
use crate::stream::{AUTHORS, Dice, closing};

/// One request: an event as GitLab posts it, or a batch.
#[derive(Clone)]
pub enum Request {
    Gitlab(String),
    Batch(String),
}

/// What the program is doing when it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Doing {
    /// Taking events, and everything that comes of them.
    Serving,
    /// Coming up: nobody sends yet. The delay is a share of what starting takes.
    Starting,
    /// Asked to stop while events come in: the last commits and the snapshot are under way.
    Stopping,
    /// Judging, delivering and forwarding what it took; nothing new comes in.
    Working,
}

/// One kill.
#[derive(Debug, Clone, Copy)]
pub struct Kill {
    pub doing: Doing,
    /// After so many answered requests since the first of them …
    pub after: u64,
    /// … and so many microseconds; for [`Doing::Starting`], so many millionths of a start.
    pub delay: u64,
}

/// So many kills, spread over the requests.
pub fn kills(requests: usize, count: u64, dice: &mut Dice) -> Vec<Kill> {
    let mut kills: Vec<Kill> = (0..count)
        .map(|_| {
            let (doing, longest) = match dice.roll(20) {
                0..12 => (Doing::Serving, 3_000),
                12..15 => (Doing::Starting, 1_200_000),
                15..17 => (Doing::Stopping, 20_000),
                _ => (Doing::Working, 60_000),
            };
            Kill { doing, after: 1 + dice.roll(requests as u64 - 1), delay: dice.roll(longest) }
        })
        .collect();
    kills.sort_by_key(|kill| kill.after);
    kills
}

/// What the senders share.
struct Feed {
    waiting: Mutex<VecDeque<Request>>,
    unanswered: Mutex<Vec<Request>>,
    answered: AtomicU64,
    /// After so many answers the senders are done with this program.
    kill: Option<Kill>,
    is_over: AtomicBool,
    killer: Killer,
    url: String,
}

impl Feed {
    /// Sends until everything is answered, or nothing any more.
    async fn send(self: Arc<Self>) {
        let client = client();
        while !self.is_over.load(Ordering::SeqCst) {
            let Some(request) = self.waiting.lock().unwrap().pop_front() else { return };
            let sent = match &request {
                Request::Gitlab(body) => {
                    as_gitlab(&client, &format!("{}/ingest/gitlab", self.url), body, None).send().await
                }
                Request::Batch(body) => {
                    let post = client.post(format!("{}/ingest/generic", self.url));
                    post.bearer_auth(TOKEN).body(body.clone()).send().await
                }
            };
            // A program that stops says so.
            let Some(response) = sent.ok().filter(|response| response.status() != 503) else {
                self.unanswered.lock().unwrap().push(request);
                return;
            };
            assert_eq!(response.status(), 200, "{:?}", response.text().await);
            let answered = self.answered.fetch_add(1, Ordering::SeqCst) + 1;
            if let Some(kill) = self.kill.filter(|kill| kill.after == answered) {
                self.end(kill);
            }
        }
    }

    /// Beside the next request, so that it may be hit in the middle.
    fn end(&self, kill: Kill) {
        self.is_over.store(kill.doing == Doing::Working, Ordering::SeqCst);
        let killer = self.killer.clone();
        tokio::task::spawn_blocking(move || {
            if kill.doing == Doing::Stopping {
                killer.terminate();
            }
            std::thread::sleep(Duration::from_micros(kill.delay));
            killer.kill();
        });
    }
}

/// Sends over so many connections, in order. With a kill the program is killed then, and what was not answered by then
/// comes back.
pub async fn feed(
    program: &Program,
    requests: VecDeque<Request>,
    connections: usize,
    kill: Option<Kill>,
) -> VecDeque<Request> {
    let feed = Arc::new(Feed {
        waiting: Mutex::new(requests),
        unanswered: Mutex::default(),
        answered: AtomicU64::new(0),
        kill,
        is_over: AtomicBool::new(false),
        killer: program.killer(),
        url: program.url(""),
    });
    let senders: Vec<_> = (0..connections).map(|_| tokio::spawn(Arc::clone(&feed).send())).collect();
    for sender in senders {
        sender.await.unwrap();
    }
    if let Some(kill) = kill
        && feed.answered.load(Ordering::SeqCst) < kill.after
    {
        // The requests ended before its moment came, or it was on its way down already.
        feed.killer.kill();
    }
    let mut left = std::mem::take(&mut *feed.waiting.lock().unwrap());
    for request in feed.unanswered.lock().unwrap().drain(..) {
        left.push_front(request);
    }
    left
}

/// Single events, and with `batches` now and then some together.
pub fn requests(events: &[(Timestamp, Value)], batches: Option<&mut Dice>) -> Vec<Request> {
    let texts: Vec<String> = events.iter().map(|(_, event)| event.to_string()).collect();
    let (first_day, mut rest) = texts.split_at(AUTHORS as usize);
    let mut requests: Vec<Request> = first_day.iter().cloned().map(Request::Gitlab).collect();
    let mut dice = batches;
    while let Some((first, others)) = rest.split_first() {
        let size =
            dice.as_mut().map_or(0, |dice| if dice.roll(10) == 0 { 1 + dice.roll(20) } else { 0 }) as usize;
        if size > 1 && size <= rest.len() {
            requests.push(Request::Batch(rest[..size].join("\n")));
            rest = &rest[size..];
        } else {
            requests.push(Request::Gitlab(first.clone()));
            rest = others;
        }
    }
    let (time, last) = closing(events);
    let mut other = last.clone();
    (other["id"], other["created_at"]) = ("other".into(), time.to_string().into());
    requests.push(Request::Gitlab(last.to_string()));
    requests.push(Request::Batch(other.to_string()));
    requests
}
