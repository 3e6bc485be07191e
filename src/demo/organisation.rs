//! The simulated company: who works there, on what, from where, and which machines act beside the people.

use std::sync::Arc;

use super::dice::Dice;
use super::payload::{Author, Entity, Target};
use crate::time::Span;

/// One account as the user API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimUser {
    /// GitLab's number of the account.
    pub id: i64,
    /// The login.
    pub username: String,
    /// The full name.
    pub name: String,
    /// Whether it is an instance administrator.
    pub is_admin: bool,
    /// Whether it is a machine's account.
    pub bot: bool,
    /// What the account may do at the moment.
    pub state: AccountState,
}

/// An account's state, as the user API names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountState {
    /// May sign in.
    Active,
    /// May not, by an administrator's word.
    Blocked,
    /// As blocked, and what it wrote is hidden.
    Banned,
    /// Dormant; wakes by signing in.
    Deactivated,
    /// Blocked by the directory; the API may not lift it.
    LdapBlocked,
}

impl AccountState {
    /// The word in the API's answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Blocked => "blocked",
            Self::Banned => "banned",
            Self::Deactivated => "deactivated",
            Self::LdapBlocked => "ldap_blocked",
        }
    }
}

/// The account whose token Watchfire uses in the demo.
pub const WATCHFIRE_USER: i64 = 2;

/// What a person has to do with the story; everybody else is [`Part::Ordinary`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Ordinary,
    Administrator,
    MassCloner,
    Deleter,
    Guessed,
    SelfMerger,
    Sleeper,
    StreamDeleter,
    NewColleague,
    BackFromLeave,
    Traveller,
    ReleaseEngineer,
}

#[derive(Debug)]
pub(super) struct Team {
    pub(super) id: i64,
    pub(super) path: Arc<str>,
    /// Added to UTC for the team's local time.
    pub(super) offset: Span,
}

impl Team {
    pub(super) fn entity(&self) -> Entity {
        Entity { id: self.id, kind: "Group", path: Arc::clone(&self.path) }
    }
}

#[derive(Debug)]
pub(super) struct Project {
    pub(super) id: i64,
    pub(super) team: usize,
    pub(super) name: Arc<str>,
    pub(super) path: Arc<str>,
}

impl Project {
    pub(super) fn entity(&self) -> Entity {
        Entity { id: self.id, kind: "Project", path: Arc::clone(&self.path) }
    }

    pub(super) fn target(&self) -> Target {
        Target { id: self.id, kind: "Project", details: Arc::clone(&self.name) }
    }
}

#[derive(Debug)]
pub(super) struct Person {
    pub(super) id: i64,
    pub(super) username: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) part: Part,
    pub(super) team: usize,
    /// Indices of the projects worked on.
    pub(super) projects: Vec<usize>,
    /// Home, then office or telephone.
    pub(super) addresses: Vec<Arc<str>>,
    /// Local hour at which the day begins.
    pub(super) begins: i64,
    /// Which weekdays are worked, Monday first.
    pub(super) days: [bool; 7],
    /// Acts on an average day.
    pub(super) acts: i64,
    /// The event type of a successful sign-in.
    pub(super) sign_in: &'static str,
    pub(super) protocol: &'static str,
}

impl Person {
    pub(super) fn author(&self) -> Author {
        Author { id: self.id, name: Arc::clone(&self.name), class: "User" }
    }

    pub(super) fn entity(&self) -> Entity {
        Entity { id: self.id, kind: "User", path: Arc::clone(&self.username) }
    }

    pub(super) fn target(&self) -> Target {
        Target { id: self.id, kind: "User", details: Arc::clone(&self.name) }
    }

    pub(super) fn is_admin(&self) -> bool {
        matches!(self.part, Part::Administrator | Part::StreamDeleter)
    }
}

/// A machine: a deploy key or token of one project, or a project's bot account.
#[derive(Debug)]
pub(super) struct Robot {
    pub(super) author: Author,
    pub(super) project: usize,
    pub(super) address: Arc<str>,
    /// The mean time between two of its acts.
    pub(super) every: Span,
    pub(super) protocol: &'static str,
}

#[derive(Debug)]
pub(super) struct Organisation {
    pub(super) teams: Vec<Team>,
    pub(super) projects: Vec<Project>,
    pub(super) people: Vec<Person>,
    pub(super) robots: Vec<Robot>,
}

const PEOPLE: usize = 120;
const FIRST: [&str; 40] = [
    "Ada", "Amir", "Anouk", "Bela", "Carla", "Chidi", "Daria", "Diego", "Elif", "Emil", "Fatou", "Felix",
    "Greta", "Hana", "Hugo", "Ines", "Ivo", "Jana", "Jonas", "Kaya", "Kofi", "Lea", "Luca", "Mara", "Milan",
    "Mina", "Nadia", "Noah", "Olga", "Oskar", "Paula", "Petr", "Rania", "Ravi", "Sofia", "Soren", "Tara",
    "Tomas", "Vera", "Yusuf",
];
const LAST: [&str; 40] = [
    "Adler", "Bauer", "Castro", "Dahl", "Egger", "Fischer", "Garcia", "Haddad", "Ito", "Jansen", "Kovacs",
    "Lindt", "Moreau", "Novak", "Okafor", "Petit", "Quist", "Rossi", "Santos", "Tanaka", "Urban", "Varga",
    "Weber", "Xu", "Yilmaz", "Zeman", "Arnaud", "Berg", "Costa", "Diaz", "Eriksen", "Farkas", "Gruber",
    "Horak", "Iversen", "Jung", "Keller", "Lopez", "Meyer", "Nagy",
];
/// Team, its distance from UTC in minutes, its projects.
const TEAMS: [(&str, i64, [&str; 7]); 10] = [
    ("payments", 60, ["ledger", "checkout", "payouts", "fraud-model", "invoices", "cards", "reconcile"]),
    ("platform", 60, ["runtime", "scheduler", "gateway", "config", "metrics", "build-images", "charts"]),
    ("mobile", 60, ["app-android", "app-ios", "design-kit", "push", "crash-reports", "beta", "e2e"]),
    ("data", 0, ["warehouse", "ingest", "features", "notebooks", "reports", "lineage", "quality"]),
    ("web", 60, ["shop", "account", "search-ui", "cms", "i18n", "assets", "landing"]),
    ("search", 0, ["indexer", "ranking", "synonyms", "suggest", "crawler", "relevance", "eval"]),
    ("identity", 60, ["login", "directory", "sessions", "consent", "mfa", "audit-export", "policies"]),
    ("infrastructure", -300, ["terraform", "dns", "network", "backup", "bastion", "images", "secrets-sync"]),
    ("operations", 330, ["runbooks", "alerts", "oncall", "status-page", "capacity", "cost", "inventory"]),
    ("release", 60, ["monorepo", "signing", "channels", "changelog", "installer", "updates", "mirrors"]),
];

impl Organisation {
    pub(super) fn new(seed: u64) -> Self {
        let dice = Dice::new(seed).fork("organisation", 0);
        let teams: Vec<Team> = TEAMS
            .iter()
            .zip(11..)
            .map(|((name, offset, _), id)| Team {
                id,
                path: format!("acme/{name}").into(),
                offset: Span::minutes(*offset),
            })
            .collect();
        let projects: Vec<Project> = TEAMS
            .iter()
            .enumerate()
            .flat_map(|(team, (group, _, names))| names.iter().map(move |name| (team, *group, *name)))
            .zip(101..)
            .map(|((team, group, name), id)| Project {
                id,
                team,
                name: name.into(),
                path: format!("acme/{group}/{name}").into(),
            })
            .collect();
        let people = (0..PEOPLE).map(|index| person(index, &projects, dice.fork("person", index as u64)));
        let people = people.collect();
        let robots = robots(&projects, dice.fork("robots", 0));
        Self { teams, projects, people, robots }
    }

    /// The one person with this part; there is always one, except for the ordinary ones.
    pub(super) fn with_part(&self, part: Part) -> &Person {
        self.people.iter().find(|person| person.part == part).unwrap_or(&self.people[0])
    }

    /// Every account that the user API knows, by id: the first administrator, Watchfire's own, people, bots.
    pub(super) fn users(&self) -> Vec<SimUser> {
        let account = |id, username: &str, name: &str, is_admin, bot| SimUser {
            id,
            username: username.to_owned(),
            name: name.to_owned(),
            is_admin,
            bot,
            state: AccountState::Active,
        };
        let mut users = vec![
            account(1, "root", "Administrator", true, false),
            account(WATCHFIRE_USER, "watchfire", "Watchfire", true, false),
        ];
        users.extend(self.people.iter().map(|p| account(p.id, &p.username, &p.name, p.is_admin(), false)));
        let bots = self.robots.iter().filter(|robot| robot.author.id > 0);
        users.extend(
            bots.map(|robot| account(robot.author.id, &robot.author.name, &robot.author.name, false, true)),
        );
        users
    }
}

fn person(index: usize, projects: &[Project], mut dice: Dice) -> Person {
    let (first, last) = (FIRST[index % 40], LAST[(index * 7 + index / 40) % 40]);
    let team = index % TEAMS.len();
    let own = projects.iter().enumerate().filter(|(_, project)| project.team == team);
    let own: Vec<usize> = own.map(|(number, _)| number).collect();
    let skip = dice.index(own.len());
    let count = 3 + dice.index(3);
    let addresses = 1 + index % 3;
    let part = part(index);
    Person {
        id: 10 + index as i64,
        username: format!("{}.{}", first.to_lowercase(), last.to_lowercase()).into(),
        name: format!("{first} {last}").into(),
        part,
        team,
        projects: own.iter().cycle().skip(skip).take(count).copied().collect(),
        addresses: (0..addresses).map(|number| home_address(index * 3 + number)).collect(),
        begins: dice.between(7, 11),
        days: match dice.index(8) {
            0 => [true, true, true, true, false, false, false],
            1 => [false, true, true, true, true, true, false],
            _ => [true, true, true, true, true, false, false],
        },
        acts: dice.between(7, 25),
        sign_in: match (part, dice.index(4)) {
            (Part::Guessed | Part::Sleeper, _) | (_, 0 | 1) => "authenticated_with_password",
            (_, 2) => "authenticated_with_two_factor",
            _ => "authenticated_with_oauth",
        },
        protocol: if dice.chance(650) { "ssh" } else { "http" },
    }
}

/// Fixed places in the list: which team somebody is in follows from them too.
const fn part(index: usize) -> Part {
    match index {
        7 | 17 => Part::Administrator,
        27 => Part::StreamDeleter,
        20 => Part::MassCloner,
        33 => Part::Deleter,
        46 => Part::Guessed,
        54 => Part::SelfMerger,
        71 => Part::Sleeper,
        39 => Part::ReleaseEngineer,
        85 => Part::BackFromLeave,
        92 => Part::Traveller,
        119 => Part::NewColleague,
        _ => Part::Ordinary,
    }
}

/// An address from the blocks reserved for documentation (RFC 5737); the third block is the attackers'.
fn home_address(number: usize) -> Arc<str> {
    let (block, host) = if number < 250 { ("192.0.2", number) } else { ("198.51.100", number - 250) };
    format!("{block}.{}", host + 1).into()
}

fn robots(projects: &[Project], mut dice: Dice) -> Vec<Robot> {
    let mut robots = Vec::new();
    for number in 0..10usize {
        // The mirror of the monorepo fetches without pause; the others follow the pipelines.
        let project = if number == 0 { 63 } else { number * 7 };
        let author =
            Author { id: -3, name: format!("ci-{}", projects[project].name).into(), class: "DeployKey" };
        let address = format!("10.0.8.{}", 10 + number).into();
        let every = if number == 0 { Span::minutes(6) } else { Span::minutes(60) };
        robots.push(Robot { author, project, address, every, protocol: "ssh" });
    }
    for number in 0..3usize {
        let project = number * 7 + 3;
        let author =
            Author { id: -2, name: format!("pull-{}", projects[project].name).into(), class: "DeployToken" };
        let address = format!("10.0.9.{}", 10 + number).into();
        robots.push(Robot { author, project, address, every: Span::minutes(90), protocol: "http" });
    }
    for number in 0..4usize {
        let project = number * 14 + 1;
        let name = format!("project_{}_bot_{:012x}", projects[project].id, dice.next() & 0xffff_ffff_ffff);
        let author = Author { id: 900 + number as i64, name: name.into(), class: "User" };
        let address = format!("10.0.10.{}", 10 + number).into();
        robots.push(Robot { author, project, address, every: Span::minutes(35), protocol: "http" });
    }
    robots
}
