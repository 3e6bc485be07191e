//! How the texts of the configuration are read.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};

use crate::time::Span;

/// Reads what has a `FromStr`.
pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// A length of time that may be 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Length(pub Span);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed::<D, Span>(deserializer).map(Self)
    }
}

/// A length of time of a second at least.
pub(super) fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    let span: Span = parsed(deserializer)?;
    if span < Span::seconds(1) {
        return Err(D::Error::custom("it must be 1s at least"));
    }
    Ok(span)
}

/// The same, or none.
pub(super) fn some_time_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Span>, D::Error> {
    struct Inner(Span);
    impl<'de> Deserialize<'de> for Inner {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            some_time(deserializer).map(Self)
        }
    }
    Ok(Option::<Inner>::deserialize(deserializer)?.map(|inner| inner.0))
}
