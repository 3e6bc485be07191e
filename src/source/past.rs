//! Events that come long after they happened: from files of the past, and from a forge that was asked for what was
//! missed.
//!
//! The log itself knows the keys of what arrived lately, and those of sealed segments that have events of the very
//! same time. That is not enough here: an export gives whole seconds, an import may bring more than the log keeps keys
//! of before it is sealed, and a later version may make keys by other rules. So what comes from further back is
//! compared with what the log has of the same time.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use tokio_util::sync::CancellationToken;

use super::SourceError;
use super::intake::{Context, Intake};
use crate::decode::{Origin, decode_from};
use crate::event::{Event, Format};
use crate::log::{LogError, NewEvent, Reader, TimeRange};
use crate::time::{Span, Timestamp};

/// How many events are appended in one go.
const BATCH: usize = 4096;

/// A way into the log on which nothing is stored that is there already, however long ago it came.
#[derive(Debug, Clone)]
pub struct Past {
    intake: Intake,
    /// How long it waits while the log takes nothing; none: for ever.
    patience: Option<Span>,
}

/// What became of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Added {
    /// New, and on disk now.
    pub stored: u64,
    /// In the log already, or twice among them.
    pub duplicates: u64,
}

impl std::ops::AddAssign for Added {
    fn add_assign(&mut self, other: Self) {
        self.stored += other.stored;
        self.duplicates += other.duplicates;
    }
}

impl Past {
    /// The way in for events under this name, of this forge or of the one that is called as their format is, in this
    /// format or each in its own.
    #[must_use]
    pub fn new(name: Arc<str>, forge: Option<Arc<str>>, format: Option<Format>, context: &Context) -> Self {
        Self::over(Intake::named(name, forge, format, context))
    }

    /// The same over a source's own way in.
    #[must_use]
    pub const fn over(intake: Intake) -> Self {
        Self { intake, patience: None }
    }

    /// The same for a caller who waits for an answer.
    #[must_use]
    pub fn within(self, patience: Span) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// The way in without the comparison.
    #[must_use]
    pub const fn intake(&self) -> &Intake {
        &self.intake
    }

    /// Stores what is not there yet, in the order of time; returns when it is on disk. What is stored when it is
    /// interrupted is known the next time.
    ///
    /// # Errors
    /// When the log cannot be read, is closed, or it is told to stop while it waits.
    pub async fn add(
        &self,
        mut events: Vec<NewEvent>,
        shutdown: &CancellationToken,
    ) -> Result<Added, SourceError> {
        events.sort_by_key(|new| new.event.time);
        let known = self.known(&events).await?;
        let before = events.len();
        events.retain(|new| !known.contains(&new.dedupe));
        let mut added = Added { stored: 0, duplicates: (before - events.len()) as u64 };
        self.intake.counters.appended(0, added.duplicates, self.intake.clock.now());
        for batch in events.chunks(BATCH) {
            let receipt = self.intake.append_within(self.patience, batch, shutdown).await?;
            added += Added { stored: receipt.stored, duplicates: receipt.duplicates };
        }
        Ok(added)
    }

    /// The keys of these events that the log has.
    async fn known(&self, events: &[NewEvent]) -> Result<FxHashSet<u128>, SourceError> {
        let Some(range) = range(events) else { return Ok(FxHashSet::default()) };
        let Some(mut reader) = self.intake.sink.reader()? else { return Ok(FxHashSet::default()) };
        let asked: FxHashSet<u128> = events.iter().map(|new| new.dedupe).collect();
        let look = move || stored(&mut reader, range, &asked);
        match tokio::task::spawn_blocking(look).await {
            Ok(found) => Ok(found?),
            Err(join) => Err(SourceError::Task(join.to_string())),
        }
    }
}

/// The time of these events, in whole seconds: more exact the same event is not written everywhere.
fn range(events: &[NewEvent]) -> Option<TimeRange> {
    let second = |time: Timestamp| Timestamp(time.0.div_euclid(1000) * 1000);
    let (first, last) = (events.first()?.event.time, events.last()?.event.time);
    Some(TimeRange { from: second(first), to: second(last).plus(Span::seconds(1)) })
}

fn stored(
    reader: &mut Reader,
    range: TimeRange,
    asked: &FxHashSet<u128>,
) -> Result<FxHashSet<u128>, LogError> {
    let mut found = FxHashSet::default();
    reader.newest_first(range, &mut |event| {
        if let Some(key) = key(event).filter(|key| asked.contains(key)) {
            found.insert(key);
        }
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// The key of a stored event. Not asked of the log: it forgets keys, and may have made them by other rules.
fn key(event: Event) -> Option<u128> {
    let Event { format, source, forge, raw, type_hint, received_at, .. } = event;
    let origin = Origin { source: &source, forge: &forge };
    decode_from(format, origin, raw, type_hint.as_deref(), received_at).ok().map(|decoded| decoded.dedupe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::log::{Log, LogOptions};
    use crate::source::testing::Fixture;
    use crate::source::{Context, Sink};
    use crate::store::Store;

    const NOW: &str = "2026-03-02T12:00:00Z";

    /// A log in a folder that knows keys for an hour only.
    fn durable(dir: &std::path::Path, clock: &Clock) -> (Log, Context) {
        let options = LogOptions { dedupe_horizon: Span::hours(1), ..LogOptions::default() };
        let log = Log::open(dir, options, clock.clone()).unwrap();
        let sink = Sink::new(log.clone(), Store::open(dir).unwrap());
        (log, Context { sink, clock: clock.clone(), ..Fixture::new().context })
    }

    fn events(intake: &Intake, days: &[i64]) -> Vec<NewEvent> {
        let start = Timestamp::parse("2026-01-01").unwrap();
        let event = |day: &i64| {
            let time = start.plus(Span::days(*day));
            let raw = format!(
                r#"{{"id":{day},"author_id":1,"entity_id":2,"created_at":"{time}","event_type":"user_created"}}"#
            );
            intake.decode(raw.into(), None, intake.clock.now()).unwrap()
        };
        days.iter().map(event).collect()
    }

    #[tokio::test]
    async fn what_was_stored_long_ago_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(Timestamp::parse(NOW).unwrap());
        let (log, context) = durable(dir.path(), &clock);
        let live = Intake::named("gitlab".into(), None, Some(Format::Gitlab), &context);
        live.append(events(&live, &[1, 2, 3])).await.unwrap();
        clock.set(clock.now().plus(Span::days(40)));
        live.append(events(&live, &[50])).await.unwrap();
        log.close().await;
        drop((log, live, context));

        let (log, context) = durable(dir.path(), &clock);
        let past = Past::new("past/import".into(), None, Some(Format::Gitlab), &context);
        let stop = CancellationToken::new();
        let batch = events(past.intake(), &[4, 3, 2, 9, 4]);
        assert_eq!(past.add(batch, &stop).await.unwrap(), Added { stored: 2, duplicates: 3 });
        clock.set(clock.now().plus(Span::days(1)));
        let again = events(past.intake(), &[1, 2, 3, 4, 9]);
        assert_eq!(past.add(again, &stop).await.unwrap(), Added { stored: 0, duplicates: 5 });
        assert_eq!(past.intake().counters.totals(), (10, 2, 8));
        let mut order = Vec::new();
        for entry in log.reader().unwrap().read_after(0, 100).unwrap() {
            if let crate::event::Entry::Event(event) = entry {
                order.push((event.source.to_string(), event.time.to_string().get(..10).unwrap().to_owned()));
            }
        }
        let expected = [
            ("gitlab", "2026-01-02"),
            ("gitlab", "2026-01-03"),
            ("gitlab", "2026-01-04"),
            ("gitlab", "2026-02-20"),
            ("past/import", "2026-01-05"),
            ("past/import", "2026-01-10"),
        ];
        assert_eq!(order, expected.map(|(source, day)| (source.to_owned(), day.to_owned())));
    }

    /// Whoever holds the token of another source knows what ids come next, and sends them first.
    #[tokio::test]
    async fn decoys_of_another_forge_neither_keep_an_event_out_nor_are_kept_out() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(Timestamp::parse(NOW).unwrap());
        let (log, context) = durable(dir.path(), &clock);
        let named = |source: &str, forge: &str| {
            Intake::named(source.into(), Some(forge.into()), Some(Format::Gitlab), &context)
        };
        let (decoys, gitlab, rails) =
            (named("ci", "ci"), named("gitlab", "gitlab"), named("rails", "gitlab"));
        assert_eq!(decoys.append(events(&decoys, &[60, 61])).await.unwrap().stored, 2);
        assert_eq!(gitlab.append(events(&gitlab, &[60, 61])).await.unwrap().stored, 2);
        assert_eq!(
            rails.append(events(&rails, &[60, 61])).await.unwrap().duplicates,
            2,
            "one forge, two forms"
        );
        assert_eq!(decoys.append(events(&decoys, &[60])).await.unwrap().duplicates, 1);

        let stop = CancellationToken::new();
        let past = |source: &str, forge: &str| {
            Past::new(source.into(), Some(forge.into()), Some(Format::Gitlab), &context)
        };
        let decoys = past("past/ci", "ci");
        assert_eq!(decoys.add(events(decoys.intake(), &[1, 60]), &stop).await.unwrap().stored, 1);
        let import = past("past/import", "gitlab");
        let added = import.add(events(import.intake(), &[1, 60]), &stop).await.unwrap();
        assert_eq!(added, Added { stored: 1, duplicates: 1 });

        let forges: Vec<(String, String)> = (log.reader().unwrap().read_after(0, 100).unwrap().into_iter())
            .filter_map(|entry| match entry {
                crate::event::Entry::Event(event) => {
                    Some((event.source.to_string(), event.forge.to_string()))
                }
                crate::event::Entry::Tick { .. } => None,
            })
            .collect();
        assert_eq!(forges.len(), 6);
        assert!(
            forges
                .iter()
                .all(|(source, forge)| forge == if source.ends_with("ci") { "ci" } else { "gitlab" })
        );
    }

    #[tokio::test]
    async fn nothing_is_nothing() {
        let past = Past::new("past/import".into(), None, None, &Fixture::new().context);
        assert_eq!(past.add(Vec::new(), &CancellationToken::new()).await.unwrap(), Added::default());
    }
}
