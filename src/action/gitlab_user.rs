//! Whether an account may be changed: the decision, from what GitLab says about it.
//!
//! States as of GitLab's `doc/api/users.md` and `doc/administration/moderate_users.md`: an active account can be
//! blocked or banned; a block keeps content visible, a ban hides it; only the matching call lifts either.

use serde::Deserialize;

use super::{AtMost, GuardInput, Name};

/// What to do with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Keeps the user out; content stays visible. Can be undone.
    Block,
    /// Lifts a block.
    Unblock,
    /// Keeps the user out and hides content. Can be undone.
    Ban,
    /// Lifts a ban.
    Unban,
}

impl Change {
    /// The word in configuration and in GitLab's API.
    pub(super) const fn verb(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Unblock => "unblock",
            Self::Ban => "ban",
            Self::Unban => "unban",
        }
    }

    pub(super) const fn past(self) -> &'static str {
        match self {
            Self::Block => "blocked",
            Self::Unblock => "unblocked",
            Self::Ban => "banned",
            Self::Unban => "unbanned",
        }
    }

    /// The account's state afterwards.
    pub(super) const fn state(self) -> &'static str {
        match self {
            Self::Block => "blocked",
            Self::Ban => "banned",
            Self::Unblock | Self::Unban => "active",
        }
    }

    /// What undoes it.
    pub(super) const fn opposite(self) -> Self {
        match self {
            Self::Block => Self::Unblock,
            Self::Unblock => Self::Block,
            Self::Ban => Self::Unban,
            Self::Unban => Self::Ban,
        }
    }
}

/// An account as `GET /users/:id` shows it to an administrator.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct User {
    pub(super) id: u64,
    pub(super) username: String,
    pub(super) state: String,
    /// Only administrators are told.
    #[serde(default)]
    pub(super) is_admin: Option<bool>,
    #[serde(default)]
    pub(super) bot: Option<bool>,
}

/// The account that the token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Own {
    pub(super) id: u64,
}

/// What may be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go ahead.
    Change,
    /// It is so already.
    Already,
    /// A person must decide, for this reason.
    Refuse(String),
}

/// The number behind an author id. Deploy keys and tokens have negative ones and are no accounts.
pub(super) fn user_id(text: &str) -> Result<u64, String> {
    match text.trim().parse::<i64>() {
        Ok(id) if id > 0 => Ok(id.unsigned_abs()),
        Ok(-2) => Err("author -2 is a deploy token, not a user; revoke it by hand".to_owned()),
        Ok(-3) => Err("author -3 is a deploy key, not a user; remove it by hand".to_owned()),
        Ok(id) => Err(format!("author {id} is not a user account")),
        Err(_) => Err(format!("`{text}` is not a GitLab user id")),
    }
}

/// Decides. The order matters: what protects people comes before what saves work.
pub(super) fn judge(change: Change, user: &User, own: Own, never: &[Name]) -> Verdict {
    let refuse = |reason: String| Verdict::Refuse(reason);
    let (id, name) = (user.id.to_string(), &user.username);
    if user.id == own.id {
        return refuse(format!("user {id} ({name}) is the account Watchfire itself uses"));
    }
    match user.is_admin {
        Some(false) => {}
        Some(true) => return refuse(format!("user {id} ({name}) is an administrator")),
        None => {
            let why =
                "GitLab does not say whether it is an administrator (the token must be an administrator's)";
            return refuse(format!("user {id} ({name}): {why}"));
        }
    }
    if user.bot == Some(true) {
        return refuse(format!("user {id} ({name}) is a bot"));
    }
    if never.iter().any(|entry| i64::try_from(user.id).is_ok_and(|id| entry.is_id(id)) || entry.is_name(name))
    {
        return refuse(format!("user {id} ({name}) is on `never`"));
    }
    let state = user.state.as_str();
    match (change, state) {
        // Kept out already, by a ban, by LDAP, or because nobody has let the user in yet.
        (Change::Block, "blocked" | "banned" | "ldap_blocked" | "blocked_pending_approval") => {
            Verdict::Already
        }
        (Change::Ban, "banned") | (Change::Unblock | Change::Unban, "active") => Verdict::Already,
        (Change::Ban, "active") | (Change::Unblock, "blocked") | (Change::Unban, "banned") => Verdict::Change,
        (Change::Block, _) => Verdict::Change,
        (Change::Ban | Change::Unblock | Change::Unban, _) => {
            refuse(format!("user {id} ({name}) is {state}, and GitLab cannot {} that", change.verb()))
        }
    }
}

/// The limit, asked only when something would change.
pub(super) fn limited(verdict: Verdict, limit: AtMost, guard: &GuardInput) -> Verdict {
    match (verdict, limit.refusal(guard)) {
        (Verdict::Change, Some(reason)) => Verdict::Refuse(reason),
        (verdict, _) => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(state: &str) -> User {
        User { id: 7, username: "alice".into(), state: state.into(), is_admin: Some(false), bot: Some(false) }
    }

    const OWN: Own = Own { id: 99 };

    #[test]
    fn some_people_are_never_touched() {
        let refused = |user: User, never: &[Name]| match judge(Change::Block, &user, OWN, never) {
            Verdict::Refuse(reason) => reason,
            other => panic!("{other:?}"),
        };
        assert!(refused(User { id: 99, ..user("active") }, &[]).contains("itself"));
        assert!(refused(User { is_admin: Some(true), ..user("active") }, &[]).contains("administrator"));
        assert!(refused(User { is_admin: None, ..user("active") }, &[]).contains("does not say"));
        assert!(refused(User { bot: Some(true), ..user("active") }, &[]).contains("bot"));
        assert!(refused(user("active"), &[Name("ALICE".into())]).contains("never"));
        assert!(refused(user("active"), &[Name("7".into())]).contains("never"));
        assert_eq!(judge(Change::Block, &user("active"), OWN, &[Name("77".into())]), Verdict::Change);
        let renamed = User { username: "1".into(), ..user("active") };
        assert_eq!(judge(Change::Block, &renamed, OWN, &[Name("1".into())]), Verdict::Change);
    }

    #[test]
    fn every_change_fits_some_states() {
        use Change::{Ban, Block, Unban, Unblock};
        let decide = |change, state: &str| match judge(change, &user(state), OWN, &[]) {
            Verdict::Change => '!',
            Verdict::Already => '=',
            Verdict::Refuse(_) => '?',
        };
        let states = ["active", "blocked", "banned", "ldap_blocked", "deactivated"];
        let row = |change| states.map(|state| decide(change, state)).iter().collect::<String>();
        assert_eq!(row(Block), "!===!");
        assert_eq!(row(Ban), "!?=??");
        assert_eq!(row(Unblock), "=!???");
        assert_eq!(row(Unban), "=?!??");
    }

    #[test]
    fn the_limit_holds_back_changes_only() {
        let guard = GuardInput { recent: 3, now: crate::time::Timestamp(0) };
        assert!(matches!(limited(Verdict::Change, AtMost::default(), &guard), Verdict::Refuse(_)));
        assert_eq!(limited(Verdict::Already, AtMost::default(), &guard), Verdict::Already);
    }

    #[test]
    fn only_positive_numbers_are_users() {
        assert_eq!(user_id(" 7 "), Ok(7));
        for (text, part) in
            [("-3", "deploy key"), ("-2", "deploy token"), ("0", "not a user"), ("alice", "not a GitLab")]
        {
            assert!(user_id(text).unwrap_err().contains(part), "{text}");
        }
    }
}
