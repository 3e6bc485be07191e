//! The worlds that the responders are tried in, and how a try ends.

use std::fmt;
use std::path::Path;

use crate::deliver::{BuildContext, DeliveryError, Egress};
use crate::demo::{
    AccountState, ApiToken, Fault, GithubApi, GithubToken, GithubWorld, GitlabApi, GitlabWorld, SimAccount,
    SimCredential, SimKey, SimMember, SimMembership, SimOrganization, SimPlace, SimToken, SimUser,
};
use crate::respond::{Problem, Responder, ResponderConfig, Sight, Standing, Subject, SubjectKind};
use crate::time::{Span, Timestamp};

/// The token of every test; no error may show it.
pub(super) const SECRET: &str = "glpat-secret-of-the-tests";
/// 2026-01-31T09:00:00Z.
pub(super) const NOW: Timestamp = Timestamp(1_769_850_000_000);

/// One of the forges.
#[derive(Clone)]
pub(super) enum Api {
    Gitlab(GitlabApi),
    Github(GithubApi),
}

impl Api {
    pub(super) fn url(&self) -> String {
        match self {
            Self::Gitlab(api) => api.url(),
            Self::Github(api) => api.url(),
        }
    }

    /// Everything in it, to be compared.
    pub(super) fn world(&self) -> String {
        match self {
            Self::Gitlab(api) => format!("{:?}", api.world()),
            Self::Github(api) => format!("{:?}", api.world()),
        }
    }

    pub(super) fn fail(&self, fault: Fault, at_changes: bool) {
        match (self, at_changes) {
            (Self::Gitlab(api), true) => api.fail_changes(fault, 1),
            (Self::Gitlab(api), false) => api.fail(fault, 1),
            (Self::Github(api), true) => api.fail_changes(fault, 1),
            (Self::Github(api), false) => api.fail(fault, 1),
        }
    }

    /// How many calls changed something, or said so.
    pub(super) fn changes(&self) -> usize {
        let calls = match self {
            Self::Gitlab(api) => api.calls(),
            Self::Github(api) => api.calls(),
        };
        calls.iter().filter(|call| call.method != "GET" && call.status < 300).count()
    }
}

/// One response type with a subject that it can act on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) name: &'static str,
    /// YAML without braces, address and token.
    pub(super) settings: &'static str,
    pub(super) id: &'static str,
    pub(super) within: Option<&'static str>,
}

const fn case(
    name: &'static str,
    settings: &'static str,
    id: &'static str,
    within: Option<&'static str>,
) -> Case {
    Case { name, settings, id, within }
}

const HTTP: &str = "url: 'BASE/api/v4/users/{{ subject.id }}/block', headers: {PRIVATE-TOKEN: {env: SECRET}}, \
    expect: [201], look: {request: {url: 'BASE/api/v4/users/{{ subject.id }}', headers: {PRIVATE-TOKEN: {env: SECRET}}, \
    expect: [200]}, pointer: /state, before: [active], after: blocked}, undo: {url: \
    'BASE/api/v4/users/{{ subject.id }}/{% if before == \"active\" %}unblock{% else %}block{% endif %}', \
    headers: {PRIVATE-TOKEN: {env: SECRET}}, expect: [201]}";

/// Every response type.
pub(super) const CASES: [Case; 21] = [
    case("gitlab block", "do: block", "7", None),
    case("gitlab unblock", "do: unblock", "8", None),
    case("gitlab ban", "do: ban", "7", None),
    case("gitlab unban", "do: unban", "9", None),
    case("gitlab deactivate", "do: deactivate", "11", None),
    case("gitlab activate", "do: activate", "10", None),
    case("gitlab revoke_token (personal)", "do: revoke_token", "12", None),
    case("gitlab revoke_token (project)", "do: revoke_token", "13", Some("projects/9")),
    case("gitlab revoke_token (group)", "do: revoke_token", "14", Some("groups/5")),
    case("gitlab delete_ssh_key", "do: delete_ssh_key", "4", Some("users/7")),
    case("gitlab delete_deploy_key", "do: delete_deploy_key", "5", Some("projects/9")),
    case("gitlab remove_member (group)", "do: remove_member", "7", Some("groups/5")),
    case("gitlab remove_member (project)", "do: remove_member", "7", Some("projects/9")),
    case("gitlab lower_member", "do: lower_member, to: reporter", "7", Some("groups/5")),
    case("github remove_member", "do: remove_member, organization: acme", "7", Some("acme")),
    case("github block", "do: block, organization: acme", "8", Some("acme")),
    case("github unblock", "do: unblock, organization: acme", "9", Some("acme")),
    case("github suspend", "do: suspend", "7", None),
    case("github unsuspend", "do: unsuspend", "10", None),
    case(
        "github revoke_credential",
        "do: revoke_credential, organization: acme, target: credential_id",
        "161",
        Some("acme"),
    ),
    case("http", HTTP, "7", None),
];

impl Case {
    pub(super) fn is_github(self) -> bool {
        self.name.starts_with("github")
    }

    pub(super) fn subject(self) -> Subject {
        Subject {
            forge: if self.is_github() { "github" } else { "gitlab" }.to_owned(),
            kind: SubjectKind::Other,
            id: self.id.to_owned(),
            within: self.within.map(str::to_owned),
        }
    }

    /// The same type for somebody else.
    pub(super) const fn about(self, id: &'static str) -> Self {
        Self { id, ..self }
    }

    pub(super) async fn api(self) -> Api {
        if self.is_github() {
            Api::Github(GithubApi::of(github_world()).await.unwrap())
        } else {
            Api::Gitlab(GitlabApi::of(gitlab_world()).await.unwrap())
        }
    }

    /// Against that forge; impatient for those who never answer.
    pub(super) fn responder(self, api: &Api, timeout: &str) -> Responder {
        let url = api.url();
        let rest = match self.name {
            "http" => self.settings.replace("BASE", &url),
            _ => format!("url: '{url}', token: {{env: SECRET}}, {}", self.settings),
        };
        build(self.name, &format!("{{{rest}, timeout: {timeout}}}")).unwrap()
    }
}

/// A case by its name.
pub(super) fn named(name: &str) -> Case {
    *CASES.iter().find(|case| case.name == name).unwrap()
}

/// Builds the responder whose type the name begins with.
pub(super) fn build(name: &str, yaml: &str) -> Result<Responder, Problem> {
    let wrong = |error: serde_yaml::Error| -> Problem { Problem::Setting(error.to_string()) };
    let config = match name.split(' ').next().unwrap() {
        "gitlab" => ResponderConfig::Gitlab(serde_yaml::from_str(yaml).map_err(wrong)?),
        "github" => ResponderConfig::Github(serde_yaml::from_str(yaml).map_err(wrong)?),
        _ => ResponderConfig::Http(serde_yaml::from_str(yaml).map_err(wrong)?),
    };
    let env = |name: &str| (name == "SECRET").then(|| SECRET.to_owned());
    Responder::build(
        &config,
        &BuildContext { env: &env, base: Path::new("."), egress: &Egress::of_the_machine() },
    )
}

pub(super) fn gitlab_world() -> GitlabWorld {
    use AccountState::{Active, Banned, Blocked, Deactivated, LdapBlocked};
    let user = |id: i64, username: &str, state| SimUser {
        id,
        username: username.into(),
        name: username.to_uppercase(),
        is_admin: matches!(id, 1 | 99),
        bot: matches!(id, 15 | 31 | 32),
        state,
    };
    let users = [
        user(1, "root", Active),
        user(7, "alice", Active),
        user(8, "blocked", Blocked),
        user(9, "banned", Banned),
        user(10, "asleep", Deactivated),
        user(11, "dormant", Active),
        user(14, "ldap", LdapBlocked),
        user(15, "alert-bot", Active),
        user(16, "ghost", Active),
        user(20, "owner", Active),
        user(31, "project-bot", Active),
        user(32, "group-bot", Active),
        user(99, "watchfire", Active),
    ];
    let member = |level| SimMember { level, expires_at: None, role: None };
    let alice = SimMember { level: 30, expires_at: Some("2027-01-31".into()), role: Some(3) };
    let group = SimPlace {
        above: None,
        members: [(1, member(30)), (7, alice), (15, member(30)), (20, member(50)), (32, member(40))].into(),
    };
    let project = SimPlace {
        above: Some("groups/6".into()),
        members: [(7, member(40)), (20, member(50)), (31, member(40))].into(),
    };
    let above = SimPlace { above: None, members: [(11, member(30))].into() };
    let token = |user, place: Option<&str>| SimToken {
        name: "ci".into(),
        user,
        place: place.map(str::to_owned),
        revoked: false,
    };
    let key = |user, place: Option<&str>| SimKey {
        title: "laptop".into(),
        user,
        places: place.map(str::to_owned).into_iter().collect(),
    };
    GitlabWorld {
        users: users.into_iter().map(|user| (user.id, user)).collect(),
        dormant: [10, 11].into(),
        tokens: vec![ApiToken { secret: SECRET.into(), user: 99, scope: "api" }],
        access_tokens: [
            (12, token(7, None)),
            (13, token(31, Some("projects/9"))),
            (14, token(32, Some("groups/5"))),
            (19, token(99, None)),
            (21, token(1, None)),
        ]
        .into(),
        keys: [(4, key(Some(7), None)), (5, key(None, Some("projects/9"))), (6, key(Some(1), None))].into(),
        places: [
            ("groups/5".to_owned(), group),
            ("groups/6".to_owned(), above),
            ("projects/9".to_owned(), project),
        ]
        .into(),
    }
}

pub(super) fn github_world() -> GithubWorld {
    let account = |id: u64, login: &str| SimAccount {
        id,
        login: login.into(),
        kind: if id == 15 { "Bot" } else { "User" },
        site_admin: id == 99,
        suspended: id == 10,
    };
    let accounts = [
        account(1, "founder"),
        account(7, "mona"),
        account(8, "stranger"),
        account(9, "troll"),
        account(10, "gone"),
        account(15, "robot"),
        account(99, "watchfire"),
    ];
    let member = |role: &str| SimMembership { role: role.into(), pending: false };
    let credential = |login: &str| SimCredential { login: login.into(), kind: "personal access token" };
    let organization = SimOrganization {
        members: [(1, member("admin")), (7, member("member")), (15, member("member")), (99, member("admin"))]
            .into(),
        blocked: [9].into(),
        credentials: [(161, credential("mona")), (162, credential("founder"))].into(),
    };
    GithubWorld {
        accounts: accounts.into_iter().map(|account| (account.id, account)).collect(),
        tokens: vec![GithubToken {
            secret: SECRET.into(),
            account: 99,
            scopes: vec!["admin:org", "site_admin"],
        }],
        organizations: [("acme".to_owned(), organization)].into(),
        is_server: true,
    }
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    /// It is as wanted without a change.
    Nothing(String),
    Refused(String),
    /// It may pass; after the time that the forge asked for.
    Later(String, Option<Span>),
    Failed(String),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Nothing(state) => write!(f, "nothing to do: {state}"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Later(why, None) => write!(f, "tried again: {why}"),
            Self::Later(why, Some(after)) => write!(f, "tried again in {after}: {why}"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

/// Looks, acts and looks again, as the runner does.
pub(super) async fn attempt(responder: &Responder, subject: &Subject) -> Ended {
    match tried(responder, subject).await {
        Ok(ended) => ended,
        Err(DeliveryError::Retryable { reason, after, .. }) => Ended::Later(reason, after),
        Err(DeliveryError::Permanent { reason, .. }) => Ended::Failed(reason),
    }
}

async fn tried(responder: &Responder, subject: &Subject) -> Result<Ended, DeliveryError> {
    let sight = responder.look(subject, NOW).await?;
    if let Some(ended) = held_back(&sight) {
        return Ok(ended);
    }
    let receipt = responder.act(subject, &sight, NOW).await?;
    assert!(!format!("{receipt:?}").contains(SECRET));
    let after = responder.look(subject, NOW).await?;
    if after.standing == Standing::Already {
        return Ok(Ended::Done);
    }
    let (answer, state) = (receipt.answer, after.state);
    Ok(Ended::Failed(format!("answered {answer}, but it is {state}")))
}

fn held_back(sight: &Sight) -> Option<Ended> {
    match sight.standing {
        Standing::Already => Some(Ended::Nothing(sight.state.clone())),
        Standing::Missing => Some(Ended::Refused(sight.state.clone())),
        _ if !sight.obstacles.is_empty() => Some(Ended::Refused(sight.obstacles.join("; "))),
        Standing::Impossible => Some(Ended::Refused(format!("it is {}", sight.state))),
        Standing::ToDo => None,
    }
}
