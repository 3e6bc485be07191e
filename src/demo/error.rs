//! What can go wrong in the demo's own scenery.

use std::path::PathBuf;

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
}
