//! What goes to the outside, as text: the alert as JSON, the mail, what a user's template makes of both.
//!
//! Pure: a notification goes in, text comes out. The JSON is a contract with its receivers and carries a version.

mod card;
mod checkpoint;
mod example;
mod notification;
mod notice;
mod json;
mod mail;
mod search;
mod template;
mod write;

pub use card::{Card, Deed, Row, Status};
pub use checkpoint::{CHECKPOINT_TYPE, CheckpointNote, checkpoint_event};
pub use example::example;
pub use json::{ALERT_JSON_VERSION, alert_json, notification_json, row_json, triage_json};
pub(crate) use mail::clean;
pub use mail::{Mail, mail, subject};
pub use notice::{Link, Notice};
#[cfg(test)]
pub(crate) use notification::tests_support;
pub use notification::{Around, Notification, Other, Place, Response, ResponseState, RuleText};
pub use search::search_command;
pub(crate) use template::value_of;
pub use template::{Escape, Template, TemplateError};
pub use write::{Dialect, Room, code, escaped, html, is_telling, prose};
