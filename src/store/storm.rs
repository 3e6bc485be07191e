//! Storms: a rule and a source that raise more alerts than are told one by one. One summary says so at once, further ones
//! every hour while it lasts, and one that it is over.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::followup::{self, Followup, Kind};
use super::scene::HOUR;
use super::{NewNotice, StoreError, notice};
use crate::alert::{Alert, Level};
use crate::encode::Notice;
use crate::time::Timestamp;

/// A storm as kept.
struct Storm {
    rule: String,
    source: String,
    began_at: Timestamp,
    held: u64,
    total: u64,
    responses: u64,
    level: Level,
    actions: Vec<String>,
}

/// What one alert of a storm would have set off.
pub(super) struct Due<'a> {
    /// The alert.
    pub alert: &'a Alert,
    /// The source of the event that completed it; empty where it was the clock.
    pub source: &'a str,
    /// How many are told one by one.
    pub limit: u64,
    /// The actions that would have told of it.
    pub actions: Vec<String>,
    /// How many responses were held back.
    pub responses: u64,
}

/// Counts an alert that a storm held back; the first one is told of at once.
pub(super) fn count(transaction: &Transaction<'_>, due: &Due<'_>, at: Timestamp) -> Result<(), StoreError> {
    let rule: &str = &due.alert.rule;
    let known = find(transaction, rule, due.source)?;
    let is_new = known.is_none();
    let mut storm = known.unwrap_or_else(|| Storm {
        rule: rule.to_owned(),
        source: due.source.to_owned(),
        began_at: at,
        held: 0,
        total: 0,
        responses: 0,
        level: due.alert.level,
        actions: Vec::new(),
    });
    storm.total += 1;
    storm.responses += due.responses;
    storm.held += u64::from(!is_new);
    let told: Vec<String> =
        due.actions.iter().filter(|name| !storm.actions.contains(name)).cloned().collect();
    storm.actions.extend(told.iter().cloned());
    if !told.is_empty() {
        // Also later, to whoever was not told of it yet: an alert of the same rule may go another way.
        let notice = storm.begun(due, at);
        let unique = format!("storm/{rule}/{}/{}/{}", due.source, storm.began_at.0, due.alert.id);
        notice::owe(transaction, &NewNotice { unique, notice, actions: told })?;
    }
    if is_new {
        let about = about(rule, due.source);
        let (id, action) = (format!("storm/{about}"), String::new());
        let due_at = at.plus(HOUR);
        followup::put(
            transaction,
            &Followup { id, kind: Kind::Storm, about, action, step: 0, span: HOUR, due_at },
        )?;
    }
    keep(transaction, &storm)
}

/// Says how a storm goes on; no if it is over.
pub(super) fn go_on(
    transaction: &Transaction<'_>,
    about: &str,
    step: u32,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let parts: Result<(String, String), _> = serde_json::from_str(about);
    let (rule, source) = parts.map_err(|error| StoreError::corrupt("a storm", error))?;
    let Some(mut storm) = find(transaction, &rule, &source)? else { return Ok(false) };
    let is_over = storm.held == 0;
    let notice = storm.goes_on(at);
    let unique = format!("storm/{rule}/{source}/{}/{step}", storm.began_at.0);
    notice::owe(transaction, &NewNotice { unique, notice, actions: storm.actions.clone() })?;
    if is_over {
        let sql = "DELETE FROM storm WHERE rule = ?1 AND source = ?2";
        transaction.prepare_cached(sql)?.execute([&rule, &source])?;
        return Ok(false);
    }
    storm.held = 0;
    keep(transaction, &storm)?;
    Ok(true)
}

impl Storm {
    fn begun(&self, due: &Due<'_>, at: Timestamp) -> Notice {
        let Due { alert, limit, .. } = due;
        let mut lines = self.lines();
        lines.push(format!("The last one: {} ({})", alert.key, alert.reason));
        lines.push(
            "Further alerts are stored and listed, and not told one by one; a summary follows every hour."
                .to_owned(),
        );
        if self.responses > 0 {
            lines.push("Their responses are held back too: act by hand on those that need it.".to_owned());
        }
        self.notice(format!("Storm: {} raised more than {limit} alerts within an hour", self.rule), lines, at)
    }

    fn goes_on(&self, at: Timestamp) -> Notice {
        let mut lines = self.lines();
        lines.push(format!("held back since the last summary: {}", self.held));
        lines.push(format!("held back in all: {}", self.total));
        if self.responses > 0 {
            lines.push(format!("responses held back in all: {}", self.responses));
        }
        let title = if self.held == 0 {
            format!("The storm of {} is over: {} alerts were not told one by one", self.rule, self.total)
        } else {
            format!("Storm: {} raised {} further alerts", self.rule, self.held)
        };
        self.notice(title, lines, at)
    }

    fn lines(&self) -> Vec<String> {
        let source = if self.source.is_empty() { "none (the clock)" } else { &self.source };
        vec![
            format!("rule: {}", self.rule),
            format!("source: {source}"),
            format!("began: {}", self.began_at),
            format!("All of them: watchfire alerts --rule {}", self.rule),
        ]
    }

    fn notice(&self, title: String, lines: Vec<String>, at: Timestamp) -> Notice {
        let level = self.level;
        Notice { kind: "storm".to_owned(), title, level, lines, links: Vec::new(), alert: None, at }
    }
}

fn about(rule: &str, source: &str) -> String {
    serde_json::json!([rule, source]).to_string()
}

fn find(connection: &Connection, rule: &str, source: &str) -> Result<Option<Storm>, StoreError> {
    let sql =
        "SELECT began_at, held, total, responses, level, actions FROM storm WHERE rule = ?1 AND source = ?2";
    let found: Option<([i64; 4], String, String)> = connection
        .prepare_cached(sql)?
        .query_row([rule, source], |row| {
            Ok(([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?], row.get(4)?, row.get(5)?))
        })
        .optional()?;
    let Some(([began_at, held, total, responses], level, actions)) = found else { return Ok(None) };
    let actions = serde_json::from_str(&actions).map_err(|error| StoreError::corrupt("a storm", error))?;
    Ok(Some(Storm {
        rule: rule.to_owned(),
        source: source.to_owned(),
        began_at: Timestamp(began_at),
        held: held.cast_unsigned(),
        total: total.cast_unsigned(),
        responses: responses.cast_unsigned(),
        level: Level::named(&level).unwrap_or_default(),
        actions,
    }))
}

fn keep(transaction: &Transaction<'_>, storm: &Storm) -> Result<(), StoreError> {
    let sql = "INSERT INTO storm (rule, source, began_at, held, total, responses, level, actions) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
               ON CONFLICT (rule, source) DO UPDATE SET held = excluded.held, total = excluded.total, \
               responses = excluded.responses, actions = excluded.actions";
    let Storm { rule, source, began_at, held, total, responses, level, actions } = storm;
    let actions = serde_json::json!(actions).to_string();
    let figures = [*held, *total, *responses].map(u64::cast_signed);
    let values = params![rule, source, began_at.0, figures[0], figures[1], figures[2], level.name(), actions];
    transaction.prepare_cached(sql)?.execute(values)?;
    Ok(())
}
