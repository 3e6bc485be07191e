//! Responses as kept: what was asked for, what was decided, what was done, and how it is undone.
//!
//! A response has its delivery's id and a body that is replaced as a whole. Every change of it adds a step and a row of
//! the audit log in the same transaction. What is counted for the limits is counted before anything is done, in the
//! transaction that allows it: two at once cannot both be the last that fits.

mod status;
mod row;
mod ask;
mod run;
mod reserve;
mod decide;
mod undo;
mod stop;
mod read;

pub use ask::asked_id;
pub(super) use decide::asked_again;
pub use decide::{Decided, Decision};
pub use read::{ResponseCounts, ResponsePlace, ResponseQuery};
pub use reserve::{Limit, LimitOf, Reservation, Reserved};
pub use row::{Approval, Hit, Response, Step, UNKNOWN};
pub use run::{Ending, Parked};
pub use status::{ResponseStatus, UndoStatus};
pub use stop::Stop;
pub use undo::{UndoAsked, Undone};
