//! What an action would do about an alert, as far as that can be said without asking anybody: for backtests.
//!
//! The same guards decide as when it runs, in the same order. What only the other side knows (is the account an
//! administrator's, a bot's, Watchfire's own; the name behind an id) is taken to speak for acting; [`ActionConfig::asks`]
//! says so. Nobody approves anything.

use crate::encode::Notification;
use crate::respond::{Identity, Policy, Standing, Subject, target};
use crate::store::LimitOf;
use crate::time::{Span, Timestamp};

use super::http::HttpConfig;
use super::target::{Found, on_never};
use super::{ActionConfig, AtMost, GuardInput, RespondConfig};

/// What an action would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foresight {
    /// Whom it is about: an account's id; none where the action needs to know nobody.
    pub subject: Option<String>,
    /// What becomes of it.
    pub verdict: Foreseen,
    /// The state in which it leaves what it changes.
    pub leaves: Option<&'static str>,
    /// For how long; none: until somebody undoes it.
    pub lasts: Option<Span>,
}

/// What was done in a backtest before.
#[derive(Clone, Copy)]
pub struct SoFar<'a> {
    /// The time.
    pub now: Timestamp,
    /// What holds for all responses together.
    pub policy: &'a Policy,
    /// How often this action changed something since then.
    pub of_action: &'a dyn Fn(Timestamp) -> u64,
    /// How many others than this identity were changed since then, by all actions; none where this one was.
    pub others: &'a dyn Fn(Timestamp) -> Option<u64>,
    /// The state that the same thing was brought into.
    pub state: Option<&'a str>,
    /// How often this action changed the same one before, and when last.
    pub repeats: (u64, Option<Timestamp>),
}

/// What becomes of an alert that an action gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Foreseen {
    /// It tells people or a program.
    Tells,
    /// It changes something.
    Acts,
    /// It waits for people to approve it.
    Waits,
    /// The account is as wanted, by an earlier alert.
    Already,
    /// It is held back: the account is on `never`.
    Never,
    /// It is held back: `at_most` is reached.
    Limited,
    /// It is held back: `responses.at_most` is reached, by all responses together.
    Beyond,
    /// It is held back: it was done to the same one a moment before.
    Cooling,
    /// It is held back: the alert does not say whom it is about, or somebody that is no account.
    Nobody,
    /// It is held back: an event of the alert happened in another system than the action is for.
    Elsewhere,
    /// It is held back: an earlier alert brought the account into a state that this cannot follow.
    Impossible,
}

impl Foreseen {
    /// All of them, in the order in which people want to read them.
    pub const ALL: [Self; 11] = [
        Self::Tells,
        Self::Acts,
        Self::Waits,
        Self::Already,
        Self::Never,
        Self::Limited,
        Self::Beyond,
        Self::Cooling,
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
            Self::Waits => "waits_for_approval",
            Self::Already => "already",
            Self::Never => "held_by_never",
            Self::Limited => "held_by_limit",
            Self::Beyond => "held_by_blast_radius",
            Self::Cooling => "held_by_cool_down",
            Self::Nobody => "held_without_account",
            Self::Elsewhere => "held_by_forge",
            Self::Impossible => "held_by_state",
        }
    }
}

impl ActionConfig {
    /// What it would do about an alert.
    #[must_use]
    pub fn foresee(&self, told: &Notification, so_far: &SoFar<'_>) -> Foresight {
        match self {
            Self::Respond(config) => respond(config, told, so_far),
            Self::Http(config) => {
                let recent =
                    config.at_most.map_or(0, |limit| (so_far.of_action)(so_far.now.minus(limit.per)));
                http(config, told, &GuardInput { recent, now: so_far.now })
            }
            _ => plain(None, Foreseen::Tells),
        }
    }

    /// What it would change; for [`foresee`](Self::foresee).
    #[must_use]
    pub fn subject(&self, told: &Notification) -> Option<Subject> {
        self.respond()?.responder.subject(told).ok()
    }

    /// Its settings, if it changes something.
    #[must_use]
    pub fn respond(&self) -> Option<&RespondConfig> {
        match self {
            Self::Respond(config) => Some(config),
            _ => None,
        }
    }

    /// Whether what it changes is an account of a forge.
    #[must_use]
    pub fn is_of_account(&self) -> bool {
        self.respond().is_some_and(|config| config.responder.is_of_account())
    }

    /// `type` in the configuration, and for those that change accounts what they do.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Email(_) => "email".to_owned(),
            Self::Webhook(_) => "webhook".to_owned(),
            Self::Command(_) => "command".to_owned(),
            Self::Target(target) => target.name().to_owned(),
            Self::Http(config) => format!("http, {}", config.method),
            Self::Respond(config) => config.responder.words(),
        }
    }

    /// Whether it only rehearses.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        match self {
            Self::Http(config) => config.dry_run.unwrap_or(false),
            Self::Respond(config) => config.guards.dry_run.unwrap_or(true),
            _ => false,
        }
    }

    /// How often it may act before a person must decide.
    #[must_use]
    pub fn at_most(&self) -> Option<AtMost> {
        match self {
            Self::Http(config) => config.at_most,
            Self::Respond(config) => Some(config.guards.at_most.unwrap_or_default()),
            _ => None,
        }
    }

    /// The fields of an alert's events that its guards look at where the alert's key has no such field.
    #[must_use]
    pub fn looks_at(&self) -> Vec<&str> {
        match self {
            Self::Http(config) if !config.never.is_empty() => vec![&config.user, "author_name"],
            Self::Respond(config) => config.responder.looks_at(),
            _ => Vec::new(),
        }
    }

    /// What it finds out from the other side before it acts, for people; none if it asks nothing.
    #[must_use]
    pub fn asks(&self) -> Option<String> {
        let config = self.respond()?;
        let asks = config.responder.asks()?;
        let names = config.guards.never.iter().filter(|name| name.id().is_none());
        let names: Vec<&str> = names.map(|name| name.0.as_str()).collect();
        let never = match names.as_slice() {
            [] => String::new(),
            names => format!("; whether it is one of {} on `never`", names.join(", ")),
        };
        Some(format!("{asks}{never}"))
    }
}

const fn plain(subject: Option<String>, verdict: Foreseen) -> Foresight {
    Foresight { subject, verdict, leaves: None, lasts: None }
}

fn respond(config: &RespondConfig, told: &Notification, so_far: &SoFar<'_>) -> Foresight {
    let found = config.responder.subject(told);
    let subject = found.as_ref().ok().map(|subject| subject.id.clone());
    let foresight = |verdict| plain(subject.clone(), verdict);
    if config.responder.elsewhere(told).is_some() {
        return foresight(Foreseen::Elsewhere);
    }
    let Ok(found) = found else { return foresight(Foreseen::Nobody) };
    let guards = &config.guards;
    // Its name is not known here; a list by names decides when it runs.
    let identity = Identity { forge: found.forge, id: found.id, name: Some(String::new()) };
    if so_far.policy.protects(&identity, guards, so_far.now).is_some() {
        return foresight(Foreseen::Never);
    }
    let (standing, leaves) = config.responder.foresee(so_far.state);
    match standing {
        Standing::Impossible | Standing::Missing => return foresight(Foreseen::Impossible),
        Standing::Already => return foresight(Foreseen::Already),
        Standing::ToDo => {}
    }
    let (repeats, last) = so_far.repeats;
    let is_cooling = |span| last.is_some_and(|last| last.plus(span) > so_far.now);
    if guards.cool_down.is_some_and(is_cooling) {
        return foresight(Foreseen::Cooling);
    }
    for limit in so_far.policy.limits(guards) {
        let since = so_far.now.minus(limit.per);
        let (count, verdict) = match limit.of {
            LimitOf::Action => (Some((so_far.of_action)(since)), Foreseen::Limited),
            LimitOf::Identities => ((so_far.others)(since), Foreseen::Beyond),
        };
        if count.is_some_and(|count| count >= limit.count) {
            return foresight(verdict);
        }
    }
    if guards.approvals > 0 {
        return foresight(Foreseen::Waits);
    }
    Foresight { leaves: Some(leaves), lasts: guards.lasts.after(repeats), ..foresight(Foreseen::Acts) }
}

fn http(config: &HttpConfig, told: &Notification, guard: &GuardInput) -> Foresight {
    let subject = target(told, &config.user).ok();
    let foresight = |verdict| plain(subject.clone(), verdict);
    match on_never(&config.never, told, &config.user) {
        Found::Off => {}
        Found::On(_) => return foresight(Foreseen::Never),
        Found::Unknown(_) => return foresight(Foreseen::Nobody),
    }
    if config.at_most.is_some_and(|limit| limit.refusal(guard).is_some()) {
        return foresight(Foreseen::Limited);
    }
    foresight(Foreseen::Tells)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::tests_support::notification;

    const NOW: Timestamp = Timestamp(1_769_850_000_000);

    fn config(yaml: &str) -> ActionConfig {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn foresee(yaml: &str, told: &Notification, recent: u64, state: Option<&str>) -> Foreseen {
        let policy = Policy::default();
        let so_far = SoFar {
            now: NOW,
            policy: &policy,
            of_action: &|_| recent,
            others: &|_| Some(0),
            state,
            repeats: (0, None),
        };
        config(yaml).foresee(told, &so_far).verdict
    }

    fn gitlab(more: &str) -> String {
        format!("{{type: gitlab, url: 'https://g', token: {{env: T}}, do: block, dry_run: false{more}}}")
    }

    #[test]
    fn the_guards_decide_as_when_it_runs() {
        let told = notification();
        for (more, recent, state, expected) in [
            ("", 0, None, Foreseen::Acts),
            ("", 3, None, Foreseen::Limited),
            (", at_most: {count: 5, per: 1d}", 3, None, Foreseen::Acts),
            (", never: [root, 7]", 0, None, Foreseen::Never),
            (", never: [7]", 3, Some("blocked"), Foreseen::Never),
            (", never: [root]", 0, None, Foreseen::Acts),
            ("", 3, Some("blocked"), Foreseen::Already),
            ("", 0, Some("banned"), Foreseen::Already),
            ("", 0, Some("active"), Foreseen::Acts),
            (", user: nobody", 0, None, Foreseen::Nobody),
            (", approvals: 1", 0, None, Foreseen::Waits),
            (", approvals: 1", 3, None, Foreseen::Limited),
        ] {
            assert_eq!(foresee(&gitlab(more), &told, recent, state), expected, "{more} {state:?}");
        }
        let mut key = notification();
        key.alert.key.0[0].1 = "-3".into();
        assert_eq!(foresee(&gitlab(""), &key, 0, None), Foreseen::Nobody, "a deploy key is no account");
        let mut two = notification();
        two.places.insert(crate::encode::Place { forge: "ci".into(), format: crate::event::Format::Gitlab });
        assert_eq!(foresee(&gitlab(""), &two, 0, None), Foreseen::Elsewhere);
        let ban = gitlab("").replace("block", "ban");
        assert_eq!(foresee(&ban, &told, 0, Some("blocked")), Foreseen::Impossible);
        assert_eq!(foresee(&gitlab("").replace("block", "unblock"), &told, 0, None), Foreseen::Acts);
        assert_eq!(config(&gitlab("")).subject(&told).map(|subject| subject.id), Some("7".into()));
        let asked = config(&gitlab(", never: [root, 7]")).asks().unwrap();
        assert!(asked.contains("is blocked already") && asked.contains("one of root on `never`"), "{asked}");
    }

    #[test]
    fn all_responses_share_one_radius_and_repeats_last_longer() {
        let (told, policy) = (notification(), Policy::default());
        let foresee = |more: &str, others: Option<u64>, repeats| {
            let so_far = SoFar {
                now: NOW,
                policy: &policy,
                of_action: &|_| 0,
                others: &|_| others,
                state: None,
                repeats,
            };
            config(&gitlab(more)).foresee(&told, &so_far)
        };
        assert_eq!(foresee("", Some(5), (0, None)).verdict, Foreseen::Beyond);
        assert_eq!(foresee("", Some(4), (0, None)).verdict, Foreseen::Acts);
        assert_eq!(foresee("", None, (0, None)).verdict, Foreseen::Acts, "it is one of those already");
        let ladder = ", for: [1h, 1d]";
        let lasts = |repeats| foresee(ladder, Some(0), (repeats, None)).lasts.unwrap().to_string();
        assert_eq!((lasts(0), lasts(1), lasts(7)), ("1h".into(), "1d".into(), "1d".into()));
        let cool = |ago: i64| foresee(", cool_down: 1h", Some(0), (1, Some(NOW.minus(Span::minutes(ago)))));
        assert_eq!((cool(59).verdict, cool(60).verdict), (Foreseen::Cooling, Foreseen::Acts));
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
