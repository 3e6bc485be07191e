//! The words of `behavior`: what the parser knows, what its messages say, and what the reference is made of.

/// One behaviour.
#[derive(Debug, Clone, Copy)]
pub struct KindEntry {
    /// The key.
    pub name: &'static str,
    /// What stands behind the key.
    pub value: &'static str,
    /// When it fires.
    pub fires: &'static str,
    /// The options that mean something with it, beside it or inside its map.
    pub options: &'static [&'static str],
    /// `behavior:` of a rule that uses it.
    pub example: &'static str,
}

/// One option of behaviours.
#[derive(Debug, Clone, Copy)]
pub struct OptionEntry {
    /// The key.
    pub name: &'static str,
    /// What stands behind the key.
    pub value: &'static str,
    /// What it says.
    pub says: &'static str,
}

const WINDOW: &[&str] = &["within", "at_least", "more_than", "at_most", "fewer_than", "between"];

/// Every behaviour, in the order of the reference.
pub const KINDS: [KindEntry; 21] = [
    kind(
        "count",
        "nothing",
        "the number of events meets the comparison",
        WINDOW,
        "{by: author_id, within: 10m, at_least: 20}",
    ),
    kind(
        "distinct",
        "a field or a list of fields",
        "the number of different values does",
        WINDOW,
        "{by: author_id, distinct: entity_id, within: 10m, at_least: 20}",
    ),
    kind(
        "sum",
        "a field with numbers",
        "the sum of the numbers does; negative ones do not count",
        FIGURE,
        "{by: author_id, sum: details.bytes, within: 1h, at_least: 1000000000}",
    ),
    kind(
        "avg",
        "a field with numbers",
        "the mean of the numbers does",
        FIGURE,
        "{by: entity_id, avg: details.duration, within: 1h, more_than: 2.5}",
    ),
    kind(
        "min",
        "a field with numbers",
        "the smallest of the numbers does",
        FIGURE,
        "{by: entity_id, min: details.free_seats, within: 1d, at_most: 3}",
    ),
    kind(
        "max",
        "a field with numbers",
        "the largest of the numbers does",
        FIGURE,
        "{by: author_id, max: details.bytes, within: 1h, more_than: 500000000}",
    ),
    kind(
        "median",
        "a field with numbers",
        "the median of the numbers does (percentile 50)",
        FIGURE,
        "{by: entity_id, median: details.duration, within: 1h, at_least: 10}",
    ),
    kind(
        "percentile",
        "`{field: FIELD, p: 95}`",
        "the number that `p` percent of the numbers do not exceed does (nearest rank)",
        &["within", "at_least", "more_than", "at_most", "fewer_than", "between", "field", "p"],
        "{by: entity_id, percentile: {field: details.duration, p: 95}, within: 1h, at_least: 30}",
    ),
    kind(
        "ratio",
        "`{of: SELECTION, to: SELECTION}`",
        "the events of one selection, as a share of those of another, do",
        &["within", "at_least", "more_than", "at_most", "fewer_than", "between", "of", "to", "min_events"],
        "{by: author_id, ratio: {of: failed, to: login, min_events: 10}, within: 1h, at_least: 50%}",
    ),
    kind(
        "sequence",
        "a list of selections",
        "they happen in this order within the window",
        &["within", "ordered", "unless", "same", "different"],
        "{by: entity_id, sequence: [opened, merged], same: [author_id], within: 1h}",
    ),
    kind(
        "absence",
        "`{of: SELECTION, after: SELECTION}`, or nothing",
        "the one does not follow the other in time; without `after` the key falls silent",
        &["within", "of", "after"],
        "{by: entity_id, absence: {of: approved, after: merged}, within: 1h}",
    ),
    kind(
        "first_seen",
        "a field or a list of fields",
        "this key never showed this value before",
        &["learn", "forget"],
        "{by: author_id, first_seen: ip_address, learn: 14d, forget: 90d}",
    ),
    kind(
        "rare",
        "a field or a list of fields",
        "the value's share among the peers is smaller than `below`",
        &["peers", "history", "below", "min_events"],
        "{by: author_id, rare: user_agent, peers: entity_path, history: 30d, below: 1%}",
    ),
    kind(
        "change",
        "a field or a list of fields",
        "the value differs from this key's last one",
        &["within"],
        "{by: entity_id, change: details.visibility}",
    ),
    kind(
        "spike",
        "`{of: count}`, `{of: distinct FIELD}` or `{of: sum FIELD}`",
        "a stretch of time holds far more than this key's own past makes likely",
        &["of", "bucket", "history", "season", "sensitivity", "direction", "min"],
        "{by: author_id, spike: {of: count, bucket: 1h, history: 28d, season: week, sensitivity: once in 10 years}}",
    ),
    kind(
        "unusual_hour",
        "nothing, or its options",
        "the key acts at an hour of the week at which it practically never does",
        &["learn", "sensitivity"],
        "{by: author_id, unusual_hour: {learn: 28d}}",
    ),
    kind(
        "dormant",
        "a length of time",
        "a key acts again after that silence",
        &[],
        "{by: author_id, dormant: 60d}",
    ),
    kind(
        "travel",
        "`{field: ip_address}`",
        "two events come from places too far apart for the time between",
        &["field", "max_kmh", "min_km"],
        "{by: author_id, travel: {field: ip_address, max_kmh: 900}}",
    ),
    kind(
        "bucket",
        "`{capacity: 5, leak: 10s}`",
        "a leaky bucket overflows: more events than it holds, faster than they leak",
        &["capacity", "leak"],
        "{by: author_id, bucket: {capacity: 5, leak: 10s}}",
    ),
    kind(
        "risk",
        "`{at_least: 100, half_life: 24h}`",
        "the decaying sum of the scores of this key's alerts, over all rules, passes the line",
        &["at_least", "more_than", "half_life"],
        "{by: author_id, risk: {at_least: 100, half_life: 24h}}",
    ),
    kind(
        "script",
        "a file `NAME.rhai`",
        "the script says so; the rule is then written in that file, with its header in a leading comment",
        &["within"],
        "{by: author_id, within: 1h}",
    ),
];

const FIGURE: &[&str] = &["within", "at_least", "more_than", "at_most", "fewer_than", "between", "field"];

/// Whom a behaviour is about.
pub const GROUP: [OptionEntry; 2] = [
    option(
        "by",
        "a field or a list of fields",
        "the group key: each group is judged alone; without it all events are one group",
    ),
    option(
        "missing",
        "`group`",
        "an event without a field of the key forms a group of its own; without this it goes to the ledger",
    ),
];

/// When a measure is worth a finding; one of them.
pub const COMPARISONS: [OptionEntry; 5] = [
    option("at_least", "a number", "this or more"),
    option("more_than", "a number", "more than this"),
    option("at_most", "a number", "this or less; judged when no late event can change it"),
    option("fewer_than", "a number", "less than this; judged when no late event can change it"),
    option(
        "between",
        "`[low, high]`",
        "from low to high, both included; judged when no late event can change it",
    ),
];

/// Every other option.
pub const OPTIONS: [OptionEntry; 26] = [
    option("within", "a length of time", "the window: `(t - within, t]` in event time"),
    option("field", "a field", "the field that is measured"),
    option("p", "a number from 0 to 100", "which percentile"),
    option(
        "of",
        "a selection; in `spike` `count`, `distinct FIELD` or `sum FIELD`",
        "what is measured, or what must follow",
    ),
    option("to", "a selection", "what it is a share of"),
    option("after", "a selection", "what it must follow"),
    option("min_events", "a whole number", "with fewer events nothing is said (ratio: 1, rare: 100)"),
    option("ordered", "true or false", "false: the steps may come in any order"),
    option("unless", "a selection", "nothing of this between the first and the last step"),
    option("same", "a field or a list of fields", "one value over all steps"),
    option("different", "a field or a list of fields", "another value at each step"),
    option("learn", "a length of time", "how long a key is watched before it may fire"),
    option("forget", "a length of time", "after so long without it a value counts as new again; 0: never"),
    option("peers", "a field or a list of fields", "who has these in common is a peer; without it all are"),
    option("history", "a length of time", "how far back the past goes (rare: 30d, spike: 28d)"),
    option("below", "a share, as `1%` or 0.01", "a smaller share is rare (1%)"),
    option("bucket", "a length of time", "the length of the stretches that are compared (1h)"),
    option("season", "`none`, `day` or `week`", "which rhythm the past has (week)"),
    option(
        "sensitivity",
        "`once in 10 years`, or a number a year",
        "expected false alarms per key (once in 10 years)",
    ),
    option("direction", "`up`, `down` or `both`", "which side is worth a finding (up)"),
    option("min", "a number", "a stretch with less than this is no spike (1)"),
    option("max_kmh", "a number", "faster than this nobody travels (900)"),
    option("min_km", "a number", "places nearer than this are one place (100)"),
    option("capacity", "a whole number", "how many events the bucket holds; one more overflows"),
    option("leak", "a length of time", "how long one event takes to leak out"),
    option("half_life", "a length of time", "after so long a score counts half (24h)"),
];

const fn kind(
    name: &'static str,
    value: &'static str,
    fires: &'static str,
    options: &'static [&'static str],
    example: &'static str,
) -> KindEntry {
    KindEntry { name, value, fires, options, example }
}

const fn option(name: &'static str, value: &'static str, says: &'static str) -> OptionEntry {
    OptionEntry { name, value, says }
}

/// Every key that may stand directly in `behavior`: groups, comparisons, behaviours and the options beside them.
#[must_use]
pub fn keys() -> Vec<&'static str> {
    let mut keys: Vec<&str> = GROUP.iter().chain(&COMPARISONS).map(|entry| entry.name).collect();
    for kind in KINDS.iter().filter(|kind| kind.name != "script") {
        keys.push(kind.name);
    }
    for option in KINDS.iter().flat_map(|kind| kind.options) {
        if !keys.contains(option) {
            keys.push(option);
        }
    }
    keys
}
