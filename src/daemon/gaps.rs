//! When nobody listened: each stop of the daemon is a gap in the record, with a begin and an end.
//!
//! A running daemon says every half a minute that it is there. At the next start the time since then is the gap; who
//! can be asked afterwards, is asked.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::event::Entry;
use crate::log::{Log, LogError};
use crate::source::{Input, Source};
use crate::store::{GapState, NewGap, Store, StoreError};
use crate::time::{Span, Timestamp};

/// How often it is noted that the daemon is there.
const BEAT: Span = Span::seconds(30);
/// How much later it may come on a busy machine.
const BEAT_LATE: Span = Span::seconds(5);
/// The name of that note among the checkpoints.
const NOTE: &str = "daemon/alive";
/// A shorter stop is none: senders try longer than that to connect.
const SHORTEST: Span = Span::seconds(1);
/// With a socket that stays open meanwhile, senders wait: GitLab for 20 s (`gitlab-http`: `read_timeout`).
const SHORTEST_HELD: Span = Span::seconds(15);

/// After a clock was set back, a gap is taken to be as long as that step, and no longer than this.
const LONGEST_UNKNOWN: Span = Span::days(1);

/// That the daemon was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Alive {
    at: Timestamp,
    /// Whether it stopped then, rather than only having said so last.
    stopped: bool,
}

/// Keeps the gap since the daemon was last there, for every source that could not be heard meanwhile. `now` is when
/// they are heard again.
pub(super) fn note_gap(
    (store, log): (&Store, &Log),
    sources: &[Source],
    now: Timestamp,
    is_held: bool,
) -> Result<(), GapError> {
    settle_hopeless(store, sources, now)?;
    let Some(alive) = store.checkpoint(NOTE)?.and_then(|bytes| serde_json::from_slice::<Alive>(&bytes).ok())
    else {
        return Ok(());
    };
    let from = if alive.stopped { alive.at } else { last_heard(log, alive.at, sources)? };
    let shortest = if is_held { SHORTEST_HELD } else { SHORTEST };
    let passed = now.since(from);
    // The other way round is more than drift: the clock was set back, and the length of the stop is lost.
    let is_unknown = passed <= Span(-SHORTEST.0);
    if passed < shortest && !is_unknown {
        return Ok(());
    }
    let from = if is_unknown { now.minus(Span(-passed.0).min(LONGEST_UNKNOWN)) } else { from };
    for source in sources {
        let Some((state, why)) = prospect(source, sources) else { continue };
        let why = if is_unknown { format!("{why}; {SET_BACK}") } else { why.to_owned() };
        let gap = NewGap {
            source: source.name.to_string(),
            from,
            to: now,
            asked: false,
            state,
            why: Some(why.clone()),
        };
        store.gap_add(&gap, now)?;
        tracing::warn!(source = %source.name, %from, to = %now, state = state.name(), "events of this time were missed: {why}");
    }
    Ok(())
}

/// Why a gap could not be noted.
#[derive(Debug, thiserror::Error)]
pub(super) enum GapError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Open gaps that nobody fills any more.
fn settle_hopeless(store: &Store, sources: &[Source], now: Timestamp) -> Result<(), StoreError> {
    for gap in store.gaps_open()? {
        if !is_filled(&gap.source, sources) {
            store.gap_settle(gap.id, (GapState::Blind, 0, NOBODY), now)?;
        }
    }
    Ok(())
}

/// Until when the daemon that said last at `alive` that it was there took events: when the last entry of the log arrived,
/// if that was before it would have said so again, and from one of its sources. An import needs no daemon, and may bring
/// a source's events long after.
fn last_heard(log: &Log, alive: Timestamp, sources: &[Source]) -> Result<Timestamp, LogError> {
    let before = log.position().saturating_sub(1);
    let last = log.reader()?.read_after(before, 1)?.pop();
    let arrived = match last {
        Some(Entry::Event(event)) if sources.iter().any(|source| source.name == event.source) => {
            event.received_at
        }
        Some(Entry::Tick { at, .. }) => at,
        _ => alive,
    };
    let is_near = arrived.since(alive) <= Span(BEAT.0 + BEAT_LATE.0);
    Ok(if is_near { alive.max(arrived) } else { alive })
}

const SET_BACK: &str =
    "the clock was set back meanwhile, so its length is not known, and taken to be that of the step";

const NOBODY: &str = "nobody can be asked: no source of type gitlab_api has it among `fills`";

fn is_filled(name: &str, sources: &[Source]) -> bool {
    sources.iter().any(|source| match &source.input {
        Input::Api(polled) => polled.fills.iter().any(|filled| **filled == *name),
        _ => false,
    })
}

/// What can become of a gap of this source; none if it reads on by itself where it left off.
fn prospect(source: &Source, sources: &[Source]) -> Option<(GapState, &'static str)> {
    match &source.input {
        Input::File(_) | Input::Stdin | Input::Api(_) => None,
        _ if is_filled(&source.name, sources) => Some((GapState::Open, "to be filled from the API")),
        Input::Gitlab { .. } => Some((GapState::Blind, NOBODY)),
        Input::Http { .. } => Some((
            GapState::Blind,
            "what its sender does not send again is missing: Watchfire has nobody to ask",
        )),
    }
}

/// Says again and again that the daemon is there.
pub(super) async fn beat(store: Store, clock: Clock, stop: CancellationToken) {
    loop {
        note(&store, clock.now(), false).await;
        tokio::select! {
            () = clock.sleep(BEAT) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Says that the daemon stops now.
pub(super) async fn note_stop(store: &Store, now: Timestamp) {
    note(store, now, true).await;
}

/// A note that cannot be written makes the next gap begin earlier, no more.
async fn note(store: &Store, at: Timestamp, stopped: bool) {
    let bytes = serde_json::to_vec(&Alive { at, stopped }).unwrap_or_default();
    let store = store.clone();
    let written = tokio::task::spawn_blocking(move || store.set_checkpoint(NOTE, &bytes)).await;
    if let Ok(Err(error)) = written {
        tracing::warn!(%error, "it could not be noted that the daemon is there");
    }
}

/// How many gaps there are; read when somebody asks.
#[derive(Debug)]
pub(super) struct GapMetrics(pub(super) Store);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

/// From how many gaps, and how many milliseconds they took together, to what is shown.
type Figure = fn(u64, u64) -> u64;

impl Collector for GapMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        // A store that cannot be read is reported by detection; here it only has no figures.
        let Ok(totals) = self.0.gap_totals() else { return Ok(()) };
        let figures: [(&str, &str, Figure); 2] = [
            ("gaps", "Stops of the daemon, by what is known of their time", |count, _| count),
            ("gap_seconds", "How long these were together", |_, length| length / 1000),
        ];
        for (name, help, figure) in figures {
            let kind = ConstGauge::new(0_u64).metric_type();
            let mut descriptor = encoder.encode_descriptor(name, help, None, kind)?;
            for (state, count, length) in totals {
                let label = StateLabel { state: state.name() };
                ConstGauge::new(figure(count, length)).encode(descriptor.encode_family(&label)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Format};
    use crate::log::{LogOptions, NewEvent};
    use crate::source::{Polled, Target, Tokens};

    const NOW: Timestamp = Timestamp(1_770_000_000_000);

    fn sources(fills: &[&str]) -> Vec<Source> {
        let endpoint = || Input::Gitlab { path: "/in".into(), tokens: Tokens::default() };
        let polled = Polled {
            url: "http://127.0.0.1:1".into(),
            token: (crate::deliver::SecretRef::Env("T".into()), "".into(), None),
            targets: vec![Target::Instance],
            every: Span::minutes(1),
            overlap: Span::minutes(10),
            since: Span::days(1),
            fills: fills.iter().map(|name| (*name).into()).collect(),
            only_fills: false,
            ca: None,
            timeout: Span::seconds(1),
        };
        let source = |name: &str, input| Source {
            name: name.into(),
            forge: "gitlab".into(),
            format: Some(Format::Gitlab),
            input,
        };
        vec![
            source("gitlab", endpoint()),
            source("other", endpoint()),
            source("tools", Input::Http { path: "/t".into(), tokens: Tokens::default() }),
            source("rails", Input::File("x".into())),
            source("api", Input::Api(Box::new(polled))),
        ]
    }

    #[tokio::test]
    async fn the_time_since_it_was_last_there_is_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(NOW);
        let log = Log::open(dir.path(), LogOptions::default(), clock).unwrap();
        let store = Store::open(dir.path()).unwrap();
        let note_gap = |now, is_held| note_gap((&store, &log), &sources(&["gitlab"]), now, is_held).unwrap();
        note_gap(NOW, false);
        assert_eq!(store.gaps(0).unwrap(), [], "the first start follows on nothing");

        note_stop(&store, NOW).await;
        note_gap(NOW.plus(Span::millis(999)), false);
        note_gap(NOW.plus(Span::seconds(14)), true);
        assert_eq!(store.gaps(0).unwrap(), [], "nobody missed anything");
        note_gap(NOW.plus(Span::minutes(5)), false);
        let mut gaps = store.gaps(0).unwrap();
        gaps.sort_by_key(|gap| gap.id);
        let found: Vec<(&str, GapState)> = gaps.iter().map(|gap| (gap.source.as_str(), gap.state)).collect();
        assert_eq!(
            found,
            [("gitlab", GapState::Open), ("other", GapState::Blind), ("tools", GapState::Blind)]
        );
        assert_eq!((gaps[0].from, gaps[0].to), (NOW, NOW.plus(Span::minutes(5))));
    }

    #[tokio::test]
    async fn a_crash_is_a_gap_from_what_was_heard_last() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(NOW.plus(Span::seconds(20)));
        let log = Log::open(dir.path(), LogOptions::default(), clock).unwrap();
        let store = Store::open(dir.path()).unwrap();
        note(&store, NOW, false).await;
        log.tick(NOW.plus(Span::seconds(12))).await.unwrap();
        note_gap((&store, &log), &sources(&[]), NOW.plus(Span::minutes(1)), false).unwrap();
        let gap = &store.gaps(0).unwrap()[0];
        assert_eq!((gap.from, gap.state), (NOW.plus(Span::seconds(12)), GapState::Blind));
    }

    #[tokio::test]
    async fn what_was_imported_after_a_crash_hides_no_gap() {
        for (source, after) in [("gitlab", Span::minutes(30)), ("other-forge", Span::seconds(20))] {
            let dir = tempfile::tempdir().unwrap();
            let log = Log::open(dir.path(), LogOptions::default(), Clock::fixed(NOW)).unwrap();
            let store = Store::open(dir.path()).unwrap();
            note(&store, NOW, false).await;
            let event = Event {
                position: 0,
                received_at: NOW.plus(after),
                time: NOW.minus(Span::days(3)),
                source: source.into(),
                forge: "gitlab".into(),
                format: Format::Gitlab,
                type_hint: None,
                raw: "{}".into(),
            };
            log.append(vec![NewEvent { event, dedupe: 1 }]).await.unwrap();
            note_gap((&store, &log), &sources(&["gitlab"]), NOW.plus(Span::minutes(31)), false).unwrap();
            assert!(store.gaps(0).unwrap().iter().all(|gap| gap.from == NOW), "{source}");
        }
    }

    #[tokio::test]
    async fn what_nobody_fills_any_more_does_not_stay_open() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), LogOptions::default(), Clock::fixed(NOW)).unwrap();
        let store = Store::open(dir.path()).unwrap();
        note_stop(&store, NOW).await;
        note_gap((&store, &log), &sources(&["gitlab"]), NOW.plus(Span::minutes(1)), false).unwrap();
        assert_eq!(store.gaps_open().unwrap().len(), 1);
        note_gap((&store, &log), &sources(&[]), NOW.plus(Span::minutes(1)), false).unwrap();
        assert_eq!(store.gaps_open().unwrap(), []);
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_leaves_a_gap_of_unknown_length() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), LogOptions::default(), Clock::fixed(NOW)).unwrap();
        let store = Store::open(dir.path()).unwrap();
        note_stop(&store, NOW).await;
        let note_gap = |now| note_gap((&store, &log), &sources(&["gitlab"]), now, false).unwrap();
        note_gap(NOW.minus(Span::millis(999)));
        assert_eq!(store.gaps(0).unwrap(), [], "clocks are trimmed all the time");
        let now = NOW.minus(Span::hours(2));
        note_gap(now);
        let mut gaps = store.gaps(0).unwrap();
        gaps.sort_by_key(|gap| gap.id);
        assert_eq!(gaps.len(), 3);
        assert_eq!(
            (gaps[0].from, gaps[0].to, gaps[0].state),
            (now.minus(Span::hours(2)), now, GapState::Open)
        );
        assert!(gaps[0].why.as_deref().unwrap().contains("set back"), "{:?}", gaps[0].why);
    }
}
