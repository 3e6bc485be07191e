//! `type: http` as a response: any other system, by templates of its calls.
//!
//! With `look` it is seen before and after and done once, as with the forges. Without it nothing can be read back: what is
//! said then is that the system answered, never that it did it; and after a crash the call may be made twice.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::deliver::{BuildContext, DeliveryError, TIMEOUT, TextOrSecret, one_line, span};
use crate::encode::Notification;
use crate::time::{Span, Timestamp};

use super::http_call::HttpCall;
use super::target::target;
use super::{Identity, Problem, Receipt, Sight, Standing, Subject, SubjectKind, Verb};

pub use super::http_call::RequestConfig;

/// The settings of an http response, without those of the guards. Texts are minijinja over `subject.id`, `subject.within`
/// and `subject.forge`; where something is undone, `before` is what `look` saw.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Where to; inserted values are percent-encoded.
    pub url: TextOrSecret,
    /// The method.
    #[serde(default = "super::http_call::post")]
    pub method: String,
    /// Sent along; a header that is kept as a secret is no template.
    #[serde(default)]
    pub headers: std::collections::BTreeMap<String, TextOrSecret>,
    /// Absent: no body.
    #[serde(default)]
    pub body: Option<String>,
    /// Of the body; decides how inserted values are escaped.
    #[serde(default = "super::http_call::json")]
    pub content_type: String,
    /// The statuses that mean success; empty: every 2xx.
    #[serde(default)]
    pub expect: Vec<u16>,
    /// Which system's accounts it is about: the `forge` of the events. Absent: of one forge, whichever it is.
    #[serde(default)]
    pub forge: Option<String>,
    /// The field of the alert that holds whom or what it is about.
    #[serde(default = "author_id")]
    pub user: String,
    /// The field of the alert that holds where that is, if its id alone does not tell.
    #[serde(default)]
    pub within: Option<String>,
    /// How it is seen whether it is done.
    #[serde(default)]
    pub look: Option<LookConfig>,
    /// How it is undone. Absent: it cannot be.
    #[serde(default)]
    pub undo: Option<RequestConfig>,
    /// A PEM file with further root certificates.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// For each call.
    #[serde(default = "timeout", deserialize_with = "span")]
    pub timeout: Span,
}

/// How the state of something is seen.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookConfig {
    /// The call; `method` is GET unless it says otherwise.
    pub request: RequestConfig,
    /// Where in the answer's JSON the state stands: `/user/status` (RFC 6901).
    pub pointer: String,
    /// The states in which it is to be done; empty: all but `after`.
    #[serde(default)]
    pub before: Vec<Value>,
    /// The state in which it is done.
    pub after: Value,
}

fn author_id() -> String {
    "author_id".to_owned()
}

const fn timeout() -> Span {
    TIMEOUT
}

/// What an alert is about, by the settings alone; also where its events are not at hand.
pub(super) fn foreseen(config: &HttpConfig, notification: &Notification) -> Result<Subject, String> {
    if notification.places.is_empty() {
        let id = target(notification, &config.user)?;
        let forge = config.forge.clone().unwrap_or_default();
        return Ok(Subject { forge, kind: SubjectKind::Other, id, within: None });
    }
    subject((&config.user, config.within.as_ref(), config.forge.as_ref()), notification)
}

fn subject(
    (user, within, forge): (&str, Option<&String>, Option<&String>),
    notification: &Notification,
) -> Result<Subject, String> {
    let id = target(notification, user)?;
    let within = within.map(|field| target(notification, field)).transpose()?;
    let mut forges: Vec<&str> = notification.places.iter().map(|place| &*place.forge).collect();
    forges.dedup();
    let found = match forges.as_slice() {
        [one] => (*one).to_owned(),
        [] => {
            return Err(
                "none of the alert's events is at hand, so it is not known where they happened".to_owned()
            );
        }
        many => {
            return Err(format!("the alert has events of {} forges: {}", many.len(), many.join(", ")));
        }
    };
    match forge {
        Some(wanted) if *wanted != found => {
            Err(format!("the alert has an event of the forge {found}, and this action is for {wanted}"))
        }
        _ => Ok(Subject { forge: found, kind: SubjectKind::Other, id, within }),
    }
}

/// A response by template.
pub(crate) struct Http {
    act: HttpCall,
    look: Option<(HttpCall, LookConfig)>,
    undo: Option<HttpCall>,
    forge: Option<String>,
    user: String,
    within: Option<String>,
}

impl Http {
    pub(crate) fn build(config: &HttpConfig, context: &BuildContext<'_>) -> Result<Self, Problem> {
        let act = RequestConfig {
            url: config.url.clone(),
            method: Some(config.method.clone()),
            headers: config.headers.clone(),
            body: config.body.clone(),
            content_type: config.content_type.clone(),
            expect: config.expect.clone(),
        };
        let call = |key: &str, request: &RequestConfig, method: &str| {
            HttpCall::build((key, request, method), (config.timeout, config.ca.as_deref()), context)
        };
        let look = match &config.look {
            Some(look) if !look.pointer.is_empty() && !look.pointer.starts_with('/') => {
                let reason = format!("look.pointer: `{}` does not begin with `/`", look.pointer);
                return Err(Problem::setting(reason));
            }
            Some(look) => Some((call("look.request.", &look.request, "GET")?, look.clone())),
            None => None,
        };
        let http = Self {
            act: call("", &act, "POST")?,
            look,
            undo: config.undo.as_ref().map(|undo| call("undo.", undo, "POST")).transpose()?,
            forge: config.forge.clone(),
            user: config.user.clone(),
            within: config.within.clone(),
        };
        http.check()?;
        Ok(http)
    }

    /// Templates that ask for what there is not are found now, not when they are needed.
    fn check(&self) -> Result<(), Problem> {
        let within = Some("within".to_owned());
        let sample =
            Subject { forge: "forge".to_owned(), kind: SubjectKind::Other, id: "1".to_owned(), within };
        let known = "in a response only `subject.id`, `subject.within`, `subject.forge` are known";
        let check = |key: &str, call: &HttpCall, before: Option<&Value>, more: &str| {
            let filled = call.request(&self.context(&sample, before));
            let problem =
                |error: DeliveryError| Problem::setting(format!("{key}{}; {known}{more}", error.reason()));
            filled.map(drop).map_err(problem)
        };
        check("", &self.act, None, "")?;
        if let Some((look, _)) = &self.look {
            check("look.request.", look, None, "")?;
        }
        match &self.undo {
            Some(undo) => check("undo.", undo, Some(&json!("before")), ", and `before`"),
            None => Ok(()),
        }
    }

    pub(crate) const fn verb(&self) -> Verb {
        let undo = if self.undo.is_some() { Some("undo") } else { None };
        Verb { plain: "change", past: "changed", undo }
    }

    /// A hash of its address.
    pub(crate) fn aim(&self) -> String {
        self.act.aim().to_owned()
    }

    /// Whether its effect can be seen.
    pub(crate) const fn reads_back(&self) -> bool {
        self.look.is_some()
    }

    pub(crate) fn subject(&self, notification: &Notification) -> Result<Subject, String> {
        subject((&self.user, self.within.as_ref(), self.forge.as_ref()), notification)
    }

    /// Whoever has this id, where it is said which system's.
    pub(crate) fn named(&self, id: &str) -> Result<Subject, String> {
        let Some(forge) = self.forge.clone() else {
            return Err(
                "this action does not say which system's accounts it is about: set its `forge`".to_owned()
            );
        };
        if self.within.is_some() {
            return Err(
                "only an alert says where this is; ask with `--alert` and without `--user`".to_owned()
            );
        }
        Ok(Subject { forge, kind: SubjectKind::Other, id: id.to_owned(), within: None })
    }

    /// What the templates know. `alert.key` has the subject's id under the name of its field, as in notifications.
    fn context(&self, subject: &Subject, before: Option<&Value>) -> Value {
        let mut known = json!({
            "subject": {"id": subject.id, "forge": subject.forge},
            "alert": {"key": {self.user.as_str(): subject.id}},
        });
        if let Some(within) = &subject.within {
            known["subject"]["within"] = within.as_str().into();
        }
        if let Some(before) = before {
            known["before"] = before.clone();
        }
        known
    }

    pub(crate) async fn look(&self, subject: &Subject, now: Timestamp) -> Result<Sight, DeliveryError> {
        let id = subject.id.clone();
        let mut sight = Sight {
            who: one_line(&format!("{} {id}", self.user), 200),
            identity: Some(Identity { forge: subject.forge.clone(), id, name: None }),
            state: "not looked at".to_owned(),
            standing: Standing::ToDo,
            obstacles: Vec::new(),
            before: Value::Null,
            page: None,
        };
        let Some((call, look)) = &self.look else { return Ok(sight) };
        let answer = call.send(&self.context(subject, None), now).await?;
        if answer.status == 404 && !call.is_expected(&answer) {
            sight.standing = Standing::Missing;
            "not there".clone_into(&mut sight.state);
            return Ok(sight);
        }
        if !call.is_expected(&answer) {
            return Err(call.failure(&answer));
        }
        let value = answer.json()?.pointer(&look.pointer).cloned().ok_or_else(|| {
            let pointer = &look.pointer;
            DeliveryError::permanent(format!(
                "{call} answered {} without `{pointer}`: is `look.pointer` right?",
                answer.status
            ))
        })?;
        sight.standing = if value == look.after {
            Standing::Already
        } else if look.before.is_empty() || look.before.contains(&value) {
            Standing::ToDo
        } else {
            Standing::Impossible
        };
        sight.state = one_line(&value.to_string(), 100);
        sight.before = value;
        Ok(sight)
    }

    pub(crate) async fn act(&self, subject: &Subject, now: Timestamp) -> Result<Receipt, DeliveryError> {
        self.act.change(&self.context(subject, None), now).await
    }

    pub(crate) async fn undo(
        &self,
        subject: &Subject,
        before: &Value,
        now: Timestamp,
    ) -> Result<Receipt, DeliveryError> {
        let Some(undo) = &self.undo else {
            let reason = "there is no `undo` in this action's configuration: a person must undo it";
            return Err(DeliveryError::permanent(reason));
        };
        if self.look.is_some() {
            let current = self.look(subject, now).await?;
            if current.before == *before {
                let answer = format!("nothing to do: it is {}", current.state);
                return Ok(Receipt { request: "none".to_owned(), answer });
            }
            if current.standing != Standing::Already {
                return Err(DeliveryError::permanent(format!(
                    "{} is {} and not as Watchfire left it, so somebody else has changed it since: a person must decide",
                    current.who, current.state
                )));
            }
        }
        undo.change(&self.context(subject, Some(before)), now).await
    }
}
