//! Deleting what is kept long enough: by the sealer's thread, in its pauses, one segment at a time.
//!
//! * Each event of a sealed segment is judged by the policy and by its arrival. When all are due, the segment is removed;
//!   else it is written anew, with digests in place of those that are due.
//! * Writing anew is dear, so it waits: until a tenth of the events is due, or the oldest is overdue by more than the
//!   slack ([`slack`]: a tenth of its time, an hour at least and 30 days at most). Where all of the segment is due before
//!   that, it waits until then, and removes it. What is due when a segment is sealed or merged is left out for free.
//! * Nothing is deleted that a hold finds, that detection or a forwarder has yet to see, or while holds cannot be read.
//! * The record comes first. In what order things become durable, where a segment is written anew:
//!
//! 1. the new database under its own name; its manifest under another one (`.next`)
//! 2. the record, which names the digest of that manifest
//! 3. the manifest's name: from now on the new segment counts
//! 4. a minute later, for searches that have just listed it, the old one's manifest and database are removed
//!
//! A crash between 2 and 3 is put right at the next start; so is one between the record of a removal and the removal.

mod terms;
mod glance;
mod held;
mod schedule;
mod judge;
mod dropping;
mod looks;
mod publish;
mod act;
mod forecast;

pub(super) use act::digests;
pub(super) use dropping::{Dropping, kept_keys};
pub use forecast::{Forecast, Foreseen, forecast};
pub(super) use held::Held;
pub(super) use judge::{Judged, judge};
pub(super) use looks::Looks;
pub(super) use publish::{Dropped, Publication, finish_pending};
pub use schedule::slack;
pub use terms::{Ask, Board, HeldBack, Retention, RetentionState};

#[cfg(test)]
mod tests;
