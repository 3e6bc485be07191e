//! Settings of an action with the guards of a response among them: the guards are taken out where they stand, the rest is
//! the action's own. Each mistake keeps its place.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::guards::{AtMost, Guards, Ladder, Name};
use crate::deliver::span;
use crate::time::Span;

/// The keys of the guards.
const KEYS: &[&str] = &["dry_run", "never", "at_most", "approvals", "for", "cool_down"];

/// What an action of this kind is told, and what guards it.
#[derive(Debug, Clone)]
pub struct Guarded<T> {
    /// What keeps it from doing harm.
    pub guards: Guards,
    /// The rest.
    pub settings: T,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Guarded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(GuardedVisitor(PhantomData))
    }
}

struct GuardedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for GuardedVisitor<T> {
    type Value = Guarded<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings of a response")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Guarded<T>, A::Error> {
        let (mut guards, mut seen) = (Guards::default(), Vec::new());
        let rest = Rest { map, guards: &mut guards, seen: &mut seen };
        let settings = T::deserialize(MapAccessDeserializer::new(rest))?;
        Ok(Guarded { guards, settings })
    }
}

/// The map without the guards, which are put aside as they come.
struct Rest<'g, A> {
    map: A,
    guards: &'g mut Guards,
    seen: &'g mut Vec<&'static str>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Rest<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let mut seed = Some(seed);
        loop {
            match self.map.next_key_seed(Peek(&mut seed))? {
                None => return Ok(None),
                Some(Peeked::Other(value)) => return Ok(Some(value)),
                Some(Peeked::Guard(key)) => self.take(key)?,
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

impl<'de, A: MapAccess<'de>> Rest<'_, A> {
    fn take(&mut self, key: &'static str) -> Result<(), A::Error> {
        if self.seen.contains(&key) {
            return Err(de::Error::duplicate_field(key));
        }
        self.seen.push(key);
        match key {
            "dry_run" => self.guards.dry_run = Some(self.map.next_value()?),
            "never" => self.guards.never = self.map.next_value::<Vec<Name>>()?,
            "at_most" => self.guards.at_most = Some(self.map.next_value::<AtMost>()?),
            "approvals" => self.guards.approvals = self.map.next_value::<People>()?.0,
            "for" => self.guards.lasts = self.map.next_value::<Ladder>()?,
            _ => self.guards.cool_down = Some(self.map.next_value::<Length>()?.0),
        }
        Ok(())
    }
}

/// A key: of a guard, or read by the rest.
enum Peeked<V> {
    Guard(&'static str),
    Other(V),
}

/// Reads a key where it stands, so that an error has its place.
struct Peek<'s, K>(&'s mut Option<K>);

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Peek<'_, K> {
    type Value = Peeked<K::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, K: DeserializeSeed<'de>> Visitor<'de> for Peek<'_, K> {
    type Value = Peeked<K::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
        if let Some(guard) = KEYS.iter().find(|guard| **guard == key) {
            return Ok(Peeked::Guard(guard));
        }
        let Some(seed) = self.0.take() else { return Err(E::custom("a key was read twice")) };
        let read = seed.deserialize(IntoDeserializer::<Caught>::into_deserializer(key));
        read.map(Peeked::Other).map_err(|caught| match caught {
            Caught::Unknown(own) => E::unknown_field(key, all(own)),
            Caught::Other(error) => E::custom(error),
        })
    }
}

/// What the rest says of a key: that it knows only these, or something else.
#[derive(Debug)]
enum Caught {
    Unknown(&'static [&'static str]),
    Other(String),
}

impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(_) => f.write_str("unknown field"),
            Self::Other(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for Caught {}

impl de::Error for Caught {
    fn custom<T: fmt::Display>(error: T) -> Self {
        Self::Other(error.to_string())
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::Unknown(expected)
    }
}

type Names = &'static [&'static str];

/// The keys of a kind of action and those of the guards: made once for each kind, since serde wants them to last.
fn all(own: Names) -> Names {
    static MADE: Mutex<Vec<(Names, Names)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, all)) = made.iter().find(|(known, _)| *known == own) {
        return all;
    }
    let all: Names = Vec::leak(own.iter().chain(KEYS).copied().collect());
    made.push((own, all));
    all
}

struct People(u8);

impl<'de> Deserialize<'de> for People {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            count @ 0..=2 => Ok(Self(count)),
            _ => Err(de::Error::custom("expected 0, 1 or 2 people who approve")),
        }
    }
}

struct Length(Span);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        span(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Door {
        url: String,
        #[serde(default)]
        user: Option<u16>,
    }

    fn read(text: &str) -> Result<Guarded<Door>, serde_yaml::Error> {
        serde_yaml::from_str(text)
    }

    #[test]
    fn guards_stand_among_the_settings() {
        let door = read(
            "approvals: 1\nurl: https://x\nfor: [1h, 24h, forever]\nnever: [root, 7]\nuser: 5\n\
             at_most: {count: 2, per: 1d}\ndry_run: false\ncool_down: 30m\n",
        )
        .unwrap();
        assert_eq!((door.settings.url.as_str(), door.settings.user), ("https://x", Some(5)));
        let Guards { dry_run, never, at_most, approvals, lasts, cool_down } = door.guards;
        assert_eq!((dry_run, approvals, never.len()), (Some(false), 1, 2));
        assert_eq!(at_most, Some(AtMost { count: 2, per: Span::days(1) }));
        assert_eq!(
            (lasts.to_string().as_str(), cool_down),
            ("1h, then 1d, then for ever", Some(Span::minutes(30)))
        );
        assert_eq!(read("url: x").unwrap().guards, Guards::default());
    }

    #[test]
    fn mistakes_are_reported_where_they_are() {
        for (text, line, part) in [
            ("url: x\ndry_rum: true\n", 2, "dry_run"),
            ("url: x\nusr: 4\n", 2, "unknown field `usr`, expected one of url, user, dry_run"),
            ("url: x\napprovals: 3\n", 2, "0, 1 or 2"),
            ("never: [a]\nurl: x\nfor: soon\n", 3, "soon"),
            ("url: x\nat_most: {count: 1, per: often}\n", 2, "often"),
            ("url: x\nat_most: {cont: 1, per: 1h}\n", 2, "unknown field `cont`"),
            ("dry_run: true\nuser: many\nurl: x\n", 2, ""),
            ("dry_run: true\nuser: 5\n", 2, "missing field `url`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.location().map(|at| at.line()), Some(line), "{text}{error}");
        }
    }
}
