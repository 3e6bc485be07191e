//! One rule set over the history.

use std::io::Write;
use std::sync::Arc;

use anyhow::bail;
use bytes::Bytes;

use super::rehearsal::Rehearsal;
use crate::cli::history::Piece;
use crate::cli::past::{Content, Found, Line};
use crate::cli::recent::{Recent, Refused};
use crate::cli::report::{Ids, Report, Summary};
use crate::engine::{Effects, Engine, Hits, Limits, RuleSet};
use crate::event::{Entry, Event};
use crate::time::{Span, Timestamp};

/// What a pass came to.
pub(super) struct Finished {
    pub(super) summary: Summary,
    pub(super) refused: Refused,
    pub(super) rehearsal: Option<Rehearsal>,
}

/// One rule set over the history.
pub(super) struct Pass {
    pub(super) rules: Arc<RuleSet>,
    engine: Engine,
    hits: Hits,
    /// What the events of lines have in common.
    event: Event,
    effects: Effects,
    report: Report,
    ids: Ids,
    summary: Summary,
    recent: Recent,
    newest: Timestamp,
    refused: Refused,
    rehearsal: Option<Rehearsal>,
}

impl Pass {
    pub(super) fn new(rules: Arc<RuleSet>, limits: Limits, (report, event): (Report, Event)) -> Self {
        Self {
            engine: Engine::new(Arc::clone(&rules), Arc::clone(rules.catalogue()), limits),
            rules,
            hits: Hits::default(),
            event,
            effects: Effects::default(),
            report,
            ids: Ids::default(),
            summary: Summary::default(),
            recent: Recent::default(),
            newest: Timestamp::default(),
            refused: Refused::default(),
            rehearsal: None,
        }
    }

    /// Also asks what actions would do.
    pub(super) fn with(self, rehearsal: Option<Rehearsal>) -> Self {
        Self { rehearsal, ..self }
    }

    /// Judges what was found in a piece of the past, behind so many lines.
    pub(super) fn take(
        &mut self,
        piece: &Piece,
        found: Found,
        line: u64,
        output: &mut dyn Write,
    ) -> anyhow::Result<()> {
        match (piece, found) {
            (Piece::Lines(block), Found::Lines(lines)) => {
                self.recent.expect(lines.iter().filter_map(Line::dedupe));
                let mut event = self.event.clone();
                for Line { number, range, content } in lines {
                    event.position = line + number;
                    // The bytes are only looked at where there is something to judge.
                    event.raw = match content {
                        Content::Event(_, _, None) | Content::Refused(_) => Bytes::new(),
                        Content::Event(..) | Content::Timeless => block.line(range),
                    };
                    self.take_line(&mut event, content, output)?;
                }
            }
            (Piece::Entries(entries), Found::Entries(meanings)) => {
                for (entry, meaning) in entries.iter().zip(meanings) {
                    self.hits.put(meaning, entry.position());
                    match entry {
                        Entry::Event(event) => self.judge(event, output)?,
                        tick @ Entry::Tick { .. } => {
                            self.engine.handle(tick, &mut self.effects);
                            self.flush(output)?;
                        }
                    }
                }
            }
            _ => bail!("a piece of history was not read as what it is"),
        }
        Ok(())
    }

    fn take_line(
        &mut self,
        event: &mut Event,
        content: Content,
        output: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let dedupe = match content {
            Content::Event(time, dedupe, meaning) => {
                (event.time, event.received_at) = (time, time);
                self.hits.put(meaning, event.position);
                Ok(dedupe)
            }
            Content::Timeless => {
                event.received_at = self.newest;
                self.rules.read(event, &mut self.hits)
            }
            Content::Refused(error) => Err(error),
        };
        match dedupe {
            Ok(dedupe) if self.recent.insert(dedupe) => self.judge(event, output),
            Ok(_) => Ok(()),
            Err(error) => {
                self.refused.add(event.position, &error.to_string());
                Ok(())
            }
        }
    }

    /// Judges an event whose hits were just found.
    fn judge(&mut self, event: &Event, output: &mut dyn Write) -> anyhow::Result<()> {
        self.newest = self.newest.max(event.time);
        self.summary.event(event);
        // Only events that touch a rule can be cited; those of plain matches only now.
        let is_cited = !self.hits.hits.is_empty();
        if is_cited {
            let id = self.hits.event_id(&event.raw);
            self.ids.insert(event.position, id.map_or_else(|| event.position.to_string().into(), Into::into));
            if let Some(rehearsal) = &mut self.rehearsal {
                rehearsal.note(event, self.rules.catalogue());
            }
        }
        self.engine.judge(event, &self.hits, &mut self.effects);
        self.flush(output)?;
        if is_cited && !self.hits.hits.iter().any(|hit| self.is_stateful(hit.detector)) {
            self.ids.remove(&event.position);
            if let Some(rehearsal) = &mut self.rehearsal {
                rehearsal.forget(event.position);
            }
        }
        Ok(())
    }

    fn is_stateful(&self, detector: u32) -> bool {
        self.rules.units().get(detector as usize).is_some_and(|unit| unit.detector.is_stateful())
    }

    fn flush(&mut self, output: &mut dyn Write) -> anyhow::Result<()> {
        if self.effects.is_empty() {
            return Ok(());
        }
        self.report.write(&self.effects, &self.rules, &self.ids, output)?;
        self.summary.add(&self.effects, self.report.wants_alerts());
        if let Some(rehearsal) = &mut self.rehearsal {
            rehearsal.take(&self.effects, &self.rules);
        }
        self.effects.clear();
        Ok(())
    }

    /// The history has ended: what waits for later events is judged as of the last one, since nobody knows
    /// what came after it.
    pub(super) fn finish(mut self, output: &mut dyn Write) -> anyhow::Result<Finished> {
        if let Some(newest) = self.engine.newest() {
            self.engine.finish(newest.plus(Span::millis(1)), &mut self.effects);
        }
        self.flush(output)?;
        self.report.finish(&self.summary, &self.rules, &self.ids, output)?;
        let Self { summary, refused, rehearsal, .. } = self;
        Ok(Finished { summary, refused, rehearsal })
    }
}
