//! How good the rules are, from what became of their alerts.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::{Store, StoreError};
use crate::alert::{Quality, Verdict, median};
use crate::time::{Span, Timestamp};

impl Store {
    /// What became of the alerts of each rule, or of one, that were stored at or after `since`; by rule.
    pub fn quality(&self, rule: Option<&str>, since: Timestamp) -> Result<Vec<Quality>, StoreError> {
        self.read(|connection| {
            let mut rules = counted(connection, rule, since)?;
            notified(connection, (rule, since), &mut rules)?;
            for (name, first) in [("acknowledged", true), ("resolved", false)] {
                for (rule, spans) in taken(connection, (rule, since), name)? {
                    let Some(quality) = rules.get_mut(&rule) else { continue };
                    let middle = median(spans);
                    if first { quality.acknowledge_time = middle } else { quality.resolve_time = middle }
                }
            }
            Ok(rules.into_values().collect())
        })
    }
}

const OF: &str = "a.merged_into IS NULL AND a.created_at >= ?1 AND (?2 IS NULL OR a.rule = ?2)";

fn counted(
    connection: &Connection,
    rule: Option<&str>,
    since: Timestamp,
) -> Result<BTreeMap<String, Quality>, StoreError> {
    let sql = format!(
        "SELECT a.rule, t.verdict, count(*) FROM alert AS a LEFT JOIN triage AS t ON t.alert = a.id \
         WHERE {OF} GROUP BY a.rule, t.verdict"
    );
    let mut rules: BTreeMap<String, Quality> = BTreeMap::new();
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![since.0, rule])?;
    while let Some(row) = rows.next()? {
        let (rule, verdict): (String, Option<String>) = (row.get(0)?, row.get(1)?);
        let count = row.get::<_, i64>(2)?.cast_unsigned();
        let quality = rules.entry(rule.clone()).or_insert_with(|| Quality { rule, ..Quality::default() });
        quality.add(verdict.and_then(|name| Verdict::named(&name)), count);
    }
    Ok(rules)
}

fn notified(
    connection: &Connection,
    (rule, since): (Option<&str>, Timestamp),
    rules: &mut BTreeMap<String, Quality>,
) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT a.rule, count(*) FROM alert AS a JOIN outbox AS o ON o.alert = a.id AND o.kind = 1 AND o.state = 1 \
         WHERE {OF} GROUP BY a.rule"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![since.0, rule])?;
    while let Some(row) = rows.next()? {
        if let Some(quality) = rules.get_mut(&row.get::<_, String>(0)?) {
            quality.notifications = row.get::<_, i64>(1)?.cast_unsigned();
        }
    }
    Ok(())
}

/// How long each alert took to be acknowledged for the first time, or to be resolved for the last.
fn taken(
    connection: &Connection,
    (rule, since): (Option<&str>, Timestamp),
    what: &str,
) -> Result<BTreeMap<String, Vec<Span>>, StoreError> {
    let which = if what == "resolved" { "max" } else { "min" };
    let sql = format!(
        "SELECT a.rule, {which}(h.at) - a.created_at FROM alert AS a \
         JOIN alert_history AS h ON h.alert = a.id AND h.what = ?3 WHERE {OF} GROUP BY a.id"
    );
    let mut spans: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![since.0, rule, what])?;
    while let Some(row) = rows.next()? {
        spans.entry(row.get(0)?).or_default().push(Span(row.get::<_, i64>(1)?.max(0)));
    }
    Ok(spans)
}
