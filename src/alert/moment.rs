//! One line of what happened around an alert: what people and Watchfire did with it, and what was done about it.

use super::{AlertId, Happening, Occasion, Record, Stance};
use crate::time::Timestamp;

/// How a delivery stands, in a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was made.
    Done,
    /// It was given up.
    Dead,
    /// It waits for its next try.
    Waiting,
}

/// A line of an alert's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// The alert changed.
    Record(Box<Record>),
    /// Somebody was told of it, or something was done about it.
    Delivery {
        /// When it ended; of one that waits, when it is tried next.
        at: Timestamp,
        /// The action's configured name.
        action: String,
        /// Why it is told.
        occasion: Occasion,
        /// Whether it changes the world.
        responds: bool,
        /// How it stands.
        fate: Fate,
        /// What it did, or why it failed.
        text: String,
    },
}

impl Moment {
    /// When it was.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Record(record) => record.at,
            Self::Delivery { at, .. } => *at,
        }
    }

    /// Who did it; Watchfire, where nobody else did.
    #[must_use]
    pub fn by(&self) -> &str {
        match self {
            Self::Record(record) => record.by.as_deref().unwrap_or("watchfire"),
            Self::Delivery { .. } => "watchfire",
        }
    }

    /// What it was, in a few words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Record(record) => told(record),
            Self::Delivery { action, occasion, responds, fate, text, .. } => {
                let what = match (fate, responds) {
                    (Fate::Done, true) => "response",
                    (Fate::Done, false) => "told",
                    (Fate::Dead, _) => "gave up",
                    (Fate::Waiting, _) => "will try",
                };
                let why = match occasion {
                    Occasion::Opened => String::new(),
                    other => format!(" ({})", other.name()),
                };
                let colon = if text.is_empty() { "" } else { ": " };
                format!("{what} `{action}`{why}{colon}{text}")
            }
        }
    }

    /// Puts moments in order: by time, what changed before what was told of it, what waits at the end.
    pub fn sort(moments: &mut [Self]) {
        moments.sort_by_key(|moment| match moment {
            Self::Record(record) => (false, record.at, 0, record.number),
            Self::Delivery { at, fate, .. } => (*fate == Fate::Waiting, *at, 1, 0),
        });
    }
}

fn told(record: &Record) -> String {
    let Record { what, from, to, note, other, .. } = record;
    let other = other.as_ref().map(AlertId::to_string).unwrap_or_default();
    let words = match what {
        Happening::Opened => "opened".to_owned(),
        Happening::Acknowledged => "acknowledged".to_owned(),
        Happening::Resolved => match from.verdict {
            Some(before) if from.verdict != to.verdict => format!("{} (was {before})", bare(to)),
            _ => bare(to),
        },
        Happening::Reopened => match from.verdict {
            Some(before) => format!("reopened (was {before})"),
            None => "let go: open again".to_owned(),
        },
        Happening::Assigned => match (&from.assignee, &to.assignee) {
            (None, Some(to)) => format!("assigned to {to}"),
            (Some(from), Some(to)) => format!("assigned to {to} (was {from}'s)"),
            (from, None) => format!("nobody's again (was {}'s)", from.as_deref().unwrap_or("nobody")),
        },
        Happening::Commented => "wrote".to_owned(),
        Happening::Merged => format!("went up in {other}"),
        Happening::Absorbed if from == to => format!("took up {other}"),
        Happening::Absorbed => format!("took up {other}, and is {to}"),
    };
    match note {
        Some(note) => format!("{words}: {note}"),
        None => words,
    }
}

/// Without whose it is.
fn bare(stance: &Stance) -> String {
    Stance { assignee: None, ..stance.clone() }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{AlertState, Verdict};

    #[test]
    fn a_timeline_is_in_order_and_in_words() {
        let stance = |state, verdict, assignee: Option<&str>| Stance {
            state,
            verdict,
            assignee: assignee.map(Into::into),
            duplicate_of: None,
        };
        let (open, ann) = (stance(AlertState::Open, None, None), stance(AlertState::Open, None, Some("ann")));
        let good = stance(AlertState::Resolved, Some(Verdict::TruePositive), Some("ann"));
        let bad = stance(AlertState::Resolved, Some(Verdict::Benign), Some("ann"));
        let record = |number, what, from: &Stance, to: &Stance| {
            Moment::Record(Box::new(Record {
                number,
                at: Timestamp(number.cast_signed()),
                by: (what != Happening::Opened).then(|| "ann".to_owned()),
                what,
                from: from.clone(),
                to: to.clone(),
                note: (what == Happening::Resolved).then(|| "a drill".to_owned()),
                other: None,
            }))
        };
        let told = |at, fate, responds, occasion| Moment::Delivery {
            at: Timestamp(at),
            action: "mail".into(),
            occasion,
            responds,
            fate,
            text: if fate == Fate::Done { "sent".into() } else { String::new() },
        };
        let mut all = vec![
            told(0, Fate::Waiting, false, Occasion::Resolved),
            told(1, Fate::Done, false, Occasion::Opened),
            record(4, Happening::Resolved, &good, &bad),
            record(5, Happening::Reopened, &bad, &ann),
            record(2, Happening::Assigned, &open, &ann),
            record(3, Happening::Resolved, &ann, &good),
            record(1, Happening::Opened, &open, &open),
        ];
        Moment::sort(&mut all);
        let lines: Vec<String> =
            all.iter().map(|moment| format!("{} {}", moment.by(), moment.words())).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        watchfire opened
        watchfire told `mail`: sent
        ann assigned to ann
        ann resolved as true_positive: a drill
        ann resolved as benign (was true_positive): a drill
        ann reopened (was benign)
        watchfire will try `mail` (resolved)
        ");
    }
}
