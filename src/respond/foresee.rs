//! What a responder would find and do, as far as that can be said without asking anybody: for backtests.

use super::{ResponderConfig, Standing, Subject, Verb, github, gitlab, http, target};
use crate::encode::Notification;
use crate::event::Format;

impl ResponderConfig {
    /// What it does.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Gitlab(config) => config.change.verb(),
            Self::Github(config) => config.change.verb(),
            Self::Http(config) => Verb {
                plain: "change",
                past: "changed",
                undo: if config.undo.is_some() { Some("undo") } else { None },
            },
        }
    }

    /// `type` in the configuration and what it does, for people.
    #[must_use]
    pub fn words(&self) -> String {
        let plain = self.verb().plain;
        match self {
            Self::Gitlab(config) if config.change.is_of_account() => format!("gitlab, {plain} the account"),
            Self::Gitlab(_) => format!("gitlab, {plain}"),
            Self::Github(_) => format!("github, {plain}"),
            Self::Http(config) => format!("http, {} as a response", config.method),
        }
    }

    /// Whether what it changes is an account and named by its number.
    #[must_use]
    pub const fn is_of_account(&self) -> bool {
        match self {
            Self::Gitlab(config) => config.change.is_of_account(),
            Self::Github(_) | Self::Http(_) => false,
        }
    }

    /// What an alert is about. Events that are not at hand are no reason against it, as backtests keep few of them.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub fn subject(&self, told: &Notification) -> Result<Subject, String> {
        match self {
            Self::Gitlab(config) => gitlab::foreseen(config, told),
            Self::Github(config) => github::foreseen(config, told),
            Self::Http(config) => http::foreseen(config, told),
        }
    }

    /// Why an alert is about another system, if so.
    #[must_use]
    pub fn elsewhere(&self, told: &Notification) -> Option<String> {
        match self {
            Self::Gitlab(config) => target::foreign(told, &config.forge, Format::Gitlab),
            Self::Github(config) => target::foreign(told, &config.forge, Format::Github),
            Self::Http(_) => None,
        }
    }

    /// What it finds to do with something that earlier responses brought into this state (none: nobody has touched it),
    /// and the state in which it leaves it.
    #[must_use]
    pub fn foresee(&self, state: Option<&str>) -> (Standing, &'static str) {
        if let Self::Gitlab(config) = self
            && config.change.is_of_account()
        {
            return gitlab::foresee(config.change, state);
        }
        let done = self.verb().past;
        // Who cannot look finds something to do each time.
        let state = state.filter(|_| !matches!(self, Self::Http(config) if config.look.is_none()));
        (if state == Some(done) { Standing::Already } else { Standing::ToDo }, done)
    }

    /// The fields of an alert's events that it looks at where the alert's key has no such field.
    #[must_use]
    pub fn looks_at(&self) -> Vec<&str> {
        let (user, more) = match self {
            Self::Gitlab(config) if config.change.is_of_account() => (&config.user, None),
            Self::Gitlab(config) => (&config.user, config.target.as_deref()),
            Self::Github(config) => (&config.user, config.target.as_deref()),
            Self::Http(config) => (&config.user, config.within.as_deref()),
        };
        let mut fields: Vec<&str> = std::iter::once(user.as_str()).chain(more).collect();
        match self {
            Self::Gitlab(config) if !config.change.is_of_account() => {
                fields.extend(["entity_type", "entity_id", "target_type", "target_id", "details"]);
            }
            Self::Github(_) => fields.push("org"),
            Self::Gitlab(_) | Self::Http(_) => {}
        }
        fields
    }

    /// What it finds out from the other side before it acts, for people; none if it asks nothing.
    #[must_use]
    pub fn asks(&self) -> Option<String> {
        let past = self.verb().past;
        match self {
            Self::Gitlab(config) if config.change.is_of_account() => Some(format!(
                "not known without asking GitLab: whether the account exists, is {past} already, or is an administrator, a bot or \
                 Watchfire's own, which are never touched"
            )),
            Self::Gitlab(_) => {
                Some(format!("not known without asking GitLab: whether it exists and is not {past} yet"))
            }
            Self::Github(_) => {
                Some(format!("not known without asking GitHub: whether it exists and is not {past} yet"))
            }
            Self::Http(config) if config.look.is_some() => {
                Some("not known without asking: whether it is done already".to_owned())
            }
            Self::Http(_) => None,
        }
    }
}
