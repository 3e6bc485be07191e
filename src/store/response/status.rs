//! Where a response stands, and its undoing.

use serde::{Deserialize, Serialize};

/// Where a response stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResponseStatus {
    /// It has begun to look, or will.
    Begun,
    /// A person must allow it.
    Waiting,
    /// It is allowed, counted, and being done; after a crash nobody knows how far that came until it looks again.
    Acting,
    /// It was done, and seen to be.
    Acted,
    /// It was so already.
    Already,
    /// It only rehearsed.
    Rehearsed,
    /// A guard held it back.
    Held,
    /// A person refused it.
    Declined,
    /// Nobody allowed it in time.
    Expired,
    /// All responses were stopped.
    Stopped,
    /// It could not be done, or was done and is not seen.
    Failed,
}

impl ResponseStatus {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Begun,
        Self::Waiting,
        Self::Acting,
        Self::Acted,
        Self::Already,
        Self::Rehearsed,
        Self::Held,
        Self::Declined,
        Self::Expired,
        Self::Stopped,
        Self::Failed,
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Waiting => "waiting",
            Self::Acting => "acting",
            Self::Acted => "acted",
            Self::Already => "already",
            Self::Rehearsed => "rehearsed",
            Self::Held => "held",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// Whether what a response did was undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UndoStatus {
    /// Nobody asked for it.
    #[default]
    None,
    /// It will be, at a set time or as soon as can be.
    Due,
    /// It was.
    Undone,
    /// It was not, for a reason that a person must look at.
    Refused,
    /// It could not be.
    Failed,
}

impl UndoStatus {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Due => "due",
            Self::Undone => "undone",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}
