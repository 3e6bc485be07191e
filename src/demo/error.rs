//! What can go wrong in the demo's own scenery.

use std::path::PathBuf;

use crate::config::ConfigError;
use crate::daemon::StartError;
use crate::log::LogError;
use crate::store::StoreError;

/// Why a part of the demo could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// No port on the loopback address.
    #[error("the demo's {what} cannot listen on 127.0.0.1: {source}")]
    Listen {
        /// Which stand-in.
        what: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file of the demo folder.
    #[error("{}: {source}; is there room, and may this user write there?", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The HTTP client could not be made.
    #[error("the demo's HTTP client cannot start: {0}")]
    Client(reqwest::Error),
    /// The daemon did not take an event, even after several tries.
    #[error("the daemon did not accept event {number} ({event_type}): {reason}")]
    Refused {
        /// Its place in the simulated stream, from 1.
        number: usize,
        /// Its type.
        event_type: String,
        /// The status and body, or why no answer came.
        reason: String,
    },
    /// The demo's own configuration is wrong.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The daemon does not start.
    #[error("{0}")]
    Start(#[from] StartError),
    /// The daemon's store cannot be read.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The daemon's log cannot be read.
    #[error("{0}")]
    Log(#[from] LogError),
    /// Detection ended before the story did, or failed at its end.
    #[error("detection has ended: {0}")]
    Detection(String),
    /// The screen cannot be written.
    #[error("cannot write: {0}")]
    Output(#[source] std::io::Error),
    /// A task of the demo was ended from outside.
    #[error("the demo was cut short")]
    Cut,
}
