//! The attacks planted in the simulated week, one author each.
//!
//! * `mass-clone`: 40 `repository_git_operation` with action `git-upload-pack`, each on another project, in 8
//!   minutes at night, from a known address.
//! * `project-deletion-spree`: 8 `project_destroyed` in 10 minutes; the entity is the group, the target the
//!   project.
//! * `token-after-failed-sign-ins`: 9 `login_failed_with_standard_authentication` (author -1, whose name
//!   is the login typed), then `authenticated_with_password`, `personal_access_token_created` and 2 clones by the
//!   account, all from one new address.
//! * `approval-rule-loosened-self-merge`: in one project `update_approval_rules` from 2 to 0,
//!   `project_merge_requests_author_approval_updated` from true to false, a push, `merge_request_create`,
//!   `merge_request_approval_operation`, `merge_request_merged` with `approving_author: true`, and
//!   `update_approval_rules` back to 2.
//! * `dormant-account-new-address`: after 75 silent days `authenticated_with_password` from a new address,
//!   `add_ssh_key`, 3 clones.
//! * `audit-stream-deleted`: an administrator's `audit_events_streaming_instance_headers_update`, then
//!   `deleted_instance_audit_event_streaming_destination`.

use std::sync::Arc;

use super::acts::{FETCH, MergeRequest, Moment, PUSH, failed_sign_in};
use super::organisation::{Organisation, Part, Person};
use super::payload::Draft;
use crate::time::{Span, Timestamp};

/// One attack in the stream, as the report looks for it.
#[derive(Debug, Clone)]
pub struct Planted {
    /// Its name.
    pub name: &'static str,
    /// The account that did it, or in whose name it was done.
    pub author_id: i64,
    /// That account's login.
    pub username: String,
    /// Where it came from.
    pub address: String,
    /// The rules meant to catch it.
    pub rule_hint: &'static [&'static str],
    /// Event time of its first event.
    pub from: Timestamp,
    /// Event time of its last event.
    pub to: Timestamp,
}

/// All six within the week that begins at `start`, a midnight: each with its events.
pub(super) fn all(organisation: &Organisation, start: Timestamp) -> Vec<(Planted, Vec<Draft>)> {
    let at = |day: i64, hour: i64, minute: i64| {
        start.plus(Span::days(day)).plus(Span::hours(hour)).plus(Span::minutes(minute))
    };
    vec![
        mass_clone(organisation, at(1, 2, 40)),
        deletion_spree(organisation, at(2, 16, 10)),
        guessed_password(organisation, at(3, 3, 25)),
        self_merge(organisation, at(4, 10, 30)),
        sleeper(organisation, at(5, 21, 15)),
        stream_deleted(organisation, at(6, 1, 50)),
    ]
}

fn planted(
    name: &'static str,
    rule_hint: &'static [&'static str],
    person: &Person,
    drafts: Vec<Draft>,
) -> (Planted, Vec<Draft>) {
    let from = drafts.first().map_or(Timestamp::MIN, |draft| draft.at);
    let to = drafts.last().map_or(Timestamp::MIN, |draft| draft.at);
    let address = drafts.first().map(|draft| draft.address.to_string()).unwrap_or_default();
    let username = person.username.to_string();
    (Planted { name, author_id: person.id, username, address, rule_hint, from, to }, drafts)
}

fn mass_clone(organisation: &Organisation, from: Timestamp) -> (Planted, Vec<Draft>) {
    let person = organisation.with_part(Part::MassCloner);
    let drafts = organisation.projects.iter().take(40).zip(0..).map(|(project, number)| {
        Moment::of(person, from.plus(Span::millis(number * 12_100 + 137))).git(project, "http", FETCH)
    });
    planted("mass-clone", &["gitlab-mass-clone"], person, drafts.collect())
}

fn deletion_spree(organisation: &Organisation, from: Timestamp) -> (Planted, Vec<Draft>) {
    let person = organisation.with_part(Part::Deleter);
    // The last projects of two groups: no robot works on them.
    let doomed = organisation.projects.iter().filter(|p| [3, 5].contains(&p.team) && p.id % 7 != 3);
    let drafts = doomed.take(8).zip(0..).map(|(project, number)| {
        let at = from.plus(Span::millis(number * 74_000 + 311));
        Moment::of(person, at).destroy(project, &organisation.teams[project.team])
    });
    planted("project-deletion-spree", &["gitlab-project-deletion-spree"], person, drafts.collect())
}

fn guessed_password(organisation: &Organisation, from: Timestamp) -> (Planted, Vec<Draft>) {
    let person = organisation.with_part(Part::Guessed);
    let address: Arc<str> = "203.0.113.66".into();
    let after = |seconds: i64| Moment::from(person, from.plus(Span::millis(seconds * 1000 + 420)), &address);
    let failures = (0..9).map(|number| failed_sign_in(person, after(number * 24).at, &address));
    let mut drafts: Vec<Draft> = failures.collect();
    drafts.push(after(258).signed_in(person));
    drafts.push(after(441).token(person, 4711));
    let loot = person.projects.iter().take(2).zip(1..);
    drafts.extend(loot.map(|(project, number)| {
        after(441 + number * 95).git(&organisation.projects[*project], "http", FETCH)
    }));
    planted("token-after-failed-sign-ins", &["gitlab-token-after-failed-sign-ins"], person, drafts)
}

fn self_merge(organisation: &Organisation, from: Timestamp) -> (Planted, Vec<Draft>) {
    let person = organisation.with_part(Part::SelfMerger);
    let project = &organisation.projects[person.projects[0]];
    let request = MergeRequest { id: 90_417, title: "Update deployment key handling", project };
    let after = |minutes: i64| Moment::of(person, from.plus(Span::millis(minutes * 60_000 + 205)));
    let drafts = vec![
        after(0).approvals(project, 2, 0),
        after(1).change(
            "project_merge_requests_author_approval_updated",
            (project.entity(), project.target()),
            "prevent merge request approval from authors",
            (true.into(), false.into()),
        ),
        after(6).git(project, "ssh", PUSH),
        request.opened(after(8)),
        request.approved(after(11)),
        request.merged(after(13), person, 0, true),
        after(33).approvals(project, 0, 2),
    ];
    let hint = &["gitlab-approval-rule-loosened-self-merge"];
    planted("approval-rule-loosened-self-merge", hint, person, drafts)
}

fn sleeper(organisation: &Organisation, from: Timestamp) -> (Planted, Vec<Draft>) {
    let person = organisation.with_part(Part::Sleeper);
    let address: Arc<str> = "203.0.113.140".into();
    let after = |seconds: i64| Moment::from(person, from.plus(Span::millis(seconds * 1000 + 77)), &address);
    let mut drafts = vec![after(0).signed_in(person), after(118).ssh_key(person, 8123)];
    let loot = person.projects.iter().take(3).zip(1..);
    drafts.extend(loot.map(|(project, number)| {
        after(118 + number * 210).git(&organisation.projects[*project], "ssh", FETCH)
    }));
    planted("dormant-account-new-address", &["gitlab-dormant-account-new-address"], person, drafts)
}

fn stream_deleted(organisation: &Organisation, from: Timestamp) -> (Planted, Vec<Draft>) {
    let person = organisation.with_part(Part::StreamDeleter);
    let drafts = vec![
        Moment::of(person, from).stream(
            "audit_events_streaming_instance_headers_update",
            (32, "AuditEvents::Streaming::InstanceHeader"),
            "Updated a custom HTTP header with key X-Stream-Key to have a new value.",
        ),
        Moment::of(person, from.plus(Span::seconds(127)))
            .stream(
                "deleted_instance_audit_event_streaming_destination",
                (4, "AuditEvents::Instance::ExternalStreamingDestination"),
                "Deleted audit event streaming destination for HTTP",
            )
            .with("id", 4)
            .with("category", "http"),
    ];
    planted("audit-stream-deleted", &["gitlab-audit-stream-deleted"], person, drafts)
}
