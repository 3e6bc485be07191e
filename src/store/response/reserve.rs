//! Whether a response may act now: the kill switch, the cool-down and the limits, asked and counted in one transaction.

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::super::{Store, StoreError};
use super::row::{Hit, Response, own, put, step};
use super::status::ResponseStatus;
use super::stop::{Stop, stopped};
use crate::log::fault;
use crate::time::{Span, Timestamp};

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitOf {
    /// The identities that are hit, by all rules and actions together.
    Identities,
    /// The responses of this action.
    Action,
}

/// At most so many in a length of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// What is counted.
    pub of: LimitOf,
    /// So many.
    pub count: u64,
    /// Within this time.
    pub per: Span,
    /// What it is called as long as it is configured so, whatever it comes to: `2 % per 1h`.
    pub name: String,
    /// In a sentence: `at most 5 accounts per 1h, by all responses`.
    pub words: String,
}

/// What a response asks for before it acts.
#[derive(Debug, Clone, Default)]
pub struct Reservation {
    /// All of them hold.
    pub limits: Vec<Limit>,
    /// The same identity is left alone for so long after this action has changed it.
    pub cool_down: Option<Span>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// It is counted, and may act.
    Go,
    /// All responses are stopped.
    Stopped(Stop),
    /// This action has changed the same identity, which is left alone until then.
    Cooling(Timestamp),
    /// This limit is reached.
    Beyond(Limit),
}

impl Store {
    /// Counts a response and lets it act, or says why not. One that was counted before is asked again, itself left out, and
    /// counts from now on. Who goes beyond a limit by people's word is counted too; of each limit it is asked whether it was
    /// named to them. A rehearsal is counted among rehearsals and real ones, a real one among real ones only.
    ///
    /// # Errors
    /// When the store fails; [`StoreError::Unknown`] when nobody is known to be hit.
    pub fn response_reserve(
        &self,
        response: &mut Response,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        let reserved = self.write(|transaction| {
            if let Some(stop) = stopped(transaction)? {
                return Ok((Reserved::Stopped(stop), None));
            }
            let Some(hit) = &response.hit else {
                return Err(StoreError::Unknown { what: "identity that the response hits".to_owned() });
            };
            if let Some(why) = why_wait(transaction, (response, hit), reservation, now)? {
                return Ok((why, None));
            }
            let mut counted = response.clone();
            counted.counted_at = Some(now);
            counted.updated_at = now;
            if !counted.dry_run && counted.status != ResponseStatus::Acting {
                counted.status = ResponseStatus::Acting;
                let told = (ResponseStatus::Acting.name(), counted.summary.as_str());
                step(transaction, &counted, told, &own(now, "response"))?;
            }
            put(transaction, &counted)?;
            fault::point("store.response_reserved");
            Ok((Reserved::Go, Some(counted)))
        })?;
        let (reserved, counted) = reserved;
        if let Some(counted) = counted {
            *response = counted;
        }
        Ok(reserved)
    }

    /// The first limit that a response would go beyond now; nothing is counted.
    pub fn response_beyond(
        &self,
        response: &Response,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Option<Reserved>, StoreError> {
        self.write(|transaction| {
            let Some(hit) = &response.hit else { return Ok(None) };
            why_wait(transaction, (response, hit), reservation, now)
        })
    }

    /// How often this action changed the same identity before, those left out that a person had undone.
    pub fn response_repeats(&self, action: &str, hit: &Hit, but: &str) -> Result<u64, StoreError> {
        self.read(|connection| {
            let sql = "SELECT count(*) FROM response WHERE identity = ?1 AND action = ?2 AND id <> ?3 \
                       AND status = 'acted' AND (undo <> 'undone' OR json_extract(body, '$.undo_by') IS NULL)";
            let values = params![hit.key(), action, but];
            let count: i64 = connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
            Ok(count.cast_unsigned())
        })
    }
}

/// The cool-down or the first limit that holds a response back. One that is being done has been through the cool-down.
fn why_wait(
    transaction: &Transaction<'_>,
    (response, hit): (&Response, &Hit),
    reservation: &Reservation,
    now: Timestamp,
) -> Result<Option<Reserved>, StoreError> {
    if response.status != ResponseStatus::Acting
        && let Some(until) = cooling(transaction, response, (hit, reservation.cool_down), now)?
    {
        return Ok(Some(Reserved::Cooling(until)));
    }
    Ok(beyond(transaction, (response, hit), &reservation.limits, now)?.map(Reserved::Beyond))
}

fn cooling(
    transaction: &Transaction<'_>,
    response: &Response,
    (hit, cool_down): (&Hit, Option<Span>),
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let Some(cool_down) = cool_down else { return Ok(None) };
    let sql =
        "SELECT max(acted_at) FROM response WHERE identity = ?1 AND action = ?2 AND id <> ?3 AND dry_run = 0";
    let values = params![hit.key(), response.action, response.id];
    let last: Option<i64> =
        transaction.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?.flatten();
    Ok(last.map(|last| Timestamp(last).plus(cool_down)).filter(|until| *until > now))
}

/// The first limit that is reached and that nobody lets it go beyond.
pub(super) fn beyond(
    transaction: &Transaction<'_>,
    (response, hit): (&Response, &Hit),
    limits: &[Limit],
    now: Timestamp,
) -> Result<Option<Limit>, StoreError> {
    let key = hit.key();
    for limit in limits.iter().filter(|limit| !response.is_allowed(Some(&limit.name))) {
        let since = now.minus(limit.per).0;
        let count: i64 = match limit.of {
            LimitOf::Identities => {
                // Whoever was hit within this time already is not one more.
                let sql = "SELECT CASE WHEN sum(identity = ?3) > 0 THEN -1 ELSE count(DISTINCT identity) END \
                           FROM response WHERE counted_at > ?1 AND (dry_run = 0 OR ?2) AND id <> ?4";
                let values = params![since, response.dry_run, key, response.id];
                transaction.prepare_cached(sql)?.query_row(values, |row| row.get(0))?
            }
            LimitOf::Action => {
                let sql = "SELECT count(*) FROM response WHERE counted_at > ?1 AND (dry_run = 0 OR ?2) \
                           AND action = ?3 AND id <> ?4";
                let values = params![since, response.dry_run, response.action, response.id];
                transaction.prepare_cached(sql)?.query_row(values, |row| row.get(0))?
            }
        };
        if u64::try_from(count).is_ok_and(|count| count >= limit.count) {
            return Ok(Some(limit.clone()));
        }
    }
    Ok(None)
}
