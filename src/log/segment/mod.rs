//! Sealed segments: `log/segments/FIRST-LAST.db`, each with a signed manifest `FIRST-LAST.json` beside it; one that was
//! written anew without what retention deleted has a third number.
//!
//! A segment is one SQLite file, made under another name and never written again. `write.rs` makes it of entries,
//! `merge.rs` of other segments, `open.rs` reads it, `manifest.rs` is what is signed, `shelf.rs` finds out which there are.
//!
//! | table | what |
//! |---|---|
//! | `meta` | format, positions, the chain before, the version of the index, the digest of its catalogue |
//! | `dictionary` | what blocks are compressed with, and how well that went where it was made |
//! | `block` | about 256 entries each: positions, times, the chain after it, the entries, compressed with a dictionary |
//! | `key` | the first 8 bytes of the keys of duplicates, sorted, in chunks |
//! | `term` | the index: field, value, number of events, which events; where that is long, its number in `list` |
//! | `list` | long lists of events, each once |

mod name;
mod times;
mod manifest;
mod dictionary;
mod file;
mod write;
mod merge;
mod open;
mod terms;
mod shelf;

pub(super) use manifest::Manifest;
pub(super) use manifest::Replaced;
pub use manifest::SegmentInfo;
pub(super) use merge::merge;
pub(super) use name::{Name, Positions, folder};
pub use open::Segment;
pub(super) use open::{StoredBlock, bias};
pub(super) use shelf::{Listed, Shelf};
pub(super) use times::{decode as decode_times, encode as encode_times};
pub(super) use write::{Input, Pace, Plan, Summary, Written, digest, write, write_after};

#[cfg(test)]
pub(super) use file::PAGES_MAX;
