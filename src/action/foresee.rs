//! What an action would do about an alert, as far as that can be said without asking anybody: for backtests.
//!
//! The same guards decide as when it runs. What only the other side knows (is the account an administrator's, a bot's,
//! Watchfire's own; the name behind an id) is taken to speak for acting; [`ActionConfig::asks`] says so.

use crate::encode::Notification;
use crate::store::DeliveryKind;

use super::gitlab_user::{Change, Own, User, Verdict, judge, limited, user_id};
use super::http::HttpConfig;
use super::target::{Found, foreign, on_never, target};
use super::{ActionConfig, AtMost, GitlabConfig, GuardInput};

/// What an action would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foresight {
    /// Whom it is about: an account's id; none where the action needs to know nobody.
    pub subject: Option<String>,
    /// What becomes of it.
    pub verdict: Foreseen,
}

/// What becomes of an alert that an action gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Foreseen {
    /// It tells people or a program.
    Tells,
    /// It changes something.
    Acts,
    /// The account is as wanted, by an earlier alert.
    Already,
    /// It is held back: the account is on `never`.
    Never,
    /// It is held back: `at_most` is reached.
    Limited,
    /// It is held back: the alert does not say whom it is about, or somebody that is no account.
    Nobody,
    /// It is held back: an event of the alert happened in another system than the action is for.
    Elsewhere,
    /// It is held back: an earlier alert brought the account into a state that this cannot follow.
    Impossible,
}

impl Foreseen {
    /// All of them, in the order in which people want to read them.
    pub const ALL: [Self; 8] = [
        Self::Tells,
        Self::Acts,
        Self::Already,
        Self::Never,
        Self::Limited,
        Self::Nobody,
        Self::Elsewhere,
        Self::Impossible,
    ];

    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tells => "tells",
            Self::Acts => "acts",
            Self::Already => "already",
            Self::Never => "held_by_never",
            Self::Limited => "held_by_limit",
            Self::Nobody => "held_without_account",
            Self::Elsewhere => "held_by_forge",
            Self::Impossible => "held_by_state",
        }
    }
}

impl ActionConfig {
    /// What it would do about an alert. `before` is the last change that was made to the same account.
    #[must_use]
    pub fn foresee(&self, told: &Notification, guard: &GuardInput, before: Option<Change>) -> Foresight {
        match self {
            Self::Email(_) | Self::Webhook(_) | Self::Command(_) | Self::Target(_) => {
                Foresight { subject: None, verdict: Foreseen::Tells }
            }
            Self::Gitlab(config) => gitlab(config, told, guard, before),
            Self::Http(config) => http(config, told, guard),
        }
    }

    /// The account it would change, by the field of the alert that names it; for [`foresee`](Self::foresee).
    #[must_use]
    pub fn account(&self, told: &Notification) -> Option<u64> {
        match self {
            Self::Gitlab(config) => user_id(&target(told, &config.user).ok()?).ok(),
            _ => None,
        }
    }

    /// What it does to accounts, and where.
    #[must_use]
    pub fn change(&self) -> Option<(Change, &str)> {
        match self {
            Self::Gitlab(config) => Some((config.change, config.url.trim_end_matches('/'))),
            _ => None,
        }
    }

    /// `type` in the configuration, and for those that change accounts what they do.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Email(_) => "email".to_owned(),
            Self::Webhook(_) => "webhook".to_owned(),
            Self::Command(_) => "command".to_owned(),
            Self::Target(target) => target.name().to_owned(),
            Self::Gitlab(config) => format!("gitlab, {} the account", config.change.verb()),
            Self::Http(config) if config.kind == DeliveryKind::Respond => {
                format!("http, {} as a response", config.method)
            }
            Self::Http(config) => format!("http, {}", config.method),
        }
    }

    /// Whether it only rehearses.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        match self {
            Self::Gitlab(config) => config.dry_run,
            Self::Http(config) => config.dry_run.unwrap_or(config.kind == DeliveryKind::Respond),
            _ => false,
        }
    }

    /// How often it may act before a person must decide.
    #[must_use]
    pub fn at_most(&self) -> Option<AtMost> {
        match self {
            Self::Gitlab(config) => Some(config.at_most),
            Self::Http(config) => {
                config.at_most.or_else(|| (config.kind == DeliveryKind::Respond).then(AtMost::default))
            }
            _ => None,
        }
    }

    /// The fields of an alert's events that its guards look at where the alert's key has no such field.
    #[must_use]
    pub fn looks_at(&self) -> Vec<&str> {
        match self {
            Self::Gitlab(config) => vec![&config.user],
            Self::Http(config) if !config.never.is_empty() => vec![&config.user, "author_name"],
            _ => Vec::new(),
        }
    }

    /// What it finds out from the other side before it acts, for people; none if it asks nothing.
    #[must_use]
    pub fn asks(&self) -> Option<String> {
        let Self::Gitlab(config) = self else { return None };
        let names = config.never.iter().filter(|name| name.id().is_none()).map(|name| name.0.as_str());
        let names: Vec<&str> = names.collect();
        let never = match names.as_slice() {
            [] => String::new(),
            names => format!("; whether it is one of {} on `never`", names.join(", ")),
        };
        Some(format!(
            "not known without asking GitLab: whether the account exists, is {} already, or is an administrator, a bot or \
             Watchfire's own, which are never touched{never}",
            config.change.state()
        ))
    }
}

fn gitlab(
    config: &GitlabConfig,
    told: &Notification,
    guard: &GuardInput,
    before: Option<Change>,
) -> Foresight {
    let found = target(told, &config.user);
    let subject = found.as_ref().ok().cloned();
    if foreign(told, &config.forge).is_some() {
        return Foresight { subject, verdict: Foreseen::Elsewhere };
    }
    let Ok(id) = found.and_then(|text| user_id(&text)) else {
        return Foresight { subject, verdict: Foreseen::Nobody };
    };
    let subject = Some(id.to_string());
    if config.never.iter().any(|entry| i64::try_from(id).is_ok_and(|id| entry.is_id(id))) {
        return Foresight { subject, verdict: Foreseen::Never };
    }
    // An account that nobody has touched yet is in the state that the change is for.
    let state = before.map_or_else(|| config.change.opposite().state(), Change::state);
    let user = User {
        id,
        username: String::new(),
        state: state.to_owned(),
        is_admin: Some(false),
        bot: Some(false),
    };
    let own = Own { id: 0 };
    let verdict = match judge(config.change, &user, own, &[]) {
        Verdict::Refuse(_) => Foreseen::Impossible,
        Verdict::Already => Foreseen::Already,
        Verdict::Change => match limited(Verdict::Change, config.at_most, guard) {
            Verdict::Change => Foreseen::Acts,
            Verdict::Already | Verdict::Refuse(_) => Foreseen::Limited,
        },
    };
    Foresight { subject, verdict }
}

fn http(config: &HttpConfig, told: &Notification, guard: &GuardInput) -> Foresight {
    let subject = target(told, &config.user).ok();
    let foresight = |verdict| Foresight { subject: subject.clone(), verdict };
    match on_never(&config.never, told, &config.user) {
        Found::Off => {}
        Found::On(_) => return foresight(Foreseen::Never),
        Found::Unknown(_) => return foresight(Foreseen::Nobody),
    }
    let is_response = config.kind == DeliveryKind::Respond;
    let limit = config.at_most.or_else(|| is_response.then(AtMost::default));
    if limit.is_some_and(|limit| limit.refusal(guard).is_some()) {
        return foresight(Foreseen::Limited);
    }
    foresight(if is_response { Foreseen::Acts } else { Foreseen::Tells })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::tests_support::notification;
    use crate::time::Timestamp;

    fn config(yaml: &str) -> ActionConfig {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn foresee(yaml: &str, told: &Notification, recent: u64, before: Option<Change>) -> Foreseen {
        config(yaml).foresee(told, &GuardInput { recent, now: Timestamp(0) }, before).verdict
    }

    #[test]
    fn the_guards_decide_as_when_it_runs() {
        let gitlab = |more: &str| {
            format!("{{type: gitlab, url: 'https://g', token: {{env: T}}, do: block, dry_run: false{more}}}")
        };
        let told = notification();
        for (more, recent, before, expected) in [
            ("", 0, None, Foreseen::Acts),
            ("", 3, None, Foreseen::Limited),
            (", at_most: {count: 5, per: 1d}", 3, None, Foreseen::Acts),
            (", never: [root, 7]", 0, None, Foreseen::Never),
            (", never: [7]", 3, Some(Change::Block), Foreseen::Never),
            (", never: [root]", 0, None, Foreseen::Acts),
            ("", 3, Some(Change::Block), Foreseen::Already),
            ("", 0, Some(Change::Ban), Foreseen::Already),
            ("", 0, Some(Change::Unblock), Foreseen::Acts),
            (", user: nobody", 0, None, Foreseen::Nobody),
        ] {
            assert_eq!(foresee(&gitlab(more), &told, recent, before), expected, "{more} {before:?}");
        }
        let mut key = notification();
        key.alert.key.0[0].1 = "-3".into();
        assert_eq!(foresee(&gitlab(""), &key, 0, None), Foreseen::Nobody, "a deploy key is no account");
        let mut two = notification();
        two.places.insert(crate::encode::Place { forge: "ci".into(), format: crate::event::Format::Gitlab });
        assert_eq!(foresee(&gitlab(""), &two, 0, None), Foreseen::Elsewhere);
        let ban = gitlab("").replace("block", "ban");
        assert_eq!(foresee(&ban, &told, 0, Some(Change::Block)), Foreseen::Impossible);
        assert_eq!(foresee(&gitlab("").replace("block", "unblock"), &told, 0, None), Foreseen::Acts);
        assert_eq!(config(&gitlab("")).account(&told), Some(7));
        let asked = config(&gitlab(", never: [root, 7]")).asks().unwrap();
        assert!(asked.contains("is blocked already") && asked.contains("one of root on `never`"), "{asked}");
    }

    #[test]
    fn calls_have_guards_only_where_they_are_set() {
        let told = notification();
        let http = |more: &str| format!("{{type: http, url: 'https://x'{more}}}");
        assert_eq!(foresee(&http(""), &told, 99, None), Foreseen::Tells);
        assert_eq!(foresee(&http(", at_most: {count: 1, per: 1h}"), &told, 1, None), Foreseen::Limited);
        assert_eq!(foresee(&http(", kind: respond"), &told, 0, None), Foreseen::Acts);
        assert_eq!(foresee(&http(", kind: respond"), &told, 3, None), Foreseen::Limited);
        assert_eq!(foresee(&http(", never: [7]"), &told, 0, None), Foreseen::Never);
        assert_eq!(foresee(&http(", never: [1], user: nobody"), &told, 0, None), Foreseen::Nobody);
        assert_eq!(foresee(&http(", never: [1]"), &told, 0, None), Foreseen::Tells);
        assert_eq!(foresee(&http(", never: [root]"), &told, 0, None), Foreseen::Nobody);
        assert!(config(&http(", kind: respond")).is_dry_run() && !config(&http("")).is_dry_run());
    }
}
