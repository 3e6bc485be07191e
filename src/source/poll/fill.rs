//! Filling gaps: what happened while nobody listened is asked for afterwards, and what cannot be asked for is named.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use tokio_util::sync::CancellationToken;

use super::config::Target;
use super::progress::NoteAs;
use super::round::Round;
use super::run::{Broken, JUDGED, Poller, Sweep};
use super::trouble::Trouble;
use crate::event::{Catalogue, Event, Extracted, Format, Plan};
use crate::log::{LogError, Reader, TimeRange};
use crate::source::SourceError;
use crate::store::{Gap, GapState};
use crate::time::{Span, Timestamp};

/// How far back it is looked for what a source brings that nobody can ask for.
const LOOK_BACK: Span = Span::days(7);
/// Of so many events.
const LOOK_AT: usize = 200_000;
/// So many types are named.
const NAMED: usize = 3;

impl Poller {
    /// Fills what is open for the sources that this one fills. The trouble that some targets are in, if any.
    pub(super) async fn fill_gaps(
        &mut self,
        targets: &[Target],
        shutdown: &CancellationToken,
    ) -> Result<Option<Trouble>, Broken> {
        if self.polled.fills.is_empty() {
            return Ok(None);
        }
        let gaps = self.sink.open_gaps(self.polled.fills.clone()).await?;
        let known = self.done.fills.len();
        self.done.fills.retain(|id, _| gaps.iter().any(|gap| gap.id == *id));
        if self.done.fills.len() < known {
            self.change();
        }
        let mut some = None;
        for gap in gaps {
            let not_yet = |trouble: &Trouble| (GapState::Open, format!("not yet: {trouble}"));
            let mut every = None;
            let (state, why) = match self.fill(&gap, targets, shutdown).await {
                Ok(Ok(settled)) => settled,
                Ok(Err(trouble)) => {
                    let settled = not_yet(&trouble);
                    some = some.or(Some(trouble));
                    settled
                }
                Err(Broken::Forge(trouble)) => {
                    let settled = not_yet(&trouble);
                    every = Some(trouble);
                    settled
                }
                Err(own) => return Err(own),
            };
            let stored = match self.done.fills.get_mut(&gap.id) {
                Some(filled) => std::mem::take(&mut filled.stored),
                None => 0,
            };
            if state != GapState::Open {
                self.done.fills.remove(&gap.id);
                tracing::info!(source = %gap.source, from = %gap.from, to = %gap.to, stored, "a gap was filled");
            }
            self.change();
            self.sink.settle_gap(gap.id, (state, stored, why), self.clock.now()).await?;
            self.save().await?;
            if let Some(trouble) = every {
                return Err(trouble.into());
            }
        }
        Ok(some)
    }

    /// Goes on where it was. A target in trouble does not hold up the others; while there is hope, the gap stays open:
    /// the trouble, as an error where every target is in it.
    async fn fill(
        &mut self,
        gap: &Gap,
        targets: &[Target],
        shutdown: &CancellationToken,
    ) -> Result<Result<(GapState, String), Trouble>, Broken> {
        // To both sides a little more: clocks differ, and what was under way at the stop may have been lost.
        let overlap = self.polled.overlap;
        let until = gap.to.plus(overlap).min(self.clock.now());
        let (mut round, mut refused) = (Round::default(), Vec::new());
        // Who asks for long ago wants to find it, not to be woken by it; what happened while it was stopped is judged.
        let judged_from = if gap.asked { self.clock.now().minus(JUDGED) } else { Timestamp::MIN };
        for target in targets {
            let done = self.done.fills.get(&gap.id).and_then(|filled| filled.until.get(&target.to_string()));
            let from = done.copied().unwrap_or(gap.from.minus(overlap));
            let sweep = Sweep { target, from, until, judged_from, note_as: NoteAs::Gap(gap.id) };
            let swept = match self.sweep(&sweep, shutdown).await {
                Err(Broken::Forge(trouble @ Trouble::Refused { .. })) if targets.len() > 1 => {
                    refused.push(format!("{target}: {trouble}"));
                    continue;
                }
                swept => swept,
            };
            if round.note(target, swept)?.is_break() {
                break;
            }
        }
        let has_good = round.has_good();
        if let Some(trouble) = round.trouble() {
            return if has_good { Ok(Err(trouble)) } else { Err(trouble.into()) };
        }
        let only_streamed = self.only_streamed(gap).await?;
        let asked: Vec<String> = self.polled.targets.iter().map(ToString::to_string).collect();
        let (mut state, blind) = blindness(&only_streamed);
        let mut why = format!("asked {} for {}; {blind}", self.name, asked.join(", "));
        if let Some(first) = refused.first() {
            state = GapState::Partly;
            why.push_str(&format!("; {} of {} refused, first {first}", refused.len(), targets.len()));
        }
        Ok(Ok((state, why)))
    }

    /// How many events of types that cannot be asked for the source brought in the week before, by type; none if it
    /// brought nothing at all.
    async fn only_streamed(&self, gap: &Gap) -> Result<Option<BTreeMap<String, u64>>, SourceError> {
        let Some(mut reader) = self.sink.reader()? else { return Ok(None) };
        let (source, from) = (gap.source.clone(), gap.from);
        let look = move || only_streamed(&mut reader, &source, from);
        match tokio::task::spawn_blocking(look).await {
            Ok(found) => Ok(found?),
            Err(join) => Err(SourceError::Task(join.to_string())),
        }
    }
}

fn only_streamed(
    reader: &mut Reader,
    source: &str,
    before: Timestamp,
) -> Result<Option<BTreeMap<String, u64>>, LogError> {
    let catalogue = Catalogue::built_in();
    let plan = Plan::new(Format::Gitlab, &["event_type".to_owned()], false);
    let mut extracted = Extracted::default();
    let mut kind = |event: &Event| {
        let text = std::str::from_utf8(&event.raw).ok()?;
        plan.extract(event, text, &catalogue, &mut extracted).ok()?;
        let known = catalogue.get(event.format, extracted.text(0, text)?)?;
        (!known.is_stored_by_forge).then(|| known.name.clone())
    };
    let (mut found, mut seen) = (BTreeMap::new(), 0_usize);
    let range = TimeRange { from: before.minus(LOOK_BACK), to: before };
    reader.newest_first(range, &mut |event| {
        if *event.source == *source && event.format == Format::Gitlab {
            seen += 1;
            if let Some(kind) = kind(&event) {
                *found.entry(kind).or_insert(0) += 1;
            }
        }
        if seen < LOOK_AT { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok((seen > 0).then_some(found))
}

/// What stays unseen although everything was asked for.
fn blindness(only_streamed: &Option<BTreeMap<String, u64>>) -> (GapState, String) {
    let Some(found) = only_streamed else {
        let why = "blind for the types that GitLab only streams (pushes, clones, approvals, …)";
        return (GapState::Partly, why.to_owned());
    };
    if found.is_empty() {
        let why = "of the types that GitLab only streams this source had brought none in the week before";
        return (GapState::Filled, why.to_owned());
    }
    let mut types: Vec<(&String, &u64)> = found.iter().collect();
    types.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    let named: Vec<String> =
        types.iter().take(NAMED).map(|(name, count)| format!("{name} ({count})")).collect();
    let more = types.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more types") } else { String::new() };
    let why = format!(
        "blind for what GitLab only streams; in the week before that were {}{more}",
        named.join(", ")
    );
    (GapState::Partly, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_unseen_is_told_in_words() {
        let found = [("a", 1), ("b", 30), ("c", 2), ("d", 1)].map(|(name, count)| (name.to_owned(), count));
        let (state, why) = blindness(&Some(found.into()));
        assert_eq!(state, GapState::Partly);
        assert_eq!(
            why,
            "blind for what GitLab only streams; in the week before that were b (30), c (2), a (1) and 1 more types"
        );
        assert_eq!(blindness(&Some(BTreeMap::new())).0, GapState::Filled);
        assert_eq!(blindness(&None).0, GapState::Partly);
    }
}
