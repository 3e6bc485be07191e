//! An ordinary working day of one person, and the few days that are less ordinary but harmless.

use std::sync::Arc;

use super::acts::{FETCH, MergeRequest, Moment, PUSH, failed_sign_in};
use super::dice::Dice;
use super::organisation::{Organisation, Part, Person, Project};
use super::payload::Draft;
use super::rhythm::{Shift, moments, shift};
use crate::time::{Span, Timestamp};

const TITLES: [&str; 8] = [
    "Fix rounding in totals",
    "Update dependencies",
    "Add retry to the client",
    "Remove dead code",
    "Speed up the nightly job",
    "Handle empty input",
    "Document the settings",
    "Rename the table",
];
const VARIABLES: [&str; 4] = ["DEPLOY_REGION", "LOG_LEVEL", "FEATURE_FLAGS", "REGISTRY_URL"];

/// What one person does on the local day that begins near this UTC midnight.
pub(super) fn day(
    organisation: &Organisation,
    person: &Person,
    midnight: Timestamp,
    dice: &mut Dice,
) -> Vec<Draft> {
    let Some(shift) = shift(person, &organisation.teams[person.team], midnight, dice) else {
        return Vec::new();
    };
    let address = match dice.index(10) {
        0..=6 => &person.addresses[0],
        _ => dice.pick(&person.addresses),
    };
    let mut day = Day { organisation, person, shift, address: Arc::clone(address), dice, drafts: Vec::new() };
    day.sign_in();
    let count = person.acts + day.dice.between(-3, 4);
    for at in moments(shift, count, day.dice) {
        day.act(at);
    }
    day.drafts
}

struct Day<'a> {
    organisation: &'a Organisation,
    person: &'a Person,
    shift: Shift,
    address: Arc<str>,
    dice: &'a mut Dice,
    drafts: Vec<Draft>,
}

impl<'a> Day<'a> {
    fn me(&self, at: Timestamp) -> Moment {
        Moment::from(self.person, at, &self.address)
    }

    fn project(&mut self) -> &'a Project {
        &self.organisation.projects[*self.dice.pick(&self.person.projects)]
    }

    /// Now and then after one or two mistyped passwords.
    fn sign_in(&mut self) {
        let failures = match self.dice.index(40) {
            0 => 2,
            1..=3 => 1,
            _ => 0,
        };
        for number in 0..failures {
            let at = self.shift.from.minus(Span::seconds((failures - number) * 19 + 4));
            self.drafts.push(failed_sign_in(self.person, at, &self.address));
        }
        self.drafts.push(self.me(self.shift.from).signed_in(self.person));
    }

    fn act(&mut self, at: Timestamp) {
        let draw = self.dice.index(1000);
        if draw >= 960 {
            return self.rare(at);
        }
        let project = self.project();
        let protocol = self.person.protocol;
        match draw {
            0..440 => self.drafts.push(self.me(at).git(project, protocol, FETCH)),
            440..780 => self.drafts.push(self.me(at).git(project, protocol, PUSH)),
            780..930 => self.merge_request(project, at),
            _ => self.drafts.push(self.me(at).download(project)),
        }
    }

    /// Opened by this person, approved by a colleague of the team, merged by either.
    fn merge_request(&mut self, project: &'a Project, at: Timestamp) {
        let id = self.dice.between(10_000, 90_000);
        let request = MergeRequest { id, title: TITLES[self.dice.index(TITLES.len())], project };
        self.drafts.push(self.me(at.minus(Span::seconds(70))).git(project, self.person.protocol, PUSH));
        self.drafts.push(request.opened(self.me(at)));
        let Some(colleague) = self.colleague() else { return };
        let latest = self.shift.to.0.max(at.0 + 900_000);
        let approved = Timestamp(self.dice.between(at.0 + 420_000, latest));
        self.drafts.push(request.approved(Moment::of(colleague, approved)));
        if self.dice.chance(850) {
            let merged = approved.plus(Span::seconds(self.dice.between(40, 2400)));
            let by = if self.dice.chance(500) { self.me(merged) } else { Moment::of(colleague, merged) };
            self.drafts.push(request.merged(by, colleague, 1, false));
        }
    }

    /// Somebody else of the team who is about.
    fn colleague(&mut self) -> Option<&'a Person> {
        let about = |other: &&Person| {
            other.team == self.person.team
                && other.id != self.person.id
                && matches!(other.part, Part::Ordinary | Part::Administrator)
        };
        let team: Vec<&Person> = self.organisation.people.iter().filter(about).collect();
        (!team.is_empty()).then(|| *self.dice.pick(&team))
    }

    /// Four acts in a hundred are settings, keys and members.
    fn rare(&mut self, at: Timestamp) {
        let project = self.project();
        let person = self.person;
        let team = &self.organisation.teams[person.team];
        let key = *self.dice.pick(&VARIABLES);
        let number = self.dice.between(1000, 9000);
        let draw = self.dice.index(100);
        let by = self.me(at);
        let draft = match draw {
            0..30 => by.variable("ci_variable_updated", project, key),
            30..38 => by.variable("ci_variable_created", project, key),
            38..48 => by.token(person, number),
            48..54 => by.user("personal_access_token_revoked", person, "Revoked personal access token"),
            54..60 => by.ssh_key(person, number),
            60..80 => match self.colleague() {
                Some(other) => by.member("member_updated", team, other),
                None => return,
            },
            80..92 => by.project("project_fork_operation", project, "Forked project to a personal namespace"),
            92..96 => by.project("protected_branch_created", project, "Added protected branch release/*"),
            _ => by.user("user_password_updated", person, "Changed password"),
        };
        self.drafts.push(draft);
    }
}

/// Everybody's past: each account came at a time of its own about 90 days ago, used all its addresses and
/// projects in its first days, and then showed itself every other week.
pub(super) fn past(
    organisation: &Organisation,
    person: &Person,
    start: Timestamp,
    dice: &mut Dice,
) -> Vec<Draft> {
    let last_day = match person.part {
        Part::NewColleague => return Vec::new(),
        Part::Sleeper => 75,
        Part::BackFromLeave => 45,
        _ => 1,
    };
    let mut drafts = Vec::new();
    let mut days_ago = dice.between(86, 90);
    let mut visit = 0;
    while days_ago >= last_day {
        let midnight = start.minus(Span::days(days_ago));
        let local = midnight.minus(organisation.teams[person.team].offset).plus(Span::hours(person.begins));
        let at = local.plus(Span::millis(dice.between(0, 5_400_000)));
        let address = &person.addresses[visit % person.addresses.len()];
        drafts.push(Moment::from(person, at, address).signed_in(person));
        let settled = visit >= person.addresses.len();
        let seen = if settled { 2 } else { person.projects.len() };
        for (number, project) in person.projects.iter().take(seen).enumerate() {
            let later = at.plus(Span::minutes(7 + 11 * number as i64));
            let action = if settled && number == 1 { PUSH } else { FETCH };
            let project = &organisation.projects[*project];
            drafts.push(Moment::from(person, later, address).git(project, person.protocol, action));
        }
        visit += 1;
        let next = days_ago - if visit < person.addresses.len() { 1 } else { dice.between(12, 17) };
        // Who went away is seen once more on the last day.
        days_ago = if next < last_day && last_day > 1 && days_ago > last_day { last_day } else { next };
    }
    drafts
}
