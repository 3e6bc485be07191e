//! Deliveries: what is to be done, in which order, and what stands where.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params, params_from_iter};

use super::filter::Filter;
use super::{
    DeliveryKind, OutboxCounts, OutboxPlace, OutboxQuery, OutboxRow, OutboxState, Store, StoreError,
};
use crate::alert::{AlertId, Occasion};
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// So long after its creation a notification waits for the alert's responses, then it goes without them.
const HOLD_BACK: Span = Span::seconds(60);

const COLUMNS: &str =
    "id, alert, action, kind, created_at, due_at, attempts, state, last_error, outcome, occasion";

/// A notification whose alert has responses that are not settled.
const IS_HELD: &str = "(o.kind = 1 AND EXISTS (SELECT 1 FROM outbox AS r \
    WHERE r.alert = o.alert AND r.kind = 0 AND r.state = 0 AND r.occasion <> 'undo'))";

/// What is told of an alert while something that was to be told of it before, by the same action, is still to be told, be
/// it in a message with others: it waits its turn. What is undone after a set time holds nothing up until then. Rows are
/// numbered in the order of their writing, whatever the clock showed.
const IS_BEHIND: &str = "(EXISTS (SELECT 1 FROM outbox AS e WHERE e.alert = o.alert AND e.kind = o.kind \
    AND e.state = 0 AND e.action = o.action AND e.rowid < o.rowid AND e.occasion <> 'undo') \
    OR EXISTS (SELECT 1 FROM delivery_alert AS d CROSS JOIN outbox AS e ON e.id = d.delivery WHERE d.alert = o.alert \
    AND e.kind = o.kind AND e.state = 0 AND e.action = o.action AND e.rowid < o.rowid))";

impl Store {
    /// Pending deliveries that are due, at most `max`: responses first, then the longest due.
    ///
    /// A notification is held back while its alert has responses that are not settled, at most 60 seconds
    /// after its creation. What an action is to tell of one alert goes in the order in which it was owed: a later message
    /// waits while an earlier one is tried again. When more are due than `max`, every action gets its share, so that one action
    /// with a long queue does not hide the others.
    pub fn outbox_due(&self, now: Timestamp, max: usize) -> Result<Vec<OutboxRow>, StoreError> {
        self.read(|connection| {
            let mut ranked = Vec::new();
            for action in pending_actions(connection)? {
                let due = due_of(connection, &action, now, max)?;
                ranked.extend(due.into_iter().enumerate());
            }
            let order = |row: &OutboxRow| (kind_code(row.kind), row.due_at, row.created_at);
            ranked.sort_by_key(|(rank, row)| (*rank, order(row)));
            let mut rows: Vec<_> = ranked.into_iter().take(max).map(|(_, row)| row).collect();
            rows.sort_by_key(order);
            Ok(rows)
        })
    }

    /// When the next pending delivery is due, counting what is held back as due when it is let go at the
    /// latest; none when nothing is pending. Call again after a settlement: it may let something go earlier.
    pub fn outbox_next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT due_at, created_at, {IS_HELD} FROM outbox AS o INDEXED BY outbox_pending \
                 WHERE state = 0 AND NOT {IS_BEHIND} \
                 ORDER BY due_at"
            ))?;
            let mut rows = statement.query([])?;
            let mut next: Option<Timestamp> = None;
            while let Some(row) = rows.next()? {
                let (due_at, created_at) = (Timestamp(row.get(0)?), Timestamp(row.get(1)?));
                let is_held: bool = row.get(2)?;
                if next.is_some_and(|next| due_at >= next) {
                    break;
                }
                let goes_at = if is_held { due_at.max(created_at.plus(HOLD_BACK)) } else { due_at };
                next = Some(next.map_or(goes_at, |next| next.min(goes_at)));
                if !is_held {
                    break;
                }
            }
            Ok(next)
        })
    }

    /// All deliveries of an alert: responses first, then in order of creation.
    pub fn outbox_of(&self, alert: &AlertId) -> Result<Vec<OutboxRow>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM outbox WHERE alert = ?1 \
                 OR id IN (SELECT delivery FROM delivery_alert WHERE delivery_alert.alert = ?1) \
                 ORDER BY kind, created_at, action"
            ))?;
            let rows = statement.query_map([&alert.0], columns)?;
            rows.map(|row| parse(row?)).collect()
        })
    }

    /// Deliveries, newest first, at most `limit` (0: all); only those that stand so, if a state is given.
    pub fn outbox_list(
        &self,
        state: Option<OutboxState>,
        limit: usize,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        self.outbox(&OutboxQuery { state, limit, ..OutboxQuery::default() })
    }

    /// Deliveries, newest first.
    pub fn outbox(&self, query: &OutboxQuery) -> Result<Vec<OutboxRow>, StoreError> {
        let mut filter = Filter::default();
        filter.when("state = ?", query.state.map(state_code));
        filter.when("action = ?", query.action.clone());
        filter.when("alert = ?", query.alert.clone());
        if let Some(OutboxPlace { created_at, id }) = &query.after {
            filter.all("(created_at, id) < (?, ?)", [created_at.0.into(), id.clone().into()]);
        }
        let (end, values) = filter.end("created_at DESC, id DESC", query.limit);
        let sql = format!("SELECT {COLUMNS} FROM outbox {end}");
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params_from_iter(values), columns)?;
            rows.map(|row| parse(row?)).collect()
        })
    }

    /// One delivery.
    pub fn outbox_get(&self, id: &str) -> Result<Option<OutboxRow>, StoreError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached(&format!("SELECT {COLUMNS} FROM outbox WHERE id = ?1"))?;
            statement.query_row([id], columns).optional()?.map(parse).transpose()
        })
    }

    /// How many deliveries stand where.
    pub fn outbox_counts(&self) -> Result<OutboxCounts, StoreError> {
        self.read(|connection| {
            let mut counts = OutboxCounts::default();
            let mut statement =
                connection.prepare_cached("SELECT state, count(*) FROM outbox GROUP BY state")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let count = row.get::<_, i64>(1)?.cast_unsigned();
                match state(row.get(0)?) {
                    Some(OutboxState::Pending) => counts.pending = count,
                    Some(OutboxState::Done) => counts.done = count,
                    Some(OutboxState::Dead) => counts.dead = count,
                    Some(OutboxState::Waiting) => counts.waiting = count,
                    None => {}
                }
            }
            Ok(counts)
        })
    }

    /// How many deliveries of kind [`DeliveryKind::Respond`] of this action changed something at or after
    /// `since`, by when they were settled.
    pub fn responses_since(&self, action: &str, since: Timestamp) -> Result<u64, StoreError> {
        self.read(|connection| {
            let sql = "SELECT count(*) FROM outbox \
                       WHERE action = ?1 AND settled_at >= ?2 AND changed = 1 AND kind = 0";
            let count: i64 =
                connection.prepare_cached(sql)?.query_row(params![action, since.0], |row| row.get(0))?;
            Ok(count.cast_unsigned())
        })
    }
}

/// What stands in place of an alert's id where a checkpoint is delivered.
#[must_use]
pub fn checkpoint_name(position: Position, at: Timestamp) -> String {
    format!("{CHECKPOINT}{position}/{}", at.0)
}

/// The checkpoint that such a name stands for; none for an alert's id.
#[must_use]
pub fn checkpoint_named(name: &str) -> Option<(Position, Timestamp)> {
    let (position, at) = name.strip_prefix(CHECKPOINT)?.split_once('/')?;
    Some((position.parse().ok()?, Timestamp(at.parse().ok()?)))
}

/// No alert's id has a stroke: they are hexadecimal.
const CHECKPOINT: &str = "checkpoint/";

/// The actions that have something pending: one step through the index for each.
fn pending_actions(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let sql =
        "SELECT min(action) FROM outbox INDEXED BY outbox_pending_action WHERE state = 0 AND action > ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut actions: Vec<String> = Vec::new();
    loop {
        let after = actions.last().map_or("", String::as_str);
        let Some(next) = statement.query_row([after], |row| row.get::<_, Option<String>>(0))? else {
            return Ok(actions);
        };
        actions.push(next);
    }
}

fn due_of(
    connection: &Connection,
    action: &str,
    now: Timestamp,
    max: usize,
) -> Result<Vec<OutboxRow>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM outbox AS o INDEXED BY outbox_pending_action \
         WHERE state = 0 AND action = ?1 AND due_at <= ?2 AND (created_at <= ?3 OR NOT {IS_HELD}) \
         AND NOT {IS_BEHIND} \
         ORDER BY due_at LIMIT ?4"
    ))?;
    let held_since = now.minus(HOLD_BACK);
    let limit = max.cast_signed() as i64;
    let rows = statement.query_map(params![action, now.0, held_since.0, limit], columns)?;
    rows.map(|row| parse(row?)).collect()
}

/// Adds deliveries; one whose id is there already is left as it is.
pub(super) fn insert(transaction: &Transaction<'_>, rows: &[OutboxRow]) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(&format!(
        "INSERT INTO outbox ({COLUMNS}, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
         ON CONFLICT (id) DO NOTHING"
    ))?;
    for row in rows {
        let outcome = row.outcome.as_ref().map(serde_json::to_string).transpose();
        let outcome =
            outcome.map_err(|error| StoreError::Database(format!("delivery {}: {error}", row.id)))?;
        statement.execute(params![
            row.id,
            row.alert.0,
            row.action,
            kind_code(row.kind),
            row.created_at.0,
            row.due_at.0,
            row.attempts,
            state_code(row.state),
            row.last_error,
            outcome,
            row.occasion.name(),
            row.outcome.as_ref().is_some_and(|outcome| outcome.changed),
        ])?;
    }
    Ok(())
}

const fn kind_code(kind: DeliveryKind) -> i64 {
    match kind {
        DeliveryKind::Respond => 0,
        DeliveryKind::Notify => 1,
        DeliveryKind::Report => 2,
    }
}

/// A state's number in the table.
pub(super) const fn state_code(state: OutboxState) -> i64 {
    match state {
        OutboxState::Pending => 0,
        OutboxState::Done => 1,
        OutboxState::Dead => 2,
        OutboxState::Waiting => 3,
    }
}

fn state(code: i64) -> Option<OutboxState> {
    let all = [OutboxState::Pending, OutboxState::Done, OutboxState::Dead, OutboxState::Waiting];
    all.into_iter().find(|state| state_code(*state) == code)
}

/// When a delivery was settled, if it was.
pub(super) fn settled_at(connection: &Connection, id: &str) -> Result<Option<Timestamp>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT settled_at FROM outbox WHERE id = ?1")?;
    let found = statement.query_row([id], |row| row.get::<_, Option<i64>>(0)).optional()?;
    Ok(found.flatten().map(Timestamp))
}

/// A row whose codes and outcome are not read yet.
struct Columns {
    row: OutboxRow,
    kind: i64,
    state: i64,
    outcome: Option<String>,
    occasion: String,
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok(Columns {
        kind: row.get(3)?,
        state: row.get(7)?,
        outcome: row.get(9)?,
        occasion: row.get(10)?,
        row: OutboxRow {
            id: row.get(0)?,
            alert: AlertId(row.get(1)?),
            action: row.get(2)?,
            kind: DeliveryKind::Notify,
            occasion: Occasion::Opened,
            created_at: Timestamp(row.get(4)?),
            due_at: Timestamp(row.get(5)?),
            attempts: row.get(6)?,
            state: OutboxState::Pending,
            last_error: row.get(8)?,
            outcome: None,
        },
    })
}

fn parse(columns: Columns) -> Result<OutboxRow, StoreError> {
    let Columns { mut row, kind, state: code, outcome, occasion } = columns;
    let what = || format!("delivery {}", row.id);
    let unknown = || StoreError::corrupt(what(), "it has an unknown kind, state or occasion");
    let kinds = [DeliveryKind::Respond, DeliveryKind::Notify, DeliveryKind::Report];
    let kind = kinds.into_iter().find(|known| kind_code(*known) == kind).ok_or_else(unknown)?;
    let state = state(code).ok_or_else(unknown)?;
    let outcome = outcome.map(|text| serde_json::from_str(&text)).transpose();
    let outcome = outcome.map_err(|error| StoreError::corrupt(what(), error))?;
    row.occasion = Occasion::named(&occasion).ok_or_else(unknown)?;
    (row.kind, row.state, row.outcome) = (kind, state, outcome);
    Ok(row)
}
