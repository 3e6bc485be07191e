//! Sealed segments: `log/segments/FIRST-LAST.db`, each with a signed manifest `FIRST-LAST.json` beside it.
//!
//! A segment is one SQLite file, made under another name and never written again. `write.rs` makes it, `open.rs` reads
//! it, `manifest.rs` is what is signed, `shelf.rs` finds out which segments there are.
//!
//! | table | what |
//! |---|---|
//! | `meta` | format, positions, the chain before, the dictionary, the version of the index |
//! | `block` | about 256 entries each: positions, times, the chain after it, the entries compressed with the dictionary |
//! | `key` | the first 8 bytes of the keys of duplicates, sorted, in chunks |
//! | `term` | the index: field, value, number of events, which events |

mod name;
mod times;
mod manifest;
mod write;
mod open;
mod terms;
mod shelf;

pub(super) use manifest::Manifest;
pub(super) use manifest::Replaced;
pub use manifest::SegmentInfo;
pub(super) use name::{Positions, folder};
pub use open::Segment;
pub(super) use open::{StoredBlock, bias};
pub(super) use shelf::{Listed, Shelf};
pub(super) use times::{decode as decode_times, encode as encode_times};
pub(super) use write::{Input, Pace, Plan, Summary, digest, write};

#[cfg(test)]
pub(super) use write::PAGES_MAX;
