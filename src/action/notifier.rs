//! What all services that are told over HTTP have in common: one sender, one way to be asked, one way to fail.
//!
//! A service is a [`Target`]: it says which request comes next for a card, from the answers so far, or that it is done. It
//! knows no network, no clock and no retry.

use std::collections::BTreeSet;
use std::path::PathBuf;

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;

use crate::alert::Occasion;
use crate::deliver::{
    self, Answer, BuildContext, DeliveryError, HttpOptions, Method, Request, Secret, SecretRef, TextOrSecret,
    Url, header, parse_url, set_content_type,
};
use crate::encode::{Card, CheckpointNote, Escape, Notice, Notification, Other, Template, notification_json};
use crate::store::Outcome;
use crate::time::{Span, Timestamp};

use super::config::Problem;
pub(super) use super::habits::Habits;

/// A shorter part of a URL is no secret.
const SECRET_CHARS_MIN: usize = 12;
/// Requests that one message may need.
const STEPS_MAX: usize = 6;
/// What comes next for a card.
#[derive(Debug)]
pub(super) enum Step {
    /// This is to be sent.
    Ask(Box<Request>),
    /// It is told; what there is to say about that.
    Done(String),
}

/// A service that can be told.
pub(super) trait Target: Send + Sync {
    /// How it is told.
    fn habits(&self) -> Habits {
        Habits::CHAT
    }

    /// The next step after these answers.
    fn step(&self, card: &Card, answers: &[Answer], now: Timestamp) -> Result<Step, DeliveryError>;
}

/// What every target is configured with, beside its own settings.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Where to.
    pub(super) url: TextOrSecret,
    pub(super) ca: Option<PathBuf>,
    pub(super) timeout: Span,
    pub(super) occasions: Option<Vec<Occasion>>,
    pub(super) title: Option<String>,
    pub(super) text: Option<String>,
}

/// A target and what its errors must not show.
pub(super) struct Described {
    pub(super) target: Box<dyn Target>,
    pub(super) secrets: Vec<Secret>,
}

/// The settings of a target.
pub(super) trait Settings {
    /// What it shares with the others.
    fn shared(&self) -> Shared;

    /// Its own secrets, the URL aside.
    fn secrets(&mut self) -> Vec<&mut SecretRef>;

    /// The URL, and the file that a check on another machine does not have.
    fn place(&mut self) -> (&mut TextOrSecret, &mut Option<PathBuf>);

    /// Reads its secrets and checks its settings.
    fn describe(&self, url: Url, context: &BuildContext<'_>) -> Result<Described, Problem>;
}

/// A setting that may be a secret.
pub(super) trait Holds {
    fn held(&mut self) -> Option<&mut SecretRef>;
}

impl Holds for SecretRef {
    fn held(&mut self) -> Option<&mut SecretRef> {
        Some(self)
    }
}

impl Holds for Option<SecretRef> {
    fn held(&mut self) -> Option<&mut SecretRef> {
        self.as_mut()
    }
}

impl Holds for TextOrSecret {
    fn held(&mut self) -> Option<&mut SecretRef> {
        match self {
            Self::Secret(reference) => Some(reference),
            Self::Text(_) => None,
        }
    }
}

/// Adds the shared keys to a target's settings.
macro_rules! settings {
    ($(#[$about:meta])* $name:ident secrets($($secret:ident),*) { $($(#[$meta:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$meta])* pub $field: $kind,)*
            /// A PEM file with further root certificates.
            #[serde(default)]
            pub ca: Option<std::path::PathBuf>,
            /// For each call.
            #[serde(default = "crate::action::notifier::timeout", deserialize_with = "crate::deliver::span")]
            pub timeout: crate::time::Span,
            /// When an alert is told; absent: when the service can make something of it.
            #[serde(default, deserialize_with = "crate::action::occasions::named")]
            pub occasions: Option<Vec<crate::alert::Occasion>>,
            /// minijinja over the alert's JSON, in place of its title.
            #[serde(default)]
            pub title: Option<String>,
            /// minijinja over the alert's JSON, in place of the sentence that says why.
            #[serde(default)]
            pub text: Option<String>,
        }

        impl $name {
            pub(in crate::action) fn shared_settings(&self) -> crate::action::notifier::Shared {
                crate::action::notifier::Shared {
                    url: self.url.clone(),
                    ca: self.ca.clone(),
                    timeout: self.timeout,
                    occasions: self.occasions.clone(),
                    title: self.title.clone(),
                    text: self.text.clone(),
                }
            }
        }

        impl crate::action::notifier::Settings for $name {
            fn shared(&self) -> crate::action::notifier::Shared {
                self.shared_settings()
            }

            fn secrets(&mut self) -> Vec<&mut crate::deliver::SecretRef> {
                let held: Vec<Option<&mut crate::deliver::SecretRef>> =
                    vec![$(crate::action::notifier::Holds::held(&mut self.$secret)),*];
                held.into_iter().flatten().collect()
            }

            fn place(&mut self) -> (&mut crate::deliver::TextOrSecret, &mut Option<std::path::PathBuf>) {
                (&mut self.url, &mut self.ca)
            }

            fn describe(
                &self,
                url: crate::deliver::Url,
                context: &crate::deliver::BuildContext<'_>,
            ) -> Result<crate::action::notifier::Described, crate::action::config::Problem> {
                self.target(url, context)
            }
        }
    };
}
pub(super) use settings;

pub(super) const fn timeout() -> Span {
    deliver::TIMEOUT
}

/// A service with the one sender.
pub(super) struct Notifier {
    http: deliver::Http,
    target: Box<dyn Target>,
    occasions: Option<Vec<Occasion>>,
    title: Option<Template>,
    text: Option<Template>,
}

impl Notifier {
    pub(super) fn build(settings: &dyn Settings, context: &BuildContext<'_>) -> Result<Self, Problem> {
        let shared = settings.shared();
        let url = shared.url.resolve(context)?;
        let parsed = parse_url(url.expose())?;
        // Services quote the path they were asked for, which is what an incoming webhook's secret is.
        let parts = [parsed.path().to_owned(), parsed.query().unwrap_or_default().to_owned()];
        let parts = parts.into_iter().filter(|part| part.len() >= SECRET_CHARS_MIN).map(Secret::new);
        let Described { target, mut secrets } = settings.describe(parsed.clone(), context)?;
        secrets.extend(parts);
        let compile = |key: &str, text: &Option<String>| {
            let compiled = text.as_ref().map(|text| Template::new(text, Escape::Plain)).transpose();
            compiled.map_err(|error| Problem::Template { key: key.to_owned(), error })
        };
        let ca = shared.ca.as_ref().map(|path| context.base.join(path));
        let options = HttpOptions { url: url.expose(), timeout: shared.timeout, ca: ca.as_deref() };
        Ok(Self {
            http: deliver::Http::within(&options, secrets, context.egress)?,
            target,
            title: compile("title", &shared.title)?,
            text: compile("text", &shared.text)?,
            occasions: shared.occasions,
        })
    }

    pub(super) fn wants(&self, occasion: Occasion) -> bool {
        match &self.occasions {
            Some(occasions) => occasions.contains(&occasion),
            None => self.target.habits().told.contains(&occasion),
        }
    }

    pub(super) fn parallel(&self) -> usize {
        self.target.habits().parallel
    }

    pub(super) async fn run(
        &self,
        notification: &Notification,
        now: Timestamp,
    ) -> Result<Outcome, DeliveryError> {
        if !self.target.habits().is_keyed || notification.others.is_empty() {
            return self.send(&self.card(notification)?, now).await;
        }
        let first = Notification { others: Vec::new(), ..notification.clone() };
        let outcome = self.send(&self.card(&first)?, now).await?;
        for Other { alert, triage, rule } in &notification.others {
            // Its events are not at hand. If one fails all are told again, which their keys make harmless.
            let one = Notification {
                alert: alert.clone(),
                triage: triage.clone(),
                rule: rule.clone(),
                events: Vec::new(),
                places: BTreeSet::new(),
                responses: Vec::new(),
                incident: None,
                earlier: None,
                idempotency_key: format!("{}-{}", notification.idempotency_key, alert.id),
                ..first.clone()
            };
            self.send(&self.card(&one)?, now).await?;
        }
        Ok(outcome)
    }

    pub(super) async fn tell(
        &self,
        notice: &Notice,
        key: &str,
        now: Timestamp,
    ) -> Result<Outcome, DeliveryError> {
        self.send(&Card::of_notice(notice, key), now).await
    }

    pub(super) async fn keep(&self, note: &CheckpointNote, now: Timestamp) -> Result<Outcome, DeliveryError> {
        self.send(&note.card(), now).await
    }

    /// The first request, as a person may see it.
    pub(super) fn preview(
        &self,
        notification: &Notification,
        now: Timestamp,
    ) -> Result<String, DeliveryError> {
        match self.target.step(&self.card(notification)?, &[], now)? {
            Step::Ask(request) => Ok(self.http.shown(&request)),
            Step::Done(said) => Ok(said),
        }
    }

    /// What is told, in the words of the user's templates where there are any.
    fn card(&self, notification: &Notification) -> Result<Card, DeliveryError> {
        let mut card = Card::of(notification);
        if self.title.is_none() && self.text.is_none() {
            return Ok(card);
        }
        let context = notification_json(notification);
        let filled = |key: &str, template: &Template| {
            template.render(&context).map_err(|error| DeliveryError::permanent(format!("{key}: {error}")))
        };
        if let Some(title) = &self.title {
            card.retitle(&filled("title", title)?);
        }
        if let Some(text) = &self.text {
            card.reword(&filled("text", text)?);
        }
        Ok(card)
    }

    async fn send(&self, card: &Card, now: Timestamp) -> Result<Outcome, DeliveryError> {
        let mut answers = Vec::new();
        loop {
            match self.target.step(card, &answers, now)? {
                Step::Done(summary) => {
                    return Ok(Outcome {
                        changed: false,
                        dry_run: false,
                        summary,
                        undo: None,
                        needs_human: false,
                    });
                }
                Step::Ask(_) if answers.len() == STEPS_MAX => {
                    return Err(DeliveryError::permanent("the service wants to be asked without end"));
                }
                Step::Ask(mut request) => {
                    if let Ok(key) = HeaderValue::try_from(card.idempotency_key.as_str()) {
                        request.headers.insert("idempotency-key", key);
                    }
                    answers.push(self.http.send(*request, now).await?);
                }
            }
        }
    }
}

/// A target of one request: it is asked once, and its answer is success or not.
pub(super) fn once(
    answers: &[Answer],
    request: impl FnOnce() -> Result<Request, DeliveryError>,
    judge: impl FnOnce(&Answer) -> Result<String, DeliveryError>,
) -> Result<Step, DeliveryError> {
    match answers {
        [] => request().map(Box::new).map(Step::Ask),
        [answer, ..] => judge(answer).map(Step::Done),
    }
}

/// Whether the answer has one of these statuses; else its failure.
pub(super) fn is_one_of(answer: &Answer, expected: &[u16]) -> Result<String, DeliveryError> {
    match answer.status {
        status if expected.contains(&status) => Ok(answer.summary()),
        200..300 => Err(answer.unlike(&format!("with one of {expected:?}"))),
        _ => Err(answer.failure()),
    }
}

/// JSON that is posted.
pub(super) fn post(url: Url, mut headers: HeaderMap, body: &Value) -> Request {
    set_content_type(&mut headers, "application/json");
    Request { method: Method::POST, url, headers, body: Some(body.to_string().into()) }
}

/// A header that holds a secret.
pub(super) fn secret_header(name: &str, value: &str) -> Result<HeaderMap, Problem> {
    Ok(HeaderMap::from_iter([header(name, value)?]))
}

/// A URL with these segments behind its path. Segments are percent-encoded.
pub(super) fn below(url: &Url, segments: &[&str]) -> Result<Url, DeliveryError> {
    let mut url = url.clone();
    match url.path_segments_mut() {
        Ok(mut path) => {
            path.pop_if_empty().extend(segments);
        }
        Err(()) => return Err(DeliveryError::permanent("url: it has no path")),
    }
    Ok(url)
}
