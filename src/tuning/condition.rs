//! What events have in common, as conditions of a Sigma filter.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::{Map, Value};

/// A list of more values is no property, but a list.
const VALUES_MAX: usize = 5;
/// Shorter beginnings of a text say nothing.
const PREFIX_MIN: usize = 4;
/// Larger networks are not one place.
const PREFIX_V4: u8 = 16;
/// The same for IPv6.
const PREFIX_V6: u8 = 32;

/// Fields that are looked at: the name, how little it says (the less the better), whether it says who or where.
const FIELDS: [(&str, u32, bool); 7] = [
    ("author_id", 1, true),
    ("ip_address", 2, true),
    ("entity_path", 2, true),
    ("user_agent", 3, true),
    ("author_class", 4, false),
    ("target_type", 5, false),
    ("event_type", 5, false),
];

/// One condition that all of some events meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) field: &'static str,
    pub(super) test: Test,
    /// How little it says.
    weight: u32,
    /// Whether it says who or where.
    is_place: bool,
}

/// How a value is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    /// It is one of these: texts and numbers.
    Is(Vec<Value>),
    /// It begins so.
    Begins(String),
    /// It is in this network.
    Within(IpNet),
}

impl Condition {
    /// Whether an event meets it, as Sigma has it: without regard to case.
    pub(super) fn holds(&self, event: &Map<String, Value>) -> bool {
        let Some(value) = event.get(self.field).and_then(plain) else { return false };
        match &self.test {
            Test::Is(values) => values.iter().filter_map(plain).any(|known| same(&known, &value)),
            Test::Begins(begin) => value.to_lowercase().starts_with(&begin.to_lowercase()),
            Test::Within(network) => value.parse().is_ok_and(|address: IpAddr| network.contains(&address)),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = self.field;
        match &self.test {
            Test::Is(values) => {
                let values: Vec<String> = values.iter().filter_map(plain).collect();
                write!(f, "{field} {}", values.join(" or "))
            }
            Test::Begins(begin) => write!(f, "{field} {begin}…"),
            Test::Within(network) => write!(f, "{field} in {network}"),
        }
    }
}

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// A scalar as text.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What all of these events meet, one condition a field at most.
pub(super) fn common(events: &[&Map<String, Value>]) -> Vec<Condition> {
    let of = |(field, weight, is_place): (&'static str, u32, bool)| {
        let values: Option<Vec<&Value>> = events.iter().map(|event| event.get(field)).collect();
        let values = values?;
        let texts: Option<Vec<String>> = values.iter().map(|value| plain(value)).collect();
        let texts: BTreeSet<String> = texts?.into_iter().collect();
        let is_plain = |text: &String| !text.is_empty() && !text.contains(['*', '?', '\\']);
        if texts.is_empty() || !texts.iter().all(is_plain) {
            return None;
        }
        let test = test(field, &texts, &values)?;
        let more = if let Test::Is(values) = &test { values.len().saturating_sub(1) } else { 1 };
        let weight = weight + u32::try_from(more).unwrap_or(u32::MAX);
        Some(Condition { field, test, weight, is_place })
    };
    FIELDS.into_iter().filter_map(of).collect()
}

fn test(field: &str, texts: &BTreeSet<String>, values: &[&Value]) -> Option<Test> {
    if texts.len() > 1 {
        let shared = match field {
            "ip_address" => network(texts).map(Test::Within),
            "entity_path" => beginning(texts, &['/']).map(Test::Begins),
            "user_agent" => beginning(texts, &['/', ' ']).map(Test::Begins),
            _ => None,
        };
        if shared.is_some() {
            return shared;
        }
    }
    if texts.len() > VALUES_MAX {
        return None;
    }
    let mut own: Vec<Value> = Vec::new();
    for value in values {
        if own.iter().all(|known| plain(known) != plain(value)) {
            own.push((*value).clone());
        }
    }
    own.sort_by_key(plain);
    Some(Test::Is(own))
}

/// What all texts begin with, up to the last of these characters.
fn beginning(texts: &BTreeSet<String>, ends: &[char]) -> Option<String> {
    let (first, last) = (texts.first()?, texts.last()?);
    let length: usize = first
        .chars()
        .zip(last.chars())
        .take_while(|(one, other)| one == other)
        .map(|(c, _)| c.len_utf8())
        .sum();
    let shared = first.get(..length)?;
    let end = shared.rfind(ends)?;
    let shared = shared.get(..=end)?;
    (shared.chars().count() >= PREFIX_MIN).then(|| shared.to_owned())
}

/// The smallest network that has all addresses.
fn network(texts: &BTreeSet<String>) -> Option<IpNet> {
    let addresses: Option<Vec<IpAddr>> = texts.iter().map(|text| text.parse().ok()).collect();
    let addresses = addresses?;
    let first = addresses.first()?;
    match first {
        IpAddr::V4(first) => (PREFIX_V4..=32).rev().find_map(|length| {
            let net = IpNet::V4(Ipv4Net::new(*first, length).ok()?.trunc());
            addresses.iter().all(|address| net.contains(address)).then_some(net)
        }),
        IpAddr::V6(first) => (PREFIX_V6..=128).rev().find_map(|length| {
            let net = IpNet::V6(Ipv6Net::new(*first, length).ok()?.trunc());
            addresses.iter().all(|address| net.contains(address)).then_some(net)
        }),
    }
}

/// All combinations of at most three conditions that say who or where, the smallest first, then those that say most.
pub(super) fn combinations(conditions: &[Condition]) -> Vec<Vec<Condition>> {
    let mut all: Vec<Vec<&Condition>> = vec![Vec::new()];
    let mut found: Vec<Vec<&Condition>> = Vec::new();
    for _ in 0..3 {
        let mut next = Vec::new();
        for own in &all {
            let place = own.last().and_then(|last| conditions.iter().position(|known| known == *last));
            for condition in conditions.iter().skip(place.map_or(0, |place| place + 1)) {
                next.push(own.iter().copied().chain([condition]).collect::<Vec<_>>());
            }
        }
        found.extend(next.iter().filter(|own| own.iter().any(|one| one.is_place)).cloned());
        all = next;
    }
    found.sort_by_key(|own| (own.len(), own.iter().map(|one| one.weight).sum::<u32>()));
    found.into_iter().map(|own| own.into_iter().cloned().collect()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn common_of(events: &[Value]) -> Vec<String> {
        let events: Vec<&Map<String, Value>> = events.iter().filter_map(Value::as_object).collect();
        let found = common(&events);
        assert!(found.iter().all(|condition| events.iter().all(|event| condition.holds(event))));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_common_is_said_as_narrowly_as_it_can_be() {
        let event = |author: i64, ip: &str, path: &str, agent: &str| json!({"author_id": author, "ip_address": ip, "entity_path": path, "user_agent": agent, "event_type": "x"});
        let one = event(7, "10.1.2.3", "shop/app", "backup/1.2");
        assert_eq!(
            common_of(std::slice::from_ref(&one)),
            [
                "author_id 7",
                "ip_address 10.1.2.3",
                "entity_path shop/app",
                "user_agent backup/1.2",
                "event_type x"
            ]
        );
        let other = event(8, "10.1.7.200", "shop/web/ui", "backup/2");
        assert_eq!(
            common_of(&[one.clone(), other]),
            [
                "author_id 7 or 8",
                "ip_address in 10.1.0.0/21",
                "entity_path shop/…",
                "user_agent backup/…",
                "event_type x"
            ]
        );
        let far = event(9, "192.0.2.1", "*", "");
        assert_eq!(
            common_of(&[one, far]),
            ["author_id 7 or 9", "ip_address 10.1.2.3 or 192.0.2.1", "event_type x"],
            "patterns and nothing are no values"
        );
    }

    #[test]
    fn small_combinations_that_say_where_come_first() {
        let event =
            json!({"author_id": 7, "event_type": "x", "target_type": "Project", "ip_address": "10.0.0.1"});
        let conditions = common(&[event.as_object().unwrap()]);
        let all: Vec<String> = combinations(&conditions)
            .iter()
            .map(|own| own.iter().map(|one| one.field).collect::<Vec<_>>().join("+"))
            .collect();
        assert_eq!(all[..3], ["author_id", "ip_address", "author_id+ip_address"]);
        assert!(!all.iter().any(|own| own == "event_type" || own == "target_type+event_type"), "{all:?}");
        assert_eq!(all.len(), 2 + 5 + 4);
    }
}
