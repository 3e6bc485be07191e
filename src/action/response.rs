//! Actions that change something: the settings of a responder with its guards among them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de};

use crate::deliver::{BuildContext, TIMEOUT, TextOrSecret, span};
use crate::encode::{Escape, Template};
use crate::respond::{self, Guarded, Guards, LookConfig, RequestConfig, Responder, ResponderConfig};
use crate::store::DeliveryKind;
use crate::time::Span;

use super::HttpConfig;
use super::config::Problem;

/// A response as written in the configuration.
#[derive(Debug, Clone)]
pub struct RespondConfig {
    /// What changes what.
    pub responder: ResponderConfig,
    /// What keeps it from doing harm.
    pub guards: Guards,
    /// How a person undoes it, as a template over the alert, where the configuration says so.
    pub by_hand: Option<String>,
}

/// A response, built and ready.
#[derive(Debug)]
pub struct Responding {
    /// Does it.
    pub responder: Responder,
    /// What keeps it from doing harm.
    pub guards: Guards,
    /// How a person undoes it.
    pub by_hand: Option<Template>,
}

impl RespondConfig {
    /// One of the forges.
    pub(super) fn of<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        rest: D,
        kind: fn(T) -> ResponderConfig,
    ) -> Result<Self, D::Error> {
        let Guarded { guards, settings } = Guarded::deserialize(rest)?;
        Ok(Self { responder: kind(settings), guards, by_hand: None })
    }

    pub(super) fn build(&self, context: &BuildContext<'_>) -> Result<Responding, Problem> {
        let compile = |text: &String| {
            Template::new(text, Escape::Plain)
                .map_err(|error| Problem::Template { key: "undo".to_owned(), error })
        };
        Ok(Responding {
            responder: Responder::build(&self.responder, context)?,
            guards: self.guards.clone(),
            by_hand: self.by_hand.as_ref().map(compile).transpose()?,
        })
    }
}

impl From<respond::Problem> for Problem {
    fn from(problem: respond::Problem) -> Self {
        match problem {
            respond::Problem::Connection(error) => Self::Connection(error),
            respond::Problem::Template { key, error } => Self::Template { key, error },
            respond::Problem::Setting(reason) => Self::Setting(reason),
        }
    }
}

/// `type: http`: by its `kind` it tells somebody or changes something.
#[derive(Debug)]
pub(super) enum Http {
    Notify(Box<HttpConfig>),
    Respond(Box<RespondConfig>),
}

/// All keys of both.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Both {
    url: TextOrSecret,
    #[serde(default = "post")]
    method: String,
    #[serde(default)]
    headers: BTreeMap<String, TextOrSecret>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default = "json")]
    content_type: String,
    #[serde(default)]
    expect: Vec<u16>,
    #[serde(default = "notify")]
    kind: DeliveryKind,
    #[serde(default = "author_id")]
    user: String,
    #[serde(default)]
    forge: Option<String>,
    #[serde(default)]
    within: Option<String>,
    #[serde(default)]
    look: Option<LookConfig>,
    #[serde(default)]
    undo: Option<Undo>,
    #[serde(default)]
    ca: Option<PathBuf>,
    #[serde(default = "timeout", deserialize_with = "span")]
    timeout: Span,
}

/// How it is undone: a sentence for a person, or a call.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Undo {
    ByHand(String),
    Call(Box<RequestConfig>),
}

fn post() -> String {
    "POST".to_owned()
}

fn json() -> String {
    "application/json".to_owned()
}

fn author_id() -> String {
    "author_id".to_owned()
}

const fn notify() -> DeliveryKind {
    DeliveryKind::Notify
}

const fn timeout() -> Span {
    TIMEOUT
}

impl<'de> Deserialize<'de> for Http {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Guarded { guards, settings } = Guarded::<Both>::deserialize(deserializer)?;
        if settings.kind == DeliveryKind::Respond {
            return Ok(Self::Respond(Box::new(responding(guards, settings))));
        }
        telling(guards, settings).map(|config| Self::Notify(Box::new(config))).map_err(de::Error::custom)
    }
}

fn responding(guards: Guards, both: Both) -> RespondConfig {
    let (undo, by_hand) = match both.undo {
        Some(Undo::Call(call)) => (Some(*call), None),
        Some(Undo::ByHand(text)) => (None, Some(text)),
        None => (None, None),
    };
    let settings = respond::HttpConfig {
        url: both.url,
        method: both.method,
        headers: both.headers,
        body: both.body,
        content_type: both.content_type,
        expect: both.expect,
        forge: both.forge,
        user: both.user,
        within: both.within,
        look: both.look,
        undo,
        ca: both.ca,
        timeout: both.timeout,
    };
    RespondConfig { responder: ResponderConfig::Http(settings), guards, by_hand }
}

fn telling(guards: Guards, both: Both) -> Result<HttpConfig, String> {
    let only = |key: &str| Err(format!("`{key}` belongs to `kind: respond`"));
    let undo = match both.undo {
        Some(Undo::Call(_)) => return only("undo"),
        Some(Undo::ByHand(text)) => Some(text),
        None => None,
    };
    for (key, is_given) in [
        ("forge", both.forge.is_some()),
        ("within", both.within.is_some()),
        ("look", both.look.is_some()),
        ("approvals", guards.approvals > 0),
        ("for", guards.lasts != respond::Ladder::default()),
        ("cool_down", guards.cool_down.is_some()),
    ] {
        if is_given {
            return only(key);
        }
    }
    Ok(HttpConfig {
        url: both.url,
        method: both.method,
        headers: both.headers,
        body: both.body,
        content_type: both.content_type,
        expect: both.expect,
        dry_run: guards.dry_run,
        never: guards.never,
        at_most: guards.at_most,
        user: both.user,
        undo,
        ca: both.ca,
        timeout: both.timeout,
    })
}
