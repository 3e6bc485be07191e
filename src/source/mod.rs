//! Where events come from: HTTP endpoints, followed files, standard input, a forge's API, files of the past.
//!
//! Every source hands complete events to its [`Intake`], which decodes, appends and counts; an event is answered
//! (or its file position moved on) only after the log has it on disk.

mod answer;
mod body;
mod config;
mod file;
mod follow;
mod heard;
mod http;
mod import;
mod intake;
mod lines;
mod metrics;
mod past;
mod poll;
mod run;
mod sink;
mod split;
mod stdin;
#[cfg(test)]
pub(crate) mod testing;
mod tokens;

pub use answer::{ErrorBody, Refusal, json};
pub use body::{BodyLimits, InFlight};
pub use config::{Input, Problem, Source, SourceConfig, SourceKind};
pub use file::FileSource;
pub use heard::Heard;
pub use http::{Endpoint, endpoints, not_found};
pub use import::{Import, Imported, check_import_name, stored_name};
pub use intake::{Context, Intake};
pub use metrics::{SourceCounters, SourceMetrics};
pub use past::{Added, Past};
pub use poll::{Board, Name, PollReport, PollState, Polled, Poller, Target};
pub use run::run;
pub use sink::Sink;
pub use split::{Bad, Piece, SplitError, split};
pub use stdin::StdinSource;
pub use tokens::{Tokens, bearer};

use std::path::PathBuf;

use crate::log::LogError;
use crate::store::StoreError;

/// Why a source cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The control store failed.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    /// What was stored cannot be read.
    #[error("the event log cannot be read: {0}")]
    Log(#[from] LogError),
    /// The log takes nothing any more.
    #[error("the event log is closed")]
    Closed,
    /// It was told to stop while it waited; nothing unread was skipped.
    #[error("stopped while waiting for the event log")]
    Stopped,
    /// The log takes nothing at present, and who asked can wait no longer.
    #[error("the event log takes nothing at present")]
    Busy,
    /// The file or its folder cannot be read.
    #[error("{path} cannot be read: {error}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A thread for blocking work was lost.
    #[error("a task ended early: {0}")]
    Task(String),
}
