//! The event that is explained, and what came before it.

use std::io::Read as _;
use std::ops::ControlFlow;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::decode::decode;
use crate::event::{Entry, Event, Format, Position};
use crate::log::{Reader, TimeRange};
use crate::time::Timestamp;

/// How many entries are read from the log at once.
const READ: usize = 4096;
/// A larger file is refused: the whole of it is kept.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Where events come from.
pub(in crate::cli) enum Past {
    /// Those of a file, in order; positions are their numbers from 1.
    Events(Vec<Event>),
    Log(Box<Reader>),
}

impl Past {
    pub(super) fn stored(reader: Reader) -> Self {
        Self::Log(Box::new(reader))
    }

    /// Reads all events of a file, or of standard input for `-`.
    pub(in crate::cli) fn file(path: &str, format: Option<Format>) -> anyhow::Result<Self> {
        let mut text = String::new();
        if path == "-" {
            std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        } else {
            let file = std::fs::File::open(path).with_context(|| format!("cannot open {path}"))?;
            file.take(FILE_BYTES_MAX + 1)
                .read_to_string(&mut text)
                .with_context(|| format!("cannot read {path}"))?;
        }
        if text.len() as u64 > FILE_BYTES_MAX {
            bail!("{path} is longer than {} MiB", FILE_BYTES_MAX >> 20);
        }
        Self::text(&text, format).with_context(|| path.to_owned())
    }

    /// Reads JSON objects, one after the other, or in an array.
    pub(super) fn text(text: &str, format: Option<Format>) -> anyhow::Result<Self> {
        let mut objects: Vec<&RawValue> = Vec::new();
        for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
            let value = value?;
            if value.get().starts_with('[') {
                objects.extend(serde_json::from_str::<Vec<&RawValue>>(value.get())?);
            } else {
                objects.push(value);
            }
        }
        let Some(first) = objects.first() else { bail!("there is no event") };
        let guess =
            || serde_json::from_str(first.get()).map_or(Format::Generic, |object| Format::guess(&object));
        let format = format.unwrap_or_else(guess);
        let source: Arc<str> = format.name().into();
        let mut events: Vec<Event> = Vec::with_capacity(objects.len());
        for (position, object) in (1..).zip(objects) {
            let otherwise_at = events.last().map_or(Timestamp::default(), |last| last.time);
            let raw = Bytes::copy_from_slice(object.get().as_bytes());
            let decoded = decode(format, &source, raw, None, otherwise_at)
                .with_context(|| format!("event {position}"))?;
            let received_at = decoded.event.time;
            events.push(Event { position, received_at, ..decoded.event });
        }
        Ok(Self::Events(events))
    }

    /// The event to explain: the last of a file, or the one of this id in the log.
    pub(super) fn find(&mut self, id: &str) -> anyhow::Result<Option<Event>> {
        let reader = match self {
            Self::Events(events) => return Ok(events.last().cloned()),
            Self::Log(reader) => reader,
        };
        if let Some(position) = id.strip_prefix("position:") {
            let position = position.parse().context("a position is a number")?;
            return Ok(reader.get(position)?);
        }
        let needle = memchr::memmem::Finder::new(id);
        let mut found = None;
        let all = TimeRange { from: Timestamp::MIN, to: Timestamp::MAX };
        reader.newest_first(all, &mut |event| {
            if needle.find(&event.raw).is_some() && event_id(&event) == id {
                found = Some(event);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Everything before a position, in order.
    pub(super) fn before(&mut self, end: Position, visit: &mut dyn FnMut(&Entry)) -> anyhow::Result<()> {
        match self {
            Self::Events(events) => {
                for event in events.iter().filter(|event| event.position < end) {
                    visit(&Entry::Event(event.clone()));
                }
            }
            Self::Log(reader) => {
                let mut position = 0;
                while position + 1 < end {
                    let entries = reader.read_after(position, READ)?;
                    let Some(last) = entries.last() else { break };
                    position = last.position();
                    entries.iter().filter(|entry| entry.position() < end).for_each(&mut *visit);
                }
            }
        }
        Ok(())
    }

    /// What came after a position, in order, as long as the visitor wants more.
    pub(super) fn after(
        &mut self,
        start: Position,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Events(events) => {
                for event in events.iter().filter(|event| event.position > start) {
                    if visit(&Entry::Event(event.clone())).is_break() {
                        break;
                    }
                }
            }
            Self::Log(reader) => {
                let mut position = start;
                loop {
                    let entries = reader.read_after(position, READ)?;
                    let Some(last) = entries.last() else { break };
                    position = last.position();
                    if entries.iter().any(|entry| visit(entry).is_break()) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// The event at a position.
    pub(super) fn get(&mut self, position: Position) -> anyhow::Result<Option<Event>> {
        match self {
            Self::Events(events) => Ok(events.iter().find(|event| event.position == position).cloned()),
            Self::Log(reader) => Ok(reader.get(position)?),
        }
    }
}

/// The event's own id, as text; its place in the log where it has none.
fn event_id(event: &Event) -> String {
    let object = crate::event::canonical(event, &crate::event::Catalogue::default());
    match object.get("id") {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(serde_json::Value::Number(number)) => number.to_string(),
        _ => event.position.to_string(),
    }
}
