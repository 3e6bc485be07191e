//! The behaviours that compare with the past, and those that decay.

use super::kind::{Words, is_bare};
use crate::rule::ast::{Direction, Kind, Season, Spike, SpikeOf};
use crate::rule::read;
use crate::rule::report::Report;
use crate::rule::suggest;
use crate::rule::yaml::{Content, Yaml};
use crate::time::Span;

/// Once in ten years.
const SENSITIVITY: f64 = 0.1;
/// The stretches of a spike's past: enough to say anything, few enough to keep.
const BUCKETS: std::ops::RangeInclusive<i64> = 8..=5000;

pub(super) fn rare(words: &Words<'_>, fields: Vec<String>, report: &mut Report) -> Option<Kind> {
    let peers = words.value("peers").map(|node| read::names(node, "`peers`", report));
    let history = words.span("history", Span::days(30), report)?;
    let below = match words.value("below") {
        Some(node) => share(node, "`below`", report)?,
        None => 0.01,
    };
    if !(below > 0.0 && below <= 1.0) {
        let place = words.value("below").map_or(words.place, |node| node.place);
        report.error("bad-value", place, "`below` must be more than 0 and at most 100%");
        return None;
    }
    let min_events = words.whole("min_events", 100, report)?;
    Some(Kind::Rare { fields, peers: peers.unwrap_or_default(), history, below, min_events })
}

pub(super) fn spike(words: &Words<'_>, report: &mut Report) -> Option<Kind> {
    let of = words.needed("of", "say what is measured: `of: count`", report);
    let bucket = words.span("bucket", Span::hours(1), report);
    let history = words.span("history", Span::days(28), report);
    let season = word(
        words,
        "season",
        &[("none", Season::None), ("day", Season::Day), ("week", Season::Week)],
        report,
    );
    let direction = word(
        words,
        "direction",
        &[("up", Direction::Up), ("down", Direction::Down), ("both", Direction::Both)],
        report,
    );
    let sensitivity = sensitivity(words, report);
    let min = words.positive("min", 1.0, report);
    let of = spike_of(of?, report)?;
    let (bucket, history) = (bucket?, history?);
    let season = season?.unwrap_or(Season::Week);
    fits(words, bucket, history, season, report)?;
    let direction = direction?.unwrap_or(Direction::Up);
    Some(Kind::Spike(Spike { of, bucket, history, season, sensitivity: sensitivity?, direction, min: min? }))
}

/// The past must hold enough stretches, and enough turns of its rhythm.
fn fits(words: &Words<'_>, bucket: Span, history: Span, season: Season, report: &mut Report) -> Option<()> {
    let place = |option: &str| words.value(option).map_or(words.place, |node| node.place);
    if bucket < Span::minutes(1) || !BUCKETS.contains(&(history.0 / bucket.0.max(1))) {
        let (low, high) = (BUCKETS.start(), BUCKETS.end());
        let message =
            format!("`history` must be {low} to {high} times as long as `bucket`, which is a minute or more");
        report.error("bad-value", place("bucket"), message).help("as `bucket: 1h`, `history: 28d`");
        return None;
    }
    let turn = match season {
        Season::None => return Some(()),
        Season::Day => Span::days(1),
        Season::Week => Span::days(7),
    };
    if turn.0 % bucket.0 != 0 {
        let message = format!("`bucket` must divide {turn}, the rhythm of `season`");
        report.error("bad-value", place("bucket"), message).help("as `bucket: 1h`");
        return None;
    }
    if history.0 < 2 * turn.0 {
        let message = format!("`history` must be at least two turns of `season`: {}", Span(2 * turn.0));
        report.error("bad-value", place("history"), message).help("or write `season: none`");
        return None;
    }
    Some(())
}

/// `count`, `distinct FIELD` or `sum FIELD`; also as a map.
fn spike_of(node: &Yaml, report: &mut Report) -> Option<SpikeOf> {
    if let Content::Map(entries) = &node.content {
        read::only(entries, &["distinct", "sum"], "`of`", report);
        return match entries.as_slice() {
            [(key, value)] if key.text == "distinct" => {
                let fields = read::names(value, "`distinct`", report);
                (!fields.is_empty()).then_some(SpikeOf::Distinct(fields))
            }
            [(key, value)] if key.text == "sum" => read::name(value, "`sum`", report).map(SpikeOf::Sum),
            _ => {
                let message = "`of` names one thing";
                report.error("bad-value", node.place, message).help("as `of: {distinct: entity_id}`");
                None
            }
        };
    }
    let text = read::name(node, "`of`", report)?;
    match text.split_once(char::is_whitespace) {
        None if text == "count" => return Some(SpikeOf::Count),
        Some(("distinct", field)) => return Some(SpikeOf::Distinct(vec![field.trim().to_owned()])),
        Some(("sum", field)) => return Some(SpikeOf::Sum(field.trim().to_owned())),
        _ => {}
    }
    let message = format!("`{text}` cannot be measured in a spike");
    report.error("bad-value", node.place, message).help("write `count`, `distinct FIELD` or `sum FIELD`");
    None
}

pub(super) fn unusual_hour(words: &Words<'_>, report: &mut Report) -> Option<Kind> {
    let learn = words.span("learn", Span::days(28), report)?;
    if learn < Span::days(7) {
        let place = words.value("learn").map_or(words.place, |node| node.place);
        let message = "`learn` must be a week or more: the hours of a week are compared";
        report.error("bad-value", place, message).help("as `learn: 28d`");
        return None;
    }
    Some(Kind::UnusualHour { learn, sensitivity: sensitivity(words, report)? })
}

pub(super) fn travel(words: &Words<'_>, node: &Yaml, report: &mut Report) -> Option<Kind> {
    let field = match (&node.content, words.value("field")) {
        (_, Some(field)) => read::name(field, "`field`", report)?,
        (Content::Scalar(_), None) if !is_bare(node) => read::name(node, "`travel`", report)?,
        _ => "ip_address".to_owned(),
    };
    if field != "ip_address" {
        let place = words.value("field").map_or(node.place, |node| node.place);
        let message = "only `ip_address` has a place";
        report.error("bad-value", place, message).help("write `travel: {field: ip_address}`");
        return None;
    }
    let max_kmh = words.positive("max_kmh", 900.0, report);
    Some(Kind::Travel { field, max_kmh: max_kmh?, min_km: words.positive("min_km", 100.0, report)? })
}

pub(super) fn bucket(words: &Words<'_>, report: &mut Report) -> Option<Kind> {
    words.needed("capacity", "say how many events it holds, as `capacity: 5`", report);
    let capacity = words.whole("capacity", 0, report);
    let leak = words.needed("leak", "say how long one event takes to leak out, as `leak: 10s`", report)?;
    let leak = read::span(leak, "`leak`", report)?;
    let capacity = capacity?;
    if !(1..=100_000).contains(&capacity) {
        let place = words.value("capacity").map_or(words.place, |node| node.place);
        report.error("bad-value", place, "`capacity` must be 1 to 100000");
        return None;
    }
    Some(Kind::Bucket { capacity, leak })
}

pub(super) fn risk(words: &Words<'_>, report: &mut Report) -> Option<Kind> {
    let half_life = words.span("half_life", Span::days(1), report)?;
    if half_life.0 == 0 {
        let place = words.value("half_life").map_or(words.place, |node| node.place);
        report.error("bad-value", place, "`half_life` must be more than nothing");
        return None;
    }
    Some(Kind::Risk { half_life })
}

/// Expected false alarms per key and year: a number, or `once in 10 years`.
fn sensitivity(words: &Words<'_>, report: &mut Report) -> Option<f64> {
    let Some(node) = words.value("sensitivity") else { return Some(SENSITIVITY) };
    let text = read::text(node, "`sensitivity`", report)?;
    let a_year = read::number_of(&text).or_else(|| once_in(&text));
    let fits = a_year.filter(|number| (0.000_01..=366.0).contains(number));
    if fits.is_none() {
        let message = format!("`{text}` is no rate of false alarms");
        report
            .error("bad-value", node.place, message)
            .help("write `once in 10 years`, or how many a year a key may have: 0.00001 to 366");
    }
    fits
}

/// `once in 10 years` as a number a year: 0.1.
fn once_in(text: &str) -> Option<f64> {
    let rest = text.trim().strip_prefix("once ")?;
    let rest = rest.strip_prefix("in ").or_else(|| rest.strip_prefix("a ").map(|_| rest)).unwrap_or(rest);
    let (number, unit) = rest.trim().split_once(char::is_whitespace)?;
    let number = if number == "a" { 1.0 } else { read::number_of(number)? };
    let a_year = match unit.trim().trim_end_matches('s') {
        "year" => 1.0,
        "month" => 12.0,
        "week" => 365.25 / 7.0,
        "day" => 365.25,
        _ => return None,
    };
    (number > 0.0).then(|| a_year / number)
}

/// A share of 1: `1%` or `0.01`.
pub(super) fn share(node: &Yaml, what: &str, report: &mut Report) -> Option<f64> {
    let text = read::text(node, what, report)?;
    let number = match text.trim().strip_suffix('%') {
        Some(percent) => read::number_of(percent.trim()).map(|percent| percent / 100.0),
        None => read::number_of(&text),
    };
    if number.is_none() {
        let message = format!("{what} must be a share, not `{text}`");
        report.error("bad-value", node.place, message).help("write `5%` or `0.05`");
    }
    number
}

/// One word of several; none where the option is not given.
fn word<T: Copy>(
    words: &Words<'_>,
    option: &str,
    known: &[(&str, T)],
    report: &mut Report,
) -> Option<Option<T>> {
    let Some(node) = words.value(option) else { return Some(None) };
    let text = read::name(node, &format!("`{option}`"), report)?;
    let found = known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    if found.is_none() {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let message = format!("`{option}` cannot be `{text}`");
        report.error("bad-value", node.place, message).help(format!("it is {}", suggest::one_of(&names)));
    }
    found.map(Some)
}
