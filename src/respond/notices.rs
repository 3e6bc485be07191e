//! What people are told of responses beside the alerts themselves. That their approval is wanted, that a limit is reached
//! and that something failed goes to the actions of `responses.approval`; what was done, failed and was undone to those of
//! `responses.record`.

use super::link::Link;
use super::policy::Policy;
use crate::alert::Level;
use crate::encode::{Link as NoticeLink, Notice};
use crate::store::{Decision, NewNotice, Response, UNKNOWN};
use crate::time::Timestamp;

/// Of many that expired at once, so many are named.
const NAMED_MAX: usize = 20;

fn notice((kind, title): (&str, String), level: Level, response: &Response, now: Timestamp) -> Notice {
    let mut lines = vec![format!("Response: {}", response.id), format!("Action: {}", response.action)];
    if let Some(rule) = &response.rule {
        lines.push(format!("Rule: {rule}"));
    }
    if let Some(page) = &response.page {
        lines.push(format!("Account: {page}"));
    }
    if response.requested_by != "watchfire" {
        lines.push(format!("Asked for by: {}", response.requested_by));
    }
    if let Some(reason) = &response.reason {
        lines.push(format!("Reason: {reason}"));
    }
    let alert = response.alert.clone();
    Notice { kind: kind.to_owned(), title, level, lines, links: Vec::new(), alert, at: now }
}

fn to_all(policy: &Policy, unique: String, notice: Notice) -> Vec<NewNotice> {
    to(policy.config.approval.actions.clone(), unique, notice)
}

/// To those who decide and those who keep the record, each once.
fn to_both(policy: &Policy, unique: String, notice: Notice) -> Vec<NewNotice> {
    let mut actions = policy.config.approval.actions.clone();
    let more = policy.config.record.iter().filter(|name| !policy.config.approval.actions.contains(name));
    actions.extend(more.cloned());
    to(actions, unique, notice)
}

fn to(actions: Vec<String>, unique: String, notice: Notice) -> Vec<NewNotice> {
    if actions.is_empty() { Vec::new() } else { vec![NewNotice { unique, notice, actions }] }
}

/// Approval is wanted until this time: one notice for each action that asks, since its links are its own.
pub(super) fn wanted(
    policy: &Policy,
    (response, what): (&Response, &str),
    until: Timestamp,
    now: Timestamp,
) -> Vec<NewNotice> {
    let title = format!("Approval wanted: {what}");
    let mut base = notice(("approval", title), Level::High, response, now);
    let needed = response.approvals_needed;
    let (people, approve) = if needed > 1 {
        (format!("{needed} people"), "approve")
    } else {
        ("one person".to_owned(), "approves")
    };
    base.lines
        .push(format!("It is done once {people}, other than whoever asked for it, {approve} it by {until}."));
    base.lines.push(format!("On the command line: watchfire approve {}", response.id));
    let told = |recipient: &String| {
        let mut notice = base.clone();
        if let Some((signer, url)) = policy.links() {
            // Of what a person asked for a link cannot tell whether somebody else approves it.
            let words = [("Approve", Decision::Approve), ("Refuse", Decision::Refuse)];
            let usable = |(_, decision): &(&str, Decision)| {
                *decision == Decision::Refuse || response.requested_by == "watchfire"
            };
            for (label, decision) in words.into_iter().filter(usable) {
                let link =
                    Link { response: response.id.clone(), decision, until, recipient: recipient.clone() };
                let url = format!("{url}/approve/{}", signer.sign(&link));
                notice.links.push(NoticeLink { label: label.to_owned(), url });
            }
        }
        let unique = format!("approval\0{}\0{}\0{recipient}", response.id, until.0);
        NewNotice { unique, notice, actions: vec![recipient.clone()] }
    };
    policy.config.approval.actions.iter().map(told).collect()
}

/// So many wait that no message is sent for each.
pub(super) fn many_wait(policy: &Policy, response: &Response, now: Timestamp) -> Vec<NewNotice> {
    let title = "Many responses wait for approval".to_owned();
    let mut notice = notice(("approvals", title), Level::High, response, now);
    notice.lines.insert(0, "More wait than messages are sent for; this is one of them.".to_owned());
    notice.lines.push("All of them: watchfire responses list --waiting".to_owned());
    to_all(policy, format!("approvals\0{}", now.0), notice)
}

/// A limit is reached: what comes after waits for a person.
pub(super) fn beyond(
    policy: &Policy,
    (response, what): (&Response, &str),
    (limit, until): (&str, Timestamp),
    now: Timestamp,
) -> Vec<NewNotice> {
    let title = "Responses have reached a limit: a person must decide".to_owned();
    let mut notice = notice(("blast_radius", title), Level::Critical, response, now);
    notice.lines.insert(0, format!("Limit: {limit}"));
    notice.lines.insert(
        1,
        format!("The first that was held back: {what}. It and all that follow wait until {until}."),
    );
    notice.lines.extend([
        "What waits: watchfire responses list --waiting".to_owned(),
        "One of them all the same: watchfire approve RESPONSE".to_owned(),
        "Stop all: watchfire respond stop --reason TEXT".to_owned(),
        "Undo what was done: watchfire responses undo --since 1h --reason TEXT".to_owned(),
    ]);
    to_all(policy, format!("blast\0{limit}\0{}", now.0), notice)
}

/// It could not be done, or is not seen.
pub(super) fn failed(
    policy: &Policy,
    (response, what): (&Response, &str),
    why: &str,
    now: Timestamp,
) -> Vec<NewNotice> {
    let mut notice = notice(("response_failed", format!("Failed: {what}")), Level::High, response, now);
    notice.lines.insert(0, why.to_owned());
    to_both(policy, format!("failed\0{}\0{}", response.id, now.0), notice)
}

/// It was not undone.
pub(super) fn not_undone(
    policy: &Policy,
    (response, what): (&Response, &str),
    why: &str,
    now: Timestamp,
) -> Vec<NewNotice> {
    let mut notice = notice(("undo_failed", format!("Not undone: {what}")), Level::High, response, now);
    notice.lines.insert(0, why.to_owned());
    to_both(policy, format!("undo\0{}\0{}", response.id, now.0), notice)
}

/// It was done: for the record.
pub(super) fn done(
    policy: &Policy,
    (response, what): (&Response, &str),
    how: &str,
    now: Timestamp,
) -> Vec<NewNotice> {
    let mut notice = notice(("response_done", format!("Done: {what}")), Level::Medium, response, now);
    notice.lines.insert(0, how.to_owned());
    if let (Some(before), Some(after)) = &response.states {
        notice.lines.push(format!("Before and after: {before}, {after}"));
    }
    let people: Vec<&str> = response.approvals.iter().map(|approval| approval.by.as_str()).collect();
    if !people.is_empty() {
        notice.lines.push(format!("Approved by: {}", people.join(", ")));
    }
    if response.undoable {
        notice.lines.push(format!("To undo it: watchfire responses undo {} --reason TEXT", response.id));
    }
    to(policy.config.record.clone(), format!("done\0{}\0{}", response.id, now.0), notice)
}

/// It was undone: for the record.
pub(super) fn undone(
    policy: &Policy,
    (response, what): (&Response, &str),
    how: &str,
    now: Timestamp,
) -> Vec<NewNotice> {
    let mut notice = notice(("response_undone", format!("Undone: {what}")), Level::Medium, response, now);
    notice.lines.insert(0, how.to_owned());
    if let Some((who, reason)) = &response.undo_by {
        notice.lines.push(format!("Undone for: {who}, {reason}"));
    }
    to(policy.config.record.clone(), format!("undone\0{}\0{}", response.id, now.0), notice)
}

/// Nobody approved these in time.
#[must_use]
pub fn expired(policy: &Policy, late: &[Response], now: Timestamp) -> Option<NewNotice> {
    let first = late.first()?;
    let is_in_doubt = late.iter().any(Response::may_have_acted);
    let title = match (late.len(), is_in_doubt) {
        (1, false) => "A response was not approved in time, and is not done".to_owned(),
        (1, true) => format!("A response was not approved in time; of an earlier try {UNKNOWN}"),
        (many, false) => format!("{many} responses were not approved in time, and are not done"),
        (many, true) => {
            format!("{many} responses were not approved in time; a person must look at some of them")
        }
    };
    let line = |response: &Response| {
        let doubt =
            if response.may_have_acted() { format!("; of an earlier try {UNKNOWN}") } else { String::new() };
        format!("{}: {} {}{doubt}", response.id, response.verb, response.who.as_deref().unwrap_or("?"))
    };
    let mut lines: Vec<String> = late.iter().take(NAMED_MAX).map(line).collect();
    if late.len() > NAMED_MAX {
        lines.push(format!("and {} more", late.len() - NAMED_MAX));
    }
    let alert = if late.len() == 1 { first.alert.clone() } else { None };
    let kind = "approval_expired".to_owned();
    let notice = Notice { kind, title, level: Level::Medium, lines, links: Vec::new(), alert, at: now };
    to_all(policy, format!("expired\0{}\0{}", first.id, now.0), notice).pop()
}
