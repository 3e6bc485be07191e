//! What the configuration says of alerts, kept where everybody finds it who changes one: the daemon, and the command line
//! beside it.

use rusqlite::{Connection, params};

use super::{Store, StoreError};
use crate::alert::Occasion;
use crate::time::Span;

/// What the configuration says of alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertTerms {
    /// An incident takes further alerts until none came for so long.
    pub incident_gap: Span,
    /// Which actions want to hear of what. One that is not named here hears of everything.
    pub wants: Vec<(String, Occasion)>,
}

impl Default for AlertTerms {
    fn default() -> Self {
        Self { incident_gap: Span::days(1), wants: Vec::new() }
    }
}

impl Store {
    /// Takes over what the configuration says, from the next change on.
    pub fn set_alert_terms(&self, terms: &AlertTerms) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.execute("UPDATE alert_terms SET incident_gap = ?1", [terms.incident_gap.0])?;
            transaction.execute("DELETE FROM action_wants", [])?;
            let sql = "INSERT OR IGNORE INTO action_wants (action, occasion) VALUES (?1, ?2)";
            let mut statement = transaction.prepare(sql)?;
            for (action, occasion) in &terms.wants {
                statement.execute(params![action, occasion.name()])?;
            }
            Ok(())
        })
    }
}

/// How long an incident takes further alerts.
pub(super) fn incident_gap(connection: &Connection) -> Result<Span, StoreError> {
    let mut statement = connection.prepare_cached("SELECT incident_gap FROM alert_terms")?;
    Ok(Span(statement.query_row([], |row| row.get(0))?))
}

/// Whether an action wants to hear of this. Of those that nothing is known of it is not asked.
pub(super) fn wants(connection: &Connection, action: &str, occasion: Occasion) -> Result<bool, StoreError> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM action_wants WHERE action = ?1) \
               OR EXISTS (SELECT 1 FROM action_wants WHERE action = ?1 AND occasion = ?2)";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row([action, occasion.name()], |row| row.get(0))?)
}
