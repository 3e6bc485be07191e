//! One GitLab and the token for it, which may change while we run.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use reqwest::header::HeaderMap;

use super::board::Board;
use super::config::Polled;
use super::trouble::Trouble;
use crate::clock::Clock;
use crate::deliver::{Answer, Http, HttpOptions, Method, Request, Secret, SecretRef, Url, header, parse_url};
use crate::time::{Span, Timestamp};

/// The longest rest after the last allowed request: GitLab's limits are for minutes, an hour at most.
const REST_MAX: Span = Span::hours(1);

/// Asks GitLab.
pub(super) struct Access {
    polled: Polled,
    name: Arc<str>,
    clock: Clock,
    board: Board,
    /// By how many milliseconds GitLab's clock is behind ours, as of its last answer; 0 where it is not.
    behind: AtomicI64,
    /// The token it was made with, and the client that keeps it out of its errors.
    ready: Option<(Secret, Http, HeaderMap)>,
}

impl Access {
    pub(super) const fn new(polled: Polled, name: Arc<str>, clock: Clock, board: Board) -> Self {
        Self { polled, name, clock, board, behind: AtomicI64::new(0), ready: None }
    }

    /// Up to when GitLab can have events: our time, or its own where that is earlier. What happens there afterwards is
    /// dated later.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now().minus(Span(self.behind.load(Ordering::Relaxed)))
    }

    /// Reads the token's file again, so that a new token needs no restart; whether it is another one.
    pub(super) fn refresh(&mut self) -> Result<bool, Trouble> {
        let refused = |reason: String| Trouble::Refused { reason };
        let (reference, base, first) = &self.polled.token;
        let token = match (reference, first) {
            (SecretRef::Env(_), Some(first)) => first.clone(),
            _ => reference.resolve(&|_| None, base).map_err(|error| refused(error.to_string()))?,
        };
        if self.ready.as_ref().is_some_and(|(known, ..)| known.expose() == token.expose()) {
            return Ok(false);
        }
        let (name, value) =
            header("private-token", token.expose()).map_err(|error| refused(error.to_string()))?;
        let polled = &self.polled;
        let options = HttpOptions { url: &polled.url, timeout: polled.timeout, ca: polled.ca.as_deref() };
        let http = Http::new(&options, vec![token.clone()]).map_err(|error| refused(error.to_string()))?;
        self.ready = Some((token, http, HeaderMap::from_iter([(name, value)])));
        Ok(true)
    }

    /// `GET /api/v4/PATH?QUERY`. A success, or why not; afterwards it is waited for what GitLab asks for.
    pub(super) async fn get(&self, path: &[&str], query: &[(String, String)]) -> Result<Answer, Trouble> {
        let Some((_, http, headers)) = &self.ready else {
            return Err(Trouble::Refused { reason: "there is no token".to_owned() });
        };
        let url = self.url(path, query)?;
        let request = Request { method: Method::GET, url, headers: headers.clone(), body: None };
        let sent = http.send(request, self.clock.now()).await;
        self.board.asked(&self.name, sent.as_ref().ok().map(|answer| answer.status));
        let answer = sent.map_err(Trouble::unanswered)?;
        if let Some(date) = answer.date {
            self.behind.store(self.clock.now().since(date).0.max(0), Ordering::Relaxed);
        }
        if !answer.is_success() {
            return Err(Trouble::answered(&answer));
        }
        if answer.remaining == Some(0)
            && let Some(after) = answer.after
        {
            // The moment is GitLab's: with a clock that is far behind it would take for ever to come.
            self.clock.sleep(after.min(REST_MAX)).await;
        }
        Ok(answer)
    }

    /// Each part of the path is encoded by itself: a group's path is one part, its slashes are `%2F`.
    fn url(&self, path: &[&str], query: &[(String, String)]) -> Result<Url, Trouble> {
        let refused = || Trouble::Refused { reason: "the address is none of HTTP".to_owned() };
        let mut url =
            parse_url(&self.polled.url).map_err(|error| Trouble::Refused { reason: error.to_string() })?;
        url.path_segments_mut().map_err(|()| refused())?.pop_if_empty().extend(["api", "v4"]).extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }
}
