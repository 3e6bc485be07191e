//! Where a page ended, so that the next one begins there.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use super::SearchError;
use super::page::Order;
use crate::event::Position;
use crate::query::Query;

/// A place between two pages of one query: stable while events arrive, segments are sealed and merged. Written as an
/// opaque text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    position: Position,
    query: u64,
}

impl Cursor {
    /// Behind the event at this position.
    pub(super) fn behind(position: Position, query: &Query, order: Order) -> Self {
        Self { position, query: hash(query, order) }
    }

    /// The position behind which the next page begins.
    ///
    /// # Errors
    ///
    /// [`SearchError::Cursor`] where the cursor is of another query or order.
    pub(super) fn position(self, query: &Query, order: Order) -> Result<Position, SearchError> {
        if self.query == hash(query, order) { Ok(self.position) } else { Err(SearchError::Cursor) }
    }

    /// Reads what [`fmt::Display`] wrote.
    ///
    /// # Errors
    ///
    /// [`SearchError::Cursor`] where the text is no cursor.
    pub fn parse(text: &str) -> Result<Self, SearchError> {
        let parts = text.strip_prefix('c').and_then(|text| text.split_once('-'));
        let number = |digits: &str| u64::from_str_radix(digits, 16).ok();
        let parsed = parts.and_then(|(position, query)| Some((number(position)?, number(query)?)));
        let (position, query) = parsed.ok_or(SearchError::Cursor)?;
        Ok(Self { position, query })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{:x}-{:016x}", self.position, self.query)
    }
}

/// Of the query as it is written, so that `-7d` stays the same query while time goes on.
fn hash(query: &Query, order: Order) -> u64 {
    xxh3_64(format!("{order:?} {query}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn a_cursor_belongs_to_one_query() {
        let query = |text, now| Query::parse(text, Timestamp(now)).unwrap();
        let cursor = Cursor::behind(4711, &query("a -7d created:-1d", 1), Order::NewestFirst);
        let read = Cursor::parse(&cursor.to_string()).unwrap();
        let at = |query: &Query, order| read.position(query, order).ok();
        assert_eq!(at(&query("a  -7d created:-1d", 99), Order::NewestFirst), Some(4711));
        assert_eq!(at(&query("b created:-1d", 1), Order::NewestFirst), None);
        assert_eq!(at(&query("a -7d created:-1d", 1), Order::OldestFirst), None);
        for text in ["", "c", "c-", "4711", "c12-zz", "x12-34"] {
            assert!(matches!(Cursor::parse(text), Err(SearchError::Cursor)), "{text}");
        }
    }
}
