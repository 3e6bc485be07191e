//! The parts of a report.

use serde::{Deserialize, Serialize};

use super::Column;

/// A part of a report.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SectionKind {
    /// Members, users, groups that may do more than before.
    AccessGained,
    /// Those that may do less.
    AccessLost,
    /// Tokens and keys that were made.
    TokensMade,
    /// Those that were taken back.
    TokensRevoked,
    /// What cannot be undone.
    Destructive,
    /// Who signed in, or tried to.
    SignIns,
    /// What rules found.
    Alerts,
    /// What was done about it, and what could not be.
    Responses,
    /// What could not be seen.
    Coverage,
}

const fn column(key: &'static str, heading: &'static str) -> Column {
    Column { key, heading }
}

const EVENT: &[Column] = &[
    column("time", "Time"),
    column("what", "What"),
    column("change", "Change"),
    column("target", "Whom or what"),
    column("place", "Where"),
    column("author", "By"),
    column("author_id", "Author id"),
    column("address", "Address"),
    column("source", "Source"),
    column("position", "Position"),
];
const SIGN_INS: &[Column] = &[
    column("author", "Who"),
    column("author_id", "Author id"),
    column("signed_in", "Signed in"),
    column("failed", "Failed"),
    column("addresses", "Addresses"),
    column("new_addresses", "New addresses"),
];
const ALERTS: &[Column] = &[
    column("level", "Level"),
    column("title", "Rule"),
    column("rule", "Rule id"),
    column("alerts", "Alerts"),
    column("before", "Before"),
    column("about", "About"),
    column("last", "Last"),
    column("status", "Status"),
    column("open", "Open"),
    column("true_positive", "True positive"),
    column("benign", "Benign"),
    column("false_positive", "False positive"),
    column("test", "Test"),
    column("duplicate", "Duplicate"),
    column("precision", "Precision"),
];
const RESPONSES: &[Column] = &[
    column("time", "Time"),
    column("action", "Action"),
    column("state", "State"),
    column("result", "Result"),
    column("title", "Because of"),
    column("about", "About"),
    column("alert", "Alert"),
];
const COVERAGE: &[Column] = &[
    column("from", "From"),
    column("to", "To"),
    column("what", "What"),
    column("source", "Source"),
    column("detail", "Detail"),
];

impl SectionKind {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 9] = [
        Self::AccessGained,
        Self::AccessLost,
        Self::TokensMade,
        Self::TokensRevoked,
        Self::Destructive,
        Self::SignIns,
        Self::Alerts,
        Self::Responses,
        Self::Coverage,
    ];

    /// The word in configurations, files and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessGained => "access_gained",
            Self::AccessLost => "access_lost",
            Self::TokensMade => "tokens_made",
            Self::TokensRevoked => "tokens_revoked",
            Self::Destructive => "destructive",
            Self::SignIns => "sign_ins",
            Self::Alerts => "alerts",
            Self::Responses => "responses",
            Self::Coverage => "coverage",
        }
    }

    /// The section of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Above its table.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::AccessGained => "Access gained",
            Self::AccessLost => "Access lost",
            Self::TokensMade => "Tokens and keys made",
            Self::TokensRevoked => "Tokens and keys revoked",
            Self::Destructive => "Destructive actions",
            Self::SignIns => "Sign-ins",
            Self::Alerts => "Alerts",
            Self::Responses => "Responses",
            Self::Coverage => "What could not be seen",
        }
    }

    /// What people are shown in place of the columns of the verdicts.
    pub(super) const VERDICTS: &'static str = "verdicts";
    /// And in place of that of the precision.
    pub(super) const PRECISION: &'static str = "precision of";

    /// What its table says when it is empty.
    #[must_use]
    pub const fn nothing(self) -> &'static str {
        match self {
            Self::AccessGained => "Nobody got access.",
            Self::AccessLost => "Nobody lost access.",
            Self::TokensMade => "No token or key was made.",
            Self::TokensRevoked => "No token or key was revoked.",
            Self::Destructive => "Nothing was deleted.",
            Self::SignIns => "Nobody signed in, or tried to.",
            Self::Alerts => "No rule raised an alert.",
            Self::Responses => "Nothing was done, and nothing failed.",
            Self::Coverage => "The record has no gaps, and every body could be read.",
        }
    }

    /// What its number counts, where that is not the rows.
    #[must_use]
    pub const fn counts(self) -> &'static str {
        match self {
            Self::SignIns => "of which failed",
            _ => "",
        }
    }

    /// All its columns, as CSV and JSON have them.
    #[must_use]
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::AccessGained
            | Self::AccessLost
            | Self::TokensMade
            | Self::TokensRevoked
            | Self::Destructive => EVENT,
            Self::SignIns => SIGN_INS,
            Self::Alerts => ALERTS,
            Self::Responses => RESPONSES,
            Self::Coverage => COVERAGE,
        }
    }

    /// The columns that people are shown: heading, what stands there, what stands smaller below it, and the width in
    /// hundredths of the table's.
    #[must_use]
    pub(super) const fn shown(self) -> &'static [(&'static str, &'static str, &'static str, u8)] {
        match self {
            Self::AccessGained
            | Self::AccessLost
            | Self::TokensMade
            | Self::TokensRevoked
            | Self::Destructive => &[
                ("Time", "time", "", 12),
                ("What", "what", "change", 34),
                ("Target", "target", "place", 29),
                ("By", "author", "address", 25),
            ],
            Self::SignIns => &[
                ("Who", "author", "", 40),
                ("Signed in", "signed_in", "", 15),
                ("Failed", "failed", "", 12),
                ("New addresses", "new_addresses", "", 33),
            ],
            Self::Alerts => &[
                ("Level", "level", "", 11),
                ("Rule", "title", "about", 36),
                ("Alerts", "alerts", "", 9),
                ("Before", "before", "", 10),
                ("What they were", Self::VERDICTS, Self::PRECISION, 18),
                ("Status", "status", "", 16),
            ],
            Self::Responses => &[
                ("Time", "time", "", 12),
                ("Action", "action", "", 19),
                ("Because of", "title", "about", 34),
                ("Result", "state", "result", 35),
            ],
            Self::Coverage => &[
                ("From", "from", "", 19),
                ("To", "to", "", 19),
                ("What", "what", "detail", 44),
                ("Source", "source", "", 18),
            ],
        }
    }
}
