//! How the kinds of services are told: on which occasions, of how many alerts at once, together or one by one.

use crate::alert::Occasion;

/// How a kind of service is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// The occasions on which it is told of an alert, unless configured otherwise.
    pub(super) told: &'static [Occasion],
    /// How many messages about different alerts may be on their way at once.
    pub(super) parallel: usize,
    /// Whether it keeps a state for each alert, so that alerts that are told together are told to it one by one.
    pub(super) is_keyed: bool,
}

impl Habits {
    /// People read it. That somebody has acknowledged an alert is for those who keep a state.
    pub(super) const CHAT: Self = Self {
        told: &[
            Occasion::Opened,
            Occasion::Reminder,
            Occasion::Escalated,
            Occasion::Resolved,
            Occasion::Reopened,
        ],
        parallel: 1,
        is_keyed: false,
    };
    /// An alert there begins and ends.
    pub(super) const ALERTS: Self = Self { parallel: 4, is_keyed: true, ..Self::CHAT };
    /// It is acknowledged too.
    pub(super) const PAGER: Self = Self {
        told: &[
            Occasion::Opened,
            Occasion::Reminder,
            Occasion::Escalated,
            Occasion::Acknowledged,
            Occasion::Resolved,
            Occasion::Reopened,
        ],
        ..Self::ALERTS
    };
    /// All of it is written down, but that nobody came.
    pub(super) const TICKETS: Self = Self {
        told: &[
            Occasion::Opened,
            Occasion::Escalated,
            Occasion::Acknowledged,
            Occasion::Resolved,
            Occasion::Reopened,
        ],
        parallel: 1,
        is_keyed: true,
    };
}
