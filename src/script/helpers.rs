//! The functions that Watchfire adds to Rhai; [`HELPERS`](super::HELPERS) describes them.
//!
//! A field may be missing or hold anything, so helpers take any value: what they cannot judge is false, `-1`
//! or `()`. Only what is wrong in the script itself, a network or a regular expression that is none, is an error.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;
use regex::{Regex, RegexBuilder};
use rhai::{Array, Dynamic, Engine, ImmutableString};
use rustc_hash::FxHashMap;

use super::meter::{Answer, charge};
use super::value::text_of;
use super::{Limits, ListTable};
use crate::time::Timestamp;

/// Source: GitLab, `lib/gitlab/access.rb`, and the documentation of the members API.
const LEVELS: [(&str, i64); 10] = [
    ("no access", 0),
    ("minimal access", 5),
    ("guest", 10),
    ("planner", 15),
    ("reporter", 20),
    ("developer", 30),
    ("maintainer", 40),
    ("owner", 50),
    ("admin", 60),
    ("administrator", 60),
];

/// Teaches the engine the helpers.
pub(super) fn register(engine: &mut Engine, lists: Arc<ListTable>, limits: &Limits) {
    engine.register_fn("level", |value: Dynamic| level(&value));
    engine.register_fn("number", |value: Dynamic| number(&value));
    engine.register_fn("percent", |part: Dynamic, whole: Dynamic| percent(&part, &whole));
    for (name, unit) in
        [("minutes_since", 60_000.0), ("hours_since", 3_600_000.0), ("days_since", 86_400_000.0)]
    {
        engine.register_fn(name, move |later: Dynamic, earlier: Dynamic| since(&later, &earlier, unit));
    }
    engine.register_fn("hour_of", |time: Dynamic| {
        time_of(&time).map_or(Dynamic::UNIT, |time| i64::from(time.civil().hour()).into())
    });
    engine.register_fn("weekday_of", |time: Dynamic| {
        time_of(&time)
            .map_or(Dynamic::UNIT, |time| i64::from(time.civil().weekday().to_monday_one_offset()).into())
    });
    engine.register_fn("is_private", |address: Dynamic| address_of(&address).is_some_and(is_private));
    engine.register_fn("cidr", |address: Dynamic, network: ImmutableString| cidr(&address, &[network]));
    engine.register_fn("cidr", |address: Dynamic, networks: Array| {
        let networks: Vec<_> = networks.iter().filter_map(text_of).collect();
        cidr(&address, &networks)
    });
    engine
        .register_fn("in_list", move |list: ImmutableString, value: Dynamic| in_list(&lists, &list, &value));
    let cache = RegexCache::new(limits);
    engine.register_fn("matches", move |value: Dynamic, pattern: ImmutableString| {
        matches(&cache, &value, &pattern)
    });
}

fn level(value: &Dynamic) -> i64 {
    if let Ok(number) = value.as_int() {
        return number;
    }
    let Some(text) = text_of(value) else { return -1 };
    let name = text.trim().to_lowercase();
    let known = LEVELS.iter().find(|(known, _)| *known == name).map(|(_, rank)| *rank);
    known.or_else(|| name.parse().ok()).unwrap_or(-1)
}

fn number(value: &Dynamic) -> Dynamic {
    if value.is_int() || value.is_float() {
        return value.clone();
    }
    let Some(text) = text_of(value) else { return Dynamic::UNIT };
    if let Ok(whole) = text.trim().parse::<i64>() {
        return whole.into();
    }
    crate::event::number(&text).map_or(Dynamic::UNIT, Dynamic::from_float)
}

fn time_of(value: &Dynamic) -> Option<Timestamp> {
    if let Ok(millis) = value.as_int() {
        return Some(Timestamp(millis));
    }
    Timestamp::parse(&text_of(value)?).ok()
}

fn since(later: &Dynamic, earlier: &Dynamic, unit: f64) -> Dynamic {
    let (Some(later), Some(earlier)) = (time_of(later), time_of(earlier)) else { return Dynamic::UNIT };
    Dynamic::from_float(later.since(earlier).0 as f64 / unit)
}

fn percent(part: &Dynamic, whole: &Dynamic) -> Dynamic {
    let real = |value: &Dynamic| {
        let number = number(value);
        number.as_float().ok().or_else(|| number.as_int().ok().map(|whole| whole as f64))
    };
    let (Some(part), Some(whole)) = (real(part), real(whole)) else { return Dynamic::UNIT };
    let share = 100.0 * part / whole;
    if share.is_finite() { Dynamic::from_float(share) } else { Dynamic::UNIT }
}

fn address_of(value: &Dynamic) -> Option<IpAddr> {
    text_of(value)?.trim().parse().ok()
}

fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_loopback() || address.is_unicast_link_local()
        }
    }
}

fn cidr(address: &Dynamic, networks: &[ImmutableString]) -> Answer<bool> {
    charge(networks.len() as u64)?;
    let address = address_of(address);
    let mut is_inside = false;
    for text in networks {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let network =
            network.map_err(|_| format!("`{}` is no network; write it like 10.0.0.0/8", brief(text)))?;
        let contains =
            |address: IpAddr| network.contains(&address) || network.contains(&address.to_canonical());
        is_inside |= address.is_some_and(contains);
    }
    Ok(is_inside)
}

/// The beginning of a text that a message quotes.
fn brief(text: &str) -> String {
    text.chars().take(60).collect()
}

fn in_list(lists: &ListTable, list: &str, value: &Dynamic) -> Answer<bool> {
    let Some(text) = text_of(value) else {
        return lists.contains(list, "").map(|_| false).ok_or_else(|| unknown_list(lists, list).into());
    };
    lists.contains(list, &text).ok_or_else(|| unknown_list(lists, list).into())
}

fn unknown_list(lists: &ListTable, list: &str) -> String {
    let known: Vec<&str> = lists.names().take(10).collect();
    format!("there is no list `{}`; there are: {}", brief(list), known.join(", "))
}

/// Compiled expressions. Whether one is found here changes only how long a call takes, never what it costs
/// the script's budget: otherwise a replay could stop elsewhere.
#[derive(Debug)]
struct RegexCache {
    compiled: Mutex<FxHashMap<ImmutableString, Regex>>,
    count_max: usize,
    bytes_max: usize,
}

impl RegexCache {
    fn new(limits: &Limits) -> Self {
        Self { compiled: Mutex::default(), count_max: limits.regexes, bytes_max: limits.regex_bytes }
    }

    fn get(&self, pattern: &ImmutableString) -> Result<Regex, regex::Error> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = compiled.get(pattern) {
            return Ok(known.clone());
        }
        let bytes = self.bytes_max;
        let regex = RegexBuilder::new(pattern).size_limit(bytes).dfa_size_limit(bytes).build()?;
        if compiled.len() >= self.count_max {
            compiled.clear();
        }
        compiled.insert(pattern.clone(), regex.clone());
        Ok(regex)
    }
}

fn matches(cache: &RegexCache, value: &Dynamic, pattern: &ImmutableString) -> Answer<bool> {
    let text = text_of(value);
    charge(50 + text.as_ref().map_or(0, |text| text.len() as u64 / 8))?;
    let regex = cache.get(pattern).map_err(|error| regex_error(pattern, &error))?;
    Ok(text.is_some_and(|text| regex.is_match(&text)))
}

fn regex_error(pattern: &str, error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => {
            format!("the regular expression `{}` is too large", brief(pattern))
        }
        // The crate draws a picture over several lines; its last one says what is wrong.
        other => {
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("`{}` is no regular expression: {reason}", brief(pattern))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Cage, EventValue, HELPERS, Predicate};

    fn holds(expression: &str) -> Result<bool, String> {
        let lists: ListTable = [("break_glass", vec!["root"])].into_iter().collect();
        let cage = Cage::new(Arc::new(lists));
        let event = serde_json::json!({"name": "Zoë", "n": 7, "s": "8", "at": "2026-01-31T09:00:00Z"});
        let event = EventValue::from_json(event.as_object().unwrap());
        let predicate = Predicate::compile(&cage, expression, (1, 1))
            .map_err(|error| format!("{error} {}", error.help.clone().unwrap_or_default()))?;
        predicate.eval(&cage, &event).map_err(|error| error.to_string())
    }

    #[test]
    fn every_example_of_the_reference_gives_what_it_says() {
        for helper in HELPERS {
            assert!(helper.example.contains(&format!("{}(", helper.name)), "{}", helper.name);
            assert_eq!(
                holds(&format!("{} == {}", helper.example, helper.result)),
                Ok(true),
                "{}",
                helper.name
            );
        }
    }

    #[test]
    fn what_is_missing_is_never_an_error() {
        for expression in [
            "lower(event.x) == ()",
            "level(event.x) == -1",
            "level(\"10\") == 10",
            "level(40) == 40",
            "level(event.n) == 7",
            "number(event.s) == 8",
            "number(event.name) == ()",
            "!matches(event.x, \"a\")",
            "matches(event.n, \"^7$\")",
            "!cidr(event.x, \"10.0.0.0/8\")",
            "!cidr(event.name, \"10.0.0.0/8\")",
            "cidr(\"::1\", [\"10.0.0.0/8\", \"::1\"])",
            "!in_list(\"break_glass\", event.x)",
            "hours_since(event.x, event.at) == ()",
            "!(hours_since(event.x, event.at) > 3)",
            "hour_of(event.x) == ()",
            "hour_of(event.at) == 9",
            "weekday_of(event.name) == ()",
        ] {
            assert_eq!(holds(expression), Ok(true), "{expression}");
        }
    }

    #[test]
    fn what_is_wrong_in_the_script_is_said() {
        for (expression, message) in [
            ("cidr(\"10.0.0.1\", \"10.0.0.0/99\")", "10.0.0.0/99` is no network"),
            ("in_list(\"braek_glass\", \"x\")", "no list `braek_glass`; there are: break_glass"),
            ("matches(\"x\", \"(\")", "`(` is no regular expression: unclosed group"),
            ("matches(\"x\", \"(a{1000}){1000}\")", "too large"),
            ("lowr(event.name) == \"x\"", "did you mean `lower`?"),
        ] {
            let error = holds(expression).unwrap_err();
            assert!(error.contains(message), "{expression}: {error}");
            assert!(error.starts_with("line 1, column "), "{error}");
        }
    }
}
