//! A source over a log in memory, for the tests of this folder and of the API.

use prometheus_client::registry::Registry;

use super::sink::memory::Memory;
use super::{BodyLimits, Context, InFlight, Input, Intake, Sink, Source, SourceMetrics};
use crate::clock::Clock;
use crate::event::Format;
use crate::time::{Span, Timestamp};

pub struct Fixture {
    pub memory: Memory,
    pub context: Context,
    pub registry: Registry,
}

impl Fixture {
    pub fn new() -> Self {
        let memory = Memory::default();
        let mut registry = Registry::with_prefix("watchfire");
        let context = Context {
            sink: Sink::memory(&memory),
            clock: Clock::fixed(Timestamp::parse("2026-01-01").unwrap()),
            metrics: SourceMetrics::register(&mut registry),
            limits: BodyLimits {
                body: 10_000,
                decompressed: 100_000,
                events: 1_000,
                read_time: Span::seconds(10),
            },
            in_flight: InFlight::new(1 << 20),
        };
        Self { memory, context, registry }
    }

    pub fn intake(&self) -> Intake {
        Intake::new(&source("in", Input::Stdin), &self.context)
    }
}

pub fn source(name: &str, input: Input) -> Source {
    let format = if matches!(input, Input::Gitlab { .. }) { Format::Gitlab } else { Format::Generic };
    Source { name: name.into(), forge: name.into(), format: Some(format), input }
}
