//! The configured actions, built and ready, by name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::alert::Occasion;
use crate::deliver::{BuildContext, DeliveryError};
use crate::encode::{CheckpointNote, Notice, Notification};
use crate::report::render::ReportMail;
use crate::store::{DeliveryKind, Outcome};
use crate::time::{Span, Timestamp};

use super::command::Command;
use super::config::Problem;
use super::email::Email;
use super::http::Http;
use super::notifier::Notifier;
use super::webhook::Webhook;
use super::{ActionConfig, ActionError, GuardInput, Memory, Responding};
use crate::respond::{Guards, Policy, Responder};

/// One action, ready to run.
pub struct Action {
    name: String,
    body: Body,
}

enum Body {
    Email(Email),
    Webhook(Webhook),
    Http(Http),
    Command(Command),
    Target(Box<Notifier>),
    Memory(Memory),
    Respond(Box<Responding>),
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Action({}, {:?})", self.name, self.kind())
    }
}

impl Action {
    /// Builds an action: reads its secrets, compiles its templates. Nothing is connected yet.
    ///
    /// # Errors
    /// When a secret is missing or a setting makes no sense.
    pub fn build(name: &str, config: &ActionConfig, context: &BuildContext<'_>) -> Result<Self, ActionError> {
        let body: Result<Body, Problem> = match config {
            ActionConfig::Email(config) => Email::build(config, context).map(Body::Email),
            ActionConfig::Webhook(config) => Webhook::build(config, context).map(Body::Webhook),
            ActionConfig::Http(config) => Http::build(config, context).map(Body::Http),
            ActionConfig::Respond(config) => {
                config.build(context).map(|built| Body::Respond(Box::new(built)))
            }
            ActionConfig::Command(config) => Command::build(config, context).map(Body::Command),
            ActionConfig::Target(config) => config.build(context).map(Box::new).map(Body::Target),
        };
        let body = body.map_err(|problem| ActionError { name: name.to_owned(), problem })?;
        Ok(Self { name: name.to_owned(), body })
    }

    /// An action that only collects what it is given, for tests.
    #[must_use]
    pub fn memory(name: &str, memory: Memory) -> Self {
        Self { name: name.to_owned(), body: Body::Memory(memory) }
    }

    /// An action that changes something, within these guards.
    #[must_use]
    pub fn responding(name: &str, responder: Responder, guards: Guards) -> Self {
        let response = Responding { responder, guards, by_hand: None };
        Self { name: name.to_owned(), body: Body::Respond(Box::new(response)) }
    }

    /// What it changes and what guards it, where it changes something.
    #[must_use]
    pub fn response(&self) -> Option<&Responding> {
        match &self.body {
            Body::Respond(response) => Some(response),
            _ => None,
        }
    }

    /// Its configured name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it changes the world or tells somebody.
    #[must_use]
    pub fn kind(&self) -> DeliveryKind {
        match &self.body {
            Body::Email(_) | Body::Webhook(_) | Body::Command(_) | Body::Target(_) | Body::Http(_) => {
                DeliveryKind::Notify
            }
            Body::Respond(_) => DeliveryKind::Respond,
            Body::Memory(memory) => memory.kind(),
        }
    }

    /// Whether it is told of an alert on this occasion.
    #[must_use]
    pub fn wants(&self, occasion: Occasion) -> bool {
        match &self.body {
            Body::Email(email) => email.wants(occasion),
            Body::Webhook(webhook) => webhook.wants(occasion),
            Body::Command(command) => command.wants(occasion),
            Body::Target(target) => target.wants(occasion),
            Body::Http(_) => matches!(occasion, Occasion::Opened | Occasion::Reminder | Occasion::Escalated),
            Body::Respond(_) => matches!(occasion, Occasion::Opened | Occasion::Undo),
            Body::Memory(_) => true,
        }
    }

    /// How many of its deliveries, each of another alert, may be on their way at once.
    #[must_use]
    pub fn parallel(&self) -> usize {
        match &self.body {
            Body::Webhook(_) => 4,
            Body::Target(target) => target.parallel(),
            _ => 1,
        }
    }

    /// What it would send or run, without its secrets and without doing it.
    ///
    /// # Errors
    /// When that cannot be said: a template asks for what is not there, or it is a response.
    pub fn preview(&self, notification: &Notification, now: Timestamp) -> Result<String, DeliveryError> {
        match &self.body {
            Body::Email(email) => email.preview(notification, now),
            Body::Webhook(webhook) => webhook.preview(notification, now),
            Body::Command(command) => command.preview(notification),
            Body::Target(target) => target.preview(notification, now),
            Body::Http(http) => http.preview(notification),
            Body::Respond(_) => {
                Err(DeliveryError::permanent(format!("`{}` responds; it tells nobody", self.name)))
            }
            Body::Memory(_) => Ok("kept in memory".to_owned()),
        }
    }

    /// Over what time its changes are counted for [`GuardInput::recent`]; none: it has no limit.
    #[must_use]
    pub fn limit_span(&self) -> Option<Span> {
        match &self.body {
            Body::Http(http) => http.limit().map(|limit| limit.per),
            _ => None,
        }
    }

    /// Does it once. Doing it again for the same notification does no harm: receivers get the same idempotency
    /// key, and accounts are looked at before they are changed.
    ///
    /// # Errors
    /// When it did not succeed; says whether trying again can help.
    pub async fn run(
        &self,
        notification: &Notification,
        guard: &GuardInput,
    ) -> Result<Outcome, DeliveryError> {
        match &self.body {
            Body::Email(email) => email.run(notification, guard).await,
            Body::Webhook(webhook) => webhook.run(notification, guard).await,
            Body::Http(http) => http.run(notification, guard).await,
            Body::Command(command) => command.run(notification).await,
            Body::Target(target) => target.run(notification, guard.now).await,
            Body::Memory(memory) => memory.run(notification),
            Body::Respond(_) => Err(DeliveryError::permanent(format!("`{}` tells nobody", self.name))),
        }
    }

    /// Hands a checkpoint to those who are told of alerts. Doing it again does no harm, as above.
    ///
    /// # Errors
    /// When it did not succeed; for good where the action tells nobody.
    pub async fn keep(&self, note: &CheckpointNote, now: Timestamp) -> Result<Outcome, DeliveryError> {
        match &self.body {
            Body::Email(email) => email.keep(note, now).await,
            Body::Webhook(webhook) => webhook.keep(note, now).await,
            Body::Command(command) => command.keep(note).await,
            Body::Target(target) => target.keep(note, now).await,
            Body::Http(_) | Body::Memory(_) | Body::Respond(_) => {
                Err(DeliveryError::permanent(format!("`{}` cannot keep checkpoints", self.name)))
            }
        }
    }

    /// Tells what is no alert, under this idempotency key. Doing it again does no harm, as above.
    ///
    /// # Errors
    /// When it did not succeed; for good where the action tells nobody.
    pub async fn tell(&self, notice: &Notice, key: &str, now: Timestamp) -> Result<Outcome, DeliveryError> {
        match &self.body {
            Body::Email(email) => email.tell(notice, (key, now)).await,
            Body::Webhook(webhook) => webhook.tell(notice, (key, now)).await,
            Body::Command(command) => command.tell(notice, key).await,
            Body::Target(target) => target.tell(notice, key, now).await,
            Body::Memory(memory) => memory.tell(notice),
            Body::Http(_) | Body::Respond(_) => {
                Err(DeliveryError::permanent(format!("`{}` tells nobody", self.name)))
            }
        }
    }

    /// Mails a report under this key; only an email action can.
    ///
    /// # Errors
    /// As [`Action::run`].
    pub async fn report(
        &self,
        mail: &ReportMail,
        key: &str,
        now: Timestamp,
    ) -> Result<Outcome, DeliveryError> {
        match &self.body {
            Body::Email(email) => email.report(mail, (key, now)).await,
            _ => Err(DeliveryError::permanent(format!(
                "reports are mailed, and `{}` is no email action",
                self.name
            ))),
        }
    }
}

/// All configured actions.
#[derive(Debug, Clone, Default)]
pub struct ActionSet {
    actions: BTreeMap<String, Arc<Action>>,
    policy: Arc<Policy>,
}

impl ActionSet {
    /// Builds all of them.
    ///
    /// # Errors
    /// The first that cannot be built.
    pub fn build(
        configs: &BTreeMap<String, ActionConfig>,
        context: &BuildContext<'_>,
    ) -> Result<Self, ActionError> {
        configs.iter().map(|(name, config)| Action::build(name, config, context)).collect()
    }

    /// With what holds for all responses together.
    #[must_use]
    pub fn under(self, policy: Policy) -> Self {
        Self { policy: Arc::new(policy), ..self }
    }

    /// What holds for all responses together.
    #[must_use]
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The action of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Action>> {
        self.actions.get(name).cloned()
    }

    /// Whether the action of that name responds or notifies.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<DeliveryKind> {
        self.actions.get(name).map(|action| action.kind())
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.actions.keys().map(String::as_str)
    }
}

impl FromIterator<Action> for ActionSet {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        let actions = actions.into_iter().map(|action| (action.name.clone(), Arc::new(action))).collect();
        Self { actions, policy: Arc::default() }
    }
}
