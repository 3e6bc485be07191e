//! A rule as the parser leaves it: checked, resolved to tests on fields, but not yet compiled for matching.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use crate::alert::Level;
use crate::time::Span;

/// One detection rule, with or without a behaviour, or a Sigma correlation.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `id`, or `name`, or a slug of the title: what findings carry.
    pub id: Arc<str>,
    /// Sigma's `name`, by which correlations may refer to the rule.
    pub name: Option<String>,
    /// `title`.
    pub title: String,
    /// `level`, medium when absent.
    pub level: Level,
    /// `status`: experimental, test, stable, deprecated, unsupported.
    pub status: Option<String>,
    /// `description`.
    pub description: Option<String>,
    /// `tags`.
    pub tags: Vec<String>,
    /// `references`.
    pub references: Vec<String>,
    /// `falsepositives`.
    pub falsepositives: Vec<String>,
    /// `logsource`.
    pub logsource: LogSource,
    /// What it looks for.
    pub body: Body,
    /// `suppress`: findings of one key no further apart than this belong to one alert.
    pub suppress: Span,
    /// `score`: what an alert of this rule adds to the rules that measure `risk`; none: nothing.
    pub score: Option<f64>,
    /// `respond`: names of configured actions.
    pub respond: Vec<String>,
    /// `dry_run`: responses to its alerts only rehearse.
    pub dry_run: bool,
    /// `tests`.
    pub tests: Vec<RuleTest>,
    /// Where it was written.
    pub origin: Origin,
}

/// File and line of a rule's document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The path as it was given.
    pub path: Arc<str>,
    /// First line of the YAML document, from 1.
    pub line: u32,
}

/// Sigma's `logsource`; only `product` routes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogSource {
    /// Which product's events the rule sees; none: all.
    pub product: Option<String>,
    /// Kept for people.
    pub category: Option<String>,
    /// Kept for people.
    pub service: Option<String>,
}

/// What a rule looks for.
#[derive(Debug, Clone)]
pub enum Body {
    /// Each matching event is a finding.
    Single(Detection),
    /// What the set of matching events must look like.
    Behavior(Detection, Behavior),
    /// A Sigma correlation over other rules' matches.
    Correlation(Correlation),
    /// A Rhai script with `on_event`, run for the events its detection lets through.
    Script(Detection, Behavior, ScriptSource),
}

/// Named selections and the condition over them.
#[derive(Debug, Clone, Default)]
pub struct Detection {
    /// In the order of the file.
    pub selections: Vec<Selection>,
    /// Over indexes into `selections`; `1 of`, `all of`, `them` and globs are already spelled out.
    pub condition: Condition,
}

/// One named selection.
#[derive(Clone)]
pub struct Selection {
    /// Its name in the file.
    pub name: String,
    /// What it tests.
    pub node: Node,
    /// Its line in the file, from 1.
    pub line: u32,
}

/// A boolean expression over selections.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// All must hold; true when empty.
    And(Vec<Self>),
    /// One must hold; false when empty.
    Or(Vec<Self>),
    /// Must not hold.
    Not(Box<Self>),
    /// An index into `selections`.
    Selection(usize),
}

impl Default for Condition {
    fn default() -> Self {
        Self::And(Vec::new())
    }
}

/// A boolean expression over tests: the inside of a selection.
#[derive(Debug, Clone)]
pub enum Node {
    /// All must hold; true when empty.
    And(Vec<Self>),
    /// One must hold; false when empty.
    Or(Vec<Self>),
    /// Must not hold.
    Not(Box<Self>),
    /// One test on one field.
    Test(Test),
    /// A Rhai expression over the whole event.
    Script(ScriptSource),
}

/// One test on one field.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// Dotted field name; none for a keyword, which is searched in every value of the event.
    pub field: Option<String>,
    /// What its value must be.
    pub op: Op,
    /// Whether upper and lower case differ.
    pub cased: bool,
}

/// What a value must be. Negations (`neq`) are a [`Node::Not`] around these.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// The whole text; numbers and booleans by their JSON text. The empty text is a value.
    Exact(String),
    /// Part of the text.
    Contains(String),
    /// Its beginning.
    StartsWith(String),
    /// Its end.
    EndsWith(String),
    /// A pattern with wildcards inside that none of the above can say, anchored at both ends.
    Wildcard(Vec<Glob>),
    /// A regular expression, unanchored, with its flags already inside (`(?i)`).
    Regex(String),
    /// An address inside a network; text that is no address is outside.
    Cidr(IpNet),
    /// A number compared with a number; other values do not compare.
    Number(Cmp, f64),
    /// Missing, or JSON null.
    Null,
    /// Present, whatever its value (true), or not (false).
    Exists(bool),
    /// Another field's value, as text; false if either is missing.
    FieldRef(String, RefKind),
    /// A part of a time (UTC) compared with a number.
    TimePart(TimePart, Cmp, f64),
}

/// A piece of a wildcard pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Glob {
    /// These characters.
    Literal(String),
    /// Any one character: `?`.
    One,
    /// Any run of characters, also none: `*`.
    Many,
}

/// A comparison of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cmp {
    /// Equal.
    Eq,
    /// Less than.
    Lt,
    /// At most.
    Lte,
    /// More than.
    Gt,
    /// At least.
    Gte,
}

impl Cmp {
    /// Whether `left` stands in this relation to `right`.
    #[must_use]
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Eq => (left - right).abs() < f64::EPSILON,
            Self::Lt => left < right,
            Self::Lte => left <= right,
            Self::Gt => left > right,
            Self::Gte => left >= right,
        }
    }
}

/// How `fieldref` compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefKind {
    /// Equal texts.
    Equals,
    /// The other value is a part of this one.
    Contains,
    /// This one starts with the other.
    StartsWith,
    /// This one ends with the other.
    EndsWith,
}

/// The parts of a time that Sigma's modifiers name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimePart {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31.
    Day,
    /// ISO week, 1 to 53.
    Week,
    /// 1 to 12.
    Month,
    /// With the century.
    Year,
}

/// A piece of Rhai and where it stands.
#[derive(Clone, PartialEq, Eq)]
pub struct ScriptSource {
    /// The text.
    pub source: String,
    /// Its first line in the file, from 1.
    pub line: u32,
    /// The column in which its lines begin, from 1.
    pub column: u32,
    /// The file, where it is not the rule's own.
    pub path: Option<Arc<str>>,
}

/// Without the line: a rule's fingerprint is made of this, and moving in its file makes no other rule of it.
impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Selection");
        shown.field("name", &self.name).field("node", &self.node).finish_non_exhaustive()
    }
}

/// The text alone, for the same reason.
impl fmt::Debug for ScriptSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScriptSource").field(&self.source).finish()
    }
}

/// What a set of events must look like.
#[derive(Debug, Clone)]
pub struct Behavior {
    /// The group key; empty: one group for all.
    pub by: Vec<String>,
    /// Whether an event without a key field forms a group of its own (`missing: group`) or goes to the ledger.
    pub missing_is_a_group: bool,
    /// The window; zero where the kind has none.
    pub within: Span,
    /// The measure.
    pub kind: Kind,
    /// When the measure is worth a finding.
    pub compare: Compare,
}

/// What is measured.
#[derive(Debug, Clone)]
pub enum Kind {
    /// How many events.
    Count,
    /// How many different values (several fields: tuples).
    Distinct(Vec<String>),
    /// These steps, in order unless `ordered` is false.
    Sequence(Sequence),
    /// That something does not happen.
    Absence {
        /// The selection that must come; none: any matching event.
        of: Option<usize>,
        /// The selection it must follow; none: the key's own last event.
        after: Option<usize>,
    },
    /// A value this key never showed before.
    FirstSeen {
        /// The fields whose values are looked at, as a tuple.
        fields: Vec<String>,
        /// How long a key is watched before it may fire.
        learn: Span,
        /// After how long without it a value counts as new again; zero: never.
        forget: Span,
    },
    /// The first event of a key after this much silence.
    Dormant(Span),
    /// A figure of a field's numbers.
    Aggregate {
        /// Which figure.
        of: Aggregate,
        /// The field with the numbers.
        field: String,
    },
    /// The share that the events of one selection have in those of another.
    Ratio {
        /// The selection whose share is measured.
        of: usize,
        /// The selection it is a share of.
        to: usize,
        /// With fewer events of `to` the share says nothing.
        min_events: u64,
    },
    /// A value that hardly any of the peers shows.
    Rare {
        /// The fields whose values are looked at, as a tuple.
        fields: Vec<String>,
        /// The fields that peers have in common; empty: all are peers.
        peers: Vec<String>,
        /// How far back their events count.
        history: Span,
        /// A share under this is rare, 0 to 1.
        below: f64,
        /// With fewer events of the peers a share says nothing.
        min_events: u64,
    },
    /// A value other than this key's last one; `within` is how long that one holds, zero: for ever.
    Change(Vec<String>),
    /// A stretch of time with far more, or far less, than this key's own past.
    Spike(Spike),
    /// An hour of the week at which this key practically never acts.
    UnusualHour {
        /// How long a key is watched before it may fire.
        learn: Span,
        /// Expected false alarms per key and year.
        sensitivity: f64,
    },
    /// Two places too far apart for the time between.
    Travel {
        /// The field with the address.
        field: String,
        /// Faster than this nobody travels, in kilometres an hour.
        max_kmh: f64,
        /// Places nearer than this are one place, in kilometres.
        min_km: f64,
    },
    /// A bucket that leaks, and overflows when events come faster.
    Bucket {
        /// How many events it holds; one more overflows.
        capacity: u64,
        /// How long one event takes to leak out.
        leak: Span,
    },
    /// The sum of the scores of a key's alerts over all rules, each decaying.
    Risk {
        /// After how long a score counts half.
        half_life: Span,
    },
    /// The script decides; `within` is its window.
    Script,
}

/// A figure of the numbers in a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregate {
    /// Their sum; negative ones do not count.
    Sum,
    /// Their mean.
    Avg,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The number that this share of them, 0 to 100, does not exceed; the median is 50.
    Percentile(f64),
}

/// A comparison of a key with its own past.
#[derive(Debug, Clone, PartialEq)]
pub struct Spike {
    /// What is measured in each stretch.
    pub of: SpikeOf,
    /// The length of a stretch.
    pub bucket: Span,
    /// How far back the past goes.
    pub history: Span,
    /// Which rhythm the past has.
    pub season: Season,
    /// Expected false alarms per key and year.
    pub sensitivity: f64,
    /// Which side is worth a finding.
    pub direction: Direction,
    /// A stretch with less than this is no spike.
    pub min: f64,
}

/// What a spike is measured in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpikeOf {
    /// Events.
    Count,
    /// Different values.
    Distinct(Vec<String>),
    /// The sum of a field's numbers.
    Sum(String),
}

/// A rhythm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Season {
    /// None.
    None,
    /// The hours of a day differ.
    Day,
    /// The hours of a week differ.
    Week,
}

/// A side of what is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// More.
    Up,
    /// Less.
    Down,
    /// Either.
    Both,
}

/// The steps of a sequence.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// At least two.
    pub steps: Vec<Step>,
    /// Whether they must come in this order.
    pub ordered: bool,
    /// A selection that must not occur between the first and the last step.
    pub unless: Option<usize>,
    /// Fields that must have one value over all steps.
    pub same: Vec<String>,
    /// Fields that must differ between any two steps.
    pub different: Vec<String>,
}

/// One step of a sequence.
#[derive(Debug, Clone)]
pub struct Step {
    /// Index into the selections.
    pub selection: usize,
    /// For key, `same` and `different` fields: the name of the field that carries it in this step's events.
    pub rename: Vec<(String, String)>,
}

/// When a measure is worth a finding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Compare {
    /// `at_least`, Sigma's `gte`.
    AtLeast(f64),
    /// `more_than`, Sigma's `gt`.
    MoreThan(f64),
    /// `at_most`, Sigma's `lte`.
    AtMost(f64),
    /// `fewer_than`, Sigma's `lt`.
    FewerThan(f64),
    /// `between: [low, high]`, both included.
    Between(f64, f64),
    /// Sigma's `eq`.
    Exactly(f64),
    /// Sigma's `neq`.
    NotEqual(f64),
}

/// A Sigma correlation.
#[derive(Debug, Clone)]
pub struct Correlation {
    /// `type`.
    pub kind: CorrelationKind,
    /// Ids or names of the rules it is over.
    pub rules: Vec<String>,
    /// `group-by`.
    pub by: Vec<String>,
    /// alias, rule, that rule's field.
    pub aliases: Vec<(String, String, String)>,
    /// `timespan`.
    pub within: Span,
    /// `condition`; for the temporal types the number of different rules, all of them when absent.
    pub compare: Option<Compare>,
    /// A boolean condition of a temporal type, over indexes into `rules`; none: as `compare` says.
    pub expression: Option<Condition>,
    /// `condition.field` of the types that look at values.
    pub fields: Vec<String>,
    /// Whether the referenced rules still alert by themselves.
    pub generate: bool,
}

/// The correlation types Watchfire evaluates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CorrelationKind {
    /// Number of events.
    EventCount,
    /// Number of different values.
    ValueCount,
    /// All rules, in any order.
    Temporal,
    /// All rules, in this order.
    TemporalOrdered,
    /// The sum of a field's numbers.
    ValueSum,
    /// Their mean.
    ValueAvg,
    /// Their median.
    ValueMedian,
    /// A percentile of theirs, 0 to 100.
    ValuePercentile(f64),
}

/// A Sigma filter: an exception to rules.
#[derive(Debug, Clone)]
pub struct Filter {
    /// `title`.
    pub title: String,
    /// `logsource`; its product must fit the rule's.
    pub logsource: LogSource,
    /// Ids or names of the rules it is for; empty: `any`.
    pub rules: Vec<String>,
    /// What it excepts: a rule fires for an event only if this does not match.
    pub detection: Detection,
    /// Who answers for it.
    pub owner: Option<String>,
    /// After this date it no longer applies and is reported.
    pub expires: Option<crate::time::Timestamp>,
    /// Where it was written.
    pub origin: Origin,
}

/// A test in a rule file.
#[derive(Debug, Clone)]
pub struct RuleTest {
    /// `name`.
    pub name: String,
    /// The events, spelled out: `repeat`, `every`, `${…}` are applied, times and ids filled in.
    pub events: Vec<serde_json::Value>,
    /// One object per expected alert: the fields of its key (and `rule`, if given) that must be equal. Order does not count.
    pub alerts: Vec<serde_json::Map<String, serde_json::Value>>,
    /// How long after the last event the clock goes on; none: as long as the rule's windows need.
    pub until: Option<Span>,
    /// Its line in the file, from 1.
    pub line: u32,
}
