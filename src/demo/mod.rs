//! `watchfire demo`: the whole story on one machine with nothing else installed.
//!
//! A simulated GitLab organisation ([`Simulation`]) posts its audit events over HTTP ([`Sender`]) to the real
//! daemon; a stand-in of GitLab's API ([`GitlabApi`]) lets itself be told to block, a mail sink
//! ([`MailSink`]) and a webhook sink ([`HookSink`]) keep what is sent to them, and the [`Screen`] tells a
//! person what happens. [`Demo`] puts them together. [`Report`] compares what was caught with what was planted. [`generate`] writes the
//! same traffic as lines.

mod error;
// The story: pure, from a seed.
mod dice;
mod payload;
mod organisation;
mod rhythm;
mod acts;
mod people;
mod quirks;
mod attacks;
mod traffic;
mod generate;
mod schedule;
// The scenery: stand-ins on the loopback address.
mod serving;
mod stand_in;
mod audit_api;
mod gitlab_api;
mod github_api;
mod hook_sink;
mod mail_text;
mod mail_sink;
mod sender;
// The telling.
mod report;
mod screen;
// The wiring.
mod rules;
mod setup;
mod watcher;
mod run;

pub use attacks::Planted;
pub use audit_api::{AuditApi, AuditFault, Holder};
pub use error::DemoError;
pub use generate::{FIRST_WEEK, generate};
pub use github_api::{
    GithubApi, GithubToken, GithubWorld, SimAccount, SimCredential, SimMembership, SimOrganization,
};
pub use gitlab_api::{ApiToken, GitlabApi, GitlabWorld, SimKey, SimMember, SimPlace, SimToken};
pub use hook_sink::{Hook, HookSink};
pub use mail_sink::{MailSink, SinkMail};
pub use organisation::{AccountState, SimUser, WATCHFIRE_USER};
pub use report::{Arrived, Found, Report};
pub use run::{Demo, Tell};
pub use schedule::Schedule;
pub use screen::{DemoEvent, Places, Screen, Style};
pub use sender::{Pace, Sender, Sent};
pub use stand_in::{ApiCall, Fault, StandIn};
pub use traffic::{SimEvent, Simulation};
