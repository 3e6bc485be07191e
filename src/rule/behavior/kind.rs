//! What is measured: one reader for each behaviour.

use super::statistics;
use super::table::KindEntry;
use crate::rule::ast::{Aggregate, Kind};
use crate::rule::detection::Draft;
use crate::rule::read::{self, Entries};
use crate::rule::report::Report;
use crate::rule::sequence::sequence;
use crate::rule::yaml::{Content, Key, Place, Yaml};
use crate::time::Span;

/// The keys of a behaviour: those beside its name, and those in its own map, which mean the same.
pub(super) struct Words<'a> {
    /// Which behaviour.
    pub(super) kind: &'static KindEntry,
    /// Where `behavior` stands.
    pub(super) place: Place,
    beside: Entries<'a>,
    inside: Entries<'a>,
}

impl<'a> Words<'a> {
    /// Finds the options and reports those that nobody knows or that are given twice.
    pub(super) fn new(
        kind: &'static KindEntry,
        beside: Entries<'a>,
        place: Place,
        report: &mut Report,
    ) -> Self {
        let inside = read::value(beside, kind.name).and_then(Yaml::entries).unwrap_or_default();
        let what = format!("`{}`", kind.name);
        read::only(inside, kind.options, &what, report);
        for (key, _) in inside.iter().filter(|(key, _)| read::get(beside, &key.text).is_some()) {
            let message = format!("`{}` stands inside and beside {what}", key.text);
            report.error("duplicate-key", key.place, message).help("remove one of them");
        }
        Self { kind, place, beside, inside }
    }

    /// An option, inside or beside.
    pub(super) fn get(&self, option: &str) -> Option<&'a (Key, Yaml)> {
        read::get(self.inside, option).or_else(|| read::get(self.beside, option))
    }

    /// The value of an option.
    pub(super) fn value(&self, option: &str) -> Option<&'a Yaml> {
        self.get(option).map(|(_, value)| value)
    }

    /// Whether the option means something here.
    pub(super) fn takes(&self, option: &str) -> bool {
        self.kind.options.contains(&option)
    }

    /// Whether one of these is there but for a slip, which was reported.
    pub(super) fn is_mistyped(&self, options: &[&str]) -> bool {
        read::is_mistyped(self.beside, options) || read::is_mistyped(self.inside, options)
    }

    /// What stands behind the behaviour's name, if it is named.
    fn own(&self) -> Option<&'a (Key, Yaml)> {
        read::get(self.beside, self.kind.name)
    }

    /// An option that has to be there; its absence is reported.
    pub(super) fn needed(&self, option: &str, help: &str, report: &mut Report) -> Option<&'a Yaml> {
        let found = self.value(option);
        if found.is_none() && !self.is_mistyped(&[option]) {
            let place = self.own().map_or(self.place, |(key, _)| key.place);
            read::missing(option, &format!("`{}`", self.kind.name), place, report).help(help.to_owned());
        }
        found
    }

    /// A length of time, or this if it is not given.
    pub(super) fn span(&self, option: &str, otherwise: Span, report: &mut Report) -> Option<Span> {
        let what = format!("`{option}`");
        self.value(option).map_or(Some(otherwise), |node| read::span_or_zero(node, &what, report))
    }

    /// A whole number, or this if it is not given.
    pub(super) fn whole(&self, option: &str, otherwise: u64, report: &mut Report) -> Option<u64> {
        let what = format!("`{option}`");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and not negative")]
        self.value(option)
            .map_or(Some(otherwise), |node| read::whole(node, &what, report).map(|number| number as u64))
    }

    /// A number that is not negative, or this if it is not given.
    pub(super) fn positive(&self, option: &str, otherwise: f64, report: &mut Report) -> Option<f64> {
        let Some(node) = self.value(option) else { return Some(otherwise) };
        let number = read::number(node, &format!("`{option}`"), report)?;
        if number < 0.0 {
            report.error("bad-value", node.place, format!("`{option}` must not be negative"));
            return None;
        }
        Some(number)
    }
}

/// Reads what is measured.
pub(super) fn kind(
    words: &Words<'_>,
    by: &[String],
    draft: &mut Draft<'_>,
    report: &mut Report,
) -> Option<Kind> {
    let Some((key, node)) = words.own() else { return Some(Kind::Count) };
    match words.kind.name {
        "count" => count(node, report),
        "distinct" => fields(key, node, report).map(Kind::Distinct),
        "sum" => figure(Aggregate::Sum, words, report),
        "avg" => figure(Aggregate::Avg, words, report),
        "min" => figure(Aggregate::Min, words, report),
        "max" => figure(Aggregate::Max, words, report),
        "median" => figure(Aggregate::Percentile(50.0), words, report),
        "percentile" => percentile(words, report),
        "ratio" => ratio(words, draft, report),
        "sequence" => sequence(node, words.beside, (by, draft), report).map(Kind::Sequence),
        "absence" => absence(words, node, draft, report),
        "first_seen" => first_seen(words, (key, node), report),
        "rare" => statistics::rare(words, fields(key, node, report)?, report),
        "change" => fields(key, node, report).map(Kind::Change),
        "spike" => statistics::spike(words, report),
        "unusual_hour" => statistics::unusual_hour(words, report),
        "travel" => statistics::travel(words, node, report),
        "bucket" => statistics::bucket(words, report),
        "risk" => statistics::risk(words, report),
        // Its file is read with the rule's body.
        "script" => Some(Kind::Script),
        _ => read::span(node, "`dormant`", report).map(Kind::Dormant),
    }
}

fn count(node: &Yaml, report: &mut Report) -> Option<Kind> {
    let is_switch = is_bare(node);
    if !is_switch {
        let message = "`count` takes no value: it counts the matching events";
        report.error("bad-value", node.place, message).help("write `at_least: 5`");
    }
    is_switch.then_some(Kind::Count)
}

/// Nothing, or `true`.
pub(super) fn is_bare(node: &Yaml) -> bool {
    node.is_null() || node.scalar().is_some_and(|scalar| scalar.text.eq_ignore_ascii_case("true"))
}

fn figure(of: Aggregate, words: &Words<'_>, report: &mut Report) -> Option<Kind> {
    let (_, node) = words.own()?;
    let (node, what) = match &node.content {
        Content::Map(_) => (words.needed("field", "name the field with the numbers", report)?, "`field`"),
        _ => (node, words.kind.name),
    };
    Some(Kind::Aggregate { of, field: read::name(node, what, report)? })
}

fn percentile(words: &Words<'_>, report: &mut Report) -> Option<Kind> {
    let field = words.needed("field", "write `percentile: {field: FIELD, p: 95}`", report);
    let node = words.needed("p", "say which percentile, as `p: 95`", report)?;
    let p = read::number(node, "`p`", report)?;
    if !(0.0..=100.0).contains(&p) {
        report.error("bad-value", node.place, "`p` is a percentage: 0 to 100");
        return None;
    }
    Some(Kind::Aggregate { of: Aggregate::Percentile(p), field: read::name(field?, "`field`", report)? })
}

fn ratio(words: &Words<'_>, draft: &mut Draft<'_>, report: &mut Report) -> Option<Kind> {
    let of = words.needed("of", "name the selection whose share is measured", report);
    let to = words.needed("to", "name the selection it is a share of", report);
    let (of, to) = (selection(of?, draft, report), selection(to?, draft, report));
    Some(Kind::Ratio { of: of?, to: to?, min_events: words.whole("min_events", 1, report)? })
}

fn selection(node: &Yaml, draft: &mut Draft<'_>, report: &mut Report) -> Option<usize> {
    let name = read::name(node, "a selection", report)?;
    draft.index(&name, node.place, report)
}

fn absence(words: &Words<'_>, node: &Yaml, draft: &mut Draft<'_>, report: &mut Report) -> Option<Kind> {
    if !is_bare(node) {
        read::map(node, "`absence`", report)?;
    }
    let mut named = |option: &str| match words.value(option) {
        None => Some(None),
        Some(node) => selection(node, draft, report).map(Some),
    };
    let (of, after) = (named("of"), named("after"));
    Some(Kind::Absence { of: of?, after: after? })
}

fn first_seen(words: &Words<'_>, (key, node): (&Key, &Yaml), report: &mut Report) -> Option<Kind> {
    let (learn, forget) = (words.span("learn", Span(0), report), words.span("forget", Span(0), report));
    Some(Kind::FirstSeen { fields: fields(key, node, report)?, learn: learn?, forget: forget? })
}

/// A field or a list of fields.
pub(super) fn fields(key: &Key, node: &Yaml, report: &mut Report) -> Option<Vec<String>> {
    let what = format!("`{}`", key.text);
    let fields = read::names(node, &what, report);
    if read::items(node).is_empty() {
        let message = format!("{what} needs a field, or a list of fields");
        report.error("bad-value", node.place, message);
    }
    Some(fields).filter(|fields| !fields.is_empty())
}
