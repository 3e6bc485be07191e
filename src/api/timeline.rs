//! One line of what happened around an alert, as the API tells it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::alert::{AlertState, Fate, Happening, Moment, Occasion, Record, Stance, Verdict};

/// What happened.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TimelineKind {
    /// A rule raised it.
    Opened,
    /// Somebody took it up.
    Acknowledged,
    /// Somebody said what it was.
    Resolved,
    /// It is open again.
    Reopened,
    /// It was given to somebody, or to nobody.
    Assigned,
    /// Somebody wrote something to it.
    Commented,
    /// It went up in another alert.
    Merged,
    /// Another alert went up in it.
    Absorbed,
    /// Somebody was told of it.
    Notified,
    /// Something was done about it.
    Responded,
    /// A delivery was given up.
    Failed,
    /// A delivery waits for its next try.
    Waiting,
}

/// Where an alert stood.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AlertStance {
    state: AlertState,
    assignee: Option<String>,
    verdict: Option<Verdict>,
    duplicate_of: Option<String>,
}

/// A line of an alert's timeline.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TimelineEntry {
    /// Rises over all alerts in the order of their changes; null for a delivery.
    number: Option<u64>,
    /// When it was; of what waits, when it is tried next.
    #[schema(format = DateTime)]
    at: String,
    /// Who did it; `watchfire`, where nobody else did.
    by: String,
    what: TimelineKind,
    /// In words.
    text: String,
    /// Where the alert stood before; null for a delivery.
    from: Option<AlertStance>,
    /// Where it stands since; null for a delivery.
    to: Option<AlertStance>,
    /// What was said with it; of a delivery what it did, or why it failed.
    note: Option<String>,
    /// The other alert, where two became one.
    other: Option<String>,
    /// The delivery's action.
    action: Option<String>,
    /// Why the action was told.
    occasion: Option<Occasion>,
}

impl From<Stance> for AlertStance {
    fn from(stance: Stance) -> Self {
        let Stance { state, assignee, verdict, duplicate_of } = stance;
        Self { state, assignee, verdict, duplicate_of: duplicate_of.map(|id| id.0) }
    }
}

impl From<Happening> for TimelineKind {
    fn from(what: Happening) -> Self {
        match what {
            Happening::Opened => Self::Opened,
            Happening::Acknowledged => Self::Acknowledged,
            Happening::Resolved => Self::Resolved,
            Happening::Reopened => Self::Reopened,
            Happening::Assigned => Self::Assigned,
            Happening::Commented => Self::Commented,
            Happening::Merged => Self::Merged,
            Happening::Absorbed => Self::Absorbed,
        }
    }
}

impl From<Moment> for TimelineEntry {
    fn from(moment: Moment) -> Self {
        let (at, by, text) = (moment.at().to_string(), moment.by().to_owned(), moment.words());
        match moment {
            Moment::Record(record) => {
                let Record { number, what, from, to, note, other, .. } = *record;
                let other = other.map(|id| id.0);
                let (from, to) = (Some(from.into()), Some(to.into()));
                let what = what.into();
                Self {
                    number: Some(number),
                    at,
                    by,
                    what,
                    text,
                    from,
                    to,
                    note,
                    other,
                    action: None,
                    occasion: None,
                }
            }
            Moment::Delivery { action, occasion, responds, fate, text: note, .. } => {
                let what = match (fate, responds) {
                    (Fate::Done, true) => TimelineKind::Responded,
                    (Fate::Done, false) => TimelineKind::Notified,
                    (Fate::Dead, _) => TimelineKind::Failed,
                    (Fate::Waiting, _) => TimelineKind::Waiting,
                };
                let (action, occasion) = (Some(action), Some(occasion));
                let note = Some(note).filter(|note| !note.is_empty());
                let (from, to) = (None, None);
                Self { number: None, at, by, what, text, from, to, note, other: None, action, occasion }
            }
        }
    }
}
