//! The fields of the index, and how their values are written.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

/// What is indexed. The numbers are for ever: they stand in sealed segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Field {
    /// Events that are not indexed, since there was no room left; its only value is `PRESENT`.
    Unindexed = 0,
    /// `author_id`.
    AuthorId = 1,
    /// `author_name`.
    AuthorName = 2,
    /// `entity_id`.
    EntityId = 3,
    /// `entity_type`.
    EntityType = 4,
    /// `entity_path`: `group/*` is a scan over the values that begin so, so no parents are kept.
    EntityPath = 5,
    /// `target_id`.
    TargetId = 6,
    /// `target_type`.
    TargetType = 7,
    /// `target_details`.
    TargetDetails = 8,
    /// `event_type` of GitLab, whose types the catalogue knows, as it was called when the segment was sealed.
    EventType = 9,
    /// `event_type` that the catalogue does not and will not know: of other forges, or with capitals.
    OtherType = 10,
    /// `ip_address` where it is an address as it is usually written: 16 bytes, IPv4 as `::ffff:a.b.c.d`, so that a
    /// network is a range.
    Address = 11,
    /// `ip_address` where it is anything else.
    AddressText = 12,
    /// `source`; every event has one.
    Source = 13,
    /// `category` as it was sent, of types that the catalogue did not know.
    SentCategory = 14,
    /// `tier`, likewise.
    SentTier = 15,
    /// `geo.country` as it was sent. What a database says is not indexed, because databases are replaced: it is asked
    /// again, once per address of a segment.
    SentCountry = 16,
    /// The words of all texts and numbers.
    Word = 17,
    /// `forge`; every event has one.
    Forge = 18,
}

/// The fields of an event that have a dictionary of their own, and where it is; `event_type` and `ip_address` are
/// sorted further.
pub(super) const CANONICAL: [(&str, Field); 10] = [
    ("author_id", Field::AuthorId),
    ("author_name", Field::AuthorName),
    ("entity_id", Field::EntityId),
    ("entity_type", Field::EntityType),
    ("entity_path", Field::EntityPath),
    ("target_id", Field::TargetId),
    ("target_type", Field::TargetType),
    ("target_details", Field::TargetDetails),
    ("event_type", Field::EventType),
    ("ip_address", Field::Address),
];

/// Behind the last field's number.
pub(super) const FIELDS_END: u8 = Field::Forge as u8 + 1;
/// The value that stands for all: the events that have the field at all. No text and no address is written so.
pub(super) const PRESENT: &[u8] = &[0xfe];
/// The last byte of a value that was cut off; no text ends so.
const CUT: u8 = 0xff;
/// The bytes of a value that are kept; a block of rare values writes lengths in one byte.
const VALUE_BYTES_MAX: usize = 250;
/// The bytes of a word that are kept.
const WORD_BYTES_MAX: usize = 64;

/// A value as it stands in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A folded text, whole.
    Text(&'a str),
    /// The beginning of a longer folded text.
    Beginning(&'a str),
    /// An address.
    Address(IpAddr),
}

impl Field {
    /// Its number in the index.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The number of the rows with its rare values.
    pub(super) const fn rare(self) -> u8 {
        self as u8 | 0x80
    }

    const fn bytes_max(self) -> usize {
        match self {
            Self::Word => WORD_BYTES_MAX,
            _ => VALUE_BYTES_MAX,
        }
    }

    /// A folded text as this field's value, and whether all of it is there.
    pub(super) fn encode(self, text: &str) -> (Cow<'_, [u8]>, bool) {
        let max = self.bytes_max();
        if text.len() <= max {
            return (Cow::Borrowed(text.as_bytes()), true);
        }
        let mut bytes = text.as_bytes()[..text.floor_char_boundary(max)].to_vec();
        bytes.push(CUT);
        (Cow::Owned(bytes), false)
    }

    /// The longest beginning of a text from which its values may be scanned.
    pub(super) fn scan_from(self, beginning: &str) -> &[u8] {
        beginning.get(..beginning.floor_char_boundary(self.bytes_max())).unwrap_or_default().as_bytes()
    }

    /// A stored value; none for [`PRESENT`] and for what no builder writes.
    pub(super) fn decode(self, value: &[u8]) -> Option<Value<'_>> {
        if self == Self::Address {
            return <[u8; 16]>::try_from(value).ok().map(|bytes| Value::Address(address_of(bytes)));
        }
        match value {
            PRESENT => None,
            [beginning @ .., CUT] => std::str::from_utf8(beginning).ok().map(Value::Beginning),
            whole => std::str::from_utf8(whole).ok().map(Value::Text),
        }
    }
}

/// An address as it stands in the index, unless the text is not how that address is usually written.
pub(super) fn encode_address(text: &str) -> Option<[u8; 16]> {
    let address: IpAddr = text.parse().ok()?;
    let is_usual = match address {
        // Only this spelling of an IPv4 address parses at all.
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => address.to_ipv4_mapped().is_none() && address.to_string() == text,
    };
    is_usual.then(|| bytes_of(address))
}

/// The sixteen bytes of an address.
pub(super) fn bytes_of(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn address_of(bytes: [u8; 16]) -> IpAddr {
    let address = Ipv6Addr::from(bytes);
    address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_cut_where_a_letter_ends() {
        let long = format!("{}ä", "x".repeat(63));
        let (value, is_whole) = Field::Word.encode(&long);
        assert!(!is_whole);
        assert_eq!(Field::Word.decode(&value), Some(Value::Beginning(&"x".repeat(63))));
        assert_eq!(Field::AuthorName.encode(&long), (Cow::Borrowed(long.as_bytes()), true));
        assert_eq!(Field::Word.decode(b"word"), Some(Value::Text("word")));
        assert_eq!(Field::Word.decode(PRESENT), None);
    }

    #[test]
    fn addresses_are_those_as_usually_written() {
        for (text, is_address) in [
            ("10.0.0.1", true),
            ("2001:db8::1", true),
            ("2001:DB8::1", false),
            ("2001:db8:0::1", false),
            ("::ffff:10.0.0.1", false),
            ("10.0.0.01", false),
            ("10.0.0.1:80", false),
            ("", false),
        ] {
            let bytes = encode_address(text);
            assert_eq!(bytes.is_some(), is_address, "{text}");
            if let Some(bytes) = bytes {
                assert_eq!(Field::Address.decode(&bytes), Some(Value::Address(text.parse().unwrap())));
            }
        }
    }
}
