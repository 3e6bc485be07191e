//! Why a search gave nothing.

use crate::index::ReadError;
use crate::log::LogError;

/// Why a search could not be done.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A segment's index is not what was written.
    #[error("the index of the segment at position {0} is damaged; `watchfire verify` tells more")]
    Index(u64),
    /// The cursor is of another query or order, or no cursor at all.
    #[error("this cursor does not belong to this query and order; search again without a cursor")]
    Cursor,
    /// A series has too many stretches.
    #[error("that would be more than {0} stretches of time; choose a longer unit or a shorter time")]
    Stretches(usize),
}

impl SearchError {
    /// What went wrong in the segment that begins here.
    pub(super) fn of_segment(first: u64) -> impl Fn(ReadError<LogError>) -> Self {
        move |error| match error {
            ReadError::Terms(error) => Self::Log(error),
            ReadError::Damaged => Self::Index(first),
        }
    }
}
