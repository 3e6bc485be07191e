//! Single things that people and machines do, as events: type, scope, target and wording as GitLab has them.

use std::sync::Arc;

use serde_json::Value;

use super::organisation::{Person, Project, Robot, Team};
use super::payload::{Author, Draft, Entity, Message, Target};
use crate::time::Timestamp;

pub(super) const FETCH: &str = "git-upload-pack";
pub(super) const PUSH: &str = "git-receive-pack";

/// Who acts, when and from which address.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) author: Author,
    pub(super) at: Timestamp,
    pub(super) address: Arc<str>,
}

impl Moment {
    pub(super) fn of(person: &Person, at: Timestamp) -> Self {
        Self { author: person.author(), at, address: Arc::clone(&person.addresses[0]) }
    }

    pub(super) fn from(person: &Person, at: Timestamp, address: &Arc<str>) -> Self {
        Self { author: person.author(), at, address: Arc::clone(address) }
    }

    fn event(self, event_type: &'static str, on: (Entity, Target), message: impl Into<Message>) -> Draft {
        Draft {
            at: self.at,
            event_type,
            author: self.author,
            entity: on.0,
            target: on.1,
            message: message.into(),
            more: Vec::new(),
            address: self.address,
        }
    }

    pub(super) fn git(self, project: &Project, protocol: &'static str, action: &'static str) -> Draft {
        let on = (project.entity(), project.target());
        self.event("repository_git_operation", on, Message::Git { protocol, action })
    }

    /// The download button: the same type as a clone, with prose for a message.
    pub(super) fn download(self, project: &Project) -> Draft {
        let target = Target { details: Arc::clone(&project.path), ..project.target() };
        self.event("repository_git_operation", (project.entity(), target), "Repository Download Started")
    }

    /// Something about a project that concerns the project itself.
    pub(super) fn project(self, event_type: &'static str, project: &Project, message: &str) -> Draft {
        self.event(event_type, (project.entity(), project.target()), message)
    }

    /// One setting changed; GitLab says so in prose and in `change`, `from` and `to`.
    pub(super) fn change(
        self,
        event_type: &'static str,
        on: (Entity, Target),
        what: &str,
        (from, to): (Value, Value),
    ) -> Draft {
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let message = format!("Changed {what} from {} to {}", plain(&from), plain(&to));
        self.event(event_type, on, message).with("change", what).with("from", from).with("to", to)
    }

    /// How many approvals a merge request of the project needs.
    pub(super) fn approvals(self, project: &Project, from: i64, to: i64) -> Draft {
        let rule =
            Target { id: 5000 + project.id, kind: "ApprovalProjectRule", details: "All members".into() };
        let change = (from.into(), to.into());
        self.change("update_approval_rules", (project.entity(), rule), "number of required approvals", change)
    }

    /// Deleting a project is an event of its group: the project itself is gone.
    pub(super) fn destroy(self, project: &Project, team: &Team) -> Draft {
        let target = Target { details: Arc::clone(&project.path), ..project.target() };
        self.event("project_destroyed", (team.entity(), target), "Project destroyed")
            .with("remove", "project")
    }

    pub(super) fn signed_in(self, person: &Person) -> Draft {
        let with = match person.sign_in {
            "authenticated_with_two_factor" => "two-factor",
            "authenticated_with_oauth" => "openid_connect",
            _ => "standard",
        };
        let message = format!("Signed in with {} authentication", with.to_uppercase());
        self.event(person.sign_in, (person.entity(), person.target()), message).with("with", with)
    }

    pub(super) fn user(
        self,
        event_type: &'static str,
        person: &Person,
        message: impl Into<Message>,
    ) -> Draft {
        self.event(event_type, (person.entity(), person.target()), message)
    }

    /// A token of one's own; the target is its owner.
    pub(super) fn token(self, person: &Person, number: i64) -> Draft {
        let message = format!("Created personal access token with id {number}");
        self.user("personal_access_token_created", person, message)
    }

    pub(super) fn ssh_key(self, person: &Person, number: i64) -> Draft {
        let target = Target { id: number, kind: "Key", details: "laptop".into() };
        self.event("add_ssh_key", (person.entity(), target), "Added SSH key")
    }

    pub(super) fn member(self, event_type: &'static str, team: &Team, person: &Person) -> Draft {
        let (message, key, value) = match event_type {
            "member_created" => ("Membership created", "as", "Developer"),
            "member_destroyed" => ("Membership destroyed", "remove", "user_access"),
            _ => ("Membership updated", "to", "Developer"),
        };
        self.event(event_type, (team.entity(), person.target()), message).with(key, value)
    }

    pub(super) fn variable(self, event_type: &'static str, project: &Project, key: &str) -> Draft {
        let target = Target { id: 3000 + project.id, kind: "Ci::Variable", details: key.into() };
        let message =
            if event_type == "ci_variable_created" { "Added ci variable" } else { "Updated ci variable" };
        self.event(event_type, (project.entity(), target), message)
    }

    /// Something about the instance's audit stream itself.
    pub(super) fn stream(
        self,
        event_type: &'static str,
        (id, kind): (i64, &'static str),
        message: &str,
    ) -> Draft {
        let target = Target { id, kind, details: "unknown".into() };
        self.event(event_type, (Entity::instance(), target), message)
    }
}

/// A failed sign-in: nobody is signed in, so the author is unauthenticated and only the login typed is known.
pub(super) fn failed_sign_in(person: &Person, at: Timestamp, address: &Arc<str>) -> Draft {
    let login = &person.username;
    let author = Author::unauthenticated(login);
    let target = Target { id: -1, kind: author.class, details: Arc::clone(login) };
    Moment { author, at, address: Arc::clone(address) }
        .event(
            "login_failed_with_standard_authentication",
            (Entity::instance(), target),
            "Failed to login with STANDARD authentication",
        )
        .with("failed_login", "STANDARD")
}

/// One act of a robot on its project.
pub(super) fn robot(robot: &Robot, project: &Project, at: Timestamp, action: &'static str) -> Draft {
    Moment { author: robot.author.clone(), at, address: Arc::clone(&robot.address) }.git(
        project,
        robot.protocol,
        action,
    )
}

/// A merge request from its opening to its end.
#[derive(Debug, Clone)]
pub(super) struct MergeRequest<'a> {
    pub(super) id: i64,
    pub(super) title: &'static str,
    pub(super) project: &'a Project,
}

impl MergeRequest<'_> {
    fn on(&self) -> (Entity, Target) {
        (self.project.entity(), Target { id: self.id, kind: "MergeRequest", details: self.title.into() })
    }

    pub(super) fn opened(&self, by: Moment) -> Draft {
        by.event("merge_request_create", self.on(), "Added merge request")
    }

    pub(super) fn approved(&self, by: Moment) -> Draft {
        by.event("merge_request_approval_operation", self.on(), "Approved merge request")
    }

    pub(super) fn merged(&self, by: Moment, approver: &Person, required: i64, by_its_author: bool) -> Draft {
        let approvers = vec![Value::from(&*approver.name)];
        by.event("merge_request_merged", self.on(), "Merge request merged")
            .with("title", self.title)
            .with("required_approvals", required)
            .with("approval_count", 1)
            .with("approvers", approvers)
            .with("approving_author", by_its_author)
    }

    pub(super) fn merged_by_robot(&self, robot: &Robot, at: Timestamp) -> Draft {
        Moment { author: robot.author.clone(), at, address: Arc::clone(&robot.address) }.event(
            "merge_request_merged_by_project_bot",
            self.on(),
            "Merged merge request",
        )
    }
}
