//! The `limits` section.

use serde::Deserialize;

use super::units::{Length, Size};
use crate::api::ServerLimits;
use crate::log::LogOptions;
use crate::source::{BodyLimits, InFlight};
use crate::time::Span;

/// Every bound on what senders can make the daemon hold and remember.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of one body as sent, and of one line of a file. GitLab's own bound on an event is 25 MiB.
    pub body: Size,
    /// Bytes of one body after decompression.
    pub decompressed: Size,
    /// Events in one body.
    pub events: usize,
    /// Bytes of all bodies that are in memory at once.
    pub in_flight: Size,
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address that is not this machine's.
    pub connections_per_address: usize,
    /// Bytes of one request's header.
    pub header: Size,
    /// How long a header may take, and how long a connection may be idle.
    pub header_time: Length,
    /// How long a body may take.
    pub body_time: Length,
    /// How long requests in flight are waited for when stopping.
    pub stop_time: Length,
    /// Bytes of events that wait to be written to the log.
    pub queue: Size,
    /// How long a duplicate is recognised.
    pub dedupe_horizon: Length,
    /// What all rules may remember.
    pub state: Size,
    /// What one rule may remember; more than `state` is no further limit.
    pub state_per_rule: Size,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: Size::mib(25),
            decompressed: Size::mib(256),
            events: 100_000,
            in_flight: Size::mib(512),
            connections: 1024,
            connections_per_address: 256,
            header: Size(32 << 10),
            header_time: Length(Span::seconds(30)),
            body_time: Length(Span::seconds(30)),
            stop_time: Length(Span::seconds(30)),
            queue: Size::mib(64),
            dedupe_horizon: Length(Span::days(1)),
            state: Size::mib(256),
            state_per_rule: Size::mib(128),
        }
    }
}

impl Limits {
    /// Values with which nothing would get through: the key, and what to write.
    pub(super) fn problems(&self) -> Vec<(&'static str, String)> {
        let least = [
            ("body", self.body.0, 1 << 10),
            ("decompressed", self.decompressed.0, 1 << 10),
            ("events", self.events as u64, 1),
            ("connections", self.connections as u64, 1),
            ("connections_per_address", self.connections_per_address as u64, 1),
            ("header", self.header.0, 1 << 10),
            ("state", self.state.0, 1 << 20),
            ("state_per_rule", self.state_per_rule.0, 1 << 20),
            ("queue", self.queue.0, self.body.0),
            ("in_flight", self.in_flight.0, self.body.0.saturating_add(self.decompressed.0)),
        ];
        let times =
            [("header_time", self.header_time), ("body_time", self.body_time), ("stop_time", self.stop_time)];
        let too_small = least.into_iter().filter(|(_, value, least)| value < least).map(|(key, _, least)| match key {
            "queue" => (key, "it must hold at least one body: not less than `limits.body`".to_owned()),
            "in_flight" => {
                let text = "it must hold at least one body: not less than `limits.body` and `limits.decompressed`";
                (key, format!("{text} together, which are {least}B"))
            }
            "events" | "connections" | "connections_per_address" => (key, format!("it must be at least {least}")),
            _ => (key, format!("it must be at least {least}B")),
        });
        let too_short = times.into_iter().filter(|(_, time)| time.0 < Span::seconds(1));
        too_small.chain(too_short.map(|(key, _)| (key, "it must be at least 1s".to_owned()))).collect()
    }

    /// For the sources.
    #[must_use]
    pub fn bodies(&self) -> BodyLimits {
        BodyLimits {
            body: self.body.0,
            decompressed: self.decompressed.0,
            events: self.events,
            read_time: self.body_time.0,
        }
    }

    /// For all sources together.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        InFlight::new(self.in_flight.0)
    }

    /// For the server.
    #[must_use]
    pub fn server(&self) -> ServerLimits {
        ServerLimits {
            connections: self.connections,
            connections_per_address: self.connections_per_address,
            header: self.header.in_memory(),
            header_time: self.header_time.0,
            stop_time: self.stop_time.0,
        }
    }

    /// For detection.
    #[must_use]
    pub fn detection(&self, lateness: Span) -> crate::engine::Limits {
        crate::engine::Limits {
            lateness,
            state_bytes_max: self.state.in_memory(),
            rule_bytes_max: self.state_per_rule.in_memory(),
            judges_past: false,
        }
    }

    /// For the log.
    #[must_use]
    pub fn log(&self) -> LogOptions {
        LogOptions {
            queue_bytes_max: self.queue.in_memory(),
            dedupe_horizon: self.dedupe_horizon.0,
            ..LogOptions::default()
        }
    }
}
