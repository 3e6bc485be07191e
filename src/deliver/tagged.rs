//! Reading maps whose `type` says what else they hold, without losing the place of a mistake.
//!
//! serde's own internally tagged enums first gather the whole map, so that every error points at its
//! beginning. Here only the keys that stand before `type` are gathered; the rest is read as it comes.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, Visitor};
use serde_json::Value;

/// A set of shapes, one per `type`.
pub trait Variants: Sized {
    /// What `type` may be.
    const NAMES: &'static [&'static str];

    /// Reads the shape called `kind`, one of [`Variants::NAMES`], from the map without its `type`.
    ///
    /// # Errors
    /// When the map does not have that shape.
    fn read<'de, D: Deserializer<'de>>(kind: &str, rest: D) -> Result<Self, D::Error>;
}

/// Reads one of the shapes; for an implementation of `Deserialize`.
///
/// # Errors
/// When `type` is missing or unknown, or the map has not that shape.
pub fn tagged<'de, D: Deserializer<'de>, T: Variants>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_map(TaggedVisitor(PhantomData))
}

struct TaggedVisitor<T>(PhantomData<T>);

impl<'de, T: Variants> Visitor<'de> for TaggedVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a map with `type`, one of {}", T::NAMES.join(", "))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut early = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if key != "type" {
                early.push((key, map.next_value()?));
                continue;
            }
            let kind: String = map.next_value()?;
            if !T::NAMES.contains(&kind.as_str()) {
                return Err(de::Error::unknown_variant(&kind, T::NAMES));
            }
            let rest = Rejoined { early: early.into_iter(), value: None, rest: map };
            return T::read(&kind, MapAccessDeserializer::new(rest));
        }
        Err(de::Error::missing_field("type"))
    }
}

/// The keys that stood before `type`, then those after it.
struct Rejoined<A> {
    early: std::vec::IntoIter<(String, Value)>,
    value: Option<Value>,
    rest: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Rejoined<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.early.next() {
            Some((key, value)) => {
                self.value = Some(value);
                seed.deserialize(key.into_deserializer()).map(Some)
            }
            None => self.rest.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        match self.value.take() {
            Some(value) => seed.deserialize(value).map_err(de::Error::custom),
            None => self.rest.next_value_seed(seed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Near {
        name: Option<String>,
        port: u16,
    }

    #[derive(Debug, PartialEq)]
    enum Thing {
        Near(Near),
    }

    impl Variants for Thing {
        const NAMES: &'static [&'static str] = &["near"];

        fn read<'de, D: Deserializer<'de>>(_kind: &str, rest: D) -> Result<Self, D::Error> {
            Near::deserialize(rest).map(Self::Near)
        }
    }

    impl<'de> Deserialize<'de> for Thing {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            tagged(deserializer)
        }
    }

    fn read(text: &str) -> Result<Vec<Thing>, serde_yaml::Error> {
        serde_yaml::from_str(text)
    }

    #[test]
    fn the_type_may_stand_anywhere() {
        let expected = vec![Thing::Near(Near { name: Some("a".into()), port: 5 })];
        for text in [
            "- {type: near, name: a, port: 5}",
            "- {name: a, type: near, port: 5}",
            "- {port: 5, name: a, type: near}",
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_reported_where_they_are() {
        for (text, line, part) in [
            ("- type: near\n  name: a\n  prt: 5\n", 3, "unknown field `prt`"),
            ("- name: a\n  type: near\n  port: many\n", 3, "invalid"),
            ("- name: a\n  type: far\n", 2, "unknown variant `far`"),
            ("- name: a\n  port: 4\n", 2, "missing field `type`"),
            ("- type: near\n  name: a\n", 2, "missing field `port`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.location().map(|at| at.line()), Some(line), "{error}");
        }
    }
}
