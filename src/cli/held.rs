//! What held an alert's messages and responses back, for people.

use std::fmt::Write as _;

use super::terminal::{Paint, behind};
use crate::alert::Alert;
use crate::route::Held;
use crate::store::{Followup, FollowupKind};

/// What is said under an alert; nothing where nothing is held back or to come.
pub(super) fn text(
    alert: &Alert,
    held: &[Held],
    followups: &[Followup],
    (paint, width): (Paint, usize),
) -> String {
    let mut text = String::new();
    let mut line = |beginning: &str, what: &str| {
        text.push_str(&behind(beginning, what, 23, width));
    };
    for Held { action, by, why, .. } in held {
        let action = if action.is_empty() { "no action was due" } else { action };
        line(&format!("  {action:<20} {:<9} ", by.name()), why);
    }
    if alert.findings > 1 {
        let more = alert.findings - 1;
        let findings = if more == 1 { "finding" } else { "findings" };
        line(
            &format!("  {:<20} ", "suppressed"),
            &format!("{more} further {findings} of the same stretch were not told again"),
        );
    }
    if !text.is_empty() {
        text = format!("\n{}\n{text}", paint.bold("Held back"));
    }
    for (number, Followup { kind, action, due_at, step, .. }) in followups.iter().enumerate() {
        if number == 0 {
            let _ = writeln!(text, "\n{}", paint.bold("To come, while nobody acknowledges it"));
        }
        let what = if *kind == FollowupKind::Escalation {
            "escalation".to_owned()
        } else {
            format!("reminder {}", step + 1)
        };
        let _ = writeln!(text, "  {action:<20} {what} at {due_at}");
    }
    text
}
