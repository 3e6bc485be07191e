//! `watchfire demo`: the whole story on one machine with nothing else installed.
//!
//! A simulated GitLab organisation ([`Simulation`]) posts its audit events over HTTP ([`Sender`]) to the real
//! daemon; a stand-in of GitLab's user API ([`GitlabApi`]) lets itself be told to block, a mail sink
//! ([`MailSink`]) keeps what would have been mailed, and the [`Screen`] tells a person what happens.
//! [`Report`] compares what was caught with what was planted.

mod acts;
mod attacks;
mod dice;
mod generate;
mod organisation;
mod payload;
mod people;
mod quirks;
mod rhythm;
mod traffic;

pub use attacks::Planted;
pub use generate::{FIRST_WEEK, generate};
pub use organisation::{AccountState, SimUser, WATCHFIRE_USER};
pub use traffic::{SimEvent, Simulation};
