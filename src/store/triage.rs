//! Where alerts stand with the people who look into them.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{SUPPRESSED, Store, StoreError, held, history};
use crate::alert::{Alert, AlertId, AlertState, Stance, Triage, Verdict};
use crate::route::HeldBy;
use crate::time::Timestamp;

/// Alerts that go up in another one, one after the other, at most; beyond, the last of them counts.
const CHAIN_MAX: usize = 64;

/// Where an alert stands, with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// State, assignee, verdict, and who last changed the state.
    pub triage: Triage,
    /// The alert that told the same; only of a duplicate.
    pub duplicate_of: Option<AlertId>,
    /// The number of the last line of its history: whoever changes it says which one they saw.
    pub revision: u64,
    /// Findings since it was resolved; 0 for one that is not.
    pub findings_since: u64,
    /// The incident it belongs to; alerts of before there were any have none.
    pub incident: Option<String>,
    /// What held back anything that the alert itself was to set off, each once.
    pub held: Vec<HeldBy>,
}

impl Standing {
    /// What held anything of the alert back, in words: also `suppressed`, if further findings went up in it.
    #[must_use]
    pub fn marks(&self, alert: &Alert) -> Vec<&'static str> {
        let suppressed = (alert.findings > 1).then_some(SUPPRESSED);
        self.held.iter().copied().map(HeldBy::name).chain(suppressed).collect()
    }

    /// The part of it that changes are about.
    #[must_use]
    pub fn stance(&self) -> Stance {
        let Triage { state, assignee, verdict, .. } = self.triage.clone();
        Stance { state, assignee, verdict, duplicate_of: self.duplicate_of.clone() }
    }
}

impl Store {
    /// Where an alert stands; open and nobody's, if nobody has touched it. One that went up in another stands where that
    /// one does.
    pub fn triage(&self, alert: &AlertId) -> Result<Triage, StoreError> {
        self.read(|connection| triage_of(connection, alert))
    }

    /// The same with all that is known of it.
    pub fn standing(&self, alert: &AlertId) -> Result<Standing, StoreError> {
        self.read(|connection| marked(connection, alert))
    }

    /// The same for several, in their order.
    pub fn standings(&self, alerts: &[AlertId]) -> Result<Vec<Standing>, StoreError> {
        self.read(|connection| alerts.iter().map(|alert| marked(connection, alert)).collect())
    }
}

/// The alert that this one went up in, or itself; none if there is no such alert.
pub(super) fn root(connection: &Connection, alert: &AlertId) -> Result<Option<AlertId>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT merged_into FROM alert WHERE id = ?1")?;
    let mut at = alert.clone();
    for _ in 0..CHAIN_MAX {
        let next = statement.query_row([&at.0], |row| row.get::<_, Option<String>>(0)).optional()?;
        match next {
            None if at == *alert => return Ok(None),
            None | Some(None) => break,
            Some(Some(next)) => at = AlertId(next),
        }
    }
    Ok(Some(at))
}

/// With what held it back.
fn marked(connection: &Connection, alert: &AlertId) -> Result<Standing, StoreError> {
    Ok(Standing { held: held::marks(connection, alert)?, ..standing_of(connection, alert)? })
}

/// Where an alert stands with people, within a transaction.
pub(super) fn triage_of(connection: &Connection, alert: &AlertId) -> Result<Triage, StoreError> {
    Ok(standing_of(connection, alert)?.triage)
}

/// The same with all that is known of it.
pub(super) fn standing_of(connection: &Connection, alert: &AlertId) -> Result<Standing, StoreError> {
    let root = root(connection, alert)?.unwrap_or_else(|| alert.clone());
    let mut standing = own_standing(connection, &root)?;
    standing.revision = history::last(connection, &root)?;
    let mut statement = connection.prepare_cached("SELECT incident FROM alert WHERE id = ?1")?;
    standing.incident = statement.query_row([&root.0], |row| row.get(0)).optional()?.flatten();
    Ok(standing)
}

/// What the alert's own row says.
fn own_standing(connection: &Connection, alert: &AlertId) -> Result<Standing, StoreError> {
    let sql = "SELECT t.state, t.assignee, t.verdict, t.note, t.changed_at, t.changed_by, t.duplicate_of, \
               coalesce(max(a.findings - t.findings, 0), 0) \
               FROM triage AS t LEFT JOIN alert AS a ON a.id = t.alert WHERE t.alert = ?1";
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
            let duplicate_of = row.get::<_, Option<String>>(6)?.map(AlertId);
            let findings_since = row.get::<_, i64>(7)?.cast_unsigned();
            Ok((texts, Standing { triage, duplicate_of, findings_since, ..Standing::default() }))
        })
        .optional()?;
    let Some(((state, verdict), mut standing)) = found else { return Ok(Standing::default()) };
    let unknown = || StoreError::corrupt(format!("the triage of alert {alert}"), "an unknown word");
    standing.triage.verdict = verdict.map(|name| Verdict::named(&name).ok_or_else(unknown)).transpose()?;
    standing.triage.state = AlertState::named(&state).ok_or_else(unknown)?;
    if standing.triage.state != AlertState::Resolved {
        standing.findings_since = 0;
    }
    Ok(standing)
}

/// What was last said of the alert itself, whatever it went up in.
pub(super) fn own_stance(connection: &Connection, alert: &AlertId) -> Result<Stance, StoreError> {
    Ok(own_standing(connection, alert)?.stance())
}

/// The event time of the last finding that was there when the alert came to its state.
pub(super) fn ended_at(connection: &Connection, alert: &AlertId) -> Result<Option<Timestamp>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT ended_at FROM triage WHERE alert = ?1")?;
    Ok(statement.query_row([&alert.0], |row| row.get(0).map(Timestamp)).optional()?)
}

/// Writes where an alert stands from now on, and with what it came there.
pub(super) fn set(
    transaction: &Transaction<'_>,
    alert: &AlertId,
    to: &Stance,
    (at, by, note): (Timestamp, &str, Option<&str>),
) -> Result<(), StoreError> {
    let sql = "INSERT INTO triage (alert, state, assignee, verdict, duplicate_of, note, changed_at, changed_by, \
                                   findings, ended_at) \
               SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, findings, last_at FROM alert WHERE id = ?1 \
               ON CONFLICT (alert) DO UPDATE SET state = excluded.state, assignee = excluded.assignee, \
                   verdict = excluded.verdict, duplicate_of = excluded.duplicate_of, note = excluded.note, \
                   changed_at = excluded.changed_at, changed_by = excluded.changed_by, \
                   findings = excluded.findings, ended_at = excluded.ended_at";
    let Stance { state, assignee, verdict, duplicate_of } = to;
    let (verdict, of) = (verdict.map(Verdict::name), duplicate_of.as_ref().map(|id| &id.0));
    let values = params![alert.0, state.name(), assignee, verdict, of, note, at.0, by];
    transaction.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Writes whose an alert is, and nothing else.
pub(super) fn set_assignee(
    transaction: &Transaction<'_>,
    alert: &AlertId,
    to: Option<&str>,
    (at, by): (Timestamp, &str),
) -> Result<(), StoreError> {
    let sql = "INSERT INTO triage (alert, state, assignee, changed_at, changed_by) VALUES (?1, 'open', ?2, ?3, ?4) \
               ON CONFLICT (alert) DO UPDATE SET assignee = excluded.assignee";
    transaction.prepare_cached(sql)?.execute(params![alert.0, to, at.0, by])?;
    Ok(())
}
