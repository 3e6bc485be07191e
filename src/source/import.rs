//! Importing the past through a running daemon: a body of events is posted to it, and it says what became of each.

use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderMap;
use tokio_util::sync::CancellationToken;

use super::SourceError;
use super::answer::Refusal;
use super::body;
use super::config::is_name;
use super::intake::{Context, Intake};
use super::metrics::Reason;
use super::past::{Added, Past};
use super::split::{Bad, SplitError, split};
use crate::enrich::OWN_SOURCE;
use crate::event::{Format, PAST};
use crate::log::AppendError;
use crate::time::Span;

/// How long the log may take nothing before the caller is told.
const PATIENCE: Span = Span::seconds(10);
/// Bytes of a name under which events are imported.
const NAME_MAX: usize = 100;

/// How events of the past are to be taken.
#[derive(Debug)]
pub struct Import {
    /// The name under which they are stored; [`check_import_name`] has looked at it.
    pub source: String,
    /// The system they happened in; none: the one that is called as their format is.
    pub forge: Option<Arc<str>>,
    /// Their format; each is recognised by itself without it.
    pub format: Option<Format>,
    /// Whether rules raise alerts for them.
    pub judge: bool,
}

/// What became of a body of events.
#[derive(Debug)]
pub struct Imported {
    /// What could be read.
    pub added: Added,
    /// What could not.
    pub bad: Vec<Bad>,
}

impl Import {
    /// The name the events get in the log: with `judge` as those of any source, else as those of the past.
    #[must_use]
    pub fn stored_name(&self) -> String {
        stored_name(&self.source, self.judge)
    }

    /// Reads the body within the limits of all bodies, and stores what is not there yet; returns when it is on disk.
    ///
    /// # Errors
    /// When the body cannot be read or is no events as a whole, or nothing can be stored at present.
    pub async fn run(&self, context: &Context, headers: &HeaderMap, body: Body) -> Result<Imported, Refusal> {
        let limits = &context.limits;
        let body = body::read(headers, body, limits, &context.in_flight).await?;
        let (max, long) = (limits.events, body.is_long());
        let intake = Intake::named(self.stored_name().into(), self.forge.clone(), self.format, context);
        let decoder = intake.clone();
        let work = move || {
            let pieces = split(&body.bytes, max).map_err(|error| match error {
                SplitError::TooMany => Refusal::too_many(max),
                SplitError::Bad(bad) => {
                    Refusal::undecodable(&bad, "send a JSON array, one object, or one object per line")
                }
            })?;
            // With the body: until the end its memory is taken, also what is reserved of it for all.
            Ok((decoder.decode_all(pieces, false, decoder.clock.now()), body))
        };
        let (decoded, body) = body::off_runtime(long, work).await?;
        intake.counters.rejected(Reason::Undecodable, decoded.bad.len() as u64);
        let past = Past::over(intake).within(PATIENCE);
        let added = past.add(decoded.events, &CancellationToken::new()).await.map_err(|e| not_added(&e))?;
        drop(body);
        Ok(Imported { added, bad: decoded.bad })
    }
}

/// Says what is wrong with a name that events are to be imported under. It has no `/`: what is before one is not for
/// callers to say.
pub fn check_import_name(name: &str) -> Result<(), &'static str> {
    if name.len() > NAME_MAX || !is_name(name) {
        return Err("it must be 1 to 100 lower-case letters, digits, `-` and `_`");
    }
    if name == OWN_SOURCE {
        return Err("the events that Watchfire writes itself are named so: give them another name");
    }
    Ok(())
}

/// The name that imported events get in the log.
#[must_use]
pub fn stored_name(source: &str, judge: bool) -> String {
    if judge { source.to_owned() } else { format!("{PAST}{source}") }
}

fn not_added(error: &SourceError) -> Refusal {
    match error {
        SourceError::Busy => Refusal::import_broken_off(),
        SourceError::Closed | SourceError::Stopped => Refusal::not_appended(&AppendError::Closed),
        other => {
            tracing::error!(error = %other, "the past cannot be imported");
            Refusal::not_appended(&AppendError::Unavailable(other.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::testing::Fixture;

    #[tokio::test]
    async fn an_import_is_answered_although_the_log_takes_nothing() {
        let fixture = Fixture::new();
        fixture.memory.fail(&vec![AppendError::Overloaded; 1_000]);
        let wish = Import { source: "old".into(), forge: None, format: Some(Format::Gitlab), judge: false };
        let headers = HeaderMap::new();
        let run = wish.run(&fixture.context, &headers, Body::from(r#"{"id":1,"event_type":"user_created"}"#));
        let clock = fixture.context.clock.clone();
        let passing = async {
            for _ in 0..1_000 {
                clock.set(clock.now().plus(Span::seconds(1)));
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            answer = run => assert_eq!(answer.unwrap_err().status, 503),
            () = passing => panic!("it waits for ever"),
        }
    }
}
