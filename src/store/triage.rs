//! Where alerts stand with the people who look into them.

use rusqlite::{Connection, OptionalExtension as _};

use super::{Store, StoreError};
use crate::alert::{AlertId, AlertState, Triage, Verdict};
use crate::time::Timestamp;

impl Store {
    /// Where an alert stands; open and nobody's, if nobody has touched it.
    pub fn triage(&self, alert: &AlertId) -> Result<Triage, StoreError> {
        self.read(|connection| triage_of(connection, alert))
    }
}

/// The same within a transaction.
pub(super) fn triage_of(connection: &Connection, alert: &AlertId) -> Result<Triage, StoreError> {
    let sql = "SELECT state, assignee, verdict, note, changed_at, changed_by FROM triage WHERE alert = ?1";
    let found = connection
        .prepare_cached(sql)?
        .query_row([&alert.0], |row| {
            let texts: (String, Option<String>) = (row.get(0)?, row.get(2)?);
            let triage = Triage {
                assignee: row.get(1)?,
                note: row.get(3)?,
                changed_at: Some(Timestamp(row.get(4)?)),
                changed_by: row.get(5)?,
                ..Triage::default()
            };
            Ok((texts, triage))
        })
        .optional()?;
    let Some(((state, verdict), triage)) = found else { return Ok(Triage::default()) };
    let unknown = || StoreError::corrupt(format!("the triage of alert {alert}"), "an unknown word");
    let verdict = verdict.map(|name| Verdict::named(&name).ok_or_else(unknown)).transpose()?;
    Ok(Triage { state: AlertState::named(&state).ok_or_else(unknown)?, verdict, ..triage })
}
