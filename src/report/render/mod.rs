//! A report as text, as HTML, as a mail with its tables attached, and each table as CSV.
//!
//! Texts and HTML show the first rows of each table; the CSV has all. Every value is cut to one line without control
//! characters before it is shown to people, and escaped: events carry what an attacker typed.

mod context;
mod mail;
mod template;

pub use mail::{ATTACHED_MAX, Attachment, ReportMail, file_name, mail};
pub use template::{csv, html, text};
