//! Lists, page by page: a limit, and a cursor that names the last thing shown, so that what comes in between two calls
//! moves nothing.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::ToSchema;

use super::problem::{Fault, Problem};
use crate::time::Timestamp;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// In the order of the list.
    pub(super) items: Vec<T>,
    /// The `cursor` of the next page; null on the last one.
    pub(super) next: Option<String>,
}

/// How many things a page has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit(pub(super) usize);

const LIMIT_MAX: usize = 1_000;

impl Default for Limit {
    fn default() -> Self {
        Self(100)
    }
}

impl Limit {
    /// One more tells whether there is a next page.
    pub(super) const fn and_one(self) -> usize {
        self.0 + 1
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let limit = usize::deserialize(deserializer)?;
        if (1..=LIMIT_MAX).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(de::Error::custom(format_args!("it must be from 1 to {LIMIT_MAX}")))
        }
    }
}

/// Which page of a list that can only be taken page by page. Lists with more to ask for have these two fields themselves:
/// flattened, they would let unknown ones pass.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageAsked {
    /// The `next` of the page before.
    #[param(value_type = String, required = false)]
    pub(super) cursor: Option<Cursor>,
    /// How many.
    #[serde(default)]
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000, default = 100)]
    pub(super) limit: Limit,
}

/// A moment in a query: RFC 3339, or a day, which is its beginning in UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(pub(super) Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse(&text).map(Self).map_err(|_| {
            de::Error::custom("it must be a time such as 2026-01-31T09:00:00Z or a day; write `+` as %2B")
        })
    }
}

/// A number that the log or the store gave out, or may yet: they count from 1 on, in 63 bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted(pub(super) u64);

impl Counted {
    pub(super) fn new(number: u64) -> Option<Self> {
        (number <= u64::MAX >> 1).then_some(Self(number))
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(deserializer)?).ok_or_else(|| de::Error::custom("no number is that large"))
    }
}

/// Where a list goes on: its name and the place of the last thing shown, opaque to callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor(Vec<String>);

/// Parts of a cursor never have this character.
const BETWEEN: char = '\u{1f}';

impl Cursor {
    pub(super) fn new(list: &str, place: &[&dyn fmt::Display]) -> Self {
        Self(std::iter::once(list.to_owned()).chain(place.iter().map(ToString::to_string)).collect())
    }

    /// The parts of a place in this list.
    pub(super) fn place<const N: usize>(&self, list: &str) -> Result<[&str; N], Problem> {
        let (found, place) = self.0.split_first().ok_or_else(no_cursor)?;
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        if found != list {
            return Err(no_cursor());
        }
        place.try_into().map_err(|_| no_cursor())
    }

    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.join(&BETWEEN.to_string()))
    }
}

/// 400 for what is no cursor of this list.
pub(super) fn no_cursor() -> Problem {
    let detail = "`cursor` is not the `next` of a page of this list";
    let fault = Fault { parameter: Some("cursor".to_owned()), detail: detail.to_owned(), ..Fault::default() };
    Problem::bad("bad_parameter", detail).fault(fault)
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(&text).ok();
        let plain = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let plain = plain.ok_or_else(|| de::Error::custom("it is not the `next` of a page"))?;
        Ok(Self(plain.split(BETWEEN).map(str::to_owned).collect()))
    }
}

impl<T> Page<T> {
    /// A page of `rows`, of which one more than `limit` were asked for.
    pub(super) fn new<R>(
        mut rows: Vec<R>,
        limit: Limit,
        place: impl FnOnce(&R) -> Cursor,
        show: impl FnMut(R) -> T,
    ) -> Self {
        let has_more = rows.len() > limit.0;
        rows.truncate(limit.0);
        let next = rows.last().filter(|_| has_more).map(|last| place(last).text());
        Self { items: rows.into_iter().map(show).collect(), next }
    }

    /// A page of what is read as a whole, the highest number first.
    pub(super) fn numbered<R>(
        list: &str,
        mut rows: Vec<R>,
        PageAsked { cursor, limit }: PageAsked,
        (number_of, show): (impl Fn(&R) -> i64, impl FnMut(R) -> T),
    ) -> Result<Self, Problem> {
        if let Some(cursor) = cursor {
            let [place] = cursor.place(list)?;
            let place: i64 = number(place)?;
            rows.retain(|row| number_of(row) < place);
        }
        rows.truncate(limit.and_one());
        Ok(Self::new(rows, limit, |row| Cursor::new(list, &[&number_of(row)]), show))
    }

    /// A list that is one page.
    pub(super) const fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// A part of a cursor as a number.
pub(super) fn number<N: std::str::FromStr>(part: &str) -> Result<N, Problem> {
    part.parse().map_err(|_| no_cursor())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Cursor, String> {
        serde_json::from_value(text.into()).map_err(|error: serde_json::Error| error.to_string())
    }

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let cursor = Cursor::new("alerts", &[&-7, &"a|b"]);
        let back = read(&cursor.text()).unwrap();
        assert_eq!(back, cursor);
        assert_eq!(back.place::<2>("alerts").unwrap(), ["-7", "a|b"]);
        assert!(back.place::<2>("outbox").is_err() && back.place::<1>("alerts").is_err());
        for wrong in ["", "!", "AAAA", "_w"] {
            assert!(read(wrong).map_or(true, |cursor| cursor.place::<1>("alerts").is_err()), "{wrong}");
        }
    }

    #[test]
    fn the_last_page_has_no_next() {
        let page = |rows: Vec<u32>, limit| {
            Page::new(rows, Limit(limit), |row| Cursor::new("x", &[row]), |row| row * 10)
        };
        let first = page(vec![1, 2, 3], 2);
        assert_eq!(first.items, [10, 20]);
        assert_eq!(read(&first.next.unwrap()).unwrap().place::<1>("x").unwrap(), ["2"]);
        assert_eq!(page(vec![1, 2], 2).next, None);
        assert_eq!(page(vec![], 2).next, None);
    }

    #[test]
    fn limits_and_moments_say_what_they_take() {
        let limit = |number: i64| serde_json::from_value::<Limit>(number.into()).map(|limit| limit.0);
        assert_eq!((limit(1).unwrap(), limit(1_000).unwrap()), (1, 1_000));
        assert!(limit(0).unwrap_err().to_string().contains("from 1 to 1000"));
        assert!(limit(1_001).is_err() && limit(-1).is_err());
        let moment = |text: &str| serde_json::from_value::<Moment>(text.into()).map(|moment| moment.0);
        assert_eq!(moment("2026-01-31").unwrap(), Timestamp::parse("2026-01-31T00:00:00Z").unwrap());
        assert!(moment("yesterday-ish").unwrap_err().to_string().contains("2026-01-31T09:00:00Z"));
    }
}
