//! Passing every event on, to a SIEM over HTTP or to a file, each at its own pace.
//!
//! A forwarder is a reader of the log with a durable position of its own. The position moves only after the events
//! before it have arrived, so nothing is skipped; a receiver that is away makes it lag, and nobody else.

mod config;
mod batch;
mod status;
mod stream;
mod http;
mod file;
mod run;
#[cfg(test)]
mod run_tests;

pub use batch::EventFilter;
pub use config::{FileForward, ForwardConfig, ForwardError, HttpForward, Rotate};
pub use run::{Forwarder, run};
pub use status::ForwardStatus;
pub use stream::StreamLine;
