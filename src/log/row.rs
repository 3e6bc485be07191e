//! One entry as it is encoded, and its place in the chain.
//!
//! The chain: `h(i) = BLAKE3(h(i-1) || d(i))`, where `d(i)` is the BLAKE3 of the encoded entry i, and `h(0)` is 32 zero
//! bytes. Of a deleted entry `d(i)` is all that is left, and the chain still holds.

use serde::{Deserialize, Serialize, Serializer};

use super::LogError;
use crate::event::{Format, Position};

/// A place in the chain, or the digest of an entry.
pub(super) type Head = [u8; 32];

/// The chain before the first entry.
pub(super) const GENESIS: Head = [0; 32];

/// One entry as it is encoded (postcard); new kinds go at the end, and fields never change.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Row<'a> {
    Event {
        received_at: i64,
        time: i64,
        source: &'a str,
        /// None where it is called as the source is.
        #[serde(borrow)]
        forge: Option<&'a str>,
        format: u8,
        #[serde(borrow)]
        type_hint: Option<&'a str>,
        #[serde(serialize_with = "as_bytes")]
        raw: &'a [u8],
    },
    Tick {
        at: i64,
    },
    /// What is left of an entry that retention deleted.
    Deleted {
        digest: Head,
    },
}

fn as_bytes<S: Serializer>(raw: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(raw)
}

impl Row<'_> {
    /// What goes into the chain for this row, whose encoding is given.
    pub(super) fn digest(&self, encoded: &[u8]) -> Head {
        match self {
            Self::Deleted { digest } => *digest,
            Self::Event { .. } | Self::Tick { .. } => *blake3::hash(encoded).as_bytes(),
        }
    }
}

/// Bytes that are kept of each digest beside the entries: enough to tell which of them was changed.
pub(super) const MARK_BYTES: usize = 4;

/// What is kept of an entry's digest.
pub(super) fn mark(digest: &Head) -> &[u8] {
    digest.get(..MARK_BYTES).unwrap_or_default()
}

/// The chain after one more entry.
pub(super) fn link(head: &Head, digest: &Head) -> Head {
    *blake3::Hasher::new().update(head).update(digest).finalize().as_bytes()
}

/// A format's number in stored rows; fixed for ever, unlike the order of the enum.
pub(super) const fn code(format: Format) -> u8 {
    match format {
        Format::Gitlab => 0,
        Format::Github => 1,
        Format::AzureDevops => 2,
        Format::Bitbucket => 3,
        Format::Generic => 4,
    }
}

/// The rows of a block, one after the other: position, row, and the bytes that encode it. Ends with an error when
/// there are fewer or more of them than positions.
pub(super) struct Rows<'a> {
    rest: &'a [u8],
    first: Position,
    next: Position,
    last: Position,
}

impl<'a> Rows<'a> {
    pub(super) const fn new(plain: &'a [u8], (first, last): (Position, Position)) -> Self {
        Self { rest: plain, first, next: first, last }
    }

    fn corrupt(&mut self, reason: String) -> LogError {
        self.rest = &[];
        self.next = self.last.saturating_add(1);
        LogError::Corrupt { first: self.first, last: self.last, reason }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<(Position, Row<'a>, &'a [u8]), LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let position = self.next;
        if position > self.last {
            let surplus = !self.rest.is_empty();
            return surplus.then(|| Err(self.corrupt("more entries than positions".to_owned())));
        }
        match postcard::take_from_bytes::<Row<'a>>(self.rest) {
            Ok((row, tail)) => {
                let encoded = self.rest.get(..self.rest.len() - tail.len()).unwrap_or_default();
                self.rest = tail;
                self.next += 1;
                Some(Ok((position, row, encoded)))
            }
            Err(error) => Some(Err(self.corrupt(format!("entry {position} cannot be decoded: {error}")))),
        }
    }
}

/// The chain after all rows of a block, when it stood at `head` before.
pub(super) fn follow(
    mut head: Head,
    plain: &[u8],
    positions: (Position, Position),
) -> Result<Head, LogError> {
    for row in Rows::new(plain, positions) {
        let (_, row, encoded) = row?;
        head = link(&head, &row.digest(encoded));
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deleted_entry_leaves_the_chain_as_it_was() {
        let event = |raw| Row::Event {
            received_at: 1,
            time: 2,
            source: "s",
            forge: None,
            format: 0,
            type_hint: None,
            raw,
        };
        let rows = [event(b"{}"), Row::Tick { at: 3 }, event(b"{\"id\":1}")];
        let encoded: Vec<Vec<u8>> = rows.iter().map(|row| postcard::to_stdvec(row).unwrap()).collect();
        let digest = rows[0].digest(&encoded[0]);
        let left = postcard::to_stdvec(&Row::Deleted { digest }).unwrap();
        let before = follow(GENESIS, &encoded.concat(), (1, 3)).unwrap();
        let after =
            follow(GENESIS, &[left, encoded[1].clone(), encoded[2].clone()].concat(), (1, 3)).unwrap();
        assert_eq!(before, after);
        let wrong = postcard::to_stdvec(&Row::Deleted { digest: GENESIS }).unwrap();
        let changed =
            follow(GENESIS, &[wrong, encoded[1].clone(), encoded[2].clone()].concat(), (1, 3)).unwrap();
        assert_ne!(before, changed);
    }
}
