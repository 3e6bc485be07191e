//! The words of `behavior`: what the parser knows, what its messages say, and what the reference is made of.

/// One behaviour.
#[derive(Debug, Clone, Copy)]
pub struct KindEntry {
    /// The key.
    pub name: &'static str,
    /// What stands behind the key.
    pub value: Shape,
    /// When it fires.
    pub fires: &'static str,
    /// The options that mean something with it, beside it or inside its map.
    pub options: &'static [&'static str],
    /// `behavior:` of a rule that uses it.
    pub example: &'static str,
}

/// What stands behind a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Nothing, or `true`.
    Nothing,
    /// The name of a field.
    Field,
    /// One name of a field, or a list.
    Fields,
    /// The name of a selection.
    Selection,
    /// A list of selections.
    Steps,
    /// What a spike measures, or the name of a selection.
    Measured,
    /// A length of time.
    Span,
    /// A number.
    Number,
    /// A whole number that is not negative.
    Whole,
    /// A share of one, also in percent.
    Share,
    /// A number a year.
    Rate,
    /// Two numbers.
    Range,
    /// True or false.
    Bool,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A map of the behaviour's options.
    Options,
    /// The same, or nothing.
    MaybeOptions,
    /// The name of a field, or a map of options.
    FieldOrOptions,
    /// A `.rhai` file, by its path from the rule's folder.
    File,
}

impl Shape {
    /// In words.
    #[must_use]
    pub fn words(self) -> String {
        let text = match self {
            Self::Nothing => "nothing",
            Self::Field => "a field",
            Self::Fields => "a field, or a list",
            Self::Selection => "a selection",
            Self::Steps => "a list of selections",
            Self::Measured => "a selection; of a spike `count`, `distinct FIELD` or `sum FIELD`",
            Self::Span => "a length of time",
            Self::Number => "a number",
            Self::Whole => "a whole number",
            Self::Share => "a share: `5%` or 0.05",
            Self::Rate => "`once in 10 years`, or a number a year",
            Self::Range => "`[low, high]`",
            Self::Bool => "true or false",
            Self::Words(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                return words.join(", ");
            }
            Self::Options => "a map of its options",
            Self::MaybeOptions => "nothing, or a map of its options",
            Self::FieldOrOptions => "a field, or a map of its options",
            Self::File => "a `.rhai` file, from the folder of the rule",
        };
        text.to_owned()
    }
}

/// One option of behaviours.
#[derive(Debug, Clone, Copy)]
pub struct OptionEntry {
    /// The key.
    pub name: &'static str,
    /// What stands behind the key.
    pub value: Shape,
    /// What it says.
    pub says: &'static str,
}

const WINDOW: &[&str] = &["within", "at_least", "more_than", "at_most", "fewer_than", "between"];

/// Every behaviour, in the order of the reference.
pub const KINDS: [KindEntry; 21] = [
    kind(
        "count",
        Shape::Nothing,
        "the number of events meets the comparison",
        WINDOW,
        "{by: author_id, within: 10m, at_least: 20}",
    ),
    kind(
        "distinct",
        Shape::Fields,
        "the number of different values does",
        WINDOW,
        "{by: author_id, distinct: entity_id, within: 10m, at_least: 20}",
    ),
    kind(
        "sum",
        Shape::Field,
        "the sum of the numbers does; negative ones do not count",
        FIGURE,
        "{by: author_id, sum: details.bytes, within: 1h, at_least: 1000000000}",
    ),
    kind(
        "avg",
        Shape::Field,
        "the mean of the numbers does",
        FIGURE,
        "{by: entity_id, avg: details.duration, within: 1h, more_than: 2.5}",
    ),
    kind(
        "min",
        Shape::Field,
        "the smallest of the numbers does",
        FIGURE,
        "{by: entity_id, min: details.free_seats, within: 1d, at_most: 3}",
    ),
    kind(
        "max",
        Shape::Field,
        "the largest of the numbers does",
        FIGURE,
        "{by: author_id, max: details.bytes, within: 1h, more_than: 500000000}",
    ),
    kind(
        "median",
        Shape::Field,
        "the median of the numbers does (percentile 50)",
        FIGURE,
        "{by: entity_id, median: details.duration, within: 1h, at_least: 10}",
    ),
    kind(
        "percentile",
        Shape::Options,
        "the number that `p` percent of the numbers do not exceed does (nearest rank)",
        &["within", "at_least", "more_than", "at_most", "fewer_than", "between", "field", "p"],
        "{by: entity_id, percentile: {field: details.duration, p: 95}, within: 1h, at_least: 30}",
    ),
    kind(
        "ratio",
        Shape::Options,
        "the events of one selection, as a share of those of another, do",
        &["within", "at_least", "more_than", "at_most", "fewer_than", "between", "of", "to", "min_events"],
        "{by: author_id, ratio: {of: failed, to: login, min_events: 10}, within: 1h, at_least: 50%}",
    ),
    kind(
        "sequence",
        Shape::Steps,
        "they happen in this order within the window",
        &["within", "ordered", "unless", "same", "different"],
        "{by: entity_id, sequence: [opened, merged], same: [author_id], within: 1h}",
    ),
    kind(
        "absence",
        Shape::MaybeOptions,
        "the one does not follow the other in time; without `after` the key falls silent",
        &["within", "of", "after"],
        "{by: entity_id, absence: {of: approved, after: merged}, within: 1h}",
    ),
    kind(
        "first_seen",
        Shape::Fields,
        "this key never showed this value before",
        &["learn", "forget"],
        "{by: author_id, first_seen: ip_address, learn: 14d, forget: 90d}",
    ),
    kind(
        "rare",
        Shape::Fields,
        "the value's share among the peers is smaller than `below`",
        &["peers", "history", "below", "min_events"],
        "{by: author_id, rare: user_agent, peers: entity_path, history: 30d, below: 1%}",
    ),
    kind(
        "change",
        Shape::Fields,
        "the value differs from this key's last one",
        &["within"],
        "{by: entity_id, change: details.visibility}",
    ),
    kind(
        "spike",
        Shape::Options,
        "a stretch of time holds far more than this key's own past makes likely",
        &["of", "bucket", "history", "season", "sensitivity", "direction", "min"],
        "{by: author_id, spike: {of: count, bucket: 1h, history: 28d, season: week, sensitivity: once in 10 years}}",
    ),
    kind(
        "unusual_hour",
        Shape::MaybeOptions,
        "the key acts at an hour of the week at which it practically never does",
        &["learn", "sensitivity"],
        "{by: author_id, unusual_hour: {learn: 28d}}",
    ),
    kind("dormant", Shape::Span, "a key acts again after that silence", &[], "{by: author_id, dormant: 60d}"),
    kind(
        "travel",
        Shape::FieldOrOptions,
        "two events come from places too far apart for the time between",
        &["field", "max_kmh", "min_km"],
        "{by: author_id, travel: {field: ip_address, max_kmh: 900}}",
    ),
    kind(
        "bucket",
        Shape::Options,
        "a leaky bucket overflows: more events than it holds, faster than they leak",
        &["capacity", "leak"],
        "{by: author_id, bucket: {capacity: 5, leak: 10s}}",
    ),
    kind(
        "risk",
        Shape::Options,
        "the decaying sum of the scores of this key's alerts, over all rules, passes the line",
        &["at_least", "more_than", "half_life"],
        "{by: author_id, risk: {at_least: 100, half_life: 24h}}",
    ),
    kind(
        "script",
        Shape::File,
        "the script says so: its `on_event` gives `true`, a reason, or `#{reason, value, score}`",
        &["within"],
        "{by: author_id, script: slow-guessing.rhai, within: 1h}",
    ),
];

const FIGURE: &[&str] = &["within", "at_least", "more_than", "at_most", "fewer_than", "between", "field"];

/// Whom a behaviour is about.
pub const GROUP: [OptionEntry; 2] = [
    option(
        "by",
        Shape::Fields,
        "the group key: each group is judged alone; without it all events are one group",
    ),
    option(
        "missing",
        Shape::Words(&["group"]),
        "an event without a field of the key forms a group of its own; without this it goes to the ledger",
    ),
];

/// When a measure is worth a finding; one of them.
pub const COMPARISONS: [OptionEntry; 5] = [
    option("at_least", Shape::Number, "this or more"),
    option("more_than", Shape::Number, "more than this"),
    option("at_most", Shape::Number, "this or less; judged when no late event can change it"),
    option("fewer_than", Shape::Number, "less than this; judged when no late event can change it"),
    option(
        "between",
        Shape::Range,
        "from low to high, both included; judged when no late event can change it",
    ),
];

/// Every other option.
pub const OPTIONS: [OptionEntry; 26] = [
    option("within", Shape::Span, "the window: `(t - within, t]` in event time"),
    option("field", Shape::Field, "the field that is measured"),
    option("p", Shape::Number, "which percentile"),
    option("of", Shape::Measured, "what is measured, or what must follow"),
    option("to", Shape::Selection, "what it is a share of"),
    option("after", Shape::Selection, "what it must follow"),
    option("min_events", Shape::Whole, "with fewer events nothing is said (ratio: 1, rare: 100)"),
    option("ordered", Shape::Bool, "false: the steps may come in any order"),
    option("unless", Shape::Selection, "nothing of this between the first and the last step"),
    option("same", Shape::Fields, "one value over all steps"),
    option("different", Shape::Fields, "another value at each step"),
    option("learn", Shape::Span, "how long a key is watched before it may fire"),
    option("forget", Shape::Span, "after so long without it a value counts as new again; 0: never"),
    option("peers", Shape::Fields, "who has these in common is a peer; without it all are"),
    option("history", Shape::Span, "how far back the past goes (rare: 30d, spike: 28d)"),
    option("below", Shape::Share, "a smaller share is rare (1%)"),
    option("bucket", Shape::Span, "the length of the stretches that are compared (1h)"),
    option("season", Shape::Words(&["none", "day", "week"]), "which rhythm the past has (week)"),
    option("sensitivity", Shape::Rate, "expected false alarms per key (once in 10 years)"),
    option("direction", Shape::Words(&["up", "down", "both"]), "which side is worth a finding (up)"),
    option("min", Shape::Number, "a stretch with less than this is no spike (1)"),
    option("max_kmh", Shape::Number, "faster than this nobody travels (900)"),
    option("min_km", Shape::Number, "places nearer than this are one place (100)"),
    option("capacity", Shape::Whole, "how many events the bucket holds; one more overflows"),
    option("leak", Shape::Span, "how long one event takes to leak out"),
    option("half_life", Shape::Span, "after so long a score counts half (24h)"),
];

const fn kind(
    name: &'static str,
    value: Shape,
    fires: &'static str,
    options: &'static [&'static str],
    example: &'static str,
) -> KindEntry {
    KindEntry { name, value, fires, options, example }
}

const fn option(name: &'static str, value: Shape, says: &'static str) -> OptionEntry {
    OptionEntry { name, value, says }
}

/// Every key that may stand directly in `behavior`: groups, comparisons, behaviours and the options beside them.
#[must_use]
pub fn keys() -> Vec<&'static str> {
    let mut keys: Vec<&str> = GROUP.iter().chain(&COMPARISONS).map(|entry| entry.name).collect();
    keys.extend(KINDS.iter().map(|kind| kind.name));
    for option in KINDS.iter().flat_map(|kind| kind.options) {
        if !keys.contains(option) {
            keys.push(option);
        }
    }
    keys
}
