//! Judging entries of the log: found on all cores what they mean, judged in order on the caller's thread.

use std::sync::Arc;

use crate::engine::{Effects, Engine, Hits, Meaning, RuleSet};
use crate::event::{Entry, Position};
use crate::pipeline::{Pipeline, PipelineError};

/// With fewer entries than this nobody else is asked: an event that comes alone shall not wait for threads.
const FEW: usize = 1024;
/// How many entries go to a thread at once.
const CHUNK: usize = 512;
/// More threads than this find nothing to do: there is one that judges.
const THREADS_MAX: usize = 16;

/// The threads that match. They are started when they are needed first.
pub(super) struct Matching {
    pipeline: Option<Pipeline<Job, Matched>>,
    hits: Hits,
    start: fn() -> Result<Pipeline<Job, Matched>, PipelineError>,
}

impl Default for Matching {
    fn default() -> Self {
        Self { pipeline: None, hits: Hits::default(), start: || Pipeline::new(threads(), worker) }
    }
}

struct Job {
    rules: Arc<RuleSet>,
    entries: Vec<Entry>,
}

struct Matched {
    entries: Vec<Entry>,
    meanings: Vec<Option<Box<Meaning>>>,
}

impl Matching {
    /// Judges those of these entries that are not behind `until`, in order; false if there are none at all.
    pub(super) fn judge_until(
        &mut self,
        until: Position,
        mut entries: Vec<Entry>,
        engine: &mut Engine,
        effects: &mut Effects,
    ) -> Result<bool, PipelineError> {
        entries.retain(|entry| entry.position() <= until);
        let are_some = !entries.is_empty();
        self.judge(entries, engine, effects)?;
        Ok(are_some)
    }

    /// Judges these entries, in order. Where the system gives no threads, the caller's does it all.
    pub(super) fn judge(
        &mut self,
        entries: Vec<Entry>,
        engine: &mut Engine,
        effects: &mut Effects,
    ) -> Result<(), PipelineError> {
        if entries.len() < FEW {
            entries.iter().for_each(|entry| engine.handle(entry, effects));
            return Ok(());
        }
        let rules = Arc::clone(engine.rules());
        let pipeline = match &mut self.pipeline {
            Some(pipeline) => pipeline,
            none => match (self.start)() {
                Ok(started) => none.insert(started),
                Err(PipelineError::Spawn(error)) => {
                    tracing::warn!(%error, "no threads to match with; one does it all, slower");
                    entries.iter().for_each(|entry| engine.handle(entry, effects));
                    return Ok(());
                }
                Err(error) => return Err(error),
            },
        };
        let mut entries = entries.into_iter();
        loop {
            while !pipeline.is_full() {
                let chunk: Vec<Entry> = entries.by_ref().take(CHUNK).collect();
                if chunk.is_empty() {
                    break;
                }
                pipeline.send(Job { rules: Arc::clone(&rules), entries: chunk })?;
            }
            let Some(Matched { entries, meanings }) = pipeline.receive()? else { return Ok(()) };
            for (entry, meaning) in entries.iter().zip(meanings) {
                match entry {
                    Entry::Event(event) => {
                        self.hits.put(meaning, event.position);
                        engine.judge(event, &self.hits, effects);
                    }
                    tick @ Entry::Tick { .. } => engine.handle(tick, effects),
                }
            }
        }
    }
}

/// One for each core; on one core, the caller's.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
}

/// Matches entries; what it remembers is only good for one set of rules.
fn worker() -> impl FnMut(Job) -> Matched + Send + 'static {
    let mut hits = Hits::default();
    let mut known: Option<Arc<RuleSet>> = None;
    move |Job { rules, entries }| {
        if known.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &rules)) {
            hits.reset();
            known = Some(Arc::clone(&rules));
        }
        let meanings = rules.meanings(&entries, &mut hits);
        Matched { entries, meanings }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::engine::{Environment, Limits, compile};
    use crate::event::{Catalogue, Event, Format};
    use crate::rule::{Lists, RuleFile, load};
    use crate::script::{Cage, ListTable};
    use crate::time::{Span, Timestamp};

    const RULES: &str = "
title: Much
id: much
detection: {sel: {event_type: login}, condition: sel}
behavior: {by: author, within: 1m, at_least: 3}
---
title: Strange
id: strange
detection: {sel: {note|contains: strange}, condition: sel}
";

    fn engine() -> Engine {
        let catalogue = Arc::new(Catalogue::built_in());
        let file = RuleFile { path: "rules.yml".into(), text: RULES.to_owned() };
        let loaded = load(&[file], &Lists::default());
        assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
        let environment = Environment {
            catalogue: Arc::clone(&catalogue),
            cage: Arc::new(Cage::new(Arc::new(ListTable::default()))),
            lateness: Span::minutes(5),
            today: Timestamp(0),
        };
        let compiled = compile(loaded.rules, &loaded.filters, &environment);
        Engine::new(Arc::new(compiled.rules), catalogue, Limits::default())
    }

    fn entries(count: u64) -> Vec<Entry> {
        let event = |position: u64| {
            let note = if position.is_multiple_of(97) { "Strange" } else { "usual" };
            let author = position * position % 31;
            let raw = format!(r#"{{"event_type":"login","author":"a{author}","note":"{note}"}}"#);
            let time = Timestamp(i64::try_from(position).unwrap() * 900);
            Event {
                position,
                received_at: time,
                time,
                source: "test".into(),
                forge: "test".into(),
                format: Format::Generic,
                type_hint: None,
                raw: Bytes::from(raw),
            }
        };
        let entry = |position: u64| match position % 100 {
            0 => Entry::Tick { position, at: Timestamp(i64::try_from(position).unwrap() * 900 + 1) },
            _ => Entry::Event(event(position)),
        };
        (1..=count).map(entry).collect()
    }

    #[test]
    fn many_threads_conclude_what_one_does() {
        let entries = entries(5 * FEW as u64 + 7);
        let (mut one, mut expected) = (engine(), Effects::default());
        entries.iter().for_each(|entry| one.handle(entry, &mut expected));
        assert!(expected.findings.len() > 100, "{}", expected.findings.len());
        for threads in [1, 2, 5] {
            let (mut many, mut effects) = (engine(), Effects::default());
            let pipeline = Pipeline::new(threads, worker).unwrap();
            let mut matching = Matching { pipeline: Some(pipeline), ..Matching::default() };
            for part in entries.chunks(2 * FEW + 1) {
                matching.judge(part.to_vec(), &mut many, &mut effects).unwrap();
            }
            assert_eq!(format!("{:?}", effects.findings), format!("{:?}", expected.findings));
            assert_eq!(many.snapshot().unwrap(), one.snapshot().unwrap());
        }
    }

    #[test]
    fn without_threads_one_does_it_all() {
        let judge = |matching: &mut Matching| {
            let (mut engine, mut effects) = (engine(), Effects::default());
            matching.judge(entries(3_000), &mut engine, &mut effects).unwrap();
            let findings: Vec<String> =
                effects.findings.iter().map(|finding| format!("{finding:?}")).collect();
            (findings, engine.snapshot().unwrap())
        };
        let refused = || Err(PipelineError::Spawn(std::io::ErrorKind::WouldBlock.into()));
        let mut alone = Matching { start: refused, ..Matching::default() };
        assert_eq!(judge(&mut alone), judge(&mut Matching::default()));
    }
}
