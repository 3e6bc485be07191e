//! What is to be told later: reminders, escalations, groups told again, storms that go on, silences that end.
//!
//! A row is made in the transaction that decides about its alert; what comes of it when it is due is decided in one
//! transaction too, by what the store knows then. The ids of what is told are derived from the row and how often it was
//! told, so that nothing is told twice and nothing is forgotten, whenever the daemon stops.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::triage::standing_of;
use super::{
    DeliveryKind, NewNotice, OutboxRow, SilenceState, Store, StoreError, group, held, notice, outbox,
    silence, storm,
};
use crate::alert::{Alert, AlertId, AlertState, Level, Occasion};
use crate::encode::Notice;
use crate::route::{Case, Facts, Held, HeldBy, Hold, Policy, Quiet, Scene, hold};
use crate::time::{Span, Timestamp};

/// An alert, or a group, is told again so often; then whoever did not hear is not told any more.
pub const REMINDERS_MAX: u32 = 100;

/// What is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An alert again, while nobody acknowledged it.
    Reminder,
    /// An alert, to others, since nobody acknowledged it.
    Escalation,
    /// A group again, while any of its alerts is unresolved.
    Group,
    /// A group again, while any of its alerts is open.
    GroupOpen,
    /// How a storm goes on.
    Storm,
    /// That a silence ends.
    Silence,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Reminder, Self::Escalation, Self::Group, Self::GroupOpen, Self::Storm, Self::Silence];

    const fn name(self) -> &'static str {
        match self {
            Self::Reminder => "reminder",
            Self::Escalation => "escalation",
            Self::Group => "group",
            Self::GroupOpen => "group_open",
            Self::Storm => "storm",
            Self::Silence => "silence",
        }
    }
}

/// Something to be told later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followup {
    /// Derived from what it is about.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// The alert, group, storm or silence.
    pub about: String,
    /// The action that tells it; empty where several may.
    pub action: String,
    /// How often it was told.
    pub step: u32,
    /// How long after the time before; 0: at a time of its own.
    pub span: Span,
    /// When it is due.
    pub due_at: Timestamp,
}

/// What becomes of a row.
enum Next {
    /// It is due again so long after now, told once more or not.
    Again {
        /// Whether it was told.
        is_told: bool,
    },
    /// It is done with.
    Over,
}

impl Store {
    /// When the next is due; none if there is none.
    pub fn followup_next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT min(due_at) FROM followup")?;
            Ok(statement.query_row([], |row| row.get::<_, Option<i64>>(0))?.map(Timestamp))
        })
    }

    /// What is still to be told of an alert, the next first; nothing once somebody has taken it up.
    pub fn followups_of(&self, alert: &AlertId) -> Result<Vec<Followup>, StoreError> {
        self.read(|connection| {
            let sql = format!(
                "{COLUMNS} WHERE about = ?1 AND NOT EXISTS \
                 (SELECT 1 FROM triage WHERE triage.alert = ?1 AND state <> 'open') ORDER BY due_at, action"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map([&alert.0], columns)?;
            rows.map(|row| parse(row?)).collect()
        })
    }

    /// Takes those that are due, at most `max`, and owes what they tell, in one transaction. Answers how many it took.
    pub fn followups_take(&self, now: Timestamp, policy: &Policy, max: usize) -> Result<usize, StoreError> {
        self.write(|transaction| {
            let sql = format!("{COLUMNS} WHERE due_at <= ?1 ORDER BY due_at, id LIMIT ?2");
            let due: Vec<Followup> = {
                let mut statement = transaction.prepare_cached(&sql)?;
                let rows = statement.query_map(params![now.0, max.cast_signed() as i64], columns)?;
                rows.map(|row| parse(row?)).collect::<Result<_, StoreError>>()?
            };
            // Read once for all of them, and only for those that it means something to.
            let asks = |row: &Followup| !matches!(row.kind, Kind::Storm | Kind::Silence);
            let quiet = if due.iter().any(asks) { silence::in_force(transaction, now)? } else { Vec::new() };
            for row in &due {
                let next = match row.kind {
                    Kind::Reminder | Kind::Escalation => alert(transaction, row, (policy, &quiet), now)?,
                    Kind::Group | Kind::GroupOpen => again(transaction, row, (policy, &quiet), now)?,
                    Kind::Storm => after(storm::go_on(transaction, &row.about, row.step, now)?),
                    Kind::Silence => ends(transaction, row, policy, now)?,
                };
                move_on(transaction, row, &next, now)?;
            }
            Ok(due.len())
        })
    }

    /// Minds a clock that was set back by `by`: what is due some time after something else is due as much earlier, and
    /// never later than twice that time from now, whatever the clock showed before. The end of a silence is a time of the
    /// clock, and stays what it is.
    pub fn followups_set_back(&self, by: Span, now: Timestamp) -> Result<(), StoreError> {
        self.write(|transaction| {
            let sql = "UPDATE followup SET due_at = min(due_at - ?1, ?2 + 2 * span) \
                       WHERE span > 0 AND (?1 > 0 OR due_at > ?2 + 2 * span)";
            transaction.prepare_cached(sql)?.execute(params![by.0, now.0])?;
            Ok(())
        })
    }
}

/// Has something told later, in place of what had its id.
pub(super) fn put(transaction: &Transaction<'_>, followup: &Followup) -> Result<(), StoreError> {
    let sql = "INSERT INTO followup (id, kind, about, action, step, span, due_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
               ON CONFLICT (id) DO UPDATE SET due_at = excluded.due_at, span = excluded.span, kind = excluded.kind, \
               step = excluded.step";
    let Followup { id, kind, about, action, step, span, due_at } = followup;
    let values = params![id, kind.name(), about, action, step, span.0, due_at.0];
    transaction.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Lets everything of a kind be that is about something.
pub(super) fn forget(transaction: &Transaction<'_>, kind: Kind, about: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM followup WHERE kind = ?1 AND about = ?2";
    transaction.prepare_cached(sql)?.execute(params![kind.name(), about])?;
    Ok(())
}

fn move_on(
    transaction: &Transaction<'_>,
    row: &Followup,
    next: &Next,
    now: Timestamp,
) -> Result<(), StoreError> {
    let step = row.step + u32::from(matches!(next, Next::Again { is_told: true }));
    if matches!(next, Next::Over) || step >= REMINDERS_MAX && row.kind != Kind::Storm {
        transaction.prepare_cached("DELETE FROM followup WHERE id = ?1")?.execute([&row.id])?;
        return Ok(());
    }
    // From now on, and not from when it was due: after an outage it is told once.
    let sql = "UPDATE followup SET step = ?2, due_at = ?3 WHERE id = ?1";
    transaction.prepare_cached(sql)?.execute(params![row.id, step, now.plus(row.span).0])?;
    Ok(())
}

const fn after(goes_on: bool) -> Next {
    if goes_on { Next::Again { is_told: true } } else { Next::Over }
}

/// An alert that nobody acknowledged.
fn alert(
    transaction: &Transaction<'_>,
    row: &Followup,
    (policy, quiet): (&Policy, &[Quiet]),
    now: Timestamp,
) -> Result<Next, StoreError> {
    let id = AlertId(row.about.clone());
    let Some((alert, scene)) = known(transaction, &id)? else { return Ok(Next::Over) };
    if alert.merged_into.is_some() || standing_of(transaction, &id)?.triage.state != AlertState::Open {
        return Ok(Next::Over);
    }
    let is_reminder = row.kind == Kind::Reminder;
    let occasion = if is_reminder { Occasion::Reminder } else { Occasion::Escalated };
    if !held::is_wanted(transaction, (&id, &row.action), occasion, now)? {
        return Ok(Next::Over);
    }
    if is_quiet(transaction, row, (&alert, &scene), (policy, quiet), now)? {
        return Ok(if is_reminder { Next::Again { is_told: false } } else { Next::Over });
    }
    if is_reminder && is_pending(transaction, &id, &row.action)? {
        return Ok(Next::Again { is_told: false });
    }
    let unique = format!("{}/{}", row.id, row.step);
    let owed = OutboxRow::owed(DeliveryKind::Notify, (id, &row.action), &unique, now);
    outbox::insert(transaction, &[OutboxRow { occasion, ..owed }])?;
    Ok(if is_reminder { Next::Again { is_told: true } } else { Next::Over })
}

/// Whether a silence or a maintenance window of this moment holds a later message about an alert back; if so, it is noted.
fn is_quiet(
    transaction: &Transaction<'_>,
    row: &Followup,
    (alert, scene): (&Alert, &Scene),
    (policy, quiet): (&Policy, &[Quiet]),
    now: Timestamp,
) -> Result<bool, StoreError> {
    let holds = hold(policy, &Case { alert, scene }, &Facts { quiet, ..Facts::default() }, now);
    let is_meant = |hold: &Hold| matches!(hold.by, HeldBy::Silence | HeldBy::Maintenance);
    let Some(hold) = holds.into_iter().find(is_meant) else { return Ok(false) };
    let word = if row.kind == Kind::Escalation { "escalation" } else { "reminder" };
    let (action, why) = (row.action.clone(), format!("{word}, by {}", hold.why));
    let (id, by, which) = (alert.id.clone(), hold.by, hold.which);
    held::note(transaction, &Held { alert: id, action, by, which, why, at: now })?;
    Ok(true)
}

/// A group that is told again.
fn again(
    transaction: &Transaction<'_>,
    row: &Followup,
    (policy, quiet): (&Policy, &[Quiet]),
    now: Timestamp,
) -> Result<Next, StoreError> {
    let row_of = |alert: &AlertId| {
        let unique = format!("{}/{}/{}", row.id, row.step, now.0);
        let owed = OutboxRow::owed(DeliveryKind::Notify, (alert.clone(), &row.action), &unique, now);
        OutboxRow { occasion: Occasion::Reminder, ..owed }
    };
    let is_told = |id: &AlertId| {
        let Some((alert, scene)) = known(transaction, id)? else { return Ok(false) };
        Ok(held::is_wanted(transaction, (id, &row.action), Occasion::Reminder, now)?
            && !is_quiet(transaction, row, (&alert, &scene), (policy, quiet), now)?)
    };
    Ok(after(group::remind(transaction, row, (now, &is_told), row_of)?))
}

/// A silence that ends soon.
fn ends(
    transaction: &Transaction<'_>,
    row: &Followup,
    policy: &Policy,
    now: Timestamp,
) -> Result<Next, StoreError> {
    let id: i64 = row.about.parse().unwrap_or_default();
    let Some(known) = silence::one(transaction, id)? else { return Ok(Next::Over) };
    if known.state(now) == SilenceState::Ended || policy.notices.actions.is_empty() {
        return Ok(Next::Over);
    }
    let silence = &known.silence;
    let notice = Notice {
        kind: "silence_ends".to_owned(),
        title: format!("Silence {id} ends at {}", silence.ends_at),
        level: Level::Low,
        lines: vec![
            format!("matchers: {}", silence.matchers),
            format!("reason: {}", silence.reason),
            format!("owner: {}", silence.owner),
            "From then on such alerts are told again; what it held back is not.".to_owned(),
            format!("Longer: watchfire silence extend {id} --until TIME"),
        ],
        links: Vec::new(),
        alert: None,
        at: now,
    };
    let unique = format!("{}/{}", row.id, silence.ends_at.0);
    notice::owe(transaction, &NewNotice { unique, notice, actions: policy.notices.actions.clone() })?;
    Ok(Next::Over)
}

/// Whether the same action still tries to tell of an alert.
fn is_pending(connection: &Connection, alert: &AlertId, action: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM outbox WHERE alert = ?1 AND kind = 1 AND state = 0 AND action = ?2";
    Ok(connection.prepare_cached(sql)?.exists([&alert.0, action])?)
}

fn known(connection: &Connection, id: &AlertId) -> Result<Option<(Alert, Scene)>, StoreError> {
    let sql = "SELECT alert.body, scene.body FROM alert LEFT JOIN scene ON scene.alert = alert.id WHERE alert.id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let found: Option<(String, Option<String>)> =
        statement.query_row([&id.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((alert, scene)) = found else { return Ok(None) };
    let wrong = |error: serde_json::Error| StoreError::corrupt(format!("alert {id}"), error);
    let alert: Alert = serde_json::from_str(&alert).map_err(wrong)?;
    let scene = scene.map(|scene| serde_json::from_str(&scene)).transpose().map_err(wrong)?;
    let scene = scene.unwrap_or_else(|| Scene::of_key(&alert.key));
    Ok(Some((alert, scene)))
}

const COLUMNS: &str = "SELECT id, kind, about, action, step, span, due_at FROM followup";

fn columns(row: &Row<'_>) -> rusqlite::Result<(String, Followup)> {
    let followup = Followup {
        id: row.get(0)?,
        kind: Kind::Reminder,
        about: row.get(2)?,
        action: row.get(3)?,
        step: row.get(4)?,
        span: Span(row.get(5)?),
        due_at: Timestamp(row.get(6)?),
    };
    Ok((row.get(1)?, followup))
}

fn parse((kind, followup): (String, Followup)) -> Result<Followup, StoreError> {
    let known = Kind::ALL.into_iter().find(|known| known.name() == kind);
    let kind =
        known.ok_or_else(|| StoreError::corrupt(format!("follow-up {}", followup.id), "an unknown kind"))?;
    Ok(Followup { kind, ..followup })
}
