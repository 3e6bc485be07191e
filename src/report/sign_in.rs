//! Sign-ins, summed by who signed in: one row each, with the addresses that were not seen with them before.

use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use serde_json::{Map, Value};
use std::hash::{Hash as _, Hasher as _};

use super::{Cell, Section, SectionKind, facts};

/// Who beyond so many is only counted.
const PEOPLE_MAX: usize = 20_000;
/// Of one person's addresses, and of all together; further ones are not looked at.
const ADDRESSES_MAX: usize = 1_000;
const ADDRESSES_IN_ALL: usize = 200_000;
/// Addresses that are named in one row.
const NAMED_MAX: usize = 10;
/// Pairs of person and address that are remembered; beyond, no address is called new.
const KNOWN_MAX: usize = 2_000_000;

/// When an event happened, to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// In its period.
    Now,
    /// In the period before.
    Before,
    /// Earlier.
    Earlier,
}

#[derive(Debug, Default)]
struct Person {
    name: String,
    id: String,
    signed_in: u64,
    failed: u64,
    addresses: BTreeSet<String>,
}

/// Who signed in.
#[derive(Debug, Default)]
pub(super) struct SignIns {
    people: FxHashMap<String, Person>,
    known: FxHashSet<u64>,
    /// Of now and of the period before: all, and those that failed.
    all: (u64, u64),
    failed: (u64, u64),
    left_out: u64,
    /// How many addresses all have.
    addresses: usize,
}

impl SignIns {
    pub(super) fn add(&mut self, when: When, is_failed: bool, event: &Map<String, Value>) {
        let (who, id, address) =
            (facts::author(event), facts::text(event, "author_id"), facts::text(event, "ip_address"));
        // Nobody is signed in yet when it fails: then only the name tells.
        let key = if id.is_empty() || id.starts_with('-') {
            format!("name {}", who.to_lowercase())
        } else {
            id.clone()
        };
        let one = u64::from(is_failed);
        match when {
            When::Now => {
                self.all.0 += 1;
                self.failed.0 += one;
            }
            When::Before => {
                self.all.1 += 1;
                self.failed.1 += one;
            }
            When::Earlier => {}
        }
        if when != When::Now {
            // An address from which it only ever failed is not known.
            if !is_failed && self.known.len() < KNOWN_MAX {
                self.known.insert(pair(&key, &address));
            }
            return;
        }
        if !self.people.contains_key(&key) && self.people.len() >= PEOPLE_MAX {
            self.left_out += 1;
            return;
        }
        let person = self.people.entry(key).or_default();
        if person.name.is_empty() {
            (person.name, person.id) = (who, id);
        }
        person.signed_in += 1 - one;
        person.failed += one;
        let has_room = person.addresses.len() < ADDRESSES_MAX && self.addresses < ADDRESSES_IN_ALL;
        if !address.is_empty() && has_room && person.addresses.insert(address) {
            self.addresses += 1;
        }
    }

    /// The failures first: they are what somebody must look at.
    pub(super) fn section(self) -> Section {
        let is_full = self.known.len() >= KNOWN_MAX;
        let mut people: Vec<(String, Person)> = self.people.into_iter().collect();
        let order = |person: &Person| (std::cmp::Reverse(person.failed), std::cmp::Reverse(person.signed_in));
        people.sort_by(|(a, one), (b, other)| order(one).cmp(&order(other)).then_with(|| a.cmp(b)));
        let row = |(key, person): (String, Person)| -> Vec<Cell> {
            let is_new = |address: &&String| !self.known.contains(&pair(&key, address));
            let new: Vec<&String> =
                if is_full { Vec::new() } else { person.addresses.iter().filter(is_new).collect() };
            let count = person.addresses.len() as u64;
            let named = named(&new);
            vec![
                person.name.into(),
                person.id.into(),
                person.signed_in.into(),
                person.failed.into(),
                count.into(),
                named.into(),
            ]
        };
        Section {
            kind: SectionKind::SignIns,
            count: self.all.0,
            before: self.all.1,
            part: Some((self.failed.0, self.failed.1)),
            rows: people.into_iter().map(row).collect(),
            left_out: self.left_out,
        }
    }
}

fn named(addresses: &[&String]) -> String {
    let shown: Vec<&str> = addresses.iter().take(NAMED_MAX).map(|address| address.as_str()).collect();
    let more = addresses.len().saturating_sub(NAMED_MAX);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

fn pair(key: &str, address: &str) -> u64 {
    let mut hasher = FxHasher::default();
    (key, address).hash(&mut hasher);
    hasher.finish()
}
