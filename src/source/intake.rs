//! What every source does with an event once it has its bytes: decode, append, count, or keep as rejected.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::SourceError;
use super::body::{BodyLimits, InFlight};
use super::config::Source;
use super::metrics::{Reason, SourceCounters, SourceMetrics};
use super::sink::Sink;
use super::split::{Bad, Piece};
use crate::clock::Clock;
use crate::decode::{DecodeError, Origin, decode_from};
use crate::event::Format;
use crate::log::{AppendError, NewEvent, Receipt, fault};
use crate::store::NewRejected;
use crate::time::{Span, Timestamp};

/// What all sources share.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where events go.
    pub sink: Sink,
    /// Tells when they arrived.
    pub clock: Clock,
    /// Counts them.
    pub metrics: SourceMetrics,
    /// What one body, or one line, may cost.
    pub limits: BodyLimits,
    /// What all bodies together may cost.
    pub in_flight: InFlight,
}

/// One source's way into the log.
#[derive(Debug, Clone)]
pub struct Intake {
    /// The source's name.
    pub name: Arc<str>,
    /// Its counters.
    pub counters: SourceCounters,
    /// Where events and rejected bodies go.
    pub sink: Sink,
    /// Tells when they arrived.
    pub clock: Clock,
    format: Option<Format>,
    /// None: each event's format gives it its name.
    forge: Option<Arc<str>>,
}

/// What became of the pieces of a body.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub events: Vec<NewEvent>,
    pub bad: Vec<Bad>,
}

/// Lets go of a body of so many bytes that is much larger than its events: they are slices of it, and would keep all of
/// it in memory while they wait, of which only their own bytes are counted.
pub(super) fn detached(events: Vec<NewEvent>, body: usize) -> Vec<NewEvent> {
    let held: usize = events.iter().map(|new| new.event.raw.len()).sum();
    if held > body / 2 {
        return events;
    }
    let copied = |mut new: NewEvent| {
        new.event.raw = Bytes::copy_from_slice(&new.event.raw);
        new
    };
    events.into_iter().map(copied).collect()
}

impl Intake {
    /// The way in for `source`.
    #[must_use]
    pub fn new(source: &Source, context: &Context) -> Self {
        let forge = Some(Arc::clone(&source.forge));
        Self::named(Arc::clone(&source.name), forge, source.format, context)
    }

    /// The way in for events that come under this name, of this forge or of the one that is called as their format is,
    /// in this format or each in its own.
    #[must_use]
    pub fn named(name: Arc<str>, forge: Option<Arc<str>>, format: Option<Format>, context: &Context) -> Self {
        Self {
            counters: context.metrics.of(&name),
            sink: context.sink.clone(),
            clock: context.clock.clone(),
            format,
            forge,
            name,
        }
    }

    /// The system its events happened in; none: the one that is called as their format is.
    #[must_use]
    pub const fn forge(&self) -> Option<&Arc<str>> {
        self.forge.as_ref()
    }

    /// Reads one event's bytes.
    pub fn decode(&self, raw: Bytes, hint: Option<&str>, now: Timestamp) -> Result<NewEvent, DecodeError> {
        let format = self.format.unwrap_or_else(|| Format::recognise(&raw));
        let named = self.forge.is_none().then(|| Arc::from(format.name()));
        let forge = self.forge.as_ref().or(named.as_ref()).unwrap_or(&self.name);
        let decoded = decode_from(format, Origin { source: &self.name, forge }, raw, hint, now)?;
        Ok(NewEvent { event: decoded.event, dedupe: decoded.dedupe })
    }

    /// Reads the pieces of a body: all that can be read, or with `whole` only up to the first that cannot.
    pub(super) fn decode_all(&self, pieces: Vec<Piece>, whole: bool, now: Timestamp) -> Decoded {
        let mut decoded = Decoded { events: Vec::with_capacity(pieces.len()), bad: Vec::new() };
        for piece in pieces {
            match self.decode(piece.bytes, None, now) {
                Ok(event) => decoded.events.push(event),
                Err(error) => {
                    let column = piece.column + error.column.saturating_sub(1);
                    decoded.bad.push(Bad { line: piece.line, column, reason: error.reason });
                    if whole {
                        break;
                    }
                }
            }
        }
        decoded
    }

    /// Appends, all or nothing, and counts; returns when it is on disk.
    pub async fn append(&self, batch: Vec<NewEvent>) -> Result<Receipt, AppendError> {
        let count = batch.len() as u64;
        if count == 0 {
            return Ok(Receipt { stored: 0, duplicates: 0, last: self.sink.position() });
        }
        match self.sink.append(batch).await {
            Ok(receipt) => {
                fault::point("source.before_answer");
                self.counters.appended(receipt.stored, receipt.duplicates, self.clock.now());
                Ok(receipt)
            }
            Err(error) => {
                let reason = match error {
                    AppendError::Overloaded => Reason::Overloaded,
                    AppendError::Unavailable(_) | AppendError::Closed => Reason::Unavailable,
                };
                self.counters.rejected(reason, count);
                Err(error)
            }
        }
    }

    /// Appends and counts, for sources that can wait: however long the log takes, nothing is skipped.
    ///
    /// # Errors
    /// When it is told to stop while it waits, or the log is closed.
    pub async fn append_waiting(
        &self,
        events: &[NewEvent],
        shutdown: &CancellationToken,
    ) -> Result<Receipt, SourceError> {
        self.append_within(None, events, shutdown).await
    }

    /// As [`append_waiting`](Self::append_waiting), for who can wait so long and no longer while the log takes nothing.
    pub(super) async fn append_within(
        &self,
        patience: Option<Span>,
        events: &[NewEvent],
        shutdown: &CancellationToken,
    ) -> Result<Receipt, SourceError> {
        let mut waited = Span(0);
        if events.is_empty() {
            return Ok(Receipt { stored: 0, duplicates: 0, last: self.sink.position() });
        }
        loop {
            let pause = match self.sink.append(events.to_vec()).await {
                Ok(receipt) => {
                    self.counters.appended(receipt.stored, receipt.duplicates, self.clock.now());
                    return Ok(receipt);
                }
                Err(AppendError::Overloaded) => Span::seconds(1),
                Err(AppendError::Unavailable(_)) => Span::seconds(5),
                Err(AppendError::Closed) => return Err(SourceError::Closed),
            };
            if patience.is_some_and(|patience| waited >= patience) {
                return Err(SourceError::Busy);
            }
            self.pause(pause, shutdown).await?;
            waited = Span(waited.0.saturating_add(pause.0));
        }
    }

    /// Waits, unless it is told to stop.
    pub(super) async fn pause(&self, span: Span, shutdown: &CancellationToken) -> Result<(), SourceError> {
        tokio::select! {
            () = shutdown.cancelled() => Err(SourceError::Stopped),
            () = self.clock.sleep(span) => Ok(()),
        }
    }

    /// Keeps bytes that could not be decoded, for people to look at and to replay. Counts them even if they
    /// cannot be kept, which the error then says.
    pub async fn reject(&self, raw: &[u8], hint: Option<&str>, reason: String) -> Result<i64, SourceError> {
        self.counters.rejected(Reason::Undecodable, 1);
        self.keep(raw, hint, reason).await
    }

    pub(super) async fn keep(
        &self,
        raw: &[u8],
        hint: Option<&str>,
        reason: String,
    ) -> Result<i64, SourceError> {
        let rejected = NewRejected {
            source: self.name.to_string(),
            received_at: self.clock.now(),
            reason,
            type_hint: hint.map(str::to_owned),
            body: raw.to_vec(),
        };
        self.sink.reject(rejected).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::testing::Fixture;

    #[test]
    fn a_small_event_does_not_keep_a_large_body() {
        let intake = Fixture::new().intake();
        let event = |body: &Bytes, length: usize| {
            intake.decode(body.slice(..length), None, intake.clock.now()).unwrap()
        };
        let large = Bytes::from(format!("{:<60000}", "{\"id\":1}").into_bytes());
        let kept = detached(vec![event(&large, 8)], large.len());
        assert!(large.is_unique() && kept[0].event.raw == "{\"id\":1}");
        let tight = Bytes::from(b"{\"id\":1} ".to_vec());
        let kept = detached(vec![event(&tight, 8)], tight.len());
        assert!(!tight.is_unique(), "nothing is copied where little is won");
        drop(kept);
    }
}
