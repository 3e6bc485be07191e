//! Checking the log: whether it still is what was written. The order is that of trust: the key, the manifests that it
//! signed and their links, the records of what was deleted, the files that they name, the hot end that goes on where they
//! end, the checkpoints.

mod culprit;
mod deletions;
mod hot;
mod kept;
mod options;
mod progress;
mod run;
mod segment;
mod terms;

pub use options::{Verified, VerifyOptions};
pub use progress::Progress;
pub(super) use terms::dedupe_key;

#[cfg(test)]
pub(in crate::log) use run::verify_beside;
#[cfg(test)]
mod tests;
