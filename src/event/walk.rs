//! The complete way through an event's JSON: a visitor that steps down the tree of wanted paths.

use std::fmt;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::extract::{Extracted, Held, narrow};
use super::plan::{Branch, Plan};

/// A walk through one event: what is wanted, where it goes, and the address of the event's text.
pub(super) struct Walk<'p, 'o> {
    pub(super) plan: &'p Plan,
    pub(super) out: &'o mut Extracted,
    pub(super) base: usize,
}

/// The top level, which must be an object.
pub(super) struct Root<'p, 'o>(pub(super) Walk<'p, 'o>);

impl<'de> DeserializeSeed<'de> for Root<'_, '_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Root<'_, '_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }
    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        walk_object(&mut self.0, 0, map)
    }
}

fn walk_object<'de, A: MapAccess<'de>>(
    walk: &mut Walk<'_, '_>,
    node: u32,
    mut map: A,
) -> Result<(), A::Error> {
    let plan = walk.plan;
    while let Some(child) = map.next_key_seed(KeyIn(&plan.nodes[node as usize]))? {
        match child {
            Some(child) => map.next_value_seed(ValueAt { walk, node: child })?,
            None if plan.takes_all => map.next_value_seed(ValueAt { walk, node: u32::MAX })?,
            None => {
                map.next_value::<IgnoredAny>()?;
            }
        }
    }
    Ok(())
}

/// Reads a key and answers which wanted child it is.
struct KeyIn<'p>(&'p Branch);

impl<'de> DeserializeSeed<'de> for KeyIn<'_> {
    type Value = Option<u32>;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Option<u32>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIn<'_> {
    type Value = Option<u32>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Option<u32>, E> {
        Ok(self.0.keys.get(key))
    }
}

/// Reads a value below a node of the tree (`u32::MAX`: not a wanted path, all scalars are taken).
pub(super) struct ValueAt<'w, 'p, 'o> {
    pub(super) walk: &'w mut Walk<'p, 'o>,
    pub(super) node: u32,
}

impl ValueAt<'_, '_, '_> {
    fn take(self, held: Held) {
        let plan = self.walk.plan;
        if let Some(node) = plan.nodes.get(self.node as usize) {
            self.walk.out.slots.push(node.slot, held);
        }
        if plan.takes_all && !matches!(held, Held::Null | Held::Composite) {
            self.walk.out.all.push(held);
        }
    }

    fn take_number(self, text: &str) {
        let (start, end) = self.walk.out.keep(text);
        self.take(Held::Number(start, end));
    }
}

impl<'de> DeserializeSeed<'de> for ValueAt<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueAt<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.take(Held::Null);
        Ok(())
    }
    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.take(Held::Bool(value));
        Ok(())
    }
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.take_number(itoa::Buffer::new().format(value));
        Ok(())
    }
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.take_number(itoa::Buffer::new().format(value));
        Ok(())
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        let number = serde_json::Number::from_f64(value).ok_or_else(|| E::custom("a number out of range"))?;
        // 1.0 and 1 are one number, so they get one text.
        let text = number.to_string();
        self.take_number(text.strip_suffix(".0").unwrap_or(&text));
        Ok(())
    }
    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<(), E> {
        let start = (text.as_ptr() as usize)
            .checked_sub(self.walk.base)
            .ok_or_else(|| E::custom("a text outside the event"))?;
        self.take(Held::Raw(narrow(start), narrow(start + text.len())));
        Ok(())
    }
    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        let (start, end) = self.walk.out.keep(text);
        self.take(Held::Scratch(start, end));
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let plan = self.walk.plan;
        match plan.nodes.get(self.node as usize) {
            Some(node) => {
                self.walk.out.slots.push(node.slot, Held::Composite);
                walk_object(self.walk, self.node, map)
            }
            None => walk_all(self.walk, map),
        }
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut is_empty = true;
        while seq.next_element_seed(ValueAt { walk: self.walk, node: self.node })?.is_some() {
            is_empty = false;
        }
        if is_empty {
            self.take(Held::Composite);
        }
        Ok(())
    }
}

fn walk_all<'de, A: MapAccess<'de>>(walk: &mut Walk<'_, '_>, mut map: A) -> Result<(), A::Error> {
    while map.next_key::<IgnoredAny>()?.is_some() {
        map.next_value_seed(ValueAt { walk, node: u32::MAX })?;
    }
    Ok(())
}
