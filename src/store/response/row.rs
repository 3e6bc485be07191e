//! A response as it is written and read.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{Deed, StoreError, audit};
use super::status::{ResponseStatus, UndoStatus};
use crate::alert::AlertId;
use crate::event::Position;
use crate::time::Timestamp;
use crate::tuple;

/// What is said of one that was tried where nobody knows what came of it.
pub const UNKNOWN: &str = "it is not known whether it changed anything";

/// Whom a response hits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// The system.
    pub forge: String,
    /// The account's id there.
    pub id: String,
    /// Its name, as far as it is known.
    pub name: Option<String>,
}

impl Hit {
    /// Forge and id in one text that no others have.
    #[must_use]
    pub fn key(&self) -> String {
        tuple::value([self.forge.as_str(), self.id.as_str()])
    }
}

/// A person's word on a response that waits for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Approval {
    /// Who.
    pub by: String,
    /// When.
    #[schema(value_type = i64)]
    pub at: Timestamp,
    /// The limits that it lets it go beyond, by their names: each was named to the one who gave it.
    #[serde(default)]
    pub limits: Vec<String>,
}

impl Approval {
    /// Whether it counts, or lets go beyond the limit of this name.
    #[must_use]
    pub(super) fn is_for(&self, limit: Option<&str>) -> bool {
        limit.is_none_or(|limit| self.limits.iter().any(|named| named == limit))
    }
}

/// One attempt to change something, from being asked for to being undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what is known of it, each by itself; kept under these names"
)]
pub struct Response {
    /// The id of its delivery.
    pub id: String,
    /// The alert it answers.
    pub alert: Option<AlertId>,
    /// That alert's rule.
    pub rule: Option<String>,
    /// The rule's fingerprint when it began.
    pub rule_version: Option<String>,
    /// Where the alert's evidence is in the log.
    pub evidence: Vec<Position>,
    /// The action's configured name.
    pub action: String,
    /// What it does, in a word: `block`.
    pub verb: String,
    /// What its action is aimed at, as its responder says it: another text is another aim. None: it was not kept.
    #[serde(default)]
    pub aim: Option<String>,
    /// Where it stands.
    pub status: ResponseStatus,
    /// Whether it only rehearses.
    pub dry_run: bool,
    /// Whether it must, since the alert's rule said so when the alert was committed.
    #[serde(default)]
    pub rule_rehearses: bool,
    /// `watchfire`, or the person who asked for it.
    pub requested_by: String,
    /// Why that person did.
    pub reason: Option<String>,
    /// Whom that person named; none: the alert says it.
    pub user: Option<String>,
    /// What it changes, as its responder says.
    pub subject: Option<Value>,
    /// Whom it hits.
    pub hit: Option<Hit>,
    /// For people: `user 7 (alice)`.
    pub who: Option<String>,
    /// Where a person looks at it.
    pub page: Option<String>,
    /// What undoing restores, as its responder writes it.
    pub before: Option<Value>,
    /// Whether there is a way back.
    pub undoable: bool,
    /// Whether that way keeps somebody out, as blocking again does.
    #[serde(default)]
    pub undo_harms: bool,
    /// The state it was in when it began, and the state it was left in.
    pub states: (Option<String>, Option<String>),
    /// What undoing expects to find, as its responder writes it.
    pub after: Option<Value>,
    /// What was decided or done, in a sentence.
    pub summary: String,
    /// The call that changed it, and what was answered; without secrets.
    pub receipt: Option<(String, String)>,
    /// How many people must allow it.
    pub approvals_needed: u32,
    /// Who did.
    pub approvals: Vec<Approval>,
    /// The limit it would go beyond, in a sentence.
    pub beyond: Option<String>,
    /// That limit's name.
    #[serde(default)]
    pub limit: Option<String>,
    /// Until when it waits for them.
    pub expires_at: Option<Timestamp>,
    /// Since when it counts for the limits.
    pub counted_at: Option<Timestamp>,
    /// When it was done.
    pub acted_at: Option<Timestamp>,
    /// Whether it is undone.
    pub undo: UndoStatus,
    /// When it undoes itself, or is to be undone.
    pub undo_at: Option<Timestamp>,
    /// Who asked for it to be undone, and why.
    pub undo_by: Option<(String, String)>,
    /// Who wished for that, where one person's wish is not enough, and when.
    #[serde(default)]
    pub undo_wishes: Vec<(String, Timestamp)>,
    /// Whether something may have been put back already.
    #[serde(default)]
    pub undo_begun: bool,
    /// What came of it.
    pub undo_summary: Option<String>,
    /// How a person undoes it without Watchfire.
    pub undo_by_hand: Option<String>,
    /// When it was first seen to.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// One change of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// 1, 2, 3 and so on, over all responses.
    pub number: u64,
    /// The response.
    pub response: String,
    /// When.
    pub at: Timestamp,
    /// The status it came to; `undo_` and how, for an undoing.
    pub status: String,
    /// Who brought it there.
    pub author: String,
    /// In a sentence.
    pub summary: String,
}

/// Who does what nobody asked for.
pub(super) const SELF: &str = "watchfire";

impl Response {
    /// One that has only just been asked for.
    #[must_use]
    pub fn new(id: impl Into<String>, action: impl Into<String>, verb: &str, now: Timestamp) -> Self {
        Self {
            id: id.into(),
            alert: None,
            rule: None,
            rule_version: None,
            evidence: Vec::new(),
            action: action.into(),
            verb: verb.to_owned(),
            status: ResponseStatus::Begun,
            aim: None,
            dry_run: false,
            rule_rehearses: false,
            requested_by: SELF.to_owned(),
            reason: None,
            user: None,
            subject: None,
            hit: None,
            who: None,
            page: None,
            before: None,
            undoable: false,
            undo_harms: false,
            states: (None, None),
            after: None,
            summary: String::new(),
            receipt: None,
            approvals_needed: 0,
            approvals: Vec::new(),
            beyond: None,
            limit: None,
            expires_at: None,
            counted_at: None,
            acted_at: None,
            undo: UndoStatus::None,
            undo_at: None,
            undo_by: None,
            undo_wishes: Vec::new(),
            undo_begun: false,
            undo_summary: None,
            undo_by_hand: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether enough people have allowed it, or to go beyond the limit of this name: then only those count to whom it
    /// was named.
    #[must_use]
    pub fn is_allowed(&self, limit: Option<&str>) -> bool {
        self.missing(limit) == 0
    }

    /// How many people more must allow it, as above.
    #[must_use]
    pub(super) fn missing(&self, limit: Option<&str>) -> u32 {
        let given = self.approvals.iter().filter(|approval| approval.is_for(limit)).count();
        let needed = self.approvals_needed.max(u32::from(limit.is_some()));
        needed.saturating_sub(u32::try_from(given).unwrap_or(u32::MAX))
    }

    /// Whether it was tried, and nobody knows what came of it.
    #[must_use]
    pub fn may_have_acted(&self) -> bool {
        self.counted_at.is_some() && !self.dry_run && self.status != ResponseStatus::Acted
    }

    /// Whether somebody had it undone, or it is about to be: then it is not done once more.
    #[must_use]
    pub const fn is_taken_back(&self) -> bool {
        matches!(self.undo, UndoStatus::Undone | UndoStatus::Due)
    }

    /// Whether an action that does `verb` to this aim is the one that this response was for.
    #[must_use]
    pub fn is_of(&self, verb: &str, aim: &str) -> bool {
        self.verb == verb && self.aim.as_deref().is_none_or(|own| own == aim)
    }

    /// Whether it stands in the world now, as far as Watchfire knows.
    #[must_use]
    pub fn is_in_force(&self) -> bool {
        self.status == ResponseStatus::Acted && self.undo != UndoStatus::Undone
    }
}

/// The id of the delivery that undoes a response.
#[must_use]
pub(super) fn undo_id(id: &str) -> String {
    blake3::hash(format!("undo\0{id}").as_bytes()).to_hex().chars().take(32).collect()
}

pub(super) fn get(connection: &Connection, id: &str) -> Result<Option<Response>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT body FROM response WHERE id = ?1")?;
    let body: Option<String> = statement.query_row([id], |row| row.get(0)).optional()?;
    body.map(|body| parse(id, &body)).transpose()
}

pub(super) fn must_get(connection: &Connection, id: &str) -> Result<Response, StoreError> {
    get(connection, id)?.ok_or_else(|| StoreError::Unknown { what: format!("response {id}") })
}

pub(super) fn body_of(row: &Row<'_>) -> rusqlite::Result<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}

pub(super) fn parse(id: &str, body: &str) -> Result<Response, StoreError> {
    serde_json::from_str(body).map_err(|error| StoreError::corrupt(format!("response {id}"), error))
}

/// Writes it in place of what was there.
pub(super) fn put(transaction: &Transaction<'_>, response: &Response) -> Result<(), StoreError> {
    let body = serde_json::to_string(response)
        .map_err(|error| StoreError::Database(format!("response {}: {error}", response.id)))?;
    let sql = "INSERT INTO response (id, alert, rule, action, status, dry_run, identity, counted_at, acted_at, \
               expires_at, undo, created_at, body, undoing) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
               ON CONFLICT (id) DO UPDATE SET rule = excluded.rule, status = excluded.status, \
               dry_run = excluded.dry_run, \
               identity = excluded.identity, counted_at = excluded.counted_at, acted_at = excluded.acted_at, \
               expires_at = excluded.expires_at, undo = excluded.undo, body = excluded.body";
    let time = |time: Option<Timestamp>| time.map(|time| time.0);
    transaction.prepare_cached(sql)?.execute(params![
        response.id,
        response.alert.as_ref().map(|alert| &alert.0),
        response.rule,
        response.action,
        response.status.name(),
        response.dry_run,
        response.hit.as_ref().map(Hit::key),
        time(response.counted_at),
        time(response.acted_at),
        time(response.expires_at),
        response.undo.name(),
        response.created_at.0,
        body,
        undo_id(&response.id),
    ])?;
    Ok(())
}

/// Adds a step and its row of the audit log.
pub(super) fn step(
    transaction: &Transaction<'_>,
    response: &Response,
    (status, summary): (&str, &str),
    deed: &Deed,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO response_step (response, at, status, author, summary) VALUES (?1, ?2, ?3, ?4, ?5)";
    transaction.prepare_cached(sql)?.execute(params![
        response.id,
        deed.at.0,
        status,
        deed.author,
        summary
    ])?;
    let dry = if response.dry_run { " (dry run)" } else { "" };
    let told = format!("response {}, action {}{dry}: {summary}", response.id, response.action);
    audit::record(transaction, &deed.clone().asking(told), status)?;
    Ok(())
}

/// What Watchfire itself does.
pub(super) fn own(now: Timestamp, what: &str) -> Deed {
    Deed::new(now, SELF, what)
}
