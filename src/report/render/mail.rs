//! The mail of a report: subject, both parts, and its tables as CSV.

use serde::{Deserialize, Serialize};

use super::context::{Rest, title};
use super::template::{csv, filled};
use crate::encode::{TemplateError, clean};
use crate::report::{Report, SectionKind};

/// All attached files together have at most so many bytes; those that would go beyond are left out, and the mail says
/// which command writes them.
pub const ATTACHED_MAX: usize = 5 << 20;
const SUBJECT_CHARS_MAX: usize = 180;

/// A mail without its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportMail {
    /// The report's name: all mails of it form one thread.
    pub thread: String,
    /// One line.
    pub subject: String,
    /// The plain part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// Its tables.
    pub attachments: Vec<Attachment>,
}

/// A CSV file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// `security-2026-11-21-access_gained.csv`.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// Writes the mail; tables without rows are not attached, and beyond `attached_max` bytes neither are further ones.
///
/// # Errors
/// Only when the built-in templates are broken, which the tests would show.
pub fn mail(report: &Report, attached_max: usize) -> Result<ReportMail, TemplateError> {
    let (mut attachments, mut names, mut left_out, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for section in report.sections.iter().filter(|section| !section.rows.is_empty()) {
        let written = csv(section, report.period.zone()).unwrap_or_default();
        if bytes + written.len() > attached_max {
            left_out.push(section.kind);
            continue;
        }
        bytes += written.len();
        let name = file_name(report, section.kind);
        names.push((section.kind, name.clone()));
        attachments.push(Attachment { name, text: String::from_utf8_lossy(&written).into_owned() });
    }
    let rest = Rest::Attached { names, left_out };
    Ok(ReportMail {
        thread: report.name.clone().unwrap_or_default(),
        subject: subject(report),
        text: filled("report.txt", report, &rest)?,
        html: filled("report.html", report, &rest)?,
        attachments,
    })
}

/// `[Watchfire] Daily report security, Saturday 21 November 2026: 3 alerts, 2 destructive actions`.
fn subject(report: &Report) -> String {
    let count = |kind: SectionKind, one: &str, many: &str| {
        let found = report.sections.iter().find(|section| section.kind == kind)?;
        match found.count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {many}")),
        }
    };
    let parts = [
        count(SectionKind::Alerts, "alert", "alerts"),
        count(SectionKind::Destructive, "destructive action", "destructive actions"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let what = match (parts.is_empty(), report.is_empty()) {
        (false, _) => format!(": {}", parts.join(", ")),
        (true, true) => ": nothing to report".to_owned(),
        (true, false) => String::new(),
    };
    clean(&format!("[Watchfire] {}, {}{what}", title(report), report.period), SUBJECT_CHARS_MAX)
}

/// The name of a table's file.
#[must_use]
pub fn file_name(report: &Report, kind: SectionKind) -> String {
    let name = report.name.as_deref().unwrap_or("report");
    format!("{name}-{}-{}.csv", report.period.key(), kind.name())
}
