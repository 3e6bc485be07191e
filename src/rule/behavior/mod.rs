//! `behavior`: what a set of events must look like.

mod compare;
mod kind;
mod read;
mod statistics;
mod table;
#[cfg(test)]
mod tests;

pub(super) use read::{behavior, of_script};
pub use table::{COMPARISONS, GROUP, KINDS, KindEntry, OPTIONS, OptionEntry, Shape, keys};
