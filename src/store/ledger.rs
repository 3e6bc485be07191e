//! The ledger: what rules could not judge, summed by rule and reason.

use std::sync::Arc;

use rusqlite::{Transaction, params};

use super::{Store, StoreError};
use crate::alert::{LedgerEntry, LedgerReason};

const ALL: [LedgerReason; 7] = [
    LedgerReason::TooLate,
    LedgerReason::Evicted,
    LedgerReason::MissingKey,
    LedgerReason::ScriptFailed,
    LedgerReason::WindowFull,
    LedgerReason::NotANumber,
    LedgerReason::OutOfRange,
];

const fn name(reason: LedgerReason) -> &'static str {
    match reason {
        LedgerReason::TooLate => "too_late",
        LedgerReason::Evicted => "evicted",
        LedgerReason::MissingKey => "missing_key",
        LedgerReason::ScriptFailed => "script_failed",
        LedgerReason::WindowFull => "window_full",
        LedgerReason::NotANumber => "not_a_number",
        LedgerReason::OutOfRange => "out_of_range",
    }
}

impl Store {
    /// One entry per rule and reason since the store began, by rule.
    pub fn ledger(&self) -> Result<Vec<LedgerEntry>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT rule, reason, count, first, last, detail FROM ledger ORDER BY rule, reason",
            )?;
            let mut rows = statement.query([])?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                let (rule, text): (String, String) = (row.get(0)?, row.get(1)?);
                let reason = ALL.into_iter().find(|reason| name(*reason) == text).ok_or_else(|| {
                    StoreError::corrupt(format!("the ledger of rule {rule}"), format!("reason `{text}`"))
                })?;
                entries.push(LedgerEntry {
                    rule: Arc::from(rule),
                    reason,
                    count: row.get::<_, i64>(2)?.cast_unsigned(),
                    first: row.get::<_, i64>(3)?.cast_unsigned(),
                    last: row.get::<_, i64>(4)?.cast_unsigned(),
                    detail: row.get(5)?,
                });
            }
            Ok(entries)
        })
    }
}

/// Adds to what is there: counts are summed, the range of positions widens, the latest detail stays.
pub(super) fn add(transaction: &Transaction<'_>, entries: &[LedgerEntry]) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO ledger (rule, reason, count, first, last, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (rule, reason) DO UPDATE SET count = count + excluded.count, \
             first = min(first, excluded.first), last = max(last, excluded.last), \
             detail = coalesce(excluded.detail, detail)",
    )?;
    for entry in entries {
        statement.execute(params![
            entry.rule,
            name(entry.reason),
            entry.count.cast_signed(),
            entry.first.cast_signed(),
            entry.last.cast_signed(),
            entry.detail,
        ])?;
    }
    Ok(())
}
