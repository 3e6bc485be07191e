//! Bytes to events: checks the JSON, finds the time and the key by which duplicates are known. Pure.

mod decoded;
mod dedupe;
mod error;
#[cfg(test)]
mod tests;

pub use decoded::{Decoded, FIELDS, Origin, blank, decode, decode_from, finish, id, parse_time, utf8};
pub use dedupe::Strength;
pub use error::DecodeError;
