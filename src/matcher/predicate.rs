//! One compiled test on one field.

use std::net::IpAddr;

use ipnet::IpNet;
use memchr::memmem::Finder;
use regex_automata::meta::{BuildError, Regex};
use regex_automata::util::syntax;

use super::fold::fold;
use crate::decode::parse_time;
use crate::event::Scalar;
use crate::rule::ast::{Cmp, Glob, Op, RefKind, Test, TimePart};

/// A compiled test. `field` is an index into the matcher's fields; none for keywords.
#[derive(Debug)]
pub(super) struct Predicate {
    pub(super) field: Option<usize>,
    pub(super) check: Check,
    pub(super) cased: bool,
}

/// What a value must be; texts are folded unless the predicate is cased.
#[derive(Debug)]
pub(super) enum Check {
    Exact(Box<str>),
    Contains(Box<Finder<'static>>),
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    /// Over folded text, unlike `Regex`: its own folding is another one.
    Wildcard(Box<Regex>),
    Regex(Box<Regex>),
    Cidr(IpNet),
    Number(Cmp, f64),
    Null,
    Exists(bool),
    FieldRef(usize, RefKind),
    TimePart(TimePart, Cmp, f64),
}

impl Predicate {
    /// Compiles a test; `field_index` gives a field its index.
    pub(super) fn compile(
        test: &Test,
        mut field_index: impl FnMut(&str) -> usize,
    ) -> Result<Self, Box<BuildError>> {
        let folded = |text: &str| if test.cased { text.to_owned() } else { fold(text) };
        let check = match &test.op {
            Op::Exact(text) => Check::Exact(folded(text).into()),
            Op::Contains(text) => {
                Check::Contains(Box::new(Finder::new(folded(text).as_bytes()).into_owned()))
            }
            Op::StartsWith(text) => Check::StartsWith(folded(text).into()),
            Op::EndsWith(text) => Check::EndsWith(folded(text).into()),
            Op::Wildcard(globs) => Check::Wildcard(Box::new(wildcard(globs, folded, test.field.is_none())?)),
            Op::Regex(pattern) => Check::Regex(Box::new(automaton(pattern)?)),
            Op::Cidr(network) => Check::Cidr(*network),
            Op::Number(cmp, number) => Check::Number(*cmp, *number),
            Op::Null => Check::Null,
            Op::Exists(wanted) => Check::Exists(*wanted),
            Op::FieldRef(other, kind) => Check::FieldRef(field_index(other), *kind),
            Op::TimePart(part, cmp, number) => Check::TimePart(*part, *cmp, *number),
        };
        Ok(Self { field: test.field.as_deref().map(&mut field_index), check, cased: test.cased })
    }

    /// Whether the check looks at folded text.
    pub(super) fn wants_folded(&self) -> bool {
        !self.cased
            && matches!(
                self.check,
                Check::Exact(_)
                    | Check::Contains(_)
                    | Check::StartsWith(_)
                    | Check::EndsWith(_)
                    | Check::Wildcard(_)
                    | Check::FieldRef(..)
            )
    }
}

/// A wildcard pattern as a regular expression, anchored unless it is a keyword, which may stand anywhere.
fn wildcard(
    globs: &[Glob],
    folded: impl Fn(&str) -> String,
    is_keyword: bool,
) -> Result<Regex, Box<BuildError>> {
    let mut pattern = String::from("(?s)");
    let anchor = |mark| if is_keyword { "" } else { mark };
    pattern.push_str(anchor("^"));
    for glob in globs {
        match glob {
            Glob::Literal(text) => pattern.push_str(&regex::escape(&folded(text))),
            Glob::One => pattern.push('.'),
            Glob::Many => pattern.push_str(".*"),
        }
    }
    pattern.push_str(anchor("$"));
    automaton(&pattern)
}

/// As `regex::Regex::new`, but without the complete automaton of small patterns: making it takes many times
/// longer than all the rest, and the one that is made while searching is as fast.
fn automaton(pattern: &str) -> Result<Regex, Box<BuildError>> {
    let config = Regex::config().dfa(false).nfa_size_limit(Some(REGEX_BYTES_MAX));
    let built = Regex::builder().configure(config).syntax(syntax::Config::new()).build(pattern);
    built.map_err(Box::new)
}

/// A compiled pattern takes no more than this; `rule` refuses larger ones with a better message.
const REGEX_BYTES_MAX: usize = 10 << 20;

impl Check {
    /// Whether one value passes. `text` is the value's text, folded if the predicate wants it folded.
    /// Presence and references to other fields are decided by the caller.
    pub(super) fn passes(&self, value: Scalar<'_>, text: Option<&str>) -> bool {
        let Some(text) = text else { return false };
        match self {
            Self::Exact(wanted) => text == &**wanted,
            Self::Contains(finder) => finder.find(text.as_bytes()).is_some(),
            Self::StartsWith(start) => text.starts_with(&**start),
            Self::EndsWith(end) => text.ends_with(&**end),
            Self::Wildcard(regex) | Self::Regex(regex) => regex.is_match(text),
            Self::Cidr(network) => text.parse::<IpAddr>().is_ok_and(|address| contains(network, address)),
            Self::Number(cmp, number) => {
                let is_numeric = matches!(value, Scalar::Number(_) | Scalar::Text(_));
                is_numeric && crate::event::number(text).is_some_and(|left| cmp.holds(left, *number))
            }
            Self::TimePart(part, cmp, number) => {
                time_part(text, *part).is_some_and(|left| cmp.holds(left, *number))
            }
            Self::Null | Self::Exists(_) | Self::FieldRef(..) => false,
        }
    }
}

/// An IPv4 address written as IPv6 (`::ffff:10.0.0.1`) is in the IPv4 networks it names.
fn contains(network: &IpNet, address: IpAddr) -> bool {
    network.contains(&address) || network.contains(&address.to_canonical())
}

/// Milliseconds from 1970 to the year 10000: larger numbers are no times.
const YEAR_10000: u64 = 253_402_300_800_000;

fn time_part(text: &str, part: TimePart) -> Option<f64> {
    let time = parse_time(text).filter(|time| time.0.unsigned_abs() < YEAR_10000)?.civil();
    Some(match part {
        TimePart::Minute => f64::from(time.minute()),
        TimePart::Hour => f64::from(time.hour()),
        TimePart::Day => f64::from(time.day()),
        TimePart::Week => f64::from(time.date().iso_week_date().week()),
        TimePart::Month => f64::from(time.month()),
        TimePart::Year => f64::from(time.year()),
    })
}

/// How two fields' texts compare.
pub(super) fn refers(kind: RefKind, left: &str, right: &str) -> bool {
    match kind {
        RefKind::Equals => left == right,
        RefKind::Contains => left.contains(right),
        RefKind::StartsWith => left.starts_with(right),
        RefKind::EndsWith => left.ends_with(right),
    }
}
