//! The section `responses`: what holds for all responses together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};
use tokio::sync::watch;

use super::guards::{Guards, Name};
use super::link::Signer;
use super::sight::Identity;
use crate::deliver::{parse_url, span};
use crate::store::{Limit, LimitOf};
use crate::time::{Span, Timestamp};

/// No response waits longer for the first answer to whose Watchfire's tokens are.
const ASKED_WITHIN: Duration = Duration::from_secs(60);

/// The settings that hold for all responses together.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResponsesConfig {
    /// Nothing is changed, whatever the actions say: `true`, or only for alerts of `{rules: [ids]}`.
    pub dry_run: Rehearse,
    /// Those whom no response touches.
    pub never: Vec<Protected>,
    /// How many are hit at most, by all rules and actions together.
    pub at_most: Radius,
    /// Who is asked.
    pub approval: ApprovalConfig,
    /// The names of the actions that record what was done, failed and was undone: a ticket system, a channel.
    pub record: Vec<String>,
    /// Where people reach this server, for the links in messages: `https://watchfire.example.com`.
    pub url: Option<String>,
    /// Whether each step of a response is put into the event log too, as an event; absent: yes.
    pub in_log: Option<bool>,
}

/// Whose responses only rehearse.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Rehearse {
    /// Those whose actions say so.
    #[default]
    AsActionsSay,
    /// All.
    All,
    /// Also those to alerts of these rules.
    Rules(Vec<String>),
}

impl<'de> Deserialize<'de> for Rehearse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Rules {
            rules: Vec<String>,
        }
        struct OneOf;
        impl<'de> Visitor<'de> for OneOf {
            type Value = Rehearse;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false, or {rules: [ids]}")
            }
            fn visit_bool<E: de::Error>(self, all: bool) -> Result<Rehearse, E> {
                Ok(if all { Rehearse::All } else { Rehearse::AsActionsSay })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Rehearse, A::Error> {
                let rest = de::value::MapAccessDeserializer::new(map);
                Rules::deserialize(rest).map(|named| Rehearse::Rules(named.rules))
            }
        }
        deserializer.deserialize_any(OneOf)
    }
}

/// Somebody whom no response touches.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protected {
    /// The account's id.
    #[serde(default, deserialize_with = "text_or_number")]
    pub id: Option<String>,
    /// Or its user name.
    #[serde(default)]
    pub name: Option<String>,
    /// Only in this system; absent: in all.
    #[serde(default)]
    pub forge: Option<String>,
    /// Who answers for it.
    pub owner: String,
    /// Until when; absent: until it is taken out.
    #[serde(default, deserialize_with = "time_or_none")]
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

impl Protected {
    /// For people: `alice (until 2026-12-31T00:00:00.000Z, owner soc@example.com)`.
    #[must_use]
    pub fn words(&self) -> String {
        let who = self.id.as_deref().or(self.name.as_deref()).unwrap_or("nobody");
        match self.until {
            Some(until) => format!("{who} (until {until}, owner {})", self.owner),
            None => format!("{who} (owner {})", self.owner),
        }
    }

    fn holds(&self, identity: &Identity, now: Timestamp) -> Verdict {
        if self.until.is_some_and(|until| until <= now)
            || self.forge.as_ref().is_some_and(|forge| *forge != identity.forge)
        {
            return Verdict::Off;
        }
        match (&self.id, &self.name) {
            (Some(id), _) if same(id, &identity.id) => Verdict::On,
            (Some(_), _) | (None, None) => Verdict::Off,
            (None, Some(name)) => match &identity.name {
                Some(own) if same(name.trim_start_matches('@'), own) => Verdict::On,
                Some(_) => Verdict::Off,
                None => Verdict::Unknown,
            },
        }
    }
}

/// Whether somebody is protected.
enum Verdict {
    Off,
    On,
    /// It is told by a name, and the name is not known.
    Unknown,
}

fn same(left: &str, right: &str) -> bool {
    left.trim().to_lowercase() == right.trim().to_lowercase()
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Name>::deserialize(deserializer)?.map(|name| name.0))
}

fn time_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| Timestamp::parse(&text).map_err(de::Error::custom)).transpose()
}

/// How many are hit at most.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Radius(pub Vec<Bound>);

impl Default for Radius {
    fn default() -> Self {
        let bound = |accounts, per| Bound { accounts: Some(accounts), percent: None, per };
        Self(vec![bound(5, Span::hours(1)), bound(20, Span::days(1))])
    }
}

/// `{accounts: 5, per: 1h}`, or `{percent: 2, per: 1h}` of those who were active in the last 30 days.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// So many.
    #[serde(default)]
    pub accounts: Option<u64>,
    /// So many of a hundred, to a thousandth.
    #[serde(default)]
    pub percent: Option<Percent>,
    /// Within this time.
    #[serde(deserialize_with = "span")]
    pub per: Span,
}

/// A share, in thousandths of a hundredth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(u64);

impl<'de> Deserialize<'de> for Percent {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100,000")]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match f64::deserialize(deserializer)? {
            share if share > 0.0 && share <= 100.0 => Ok(Self((share * 1000.0).round() as u64)),
            _ => Err(de::Error::custom("expected more than 0 and at most 100")),
        }
    }
}

/// With fewer known than this a percentage says little: it does not go below one.
const KNOWN_FEW: u64 = 50;

impl Bound {
    fn limit(&self, known: Option<u64>) -> Option<Limit> {
        let per = self.per;
        let limit = |count: u64, name: String, words: String| Limit {
            of: LimitOf::Identities,
            count,
            per,
            name,
            words,
        };
        if let Some(accounts) = self.accounts {
            let name = format!("{accounts} accounts per {per}");
            let words = format!("at most {name}, by all responses");
            return Some(limit(accounts, name, words));
        }
        let (Percent(share), known) = (self.percent?, known?);
        let count = known.saturating_mul(share) / 100_000;
        let count = if known < KNOWN_FEW { count.max(1) } else { count };
        let percent = share as f64 / 1000.0;
        let words = format!("at most {percent} % of {known} active accounts per {per}, by all responses");
        Some(limit(count, format!("{percent} % per {per}"), words))
    }
}

/// Who is asked to approve.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalConfig {
    /// For how long a response waits for it.
    #[serde(deserialize_with = "span")]
    pub expires: Span,
    /// The names of the actions that ask, and that tell of what goes wrong with responses.
    pub actions: Vec<String>,
}

impl Default for ApprovalConfig {
    fn default() -> Self {
        Self { expires: Span::hours(4), actions: Vec::new() }
    }
}

/// How many identities were active in the last 30 days; none: it is not known.
pub type Known = Arc<dyn Fn() -> Option<u64> + Send + Sync>;

/// Whether somebody is an account of Watchfire's own.
pub type IsOwn = Arc<dyn Fn(&Identity) -> bool + Send + Sync>;

/// What holds for all responses, ready to ask.
#[derive(Clone, Default)]
pub struct Policy {
    /// As configured.
    pub config: ResponsesConfig,
    known: Option<Known>,
    signer: Option<Signer>,
    is_own: Option<IsOwn>,
    /// Whether each token was asked once whose it is; none: nobody asks.
    asked: Option<watch::Sender<bool>>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Policy {
    /// As configured; nobody is counted, and no links are signed.
    #[must_use]
    pub const fn new(config: ResponsesConfig) -> Self {
        Self { config, known: None, signer: None, is_own: None, asked: None }
    }

    /// With somebody who knows how many identities there are, and a key for links.
    #[must_use]
    pub fn with(self, known: Known, signer: Option<Signer>) -> Self {
        Self { known: Some(known), signer, ..self }
    }

    /// With somebody who knows which accounts are Watchfire's own, which nothing touches. Who builds it says with
    /// [`Policy::accounts_asked`] when each token was asked once; until then no response acts.
    #[must_use]
    pub fn sparing(self, is_own: IsOwn) -> Self {
        Self { is_own: Some(is_own), asked: Some(watch::Sender::new(false)), ..self }
    }

    /// Each token was asked once whose it is, whether it was answered or not.
    pub fn accounts_asked(&self) {
        if let Some(asked) = &self.asked {
            asked.send_replace(true);
        }
    }

    /// Waits until then; not for ever, since a forge may leave a question open.
    pub(super) async fn wait_for_accounts(&self) {
        if let Some(asked) = &self.asked {
            let mut told = asked.subscribe();
            tokio::time::timeout(ASKED_WITHIN, told.wait_for(|asked| *asked)).await.ok();
        }
    }

    /// What signs links; none where there is no key or no `url`.
    #[must_use]
    pub fn links(&self) -> Option<(&Signer, &str)> {
        Some((self.signer.as_ref()?, self.config.url.as_deref()?.trim_end_matches('/')))
    }

    /// Whether a response to an alert of this rule only rehearses.
    #[must_use]
    pub fn rehearses(&self, rule: Option<&str>, guards: &Guards) -> bool {
        let said = match &self.config.dry_run {
            Rehearse::All => true,
            Rehearse::Rules(rules) => rule.is_some_and(|rule| rules.iter().any(|named| named == rule)),
            Rehearse::AsActionsSay => false,
        };
        said || guards.dry_run.unwrap_or(true)
    }

    /// The limits of an action, its own first.
    #[must_use]
    pub fn limits(&self, guards: &Guards) -> Vec<Limit> {
        let own = guards.at_most.unwrap_or_default();
        let words = format!("the limit of this action is reached ({} per {})", own.count, own.per);
        let name = format!("{} by this action per {}", own.count, own.per);
        let own = Limit { of: LimitOf::Action, count: own.count, per: own.per, name, words };
        let known = if self.config.at_most.0.iter().any(|bound| bound.percent.is_some()) {
            self.known.as_ref().and_then(|known| known())
        } else {
            None
        };
        let bounds = &self.config.at_most.0;
        let mut shared: Vec<Limit> = bounds.iter().filter_map(|bound| bound.limit(known)).collect();
        if shared.is_empty() && !bounds.is_empty() {
            // Shares of nobody knows how many: what holds where nothing is configured.
            shared = Radius::default().0.iter().filter_map(|bound| bound.limit(None)).collect();
        }
        std::iter::once(own).chain(shared).collect()
    }

    /// Why this identity must not be touched, if so.
    #[must_use]
    pub fn protects(&self, identity: &Identity, guards: &Guards, now: Timestamp) -> Option<String> {
        let named = |entry: &&Name| match entry.id() {
            Some(_) => entry.0 == identity.id.trim(),
            None => {
                same(&entry.0, &identity.id)
                    || identity.name.as_deref().is_some_and(|own| same(&entry.0, own))
            }
        };
        if self.is_own.as_ref().is_some_and(|is_own| is_own(identity)) {
            return Some("it is an account that Watchfire itself uses".to_owned());
        }
        if guards.never.iter().any(|entry| named(&entry)) {
            return Some("it is on `never`".to_owned());
        }
        for entry in &self.config.never {
            match entry.holds(identity, now) {
                Verdict::Off => {}
                Verdict::On => {
                    return Some(format!("it is on `responses.never`: {}, {}", entry.reason, entry.words()));
                }
                Verdict::Unknown => return Some(unnamed()),
            }
        }
        let by_name = guards.never.iter().any(|entry| entry.id().is_none());
        (by_name && identity.name.is_none()).then(unnamed)
    }
}

fn unnamed() -> String {
    "its name cannot be looked up, so nobody can tell whether it is on `never`".to_owned()
}

impl ResponsesConfig {
    /// What no type can refuse: the key below `responses` and what is wrong.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        for entry in &self.never {
            if entry.id.is_some() == entry.name.is_some() {
                problems.push(("never", "each entry needs either an `id` or a `name`".to_owned()));
            }
            if entry.owner.trim().is_empty() || entry.reason.trim().is_empty() {
                problems.push(("never", "each entry needs an `owner` and a `reason`".to_owned()));
            }
        }
        for bound in &self.at_most.0 {
            if bound.accounts.is_some() == bound.percent.is_some() {
                problems.push(("at_most", "each limit needs either `accounts` or `percent`".to_owned()));
            }
        }
        if let Some(url) = &self.url
            && let Err(error) = parse_url(url)
        {
            problems.push(("url", error.to_string()));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(yaml: &str) -> ResponsesConfig {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn identity(id: &str, name: Option<&str>) -> Identity {
        Identity { forge: "gitlab".into(), id: id.into(), name: name.map(str::to_owned) }
    }

    #[test]
    fn whoever_is_on_a_list_is_protected_until_it_ends() {
        let policy = Policy::new(config(
            "never:\n- {name: '@Root', owner: soc, reason: break glass}\n\
             - {id: 7, forge: gitlab, owner: soc, until: 2026-02-01, reason: on call}\n\
             - {id: 9, forge: github, owner: soc, reason: other forge}\n",
        ));
        let before = Timestamp::parse("2026-01-31T23:59:59Z").unwrap();
        let after = Timestamp::parse("2026-02-01").unwrap();
        let guards = Guards { never: vec![Name("5".into())], ..Guards::default() };
        let protects = |id: &str, name, at| policy.protects(&identity(id, name), &guards, at);
        assert!(protects("1", Some("root"), after).unwrap().contains("break glass"));
        assert!(protects("7", Some("alice"), before).unwrap().contains("on call"));
        assert_eq!(protects("7", Some("alice"), after), None, "it has expired");
        assert_eq!(protects("9", Some("bob"), before), None, "it is for another forge");
        assert!(protects("5", Some("eve"), before).is_some(), "the action's own list");
        assert_eq!(protects("6", Some("5"), before), None, "a name 5 is not the id 5");
        assert!(protects("6", None, before).unwrap().contains("cannot be looked up"));
    }

    #[test]
    fn limits_are_counts_and_shares() {
        let limits = |yaml: &str, known: Option<u64>| -> Vec<u64> {
            let policy = Policy::new(config(yaml)).with(Arc::new(move || known), None);
            policy.limits(&Guards::default()).iter().map(|limit| limit.count).collect()
        };
        assert_eq!(limits("{}", None), [3, 5, 20]);
        let shares = "at_most: [{percent: 2, per: 1h}, {percent: 0.5, per: 1d}]";
        assert_eq!(limits(shares, Some(1000)), [3, 20, 5]);
        assert_eq!(limits(shares, Some(49)), [3, 1, 1], "with few it does not go below one");
        assert_eq!(limits(shares, Some(50)), [3, 1, 0]);
        assert_eq!(limits(shares, None), [3, 5, 20], "nobody knows");
        assert_eq!(limits("at_most: [{percent: 2, per: 1h}, {accounts: 9, per: 1d}]", None), [3, 9]);
        assert_eq!(limits("at_most: []", None), [3]);
    }

    #[test]
    fn a_rehearsal_can_be_asked_for_in_three_places() {
        let live = Guards { dry_run: Some(false), ..Guards::default() };
        let rehearses = |yaml: &str, guards: &Guards| Policy::new(config(yaml)).rehearses(Some("r"), guards);
        assert!(rehearses("{}", &Guards::default()), "on until somebody turns it off");
        assert!(!rehearses("{}", &live) && !rehearses("dry_run: {rules: [q]}", &live));
        assert!(rehearses("dry_run: true", &live) && rehearses("dry_run: {rules: [q, r]}", &live));
    }

    #[test]
    fn mistakes_are_found() {
        for (yaml, part) in [
            ("never: [{owner: a, reason: b}]", "`id` or a `name`"),
            ("never: [{id: 1, name: a, owner: a, reason: b}]", "`id` or a `name`"),
            ("never: [{id: 1, owner: '', reason: b}]", "`owner`"),
            ("at_most: [{per: 1h}]", "`accounts` or `percent`"),
            ("url: 'mailto:x'", "http"),
        ] {
            let problems = config(yaml).problems();
            assert!(problems.iter().any(|(_, what)| what.contains(part)), "{yaml}: {problems:?}");
        }
        for wrong in ["at_most: [{percent: 0, per: 1h}]", "never: [{id: 1, owner: a}]", "dry_rum: true"] {
            assert!(serde_yaml::from_str::<ResponsesConfig>(wrong).is_err(), "{wrong}");
        }
    }
}
