//! The one list of the services.

use serde::{Deserialize, Deserializer};

use crate::deliver::{BuildContext, SecretRef, TextOrSecret};

use super::super::config::Problem;
use super::super::notifier::{Notifier, Settings};

macro_rules! targets {
    ($($name:literal => $variant:ident, $module:ident::$config:ident;)*) => {
        $(pub use super::$module::$config;)*

        /// A service to be told, as configured.
        #[derive(Debug, Clone)]
        pub enum TargetConfig {
            $(#[doc = concat!("`type: ", $name, "`.")] $variant($config),)*
        }

        impl TargetConfig {
            /// What `type` may be, beside the other kinds of actions.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// Its `type`.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            /// Reads the settings of one; none: there is no service of that name.
            pub(in crate::action) fn read<'de, D: Deserializer<'de>>(kind: &str, rest: D) -> Option<Result<Self, D::Error>> {
                match kind {
                    $($name => Some(Deserialize::deserialize(rest).map(Self::$variant)),)*
                    _ => None,
                }
            }

            fn settings(&self) -> &dyn Settings {
                match self { $(Self::$variant(config) => config,)* }
            }

            fn settings_mut(&mut self) -> &mut dyn Settings {
                match self { $(Self::$variant(config) => config,)* }
            }
        }
    };
}

targets! {
    "slack" => Slack, slack::SlackConfig;
    "teams" => Teams, teams::TeamsConfig;
    "discord" => Discord, discord::DiscordConfig;
    "mattermost" => Mattermost, mattermost::MattermostConfig;
    "telegram" => Telegram, telegram::TelegramConfig;
    "pagerduty" => Pagerduty, pagerduty::PagerdutyConfig;
    "opsgenie" => Opsgenie, opsgenie::OpsgenieConfig;
    "jira" => Jira, jira::JiraConfig;
    "gitlab_issue" => GitlabIssue, gitlab_issue::GitlabIssueConfig;
    "gitlab_alert" => GitlabAlert, gitlab_alert::GitlabAlertConfig;
    "alertmanager" => Alertmanager, alertmanager::AlertmanagerConfig;
    "ntfy" => Ntfy, ntfy::NtfyConfig;
}

impl TargetConfig {
    pub(in crate::action) fn build(&self, context: &BuildContext<'_>) -> Result<Notifier, Problem> {
        Notifier::build(self.settings(), context)
    }

    /// Puts stand-ins in place of secrets, and leaves out the certificate file.
    pub fn cover(&mut self, secret: &SecretRef, address: impl Fn(&TextOrSecret) -> TextOrSecret) {
        let settings = self.settings_mut();
        for own in settings.secrets() {
            *own = secret.clone();
        }
        let (url, ca) = settings.place();
        *url = address(url);
        *ca = None;
    }
}
