//! Harmless things that look a little like attacks: a rule that takes them for one is too coarse.

use std::sync::Arc;

use super::acts::{FETCH, Moment, failed_sign_in};
use super::organisation::{Organisation, Part, Person};
use super::payload::Draft;
use crate::time::{Span, Timestamp};

/// All of them within the week that begins at `start`, a midnight.
pub(super) fn all(organisation: &Organisation, start: Timestamp) -> Vec<Draft> {
    let mut drafts = new_colleague(organisation, start.plus(Span::hours(8)));
    drafts.extend(release_day(organisation, start.plus(Span::hours(33))));
    drafts.extend(settings(organisation, start.plus(Span::hours(58))));
    drafts.extend(forgotten_password(organisation, start.plus(Span::hours(79))));
    drafts.extend(traveller(organisation, start.plus(Span::hours(103))));
    drafts
}

fn clones<'a>(
    organisation: &'a Organisation,
    person: &'a Person,
    (from, every): (Timestamp, Span),
    projects: std::ops::Range<usize>,
) -> impl Iterator<Item = Draft> + 'a {
    organisation.projects[projects].iter().zip(0..).map(move |(project, number)| {
        let at = from.plus(Span(every.0 * number));
        Moment::of(person, at).git(project, person.protocol, FETCH)
    })
}

/// The first day: made by an administrator, put into the team, eight clones in forty minutes.
fn new_colleague(organisation: &Organisation, from: Timestamp) -> Vec<Draft> {
    let person = organisation.with_part(Part::NewColleague);
    let admin = organisation.with_part(Part::Administrator);
    let team = &organisation.teams[person.team];
    let after = |minutes: i64| from.plus(Span::minutes(minutes));
    let mut drafts = vec![
        Moment::of(admin, after(0)).user("user_created", person, "User created"),
        Moment::of(admin, after(2)).member("member_created", team, person),
        Moment::of(person, after(61)).signed_in(person),
        Moment::of(person, after(64)).ssh_key(person, 8124),
    ];
    drafts.extend(clones(organisation, person, (after(70), Span::minutes(5)), 62..70));
    drafts
}

/// Twelve projects in nine minutes, by the one whose work that is.
fn release_day(organisation: &Organisation, from: Timestamp) -> Vec<Draft> {
    let person = organisation.with_part(Part::ReleaseEngineer);
    clones(organisation, person, (from, Span::seconds(45)), 50..62).collect()
}

/// Approval rules tightened, and loosened without a merge; single deletions, and two in half an hour.
fn settings(organisation: &Organisation, from: Timestamp) -> Vec<Draft> {
    let ordinary: Vec<&Person> =
        organisation.people.iter().filter(|person| person.part == Part::Ordinary).collect();
    let by = |number: usize, minutes: i64| {
        let person = ordinary[number % ordinary.len()];
        (person, Moment::of(person, from.plus(Span::minutes(minutes))))
    };
    let project = |index: usize| &organisation.projects[index];
    let team = |index: usize| &organisation.teams[project(index).team];
    let visibility = (project(30).entity(), project(30).target());
    let unused = |number: usize, minutes: i64, index: usize| {
        by(number, minutes).1.destroy(project(index), team(index))
    };
    vec![
        by(60, 0).1.approvals(project(17), 1, 2),
        // By somebody of another team, who merges nothing there.
        by(61, 95).1.approvals(project(3), 2, 1),
        unused(62, 140, 27),
        unused(63, 200, 48),
        unused(63, 226, 55),
        by(64, 250).1.change(
            "project_visibility_level_updated",
            visibility,
            "visibility level",
            ("Private".into(), "Internal".into()),
        ),
        by(65, 260).1.project(
            "deploy_token_created",
            project(10),
            "Created project deploy token with name: pull",
        ),
        by(66, 300).1.project("project_created", project(13), "Added project"),
        by(67, 320).1.project("project_archived", project(20), "Project archived"),
        by(68, 340).1.member("member_created", team(20), by(69, 0).0),
        by(68, 400).1.member("member_destroyed", team(20), by(70, 0).0),
    ]
}

/// Three failures, then the right password; no token afterwards.
fn forgotten_password(organisation: &Organisation, from: Timestamp) -> Vec<Draft> {
    let person = organisation.with_part(Part::BackFromLeave);
    let address = &person.addresses[0];
    let mut drafts: Vec<Draft> =
        (0..3).map(|number| failed_sign_in(person, from.plus(Span::seconds(number * 31)), address)).collect();
    drafts.push(Moment::of(person, from.plus(Span::seconds(140))).signed_in(person));
    drafts
}

/// An ordinary account from one new address: a hotel.
fn traveller(organisation: &Organisation, from: Timestamp) -> Vec<Draft> {
    let person = organisation.with_part(Part::Traveller);
    let hotel: Arc<str> = "203.0.113.9".into();
    let project = &organisation.projects[person.projects[0]];
    vec![
        Moment::from(person, from, &hotel).signed_in(person),
        Moment::from(person, from.plus(Span::minutes(9)), &hotel).git(project, person.protocol, FETCH),
    ]
}
