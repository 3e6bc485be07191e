//! `type: gitlab`: blocks, unblocks, bans or unbans an account through GitLab's API.
//!
//! It looks first, refuses when in doubt, changes, and looks again. A second run finds the account as wanted and
//! is done: that is what makes a crash between the change and the record of it harmless.
//!
//! API: `GET /user`, `GET /users/:id`, `POST /users/:id/{block,unblock,ban,unban}` (doc/api/users.md and
//! doc/api/user_moderation.md); the token must be an administrator's with the `api` scope.

use std::path::PathBuf;

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use crate::deliver::{
    self, Answer, BuildContext, DeliveryError, HttpOptions, Method, Request, SecretRef, TIMEOUT, Url, header,
    one_line, parse_url, span,
};
use crate::encode::Notification;
use crate::store::Outcome;
use crate::time::{Span, Timestamp};

use super::config::{Problem, yes};
use super::gitlab_user::{Change, Own, User, Verdict, judge, limited, user_id};
use super::guard::refused;
use super::target::{elsewhere, target};
use super::{AtMost, GuardInput, Name};

/// The settings of a gitlab action.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitlabConfig {
    /// Where GitLab is, without `/api/v4`.
    pub url: String,
    /// Which system that is: the `forge` of the sources of its events. Alerts about others are refused.
    #[serde(default = "gitlab")]
    pub forge: String,
    /// An administrator's token with the `api` scope.
    pub token: SecretRef,
    /// What to do with the account.
    #[serde(rename = "do")]
    pub change: Change,
    /// Looks and decides, but changes nothing; on until somebody turns it off.
    #[serde(default = "yes")]
    pub dry_run: bool,
    /// Ids and names of accounts that are never changed.
    #[serde(default)]
    pub never: Vec<Name>,
    /// How often it may act before a person must decide.
    #[serde(default)]
    pub at_most: AtMost,
    /// The field of the alert that holds the account's id.
    #[serde(default = "author_id")]
    pub user: String,
    /// A PEM file with further root certificates.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// For each call.
    #[serde(default = "timeout", deserialize_with = "span")]
    pub timeout: Span,
}

fn gitlab() -> String {
    "gitlab".to_owned()
}

fn author_id() -> String {
    "author_id".to_owned()
}

const fn timeout() -> Span {
    TIMEOUT
}

/// A GitLab and what to do there.
pub(super) struct Gitlab {
    http: deliver::Http,
    /// Ends without a slash.
    base: String,
    headers: HeaderMap,
    forge: String,
    change: Change,
    dry_run: bool,
    never: Vec<Name>,
    limit: AtMost,
    field: String,
    /// The token's own account, asked for once.
    own: OnceCell<Own>,
}

impl Gitlab {
    pub(super) fn build(config: &GitlabConfig, context: &BuildContext<'_>) -> Result<Self, Problem> {
        let url = parse_url(&config.url)?;
        if url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
            || url.password().is_some()
        {
            let reason = "url: expected only GitLab's address, such as https://gitlab.example.com";
            return Err(Problem::Setting(reason.to_owned()));
        }
        let token = config.token.resolve(context.env, context.base)?;
        let headers = HeaderMap::from_iter([header("private-token", token.expose())?]);
        let ca = config.ca.as_ref().map(|path| context.base.join(path));
        let options = HttpOptions { url: &config.url, timeout: config.timeout, ca: ca.as_deref() };
        Ok(Self {
            http: deliver::Http::within(&options, vec![token], context.egress)?,
            base: url.as_str().trim_end_matches('/').to_owned(),
            headers,
            forge: config.forge.clone(),
            change: config.change,
            dry_run: config.dry_run,
            never: config.never.clone(),
            limit: config.at_most,
            field: config.user.clone(),
            own: OnceCell::new(),
        })
    }

    pub(super) const fn limit(&self) -> AtMost {
        self.limit
    }

    pub(super) async fn run(
        &self,
        notification: &Notification,
        guard: &GuardInput,
    ) -> Result<Outcome, DeliveryError> {
        let verb = self.change.verb();
        if let Some(reason) = elsewhere(notification, &self.forge) {
            return Ok(refused(&format!("{verb} anybody"), &reason, self.dry_run));
        }
        let found = target(notification, &self.field).and_then(|text| user_id(&text));
        let id = match found {
            Ok(id) => id,
            Err(reason) => return Ok(refused(&format!("{verb} anybody"), &reason, self.dry_run)),
        };
        let own = *self.own.get_or_try_init(|| self.own(guard.now)).await?;
        let Some(user) = self.user(id, guard.now).await? else {
            return Ok(refused(&format!("{verb} user {id}"), "GitLab has no such user", self.dry_run));
        };
        let who = format!("user {id} ({})", one_line(&user.username, 100));
        match limited(judge(self.change, &user, own, &self.never), self.limit, guard) {
            Verdict::Refuse(reason) => {
                let mut outcome = refused(&format!("{verb} {who}"), &reason, self.dry_run);
                // Where that person decides.
                outcome.summary.push_str(&format!(" at {}", self.page(&user)));
                Ok(outcome)
            }
            Verdict::Already => Ok(Outcome {
                // An earlier try of this delivery may have done it without hearing the answer: it counts.
                changed: notification.attempt > 1 && !self.dry_run,
                dry_run: self.dry_run,
                summary: format!("{who} is already {}", user.state),
                undo: (!self.dry_run).then(|| self.undo(&user)),
                needs_human: false,
            }),
            Verdict::Change if self.dry_run => Ok(Outcome {
                changed: false,
                dry_run: true,
                summary: format!("would {verb} {who}, now {}", user.state),
                undo: None,
                needs_human: false,
            }),
            Verdict::Change => self.change(&user, &who, guard.now).await,
        }
    }

    async fn change(&self, user: &User, who: &str, now: Timestamp) -> Result<Outcome, DeliveryError> {
        let (verb, past) = (self.change.verb(), self.change.past());
        let answer = self.call(Method::POST, &format!("users/{}/{verb}", user.id), now).await?;
        if !answer.is_success() {
            return Err(answer.failure());
        }
        let status = answer.status;
        match self.user(user.id, now).await? {
            Some(after) if after.state == self.change.state() => Ok(Outcome {
                changed: true,
                dry_run: false,
                summary: format!("{past} {who}; read back: {}", after.state),
                undo: Some(self.undo(user)),
                needs_human: false,
            }),
            after => {
                let state = after.map_or_else(|| "gone".to_owned(), |after| format!("still {}", after.state));
                let reason = format!(
                    "GitLab answered {status} to {verb} {who}, but the account is {state}: a person must look"
                );
                Err(DeliveryError::permanent(reason))
            }
        }
    }

    async fn own(&self, now: Timestamp) -> Result<Own, DeliveryError> {
        let answer = self.call(Method::GET, "user", now).await?;
        if answer.is_success() { parsed(&answer) } else { Err(answer.failure()) }
    }

    async fn user(&self, id: u64, now: Timestamp) -> Result<Option<User>, DeliveryError> {
        let answer = self.call(Method::GET, &format!("users/{id}"), now).await?;
        match answer.status {
            404 => Ok(None),
            _ if answer.is_success() => {
                let user: User = parsed(&answer)?;
                if user.id != id {
                    let reason = format!(
                        "GitLab was asked for user {id} and answered with user {}: a person must look",
                        user.id
                    );
                    return Err(DeliveryError::permanent(reason));
                }
                Ok(Some(user))
            }
            _ => Err(answer.failure()),
        }
    }

    async fn call(&self, method: Method, path: &str, now: Timestamp) -> Result<Answer, DeliveryError> {
        let url = Url::parse(&format!("{}/api/v4/{path}", self.base))
            .map_err(|error| DeliveryError::permanent(format!("GitLab's URL: {error}")))?;
        self.http.send(Request { method, url, headers: self.headers.clone(), body: None }, now).await
    }

    /// The account in the administrators' pages.
    fn page(&self, user: &User) -> String {
        format!("{}/admin/users/{}", self.base, one_line(&user.username, 100))
    }

    fn undo(&self, user: &User) -> String {
        let (base, id, undo) = (&self.base, user.id, self.change.opposite().verb());
        let page = self.page(user);
        format!(
            "in the browser: {page}, button \"{undo}\"\n\
             or: curl --request POST --header \"PRIVATE-TOKEN: $ADMIN_TOKEN\" {base}/api/v4/users/{id}/{undo}"
        )
    }
}

/// What GitLab says, or that something between us and it says something else.
fn parsed<T: DeserializeOwned>(answer: &Answer) -> Result<T, DeliveryError> {
    serde_json::from_value(answer.json()?).map_err(|error| {
        DeliveryError::retryable(format!(
            "GitLab answered {} without the fields of a user: {error}",
            answer.status
        ))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::stand_in::{SECRET, Say, StandIn, action, try_action};
    use super::*;
    use crate::encode::Place;
    use crate::encode::tests_support::notification;
    use crate::event::Format;

    const NOW: Timestamp = Timestamp(1_769_850_000_000);
    const CALM: GuardInput = GuardInput { recent: 0, now: NOW };

    fn user(state: &str) -> Value {
        json!({"id": 7, "username": "alice", "state": state, "is_admin": false, "bot": false, "locked": false})
    }

    fn own() -> Say {
        Say::json(200, json!({"id": 99, "username": "watchfire", "is_admin": true}))
    }

    /// Runs against a GitLab that first says who we are and then `answers`.
    async fn run(
        settings: &str,
        answers: Vec<Say>,
        guard: GuardInput,
    ) -> (Result<Outcome, DeliveryError>, StandIn) {
        let server = StandIn::start([vec![own()], answers].concat()).await;
        let yaml = format!(
            "{{type: gitlab, url: '{}', token: {{env: SECRET}}, do: block, {settings}}}",
            server.url()
        );
        (action(&yaml).run(&notification(), &guard).await, server)
    }

    #[tokio::test]
    async fn it_looks_changes_and_looks_again() {
        let answers = vec![
            Say::json(200, user("active")),
            Say::json(201, json!(true)),
            Say::json(200, user("blocked")),
        ];
        let (outcome, server) = run("dry_run: false", answers, CALM).await;
        let outcome = outcome.unwrap();
        assert!(outcome.changed && !outcome.dry_run && !outcome.needs_human);
        assert_eq!(outcome.summary, "blocked user 7 (alice); read back: blocked");
        assert!(outcome.undo.unwrap().contains("/api/v4/users/7/unblock"));
        assert_eq!(
            server.calls(),
            ["GET /api/v4/user", "GET /api/v4/users/7", "POST /api/v4/users/7/block", "GET /api/v4/users/7",]
        );
        assert!(server.asked().iter().all(|asked| asked.headers["private-token"] == SECRET));
    }

    #[tokio::test]
    async fn a_rehearsal_looks_and_changes_nothing() {
        let (outcome, server) = run("dry_run: true", vec![Say::json(200, user("active"))], CALM).await;
        let outcome = outcome.unwrap();
        assert!(outcome.dry_run && !outcome.changed);
        assert_eq!(outcome.summary, "would block user 7 (alice), now active");
        assert_eq!(server.calls(), ["GET /api/v4/user", "GET /api/v4/users/7"]);
        let (unsaid, server) = run("never: []", vec![Say::json(200, user("active"))], CALM).await;
        assert!(unsaid.unwrap().dry_run, "rehearsal is the default");
        assert_eq!(server.calls().len(), 2);
    }

    #[tokio::test]
    async fn it_refuses_when_in_doubt_and_calls_for_a_person() {
        let with = |field: &str, value: Value| {
            let mut user = user("active");
            user[field] = value;
            Say::json(200, user)
        };
        let mut hidden = user("active");
        hidden.as_object_mut().unwrap().remove("is_admin");
        let busy = GuardInput { recent: 3, ..CALM };
        for (settings, answer, guard, part) in [
            ("dry_run: false", with("is_admin", json!(true)), CALM, "is an administrator"),
            ("dry_run: false", Say::json(200, hidden), CALM, "does not say"),
            ("dry_run: false", with("bot", json!(true)), CALM, "is a bot"),
            ("dry_run: false, never: [root, Alice]", with("id", json!(7)), CALM, "on `never`"),
            ("dry_run: false, never: [7]", with("id", json!(7)), CALM, "on `never`"),
            ("dry_run: false", with("id", json!(7)), busy, "(3 per 1h)"),
            (
                "dry_run: false, at_most: {count: 1, per: 1d}",
                with("id", json!(7)),
                GuardInput { recent: 1, ..CALM },
                "(1 per 1d)",
            ),
            (
                "dry_run: false",
                Say::json(404, json!({"message": "404 User Not Found"})),
                CALM,
                "no such user",
            ),
        ] {
            let (outcome, server) = run(settings, vec![answer], guard).await;
            let outcome = outcome.unwrap();
            assert!(outcome.needs_human && !outcome.changed, "{part}");
            let summary = outcome.summary;
            assert!(summary.contains(part) && summary.contains("; a person must decide"), "{summary}");
            let says_where = summary.contains("decide at http://") && summary.contains("/admin/users/");
            assert_eq!(says_where, part != "no such user", "{summary}");
            assert!(server.calls().iter().all(|call| call.starts_with("GET")), "{part}");
        }
    }

    /// GitHub's account 4711 is not GitLab's user 4711, nor is the other GitLab's.
    #[tokio::test]
    async fn events_of_another_forge_block_nobody() {
        let place = |forge: &str, format| Place { forge: forge.into(), format };
        let server = StandIn::start(vec![own()]).await;
        let yaml = |more: &str| {
            format!(
                "{{type: gitlab, url: '{}', token: {{env: SECRET}}, do: block, dry_run: false{more}}}",
                server.url()
            )
        };
        for (more, other) in [
            ("", place("github", Format::Github)),
            ("", place("gitlab", Format::Github)),
            ("", place("gitlab-b", Format::Gitlab)),
            (", forge: gitlab-b", place("gitlab-b", Format::Gitlab)),
        ] {
            let mut told = notification();
            told.places.insert(other);
            let outcome = action(&yaml(more)).run(&told, &CALM).await.unwrap();
            assert!(outcome.needs_human && !outcome.changed, "{}", outcome.summary);
            assert!(outcome.summary.contains("an event of the forge"), "{}", outcome.summary);
        }
        let mut told = notification();
        told.alert.key.0.push(("forge".into(), "gitlab-b".into()));
        let outcome = action(&yaml("")).run(&told, &CALM).await.unwrap();
        assert!(
            outcome.needs_human && outcome.summary.contains("about the forge gitlab-b"),
            "{}",
            outcome.summary
        );
        let mut told = notification();
        told.events.pop();
        let outcome = action(&yaml("")).run(&told, &CALM).await.unwrap();
        assert!(
            outcome.needs_human && outcome.summary.contains("1 of the alert's events"),
            "{}",
            outcome.summary
        );
        assert!(server.asked().is_empty());
    }

    #[tokio::test]
    async fn an_answer_about_somebody_else_changes_nobody() {
        let mut other = user("active");
        other["id"] = json!(8);
        let (outcome, server) = run("dry_run: false", vec![Say::json(200, other)], CALM).await;
        assert!(outcome.unwrap_err().to_string().contains("answered with user 8"));
        assert!(server.calls().iter().all(|call| call.starts_with("GET")));
    }

    #[tokio::test]
    async fn authors_that_are_no_users_are_not_looked_up() {
        let server = StandIn::start(vec![own()]).await;
        let yaml = format!("{{type: gitlab, url: '{}', token: {{env: SECRET}}, do: block}}", server.url());
        for (id, part) in
            [("-3", "deploy key"), ("-2", "deploy token"), ("0", "not a user"), ("alice", "not a GitLab")]
        {
            let mut told = notification();
            told.alert.key.0[0].1 = id.into();
            let outcome = action(&yaml).run(&told, &CALM).await.unwrap();
            assert!(outcome.needs_human && outcome.summary.contains(part), "{}", outcome.summary);
        }
        assert!(server.asked().is_empty());
    }

    #[tokio::test]
    async fn doing_it_twice_is_doing_it_once() {
        let (outcome, server) = run("dry_run: false", vec![Say::json(200, user("blocked"))], CALM).await;
        let outcome = outcome.unwrap();
        assert_eq!((outcome.changed, outcome.needs_human), (false, false));
        assert_eq!(outcome.summary, "user 7 (alice) is already blocked");
        assert_eq!(server.calls().len(), 2);
        // After an earlier try that may have reached GitLab, the change counts against the limit.
        let server = StandIn::start(vec![own(), Say::json(200, user("blocked"))]).await;
        let yaml = format!(
            "{{type: gitlab, url: '{}', token: {{env: SECRET}}, do: block, dry_run: false}}",
            server.url()
        );
        let mut again = notification();
        again.attempt = 2;
        assert!(action(&yaml).run(&again, &CALM).await.unwrap().changed);
    }

    #[tokio::test]
    async fn a_change_that_does_not_show_is_an_error() {
        let answers =
            vec![Say::json(200, user("active")), Say::json(201, json!(true)), Say::json(200, user("active"))];
        match run("dry_run: false", answers, CALM).await.0 {
            Err(DeliveryError::Permanent { reason }) => {
                assert!(
                    reason.contains("answered 201")
                        && reason.contains("still active")
                        && reason.contains("a person must look")
                );
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn gitlabs_own_refusals_are_quoted() {
        for status in [401, 403, 404, 409, 422] {
            let no = Say::json(
                status,
                json!({"message": format!("{status} LDAP blocked users cannot be modified {SECRET}")}),
            );
            match run("dry_run: false", vec![Say::json(200, user("active")), no], CALM).await.0 {
                Err(DeliveryError::Permanent { reason }) => {
                    assert!(reason.contains("LDAP blocked users") && !reason.contains(SECRET), "{reason}");
                }
                other => panic!("{status}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_no_user_is_not_acted_on() {
        for body in [json!("<html>maintenance</html>"), json!({"id": 7}), json!([])] {
            let (outcome, server) = run("dry_run: false", vec![Say::json(200, body)], CALM).await;
            assert!(matches!(outcome, Err(DeliveryError::Retryable { .. })), "{outcome:?}");
            assert_eq!(server.calls().len(), 2);
        }
    }

    #[tokio::test]
    async fn it_asks_only_once_who_it_is() {
        let server = StandIn::start(vec![own(), Say::json(200, user("blocked"))]).await;
        let yaml = format!("{{type: gitlab, url: '{}/', token: {{env: SECRET}}, do: block}}", server.url());
        let action = action(&yaml);
        for _ in 0..2 {
            action.run(&notification(), &CALM).await.unwrap();
        }
        assert_eq!(server.calls(), ["GET /api/v4/user", "GET /api/v4/users/7", "GET /api/v4/users/7"]);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        for (url, part) in
            [("https://u:p@x", "only GitLab's address"), ("https://x/?a=b", "only"), ("gitlab", "url")]
        {
            let error =
                try_action(&format!("{{type: gitlab, url: '{url}', token: {{env: SECRET}}, do: block}}"))
                    .unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
        let error =
            try_action("{type: gitlab, url: 'https://x', token: {env: NOPE}, do: block}").unwrap_err();
        assert!(error.to_string().contains("NOPE"), "{error}");
    }
}
