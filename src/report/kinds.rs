//! Which event types a report tells of: the data file `kinds.csv`, and the tier `destructive` of the catalogue.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use super::SectionKind;
use crate::event::Format;

/// What an event is to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    AccessGained,
    AccessLost,
    /// One of the two; what it was before and what it is now say which.
    AccessChanged,
    TokensMade,
    TokensRevoked,
    Destructive,
    SignedIn,
    SignInFailed,
}

impl Kind {
    const ALL: [(&'static str, Self); 8] = [
        ("access_gained", Self::AccessGained),
        ("access_lost", Self::AccessLost),
        ("access_changed", Self::AccessChanged),
        ("tokens_made", Self::TokensMade),
        ("tokens_revoked", Self::TokensRevoked),
        ("destructive", Self::Destructive),
        ("signed_in", Self::SignedIn),
        ("sign_in_failed", Self::SignInFailed),
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, kind)| kind)
    }

    const fn is_sign_in(self) -> bool {
        matches!(self, Self::SignedIn | Self::SignInFailed)
    }

    /// Whether such events are needed for one of these sections.
    fn is_for(self, sections: &[SectionKind]) -> bool {
        let wanted: &[SectionKind] = match self {
            Self::AccessGained => &[SectionKind::AccessGained],
            Self::AccessLost => &[SectionKind::AccessLost],
            Self::AccessChanged => &[SectionKind::AccessGained, SectionKind::AccessLost],
            Self::TokensMade => &[SectionKind::TokensMade],
            Self::TokensRevoked => &[SectionKind::TokensRevoked],
            Self::Destructive => &[SectionKind::Destructive],
            Self::SignedIn | Self::SignInFailed => &[SectionKind::SignIns],
        };
        wanted.iter().any(|section| sections.contains(section))
    }
}

const KINDS: &str = include_str!("kinds.csv");

/// One line of the data file.
#[derive(Debug)]
struct Line {
    format: Format,
    event_type: String,
    kind: Kind,
}

/// The lines of the data file; one that does not parse is left out, and a test keeps them whole.
static LINES: LazyLock<Vec<Line>> = LazyLock::new(|| {
    let records = csv::Reader::from_reader(KINDS.as_bytes()).into_records().filter_map(Result::ok);
    let line = |row: csv::StringRecord| {
        Some(Line {
            format: Format::named(row.get(0)?)?,
            event_type: row.get(1)?.to_owned(),
            kind: Kind::named(row.get(2)?)?,
        })
    };
    records.filter_map(line).collect()
});

/// By format and name; case does not count, since Bitbucket's names are text that changes between its versions.
static BY_TYPE: LazyLock<FxHashMap<(Format, String), Kind>> = LazyLock::new(|| {
    LINES.iter().map(|line| ((line.format, line.event_type.to_lowercase()), line.kind)).collect()
});

/// What an event of this type is; that it is destructive as well is its tier's to say.
pub(super) fn kind(format: Format, event_type: &str) -> Option<Kind> {
    BY_TYPE.get(&(format, event_type.to_lowercase())).copied()
}

/// A search that finds every event these sections need, and none that is surely of no use to them; none where they need
/// no events.
#[must_use]
pub fn query(sections: &[SectionKind]) -> Option<String> {
    any_of(|kind| kind.is_for(sections), sections.contains(&SectionKind::Destructive))
}

/// The same for sign-ins alone.
#[must_use]
pub fn sign_in_query() -> String {
    any_of(Kind::is_sign_in, false).unwrap_or_default()
}

fn any_of(is_wanted: impl Fn(Kind) -> bool, with_tier: bool) -> Option<String> {
    let mut names: Vec<&str> =
        LINES.iter().filter(|line| is_wanted(line.kind)).map(|line| line.event_type.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut terms: Vec<String> = names.iter().map(|name| format!("event_type:\"{name}\"")).collect();
    if with_tier {
        terms.push("tier:destructive".to_owned());
    }
    (!terms.is_empty()).then(|| terms.join(" OR "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::event::{Catalogue, Tier};
    use crate::query::Query;
    use crate::time::Timestamp;

    #[test]
    fn every_line_is_read_and_every_gitlab_type_is_in_the_catalogue() {
        assert_eq!(LINES.len(), KINDS.lines().count() - 1);
        assert_eq!(BY_TYPE.len(), LINES.len(), "a type stands there twice");
        let catalogue = Catalogue::built_in();
        for line in LINES.iter().filter(|line| line.format == Format::Gitlab) {
            let known = catalogue.get(Format::Gitlab, &line.event_type);
            assert_eq!(known.map(|known| known.name.as_str()), Some(line.event_type.as_str()));
        }
        for format in [Format::Github, Format::AzureDevops, Format::Bitbucket] {
            assert!(LINES.iter().filter(|line| line.format == format).count() >= 12, "{format:?}");
        }
    }

    /// A type that the catalogue gains and whose name says where it belongs must be put there, or named here.
    #[test]
    fn what_the_catalogue_knows_by_its_name_is_not_forgotten() {
        let elsewhere: BTreeSet<&str> = [
            "ci_group_variable_created",
            "ci_instance_variable_created",
            "ci_variable_created",
            "ci_group_variable_deleted",
            "ci_instance_variable_deleted",
            "ci_variable_deleted",
            "member_role_created",
            "member_role_deleted",
            "member_role_updated",
        ]
        .into();
        let catalogue = Catalogue::built_in();
        for known in catalogue.types() {
            let name = known.name.as_str();
            let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
            let is_made =
                known.tier == Tier::Secret && (ends(&["_created", "_added"]) || name.starts_with("add_"));
            let is_revoked = known.tier == Tier::Secret
                && (ends(&["_deleted", "_destroyed", "_revoked", "_removed"]) || name.starts_with("remove_"));
            let is_member = name.starts_with("member_");
            let is_sign_in = name.starts_with("authenticated_with_") || name.starts_with("login_failed_");
            if (is_made || is_revoked || is_member || is_sign_in) && !elsewhere.contains(name) {
                let kind = kind(Format::Gitlab, name).unwrap_or_else(|| panic!("{name} is in no section"));
                assert!(!is_made || kind == Kind::TokensMade, "{name}");
                assert!(!is_revoked || kind == Kind::TokensRevoked, "{name}");
                assert!(!is_sign_in || kind.is_sign_in(), "{name}");
            }
        }
    }

    #[test]
    fn what_is_searched_for_is_what_is_needed() {
        let text = query(&SectionKind::ALL).unwrap();
        assert!(text.len() < 10_000 && text.ends_with("OR tier:destructive"), "{}", text.len());
        let now = Timestamp(0);
        assert!(Query::parse(&text, now).is_ok() && Query::parse(&sign_in_query(), now).is_ok());
        assert!(!sign_in_query().contains("member_created"));
        assert_eq!(query(&[SectionKind::Alerts, SectionKind::Coverage]), None);
        assert_eq!(query(&[SectionKind::AccessLost]).unwrap().matches("member_updated").count(), 1);
    }
}
