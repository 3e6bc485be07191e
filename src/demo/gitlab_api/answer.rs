//! Who calls, what is called, and how GitLab refuses.

use axum::http::Method;
use serde_json::{Value, json};

use super::{GitlabWorld, accounts, credentials, members};
use crate::demo::stand_in::{Asked, Reply, World};
use crate::demo::{AccountState, SimUser};

impl World for GitlabWorld {
    const NAME: &'static str = "GitLab stand-in";

    fn answer(&mut self, asked: &Asked) -> Reply {
        match self.caller(asked) {
            Ok(me) => self.route(asked, &me),
            Err(refusal) => refusal,
        }
    }

    /// docs.gitlab.com/administration/settings/user_and_ip_rate_limits, "Response headers".
    fn usual_headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ratelimit-limit", "2000".to_owned()),
            ("ratelimit-name", "throttle_authenticated_api".to_owned()),
            ("ratelimit-observed", "1".to_owned()),
            ("ratelimit-remaining", "1999".to_owned()),
            ("ratelimit-reset", "4102444800".to_owned()),
        ]
    }

    fn limited(&self, until: u64) -> Reply {
        let headers = vec![
            ("ratelimit-limit", "2000".to_owned()),
            ("ratelimit-remaining", "0".to_owned()),
            ("ratelimit-reset", until.to_string()),
        ];
        Reply { headers, ..refuse(429, "Retry later") }
    }

    fn failure(&self, status: u16) -> Reply {
        refuse(status, &format!("{status} (scripted)"))
    }
}

impl GitlabWorld {
    /// Whose token it is: `PRIVATE-TOKEN`, or `Authorization: Bearer`; and whether its scope is enough.
    fn caller(&self, asked: &Asked) -> Result<SimUser, Reply> {
        let bearer = || asked.header("authorization")?.strip_prefix("Bearer ");
        let given = asked.header("private-token").or_else(bearer);
        let token = self.tokens.iter().find(|token| Some(token.secret.as_str()) == given);
        let user = token.and_then(|token| self.users.get(&token.user));
        let active = user.filter(|user| user.state == AccountState::Active);
        let (Some(token), Some(me)) = (token, active) else {
            return Err(refuse(401, "401 Unauthorized"));
        };
        if token.scope != "api" && asked.method != Method::GET {
            let text = "The request requires higher privileges than provided by the access token.";
            return Err(Reply::json(
                403,
                json!({"error": "insufficient_scope", "error_description": text, "scope": "api"}),
            ));
        }
        Ok(me.clone())
    }

    fn route(&mut self, asked: &Asked, me: &SimUser) -> Reply {
        let parts = asked.parts();
        let Some(["api", "v4", rest @ ..]) = Some(parts.as_slice()) else {
            return error(404, "404 Not Found");
        };
        match (asked.method.as_str(), rest) {
            ("GET", ["user"]) => Reply::json(200, accounts::shown(me, me.is_admin)),
            ("GET", ["users", id]) => accounts::look(self, me, id),
            ("POST", ["users", id, verb]) => accounts::moderate(self, me, id, verb),
            ("GET", ["keys", id]) => credentials::key(self, me, id),
            ("DELETE", ["users", user, "keys", id]) => credentials::delete_key(self, me, (user, id)),
            ("GET", ["personal_access_tokens", id]) => credentials::token(self, me, id),
            ("DELETE", ["personal_access_tokens", id]) => credentials::revoke(self, me, id),
            (_, [kind @ ("groups" | "projects"), id, rest @ ..]) => {
                self.place(asked, me, (&format!("{kind}/{id}"), rest))
            }
            (_, ["user" | "users" | "keys" | "personal_access_tokens", ..]) => error(405, "405 Not Allowed"),
            _ => error(404, "404 Not Found"),
        }
    }

    /// What is in a group or project, which must be seen to be there.
    fn place(&mut self, asked: &Asked, me: &SimUser, (place, rest): (&str, &[&str])) -> Reply {
        let kind = if place.starts_with("groups") { "Group" } else { "Project" };
        let is_seen = self.places.contains_key(place) && (me.is_admin || self.level(place, me.id) > 0);
        if !is_seen {
            return refuse(404, &format!("404 {kind} Not Found"));
        }
        match (asked.method.as_str(), rest) {
            ("GET", []) => {
                let id: u64 = place.rsplit('/').next().and_then(|id| id.parse().ok()).unwrap_or_default();
                Reply::json(200, json!({"id": id, "name": place}))
            }
            ("GET", ["access_tokens", id]) => credentials::resource_token(self, me, (place, id)),
            ("DELETE", ["access_tokens", id]) => credentials::revoke_resource_token(self, me, (place, id)),
            ("GET", ["deploy_keys", id]) => credentials::deploy_key(self, me, (place, id)),
            ("DELETE", ["deploy_keys", id]) => credentials::delete_deploy_key(self, me, (place, id)),
            ("GET", ["members"]) => members::list(self, asked, place),
            ("GET", ["members", "all", id]) => members::look(self, (place, id), true),
            ("GET", ["members", id]) => members::look(self, (place, id), false),
            ("POST", ["members"]) => members::add(self, asked, me, place),
            ("PUT", ["members", id]) => members::update(self, asked, me, (place, id)),
            ("DELETE", ["members", id]) => members::remove(self, me, (place, id)),
            (_, ["members" | "access_tokens" | "deploy_keys", ..]) => error(405, "405 Not Allowed"),
            _ => error(404, "404 Not Found"),
        }
    }
}

pub(super) fn refuse(status: u16, message: &str) -> Reply {
    Reply::json(status, json!({ "message": message }))
}

pub(super) fn error(status: u16, text: &str) -> Reply {
    Reply::json(status, json!({ "error": text }))
}

/// 403 as most calls say it.
pub(super) fn forbidden() -> Reply {
    refuse(403, "403 Forbidden")
}

/// The number in a path, or GitLab's refusal of what is none.
pub(super) fn id<T: std::str::FromStr>(text: &str) -> Result<T, Reply> {
    text.parse().map_err(|_| error(400, "id is invalid"))
}

/// The one of two that came.
pub(super) fn either(result: Result<Reply, Reply>) -> Reply {
    result.unwrap_or_else(|refusal| refusal)
}

/// A body that is only a truth value.
pub(super) fn made(status: u16, truth: bool) -> Reply {
    Reply::json(status, Value::from(truth))
}
