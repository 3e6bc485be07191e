//! Whether the log and the audit log are what was written, by what they say themselves and by what others kept of them.

mod verdict;

pub use verdict::{AuditVerdict, Kept, Verdict, prove};

#[cfg(test)]
mod tests;
