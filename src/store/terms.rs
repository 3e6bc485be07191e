//! What the configuration says of alerts, kept where everybody finds it who changes one: the daemon, and the command line
//! beside it.

use rusqlite::{Connection, params};

use super::{Store, StoreError};
use crate::alert::Occasion;
use crate::rule::closest;
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

/// Why nobody can be asked for a response by the action of a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {help}")]
pub struct NoResponse {
    /// What is wrong, in a sentence.
    pub what: String,
    /// What to do.
    pub help: String,
    /// Whether there is such an action, which only tells.
    pub tells: bool,
}

impl Store {
    /// Why the action of this name cannot be asked for a response, if so, by the configuration that a daemon ran with last.
    pub fn no_response(&self, action: &str) -> Result<Option<NoResponse>, StoreError> {
        let known = self.read(|connection| {
            // Whoever responds can be asked to undo it; nobody else is told of undoings.
            let sql = "SELECT action, max(occasion = ?1) FROM action_wants GROUP BY action";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([Occasion::Undo.name()], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<Vec<(String, bool)>>>()?)
        })?;
        let tells = match known.iter().find(|(name, _)| name == action) {
            Some((_, true)) => return Ok(None),
            found => found.is_some(),
        };
        let what = if tells {
            format!("the action `{action}` tells people or programs, and does not respond")
        } else {
            format!("there is no action `{action}`")
        };
        let names: Vec<&str> =
            known.iter().filter(|(_, responds)| *responds).map(|(name, _)| name.as_str()).collect();
        let help = match closest(action, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "no action that responds is configured".to_owned(),
            None => format!("those that respond are `{}`", names.join("`, `")),
        };
        Ok(Some(NoResponse { what, help, tells }))
    }

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
