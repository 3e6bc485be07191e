//! What goes into the control store and comes out of it.

use serde::{Deserialize, Serialize};

use crate::alert::{Alert, AlertId, AlertState, LedgerEntry, Level, Occasion, Verdict};
use crate::event::Position;
use crate::route::HeldBy;
use crate::time::Timestamp;

/// All that one step of detection changes, written in one transaction.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    /// Detection has judged the log up to here.
    pub position: Position,
    /// When.
    pub at: Timestamp,
    /// New and changed alerts, by id.
    pub alerts: &'a [Alert],
    /// Deliveries to make; a row whose id exists already is left as it is.
    pub outbox: &'a [OutboxRow],
    /// What could not be judged since the last commit.
    pub ledger: &'a [LedgerEntry],
    /// The detection state at `position`, if it is time for one.
    pub snapshot: Option<&'a [u8]>,
}

/// How far detection came, and the newest state to resume from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Judged up to here; 0 at first.
    pub position: Position,
    /// The newest snapshot; its position is at most `position`.
    pub snapshot: Option<Snapshot>,
}

/// Detection state at a place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The place.
    pub position: Position,
    /// The engine's own format.
    pub bytes: Vec<u8>,
}

/// An alert as stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredAlert {
    /// The alert.
    pub alert: Alert,
    /// When it was first committed.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Which alerts to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct AlertQuery {
    /// Only this rule's.
    pub rule: Option<String>,
    /// Only of this level or graver.
    pub level: Option<Level>,
    /// Only those that ended after this.
    pub since: Option<Timestamp>,
    /// Only those that ended before this.
    pub until: Option<Timestamp>,
    /// Without those that went up in another one.
    pub whole_only: bool,
    /// Only those that stand so.
    pub state: Option<AlertState>,
    /// Only those that were resolved so.
    pub verdict: Option<Verdict>,
    /// Only this person's; an empty text: nobody's.
    pub assignee: Option<String>,
    /// Only this incident's.
    pub incident: Option<String>,
    /// Only those that this held back.
    pub held: Option<HeldFilter>,
    /// Open ones first, then those somebody looks into, then the others; each newest first. Not together with `after`.
    pub open_first: bool,
    /// Only those that come after this place in the list.
    pub after: Option<AlertPlace>,
    /// At most so many; 0: all.
    pub limit: usize,
}

/// Which alerts are meant, by what held back what they were to set off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldFilter {
    /// A silence, a maintenance window, another alert or a storm kept at least one action from it.
    Any,
    /// None of those did.
    Nothing,
    /// This did.
    By(HeldBy),
    /// Further findings went up in it and were not told again.
    Suppressed,
}

/// The word for findings that went up in an alert which was told already.
pub const SUPPRESSED: &str = "suppressed";

impl HeldFilter {
    /// The words for them.
    #[must_use]
    pub fn words() -> Vec<&'static str> {
        let by = HeldBy::ALL.into_iter().map(HeldBy::name);
        ["true", "false"].into_iter().chain(by).chain([SUPPRESSED]).collect()
    }

    /// What is meant by a word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "true" => Some(Self::Any),
            "false" => Some(Self::Nothing),
            SUPPRESSED => Some(Self::Suppressed),
            other => HeldBy::named(other).map(Self::By),
        }
    }
}

/// A place in the list of alerts: the newest first, so what comes after is older.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertPlace {
    /// The alert's `last_at`.
    pub last_at: Timestamp,
    /// Its position.
    pub position: Position,
    /// Its id.
    pub id: String,
}

/// How many alerts a rule has raised, those left out that went up in another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleAlerts {
    /// The rule's id.
    pub rule: String,
    /// How many.
    pub count: u64,
    /// The event time of the newest one's last finding.
    pub last_at: Timestamp,
}

/// Whether a delivery changes the world or only tells somebody, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryKind {
    /// Blocks, unblocks, bans …; goes first.
    Respond,
    /// Mails, calls a webhook; waits for the alert's responses, so that it can say what was done.
    Notify,
    /// Mails a report of a day, week or month; belongs to no alert.
    // No action is configured to be of this kind.
    #[serde(skip_deserializing)]
    Report,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutboxState {
    /// To be tried at `due_at`.
    Pending,
    /// Delivered.
    Done,
    /// Given up; can be redriven.
    Dead,
    /// A response that waits for people, until `due_at`.
    Waiting,
}

/// One delivery of one alert by one action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutboxRow {
    /// The idempotency key: a hash of alert and action, or of a report's name and period.
    pub id: String,
    /// The alert; of a report its name and period.
    pub alert: AlertId,
    /// The action's configured name.
    pub action: String,
    /// Response or notification.
    pub kind: DeliveryKind,
    /// Why, of an alert.
    pub occasion: Occasion,
    /// When it was committed.
    pub created_at: Timestamp,
    /// When it may be tried next.
    pub due_at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// Where it stands.
    pub state: OutboxState,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// What the delivery did, once done.
    pub outcome: Option<Outcome>,
}

impl OutboxRow {
    /// A delivery that is owed from now on. Its key is 16 bytes of BLAKE3, in hex, over a text that no other delivery has:
    /// whoever owes the same again owes nothing more.
    #[must_use]
    pub fn owed(kind: DeliveryKind, (alert, action): (AlertId, &str), unique: &str, now: Timestamp) -> Self {
        Self {
            id: blake3::hash(unique.as_bytes()).to_hex().chars().take(32).collect(),
            alert,
            action: action.to_owned(),
            kind,
            occasion: Occasion::Opened,
            created_at: now,
            due_at: now,
            attempts: 0,
            state: OutboxState::Pending,
            last_error: None,
            outcome: None,
        }
    }
}

/// Which deliveries to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct OutboxQuery {
    /// Only those that stand so.
    pub state: Option<OutboxState>,
    /// Only this action's.
    pub action: Option<String>,
    /// Only this alert's.
    pub alert: Option<String>,
    /// Only those that come after this place in the list.
    pub after: Option<OutboxPlace>,
    /// At most so many; 0: all.
    pub limit: usize,
}

/// A place in the list of deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxPlace {
    /// The delivery's `created_at`.
    pub created_at: Timestamp,
    /// Its id.
    pub id: String,
}

/// What a delivery did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether the world is different now.
    pub changed: bool,
    /// Whether it was only rehearsed.
    pub dry_run: bool,
    /// One sentence: `blocked user 7 (alice); read back: blocked`.
    pub summary: String,
    /// How a person undoes it.
    pub undo: Option<String>,
    /// Whether a person must decide what it did not dare to do.
    pub needs_human: bool,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Delivered.
    Done(Outcome),
    /// To be tried again.
    Retry {
        /// When.
        at: Timestamp,
        /// Why it failed.
        error: String,
    },
    /// Given up.
    Dead {
        /// Why.
        error: String,
    },
}

/// How many deliveries stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OutboxCounts {
    /// To be tried.
    pub pending: u64,
    /// Delivered.
    pub done: u64,
    /// Given up.
    pub dead: u64,
    /// Waiting for people.
    pub waiting: u64,
}

/// A body that could not be decoded, to be kept.
#[derive(Debug, Clone)]
pub struct NewRejected {
    /// The source's name.
    pub source: String,
    /// When it arrived.
    pub received_at: Timestamp,
    /// Why it was refused: where, what, what to do.
    pub reason: String,
    /// The type from the request's header.
    pub type_hint: Option<String>,
    /// The bytes as they came.
    pub body: Vec<u8>,
}

/// A body that could not be decoded, as kept.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// Its number.
    pub id: i64,
    /// What was kept; in lists, of a long body only the beginning.
    pub rejected: NewRejected,
    /// The size of the whole body in bytes.
    pub size: u64,
    /// When it was replayed, if it was.
    pub replayed_at: Option<Timestamp>,
}
