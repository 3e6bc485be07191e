//! Alerts as lines of a table.

use super::Stood;
use crate::alert::{AlertState, Verdict};
use crate::cli::table;
use crate::store::Standing;
use crate::time::Timestamp;

/// Where an alert stands, in as few words as a table has room for.
fn stands(standing: &Standing) -> String {
    let triage = &standing.triage;
    let whose = triage.assignee.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    match (triage.state, triage.verdict) {
        (AlertState::Open, _) => format!("OPEN{whose}"),
        (AlertState::Acknowledged, _) => {
            let by = triage.changed_by.as_deref().and_then(|by| by.split(" (").next()).unwrap_or("somebody");
            triage.assignee.as_ref().map_or_else(|| format!("ack ({by})"), |_| format!("ack{whose}"))
        }
        (AlertState::Resolved, verdict) => {
            let more = standing.findings_since;
            let since = if more > 0 { format!(", +{more}") } else { String::new() };
            format!("{}{since}", verdict.map_or("resolved", Verdict::name).replace('_', " "))
        }
    }
}

/// `2026-01-05 09:01` of UTC: nobody needs the seconds of a list.
pub(in crate::cli) fn minute(time: Timestamp) -> String {
    time.to_string().replace('T', " ").chars().take(16).collect()
}

/// The place of what was held back.
const HELD: usize = 4;

pub(in crate::cli) fn table(alerts: &[Stood], width: usize) -> String {
    let row = |(stored, standing): &Stood| {
        let alert = &stored.alert;
        [
            alert.id.0.chars().take(8).collect::<String>(),
            minute(alert.last_at),
            alert.level.name().to_owned(),
            stands(standing),
            standing.marks(alert).join(", "),
            alert.key.to_string(),
            alert.title.clone(),
            alert.reason.clone(),
        ]
    };
    let mut rows: Vec<Vec<String>> = alerts.iter().map(|stood| row(stood).to_vec()).collect();
    let mut heading = vec!["ID", "LAST (UTC)", "LEVEL", "STATE", "HELD", "ABOUT", "WHAT", "WHY"];
    let mut whole = vec![0, 1, 2, 3, HELD];
    // Where nothing was held back the others have its room.
    if rows.iter().all(|row| row.get(HELD).is_none_or(String::is_empty)) {
        heading.remove(HELD);
        whole.pop();
        for row in &mut rows {
            row.remove(HELD);
        }
    }
    table::table(&heading, &rows, &whole, width)
}
