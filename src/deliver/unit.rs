//! How lengths of time and sizes are written in the configuration, and where its paths and variables lead.

use std::fmt;
use std::path::Path;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use crate::time::Span;

use super::egress::Egress;

/// Looks up an environment variable. Only `config` reads the environment; everybody else is handed this.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a configuration's references are relative to.
#[derive(Clone, Copy)]
pub struct BuildContext<'a> {
    /// The environment.
    pub env: Lookup<'a>,
    /// The folder of the configuration file.
    pub base: &'a Path,
    /// Where requests may go.
    pub egress: &'a Egress,
}

/// Reads `10m`; for `#[serde(deserialize_with = …)]`.
///
/// # Errors
/// When it is no length of time, or none at all.
pub fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    let text = String::deserialize(deserializer)?;
    let span: Span = text.parse().map_err(de::Error::custom)?;
    if span.0 == 0 { Err(de::Error::custom("must be longer than 0s")) } else { Ok(span) }
}

/// As [`span`], or nothing.
///
/// # Errors
/// As [`span`].
pub fn span_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Span>, D::Error> {
    struct Inner(Span);
    impl<'de> Deserialize<'de> for Inner {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            span(deserializer).map(Self)
        }
    }
    Ok(Option::<Inner>::deserialize(deserializer)?.map(|inner| inner.0))
}

/// A number of bytes: `1048576`, `100MiB`, `64KB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

const SIZES: &[(&str, u64)] = &[
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

impl Bytes {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim();
        let factor = match unit {
            "" => 1,
            _ => SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
        };
        number.parse::<u64>().ok()?.checked_mul(factor).map(Self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Size;
        impl Visitor<'_> for Size {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, such as 100MiB")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Bytes, E> {
                Ok(Bytes(number))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Bytes, E> {
                u64::try_from(number)
                    .map(Bytes)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(number), &self))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
                Bytes::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_with_a_unit() {
        for (text, bytes) in [("5", 5), ("100MiB", 100 << 20), ("2 kb", 2000), ("1GiB", 1 << 30), ("7B", 7)] {
            assert_eq!(serde_yaml::from_str::<Bytes>(text).unwrap(), Bytes(bytes), "{text}");
        }
        for text in ["-1", "MiB", "5 parsecs", "99999999999999999999", "18446744073709551615KiB"] {
            assert!(serde_yaml::from_str::<Bytes>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_are_read_as_written_and_never_zero() {
        #[derive(Debug, Deserialize)]
        struct Holder {
            #[serde(deserialize_with = "span")]
            wait: Span,
            #[serde(default, deserialize_with = "span_or_none")]
            limit: Option<Span>,
        }
        let read = |text: &str| serde_yaml::from_str::<Holder>(text);
        assert_eq!(read("{wait: 90s}").unwrap().wait, Span::seconds(90));
        assert_eq!(read("{wait: 90s, limit: null}").unwrap().limit, None);
        assert_eq!(read("{wait: 90s, limit: 1h}").unwrap().limit, Some(Span::minutes(60)));
        assert!(read("{wait: 0s}").is_err());
        assert!(read("{wait: soon}").is_err());
    }
}
