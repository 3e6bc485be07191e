//! The document as a tree in which every key and value knows its place: what the checks point at.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::Spanned;

use super::error::Place;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
}

/// A YAML value; scalars as text.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Scalar(String),
    Sequence(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub name: String,
    pub place: Place,
}

impl Node {
    /// Reads the document without asking what it means.
    pub fn parse(text: &str) -> Result<Self, serde_yaml::Error> {
        let spanned: Spanned<Value> = serde_yaml::from_str(text)?;
        Ok(spanned.into())
    }

    /// The entry of a map.
    pub fn entry(&self, name: &str) -> Option<(&Key, &Self)> {
        self.entries().iter().find(|(key, _)| key.name == name).map(|(key, node)| (key, node))
    }

    /// The value of a map's entry.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.entry(name).map(|(_, node)| node)
    }

    /// The entries of a map; none of anything else.
    pub fn entries(&self) -> &[(Key, Self)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The items of a sequence; none of anything else.
    pub fn items(&self) -> &[Self] {
        if let Value::Sequence(items) = &self.value { items } else { &[] }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        if let Value::Scalar(text) = &self.value { Some(text) } else { None }
    }

    /// This value and all within it, in the order of the document.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(Option<&'a Key>, &'a Self)) {
        self.walk_under(None, visit);
    }

    fn walk_under<'a>(&'a self, key: Option<&'a Key>, visit: &mut dyn FnMut(Option<&'a Key>, &'a Self)) {
        visit(key, self);
        for (key, node) in self.entries() {
            node.walk_under(Some(key), visit);
        }
        for item in self.items() {
            item.walk_under(key, visit);
        }
    }
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        Self { place: Place::of(&spanned.referenced), value: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element::<Spanned<Value>>()? {
            items.push(item.into());
        }
        Ok(Value::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let key = Key { place: Place::of(&key.referenced), name: key.value };
            entries.push((key, map.next_value::<Spanned<Value>>()?.into()));
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_value_knows_its_place() {
        let text = "a: 1\nlist:\n  - {name: x, token: \"q\"}\n  -\n    name: yy\nnone:\n";
        let tree = Node::parse(text).unwrap();
        let mut seen = Vec::new();
        tree.walk(&mut |key, node| {
            let key = key.map(|k| format!("{}@{}:{}", k.name, k.place.line, k.place.column));
            let text = node.text().unwrap_or("-");
            seen.push(format!(
                "{} {text}@{}:{}",
                key.unwrap_or_default(),
                node.place.line,
                node.place.column
            ));
        });
        let expected = " -@1:1|a@1:1 1@1:4|list@2:1 -@3:3|list@2:1 -@3:5|name@3:6 x@3:12|token@3:15 q@3:22|\
            list@2:1 -@5:5|name@5:5 yy@5:11|none@6:1 -@6:5";
        assert_eq!(seen.join("|"), expected);
    }
}
