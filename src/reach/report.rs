//! All of it as one answer, for the command line and the API alike.

use serde::Serialize;
use utoipa::ToSchema;

use super::types::{ForgeReach, SeenType, TypeReach};
use super::{Arrivals, Silence};
use crate::time::{Span, Timestamp};

/// What the rules reach, and when each source was heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Coverage)]
pub struct Report {
    /// Whether all events were looked at that the index does not know; if not, numbers of events are too small.
    pub complete: bool,
    /// How many events have no type.
    pub untyped_events: u64,
    /// One for each forge that was seen or has a list of its event types.
    pub forges: Vec<ForgeReport>,
    /// By name; without imports.
    pub sources: Vec<SourceReport>,
}

/// What is known of the event types of one forge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CoverageOfForge)]
pub struct ForgeReport {
    /// `gitlab`, `github` and so on.
    pub forge: String,
    /// How many types the catalogue knows; null where there is no list of this forge's types.
    pub known_types: Option<u64>,
    /// How many types were seen.
    pub seen_types: u64,
    /// How many of those the catalogue does not know; null where there is no list.
    pub unknown_types: Option<u64>,
    /// How many of those seen no rule looks at, but for the general ones.
    pub unwatched_types: u64,
    /// The ids of the rules that look at every type, whatever it is called: they have no condition on it, or one that
    /// only leaves some out.
    pub general_rules: Vec<String>,
    /// Every type that is known or was seen, by name.
    pub types: Vec<TypeReport>,
}

/// One event type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CoverageOfType)]
pub struct TypeReport {
    /// In lower case.
    #[serde(rename = "type")]
    pub name: String,
    /// Whether the catalogue knows it.
    pub known: bool,
    /// The forge's own category, if it is known.
    pub category: Option<String>,
    /// `destructive`, `permission`, `secret`, `exfiltration` or `routine`, if it is known.
    pub tier: Option<String>,
    /// How many events of it are in the log.
    pub events: u64,
    /// The earliest time of one of them.
    #[schema(format = DateTime)]
    pub first: Option<String>,
    /// The latest.
    #[schema(format = DateTime)]
    pub last: Option<String>,
    /// The ids of the rules that look at it, without the general ones.
    pub rules: Vec<String>,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CoverageOfSource)]
pub struct SourceReport {
    /// Its name.
    pub source: String,
    /// How many of its events are in the log.
    pub events: u64,
    /// When something came from it last.
    #[schema(format = DateTime)]
    pub last_heard: Option<String>,
    /// How long ago that was.
    pub silent_seconds: Option<u64>,
    /// How that compares.
    pub state: SourceState,
    /// Half of the pauses between arrivals of the last 30 days are no longer; to the minute. Null while there is too
    /// little to tell.
    pub median_pause_seconds: Option<u64>,
    /// 99 of 100 are no longer.
    pub p99_pause_seconds: Option<u64>,
    /// The longest one at this time of the week, but for one week that stands out.
    pub longest_pause_seconds: Option<u64>,
}

/// How a source's silence compares with its own rhythm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// It was never heard.
    Never,
    /// It is heard for less than a week, or rarely: nothing can be said.
    New,
    /// As usual.
    Usual,
    /// It is silent for longer than it ever was at this time of the week.
    Silent,
}

impl SourceState {
    /// In one word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::New => "new",
            Self::Usual => "usual",
            Self::Silent => "silent",
        }
    }
}

/// What is known of a source before it is compared.
#[derive(Debug, Clone)]
pub struct HeardSource {
    /// Its name.
    pub name: String,
    /// How many of its events are in the log.
    pub events: u64,
    /// When it was heard.
    pub arrivals: Arrivals,
}

/// What is not told by forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Whether all events were looked at.
    pub is_complete: bool,
    /// How many events have no type.
    pub untyped: u64,
}

impl Report {
    /// Puts it together as of a moment.
    #[must_use]
    pub fn new(forges: &[ForgeReach], sources: &[HeardSource], totals: Totals, now: Timestamp) -> Self {
        Self {
            complete: totals.is_complete,
            untyped_events: totals.untyped,
            forges: forges.iter().map(ForgeReport::from).collect(),
            sources: sources.iter().map(|source| SourceReport::new(source, now)).collect(),
        }
    }
}

impl From<&ForgeReach> for ForgeReport {
    fn from(reach: &ForgeReach) -> Self {
        Self {
            forge: reach.format.name().to_owned(),
            known_types: reach.known.map(|known| known as u64),
            seen_types: reach.types.iter().filter(|of| of.seen.is_some()).count() as u64,
            unknown_types: reach.known.map(|_| reach.unknown().count() as u64),
            unwatched_types: reach.unwatched().count() as u64,
            general_rules: reach.general.iter().map(ToString::to_string).collect(),
            types: reach.types.iter().map(TypeReport::from).collect(),
        }
    }
}

impl From<&TypeReach> for TypeReport {
    fn from(reach: &TypeReach) -> Self {
        let TypeReach { name, is_known, category, tier, seen, rules } = reach;
        let time = |pick: fn(&SeenType) -> Timestamp| seen.as_ref().map(|seen| pick(seen).to_string());
        Self {
            name: name.clone(),
            known: *is_known,
            category: category.clone(),
            tier: tier.map(str::to_owned),
            events: seen.as_ref().map_or(0, |seen| seen.events),
            first: time(|seen| seen.first),
            last: time(|seen| seen.last),
            rules: rules.iter().map(ToString::to_string).collect(),
        }
    }
}

impl SourceReport {
    fn new(source: &HeardSource, now: Timestamp) -> Self {
        let silence = Silence::of(&source.arrivals, now);
        let (state, rhythm) = match &silence {
            Silence::Never => (SourceState::Never, None),
            Silence::Unknown(_) => (SourceState::New, None),
            Silence::Usual(_, rhythm) => (SourceState::Usual, Some(rhythm)),
            Silence::Unusual(_, rhythm) => (SourceState::Silent, Some(rhythm)),
        };
        let seconds = |span: Span| u64::try_from(span.0 / 1_000).unwrap_or_default();
        Self {
            source: source.name.clone(),
            events: source.events,
            last_heard: source.arrivals.last().map(|last| last.to_string()),
            silent_seconds: silence.span().map(seconds),
            state,
            median_pause_seconds: rhythm.map(|rhythm| seconds(rhythm.median)),
            p99_pause_seconds: rhythm.map(|rhythm| seconds(rhythm.p99)),
            longest_pause_seconds: rhythm.map(|rhythm| seconds(rhythm.longest_now)),
        }
    }
}
