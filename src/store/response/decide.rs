//! People's words on responses that wait: approved, refused, or not answered in time.

use rusqlite::{Transaction, params};

use super::super::{Deed, NewNotice, OutboxState, Outcome, Store, StoreError, notice, outbox};
use super::row::{Approval, Response, SELF, UNKNOWN, body_of, must_get, own, parse, put, step};
use super::run::settle;
use super::status::ResponseStatus;
use super::stop::stopped;
use crate::time::Timestamp;

/// Of a sweep, at most so many responses expire in one transaction.
const EXPIRED_MAX: usize = 500;

/// What a person says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may be done.
    Approve,
    /// It shall not.
    Refuse,
}

/// What became of a response by a person's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// It is done now.
    Allowed,
    /// So many more people must approve.
    Wants(u32),
    /// It is not done.
    Declined,
}

impl Store {
    /// A person approves or refuses a response that waits. `link` is the hash of the link it came by, which serves once.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if there is no such response, [`StoreError::Conflict`] with a sentence where the word does
    /// not count.
    pub fn response_decide(
        &self,
        id: &str,
        decision: Decision,
        link: Option<&str>,
        deed: &Deed,
    ) -> Result<Decided, StoreError> {
        self.write(|transaction| {
            let mut response = must_get(transaction, id)?;
            check(transaction, &response, (decision, link.is_some()), deed)?;
            if let Some(link) = link {
                use_link(transaction, link, deed.at)?;
            }
            response.updated_at = deed.at;
            if decision == Decision::Refuse {
                return decline(transaction, response, deed);
            }
            let told = approve(&mut response, deed);
            let missing = response.missing(response.limit.as_deref());
            if missing == 0 {
                (response.status, response.expires_at) = (ResponseStatus::Begun, None);
                let sql = "UPDATE outbox SET state = 0, due_at = ?2, attempts = 0, settled_at = NULL \
                           WHERE id = ?1 AND state = 3";
                transaction.prepare_cached(sql)?.execute(params![id, deed.at.0])?;
            }
            put(transaction, &response)?;
            step(transaction, &response, ("approved", &told), deed)?;
            Ok(if missing == 0 { Decided::Allowed } else { Decided::Wants(missing) })
        })
    }

    /// Ends what nobody answered in time, and tells of it in one notice, made of them; how many. At most five hundred at a
    /// time.
    pub fn responses_expire(
        &self,
        now: Timestamp,
        told: impl FnOnce(&[Response]) -> Option<NewNotice>,
    ) -> Result<usize, StoreError> {
        self.write(|transaction| {
            let late = late(transaction, now)?;
            let mut expired = Vec::new();
            for mut response in late {
                let why = format!("did not {}: nobody approved it in time", words(&response));
                let summary = with_doubt(&mut response, why);
                (response.status, response.updated_at) = (ResponseStatus::Expired, now);
                response.summary.clone_from(&summary);
                settle(transaction, &response.id, (&outcome(summary.clone(), response.dry_run), None), now)?;
                put(transaction, &response)?;
                let status = ResponseStatus::Expired.name();
                step(transaction, &response, (status, &summary), &own(now, "response"))?;
                expired.push(response);
            }
            if !expired.is_empty()
                && let Some(owed) = told(&expired)
            {
                notice::owe(transaction, &owed)?;
            }
            Ok(expired.len())
        })
    }

    /// When the next response that waits expires.
    pub fn responses_next_expiry(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT min(expires_at) FROM response WHERE status = 'waiting'";
            let next: Option<i64> = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok(next.map(Timestamp))
        })
    }
}

/// Adds a person's word, for what that person was told; in a sentence.
fn approve(response: &mut Response, deed: &Deed) -> String {
    let is_theirs = |given: &Approval| is_same(&given.by, &deed.author);
    // What the same person let it go beyond before stays.
    let mut limits: Vec<String> =
        response.approvals.extract_if(.., |given| is_theirs(given)).flat_map(|given| given.limits).collect();
    limits.extend(response.limit.clone());
    response.approvals.push(Approval { by: deed.author.clone(), at: deed.at, limits });
    match &response.limit {
        Some(limit) => format!("approved by {}, beyond the limit `{limit}`", deed.author),
        None => format!("approved by {}", deed.author),
    }
}

/// Deliveries that were given up are driven again: those whose `column` of the outbox has this value. Who approved their
/// responses did so for the run that has ended.
pub(in crate::store) fn asked_again(
    transaction: &Transaction<'_>,
    (column, value): (&'static str, &str),
    deed: &Deed,
) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT response.id, response.body FROM outbox JOIN response ON response.id = outbox.id \
         WHERE outbox.{column} = ?1 AND outbox.state = ?2 AND response.status IN ('begun', 'acting')"
    );
    let found: Vec<(String, String)> = {
        let mut statement = transaction.prepare_cached(&sql)?;
        let rows = statement.query_map(params![value, outbox::state_code(OutboxState::Dead)], body_of)?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    for (id, body) in found {
        let mut response = parse(&id, &body)?;
        if response.approvals.is_empty() {
            continue;
        }
        response.approvals.clear();
        (response.beyond, response.limit, response.updated_at) = (None, None, deed.at);
        put(transaction, &response)?;
        let status = response.status.name();
        step(transaction, &response, (status, "driven again: who approved it is asked again"), deed)?;
    }
    Ok(())
}

fn late(transaction: &Transaction<'_>, now: Timestamp) -> Result<Vec<Response>, StoreError> {
    let sql = "SELECT id, body FROM response WHERE status = 'waiting' AND expires_at <= ?1 \
               ORDER BY expires_at LIMIT ?2";
    let mut statement = transaction.prepare_cached(sql)?;
    let rows = statement.query_map(params![now.0, EXPIRED_MAX.cast_signed() as i64], body_of)?;
    rows.map(|row| {
        let (id, body) = row?;
        parse(&id, &body)
    })
    .collect()
}

fn check(
    transaction: &Transaction<'_>,
    response: &Response,
    (decision, is_link): (Decision, bool),
    deed: &Deed,
) -> Result<(), StoreError> {
    let refuse = |what: String| Err(StoreError::Conflict { what });
    if response.status != ResponseStatus::Waiting {
        return refuse(format!("it waits for nobody: it is {}", response.status.name()));
    }
    if response.expires_at.is_none_or(|until| until <= deed.at) {
        return refuse("the time to decide is over".to_owned());
    }
    if decision == Decision::Refuse {
        return Ok(());
    }
    if let Some(stop) = stopped(transaction)? {
        return refuse(format!("responses are stopped by {}: {}", stop.by, stop.reason));
    }
    let by_hand = response.requested_by != SELF;
    if by_hand && is_link {
        // Nobody knows who pressed it: it may be the one who asked.
        return refuse(
            "a person asked for it, so a link does not count: approve it by the API or on the command line"
                .to_owned(),
        );
    }
    if response.requested_by == deed.author || by_hand && is_same(&response.requested_by, &deed.author) {
        return refuse("who asked for it cannot approve it".to_owned());
    }
    let limit = response.limit.as_deref();
    let is_theirs = |given: &Approval| is_same(&given.by, &deed.author) && given.is_for(limit);
    if response.approvals.iter().any(is_theirs) {
        return refuse("the same person cannot approve it twice".to_owned());
    }
    Ok(())
}

/// Whether both are one person: `alice (command line, uid 998)` is the bearer of the token `Alice` too.
pub(super) fn is_same(left: &str, right: &str) -> bool {
    let name = |author: &str| author.split(" (").next().unwrap_or_default().trim().to_lowercase();
    name(left) == name(right)
}

fn use_link(transaction: &Transaction<'_>, hash: &str, now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO response_link (hash, used_at) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING";
    if transaction.prepare_cached(sql)?.execute(params![hash, now.0])? == 0 {
        return Err(StoreError::Conflict { what: "this link was used already".to_owned() });
    }
    Ok(())
}

fn decline(
    transaction: &Transaction<'_>,
    mut response: Response,
    deed: &Deed,
) -> Result<Decided, StoreError> {
    let why = format!("did not {}: refused by {}", words(&response), deed.author);
    let (summary, is_in_doubt) = (with_doubt(&mut response, why), response.may_have_acted());
    response.status = ResponseStatus::Declined;
    response.expires_at = None;
    response.summary.clone_from(&summary);
    let outcome = Outcome { needs_human: is_in_doubt, ..outcome(summary.clone(), response.dry_run) };
    settle(transaction, &response.id, (&outcome, None), deed.at)?;
    put(transaction, &response)?;
    step(transaction, &response, (ResponseStatus::Declined.name(), &summary), deed)?;
    Ok(Decided::Declined)
}

/// Of one that an earlier try may have done nobody can say that it is not done. It can be undone.
fn with_doubt(response: &mut Response, why: String) -> String {
    if !response.may_have_acted() {
        return why;
    }
    response.after = None;
    format!("{why}; of an earlier try {UNKNOWN}")
}

fn words(response: &Response) -> String {
    format!("{} {}", response.verb, response.who.as_deref().unwrap_or("anybody"))
}

const fn outcome(summary: String, dry_run: bool) -> Outcome {
    Outcome { changed: false, dry_run, summary, undo: None, needs_human: true }
}
