//! Looking again and again: what happened since the last look, then what gaps miss.

use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHashSet;
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::board::Board;
use super::config::{Polled, Target};
use super::fetch::{Fetched, Pace, fetch};
use super::progress::{NoteAs, Progress};
use super::round::{Resting, Round};
use super::targets::{self, Listing};
use super::trouble::Trouble;
use crate::clock::Clock;
use crate::decode::DecodeError;
use crate::deliver::{delay_forever, with_wish};
use crate::event::{Format, PAST};
use crate::source::SourceError;
use crate::source::intake::{Context, Intake};
use crate::source::past::{Added, Past};
use crate::source::sink::Sink;
use crate::time::{Span, Timestamp};

/// When to try again after what a person must put right.
pub(super) const REFUSED_PAUSE: Span = Span::minutes(5);
/// How often it is looked for new groups and projects.
const TARGETS_KEPT: Span = Span::hours(1);
/// The log itself knows what arrived in this time.
const RECENT: Span = Span::hours(1);
/// What the first look or somebody's wish brings from further back is past: rules learn from it, and raise no alerts.
pub(super) const JUDGED: Span = Span::days(7);
/// Events that could not be decoded, and are not kept a second time.
const REFUSED_MAX: usize = 1_000;

/// Asks one GitLab.
pub struct Poller {
    pub(super) access: Access,
    pub(super) polled: Polled,
    pub(super) name: Arc<str>,
    pub(super) clock: Clock,
    pub(super) sink: Sink,
    board: Board,
    past: Past,
    /// For what is too old for alerts.
    old: Past,
    pub(super) done: Progress,
    /// When that was saved last; none while nothing has changed since.
    pub(super) changed_since: Option<Timestamp>,
    targets: Option<(Timestamp, Listing)>,
    /// With which of the targets a look begins.
    begin: usize,
    resting: Resting,
    refused: FxHashSet<blake3::Hash>,
}

/// A time to be fetched.
pub(super) struct Sweep<'a> {
    pub(super) target: &'a Target,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    /// What happened before this is past.
    pub(super) judged_from: Timestamp,
    pub(super) note_as: NoteAs,
}

/// Why a look ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Forge(#[from] Trouble),
    #[error(transparent)]
    Own(#[from] SourceError),
}

impl Poller {
    /// Asks for this source.
    #[must_use]
    pub fn new(polled: Polled, intake: Intake, context: &Context) -> Self {
        let board = context.metrics.polls().clone();
        let (name, clock) = (Arc::clone(&intake.name), context.clock.clone());
        let forge = intake.forge().cloned();
        let old = Past::new(format!("{PAST}{name}").into(), forge, Some(Format::Gitlab), context);
        Self {
            access: Access::new(polled.clone(), Arc::clone(&name), clock.clone(), board.clone()),
            sink: intake.sink.clone(),
            past: Past::over(intake),
            old,
            polled,
            name,
            clock,
            board,
            done: Progress::default(),
            changed_since: None,
            targets: None,
            begin: 0,
            resting: Resting::default(),
            refused: FxHashSet::default(),
        }
    }

    /// Looks until told to stop. What goes wrong is told and tried again.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), SourceError> {
        let mut attempt = 0;
        let mut is_resumed = false;
        loop {
            let look = async {
                if !is_resumed {
                    self.resume().await?;
                    is_resumed = true;
                }
                self.look(&shutdown).await
            };
            // Whatever it is at, it may be broken off: what is in the log and not noted is asked for again.
            let looked = tokio::select! {
                looked = look => Some(looked),
                () = shutdown.cancelled() => None,
            };
            let Some(looked) = looked else {
                if let Err(error) = self.save().await {
                    tracing::warn!(source = %self.name, %error, "it could not be saved how far the API was asked");
                }
                return Ok(());
            };
            let pause = match looked {
                Ok(()) => {
                    attempt = 0;
                    self.polled.every
                }
                Err(Broken::Own(SourceError::Stopped)) => return Ok(()),
                Err(Broken::Own(SourceError::Closed)) => return Err(SourceError::Closed),
                Err(broken) => {
                    attempt += 1;
                    self.pause(&broken, attempt)
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = self.clock.sleep(pause) => {}
            }
        }
    }

    fn pause(&self, broken: &Broken, attempt: u32) -> Span {
        let own = delay_forever(attempt, rand::random());
        match broken {
            Broken::Own(error) => {
                tracing::error!(source = %self.name, %error, "what the API gives cannot be stored; it will be tried again");
                own
            }
            Broken::Forge(trouble) => {
                self.board.looked(&self.name, Some(trouble), self.clock.now());
                match trouble {
                    Trouble::Limited { after, .. } | Trouble::Failing { after, .. } => with_wish(own, *after),
                    Trouble::Refused { .. } => REFUSED_PAUSE,
                    Trouble::Lying { .. } => own.max(self.polled.every),
                }
            }
        }
    }

    /// One look at everything. A target in trouble does not hold up the others; an error only where none is well.
    async fn look(&mut self, shutdown: &CancellationToken) -> Result<(), Broken> {
        let looked = self.look_around(shutdown).await;
        self.save().await?;
        looked
    }

    async fn look_around(&mut self, shutdown: &CancellationToken) -> Result<(), Broken> {
        if self.access.refresh()? {
            self.resting.clear();
        }
        let listing = self.listing().await?;
        self.forget_gone(&listing);
        let (mut targets, mut round) = (listing.targets, Round::default());
        // Where GitLab was in trouble the last time, others come first now.
        let begin = self.begin.min(targets.len());
        targets.rotate_left(begin);
        self.begin = 0;
        if !self.polled.only_fills {
            for (index, target) in targets.iter().enumerate() {
                let now = self.clock.now();
                let done = match self.resting.of(target, now) {
                    Some(trouble) => Err(trouble.into()),
                    None => self.catch_up(target, shutdown).await,
                };
                if targets.len() > 1 && self.resting.of(target, now).is_none() {
                    self.resting.note(target, &done, now);
                }
                if round.note(target, done)?.is_break() {
                    self.begin = (begin + index + 1) % targets.len();
                    break;
                }
            }
        }
        self.save().await?;
        let (has_good, trouble) = (round.has_good(), round.trouble().or(listing.trouble));
        if !self.polled.only_fills && trouble.is_none() {
            let complete = targets.iter().filter_map(|target| self.done.until.get(&target.to_string())).min();
            complete.inspect(|until| self.board.complete(&self.name, **until));
        }
        if let Some(trouble) = &trouble
            && !has_good
            && !self.polled.only_fills
        {
            return Err(trouble.clone().into());
        }
        let unfilled = self.fill_gaps(&targets, shutdown).await?;
        self.board.looked(&self.name, trouble.or(unfilled).as_ref(), self.clock.now());
        Ok(())
    }

    async fn listing(&mut self) -> Result<Listing, Broken> {
        let now = self.clock.now();
        if let Some((at, listing)) = &self.targets {
            let kept = if listing.trouble.is_none() { TARGETS_KEPT } else { REFUSED_PAUSE };
            if now.since(*at) < kept {
                return Ok(listing.clone());
            }
        }
        let before = self.targets.as_ref().map(|(_, listing)| listing);
        let listing = targets::all(&self.access, &self.polled.targets, before).await?;
        self.targets = Some((now, listing.clone()));
        Ok(listing)
    }

    /// Fetches what happened since the last look, and notes each piece as done once the log has it.
    async fn catch_up(&mut self, target: &Target, shutdown: &CancellationToken) -> Result<(), Broken> {
        let until = seconds(self.access.now());
        let name = target.to_string();
        let from = match self.done.until.get(&name) {
            // Noted by a clock that was ahead: what happened since is dated earlier.
            Some(done) => (*done).min(until).minus(self.polled.overlap),
            None => until.minus(self.polled.since),
        };
        let judged_from = *self.done.judged_from.get_or_insert(until.minus(JUDGED));
        let sweep = Sweep { target, from, until, judged_from, note_as: NoteAs::Look };
        self.sweep(&sweep, shutdown).await?;
        Ok(())
    }

    /// Fetches all of a time, piece by piece, oldest first.
    pub(super) async fn sweep(
        &mut self,
        sweep: &Sweep<'_>,
        shutdown: &CancellationToken,
    ) -> Result<(), Broken> {
        let (mut from, until) = (seconds(sweep.from), seconds(sweep.until));
        let mut pace = Pace::default();
        while from < until {
            let end = pace.end(from, until);
            let (objects, end) = match fetch(&self.access, sweep.target, (from, end)).await? {
                Fetched::TooMany(oldest) => {
                    pace.too_many((from, end), oldest);
                    continue;
                }
                Fetched::Beginning(objects, marks) => {
                    let end = marks.last().copied().unwrap_or(end);
                    pace.began(marks);
                    (objects, end)
                }
                Fetched::All(objects) => {
                    pace.fitted();
                    (objects, end)
                }
            };
            let added = self.store(objects, sweep.judged_from, shutdown).await?;
            self.note(sweep, end, added).await?;
            from = end;
        }
        Ok(())
    }

    async fn store(
        &mut self,
        objects: Vec<Bytes>,
        judged_from: Timestamp,
        shutdown: &CancellationToken,
    ) -> Result<Added, SourceError> {
        let (now, mut old, mut events) = (self.clock.now(), Vec::new(), Vec::new());
        let (intake, past) = (self.past.intake().clone(), self.old.intake().clone());
        for object in objects {
            match intake.decode(object.clone(), None, now) {
                Ok(new) if new.event.time < judged_from => old.extend(past.decode(object, None, now)),
                Ok(new) => events.push(new),
                Err(error) => self.refuse(&intake, &object, &error).await?,
            }
        }
        let mut added = self.old.add(old, shutdown).await?;
        if events.iter().any(|new| now.since(new.event.time) > RECENT) {
            added += self.past.add(events, shutdown).await?;
        } else {
            events.sort_by_key(|new| new.event.time);
            let receipt = intake.append_waiting(&events, shutdown).await?;
            added += Added { stored: receipt.stored, duplicates: receipt.duplicates };
        }
        Ok(added)
    }

    /// Keeps what could not be decoded, once: each look that overlaps brings it again.
    async fn refuse(
        &mut self,
        intake: &Intake,
        object: &Bytes,
        error: &DecodeError,
    ) -> Result<(), SourceError> {
        if self.refused.len() >= REFUSED_MAX {
            self.refused.clear();
        }
        if self.refused.insert(blake3::hash(object)) {
            intake.reject(object, None, error.to_string()).await?;
        }
        Ok(())
    }
}

/// Whole seconds, as the API wants them.
pub(super) fn seconds(time: Timestamp) -> Timestamp {
    Timestamp(time.0.div_euclid(1000) * 1000)
}
