//! Finding responses.

use rusqlite::{params, params_from_iter};

use super::super::filter::Filter;
use super::super::{Store, StoreError};
use super::row::{Response, Step, body_of, get, parse};
use super::status::ResponseStatus;
use crate::time::Timestamp;

/// Which responses to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct ResponseQuery {
    /// Only those that stand so.
    pub status: Option<ResponseStatus>,
    /// Only this action's.
    pub action: Option<String>,
    /// Only those of this rule's alerts.
    pub rule: Option<String>,
    /// Only this alert's.
    pub alert: Option<String>,
    /// Only those that began at or after this; with `in_force` or `to_undo`: that were done, or last tried, then.
    pub since: Option<Timestamp>,
    /// Only those that were done and are not undone.
    pub in_force: bool,
    /// Only those that there is something to undo of: that are in force, and that ended without anybody knowing whether they
    /// changed anything and can be undone.
    pub to_undo: bool,
    /// Only those that come after this place in the list.
    pub after: Option<ResponsePlace>,
    /// At most so many; 0: all.
    pub limit: usize,
}

/// A place in the list of responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponsePlace {
    /// The response's `created_at`.
    pub created_at: Timestamp,
    /// Its id.
    pub id: String,
}

/// How many responses there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseCounts {
    /// By where they stand, and whether they only rehearsed.
    pub by_status: Vec<(ResponseStatus, bool, u64)>,
    /// How many are in force.
    pub in_force: u64,
}

impl Store {
    /// One response.
    pub fn response(&self, id: &str) -> Result<Option<Response>, StoreError> {
        self.read(|connection| get(connection, id))
    }

    /// Responses, newest first.
    pub fn responses(&self, query: &ResponseQuery) -> Result<Vec<Response>, StoreError> {
        let mut filter = Filter::default();
        filter.when("status = ?", query.status.map(|status| status.name().to_owned()));
        filter.when("action = ?", query.action.clone());
        filter.when("rule = ?", query.rule.clone());
        filter.when("alert = ?", query.alert.clone());
        let since = if query.in_force || query.to_undo {
            "coalesce(acted_at, counted_at, created_at) >= ?"
        } else {
            "created_at >= ?"
        };
        filter.when(since, query.since.map(|since| since.0));
        if query.in_force {
            filter.all("status = 'acted' AND undo <> 'undone'", []);
        }
        if query.to_undo {
            filter.all(TO_UNDO, []);
        }
        if let Some(ResponsePlace { created_at, id }) = &query.after {
            filter.all("(created_at, id) < (?, ?)", [created_at.0.into(), id.clone().into()]);
        }
        let (end, values) = filter.end("created_at DESC, id DESC", query.limit);
        let sql = format!("SELECT id, body FROM response {end}");
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params_from_iter(values), body_of)?;
            rows.map(|row| {
                let (id, body) = row?;
                parse(&id, &body)
            })
            .collect()
        })
    }

    /// Ids that begin so, at most five.
    pub fn responses_named(&self, beginning: &str) -> Result<Vec<String>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT id FROM response WHERE id >= ?1 AND id < ?1 || '~' ORDER BY id LIMIT 5";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([beginning], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// What happened to a response, oldest first.
    pub fn response_steps(&self, id: &str) -> Result<Vec<Step>, StoreError> {
        self.read(|connection| {
            let sql = format!("{STEPS} WHERE response = ?1 ORDER BY number");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map([id], step)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Steps of all responses after this number, at most so many.
    pub fn response_steps_after(&self, number: u64, limit: usize) -> Result<Vec<Step>, StoreError> {
        self.read(|connection| {
            let sql = format!("{STEPS} WHERE number > ?1 ORDER BY number LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows =
                statement.query_map(params![number.cast_signed(), limit.cast_signed() as i64], step)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// How many responses wait for people; counted up to `most`.
    pub fn responses_waiting(&self, most: u64) -> Result<u64, StoreError> {
        self.read(|connection| {
            let sql = "SELECT count(*) FROM (SELECT 1 FROM response WHERE status = 'waiting' LIMIT ?1)";
            let limit = most.cast_signed();
            let count: i64 = connection.prepare_cached(sql)?.query_row([limit], |row| row.get(0))?;
            Ok(count.cast_unsigned())
        })
    }

    /// How many responses stand where.
    pub fn response_counts(&self) -> Result<ResponseCounts, StoreError> {
        self.read(|connection| {
            let sql = "SELECT status, dry_run, count(*), sum(status = 'acted' AND undo <> 'undone') FROM response \
                       GROUP BY status, dry_run";
            let mut counts = ResponseCounts::default();
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (name, dry_run): (String, bool) = (row.get(0)?, row.get(1)?);
                let (count, in_force): (i64, i64) = (row.get(2)?, row.get(3)?);
                if let Some(status) = ResponseStatus::named(&name) {
                    counts.by_status.push((status, dry_run, count.cast_unsigned()));
                }
                counts.in_force += in_force.cast_unsigned();
            }
            Ok(counts)
        })
    }
}

/// As [`Response::may_have_acted`] says it, of those that have ended.
const TO_UNDO: &str = "undo <> 'undone' AND (status = 'acted' OR (counted_at IS NOT NULL AND dry_run = 0 \
                       AND status NOT IN ('begun', 'waiting', 'acting') AND json_extract(body, '$.undoable')))";

const STEPS: &str = "SELECT number, response, at, status, author, summary FROM response_step";

fn step(row: &rusqlite::Row<'_>) -> rusqlite::Result<Step> {
    Ok(Step {
        number: row.get::<_, i64>(0)?.cast_unsigned(),
        response: row.get(1)?,
        at: Timestamp(row.get(2)?),
        status: row.get(3)?,
        author: row.get(4)?,
        summary: row.get(5)?,
    })
}
