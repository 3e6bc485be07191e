//! Who calls, what is called, and how GitHub answers.

use serde_json::{Value, json};

use super::{GithubToken, GithubWorld, SimAccount, SimMembership, SimOrganization};
use crate::demo::stand_in::{Asked, Reply, World};

/// What the API is asked for by default, and the only version the stand-in knows.
const VERSION: &str = "2022-11-28";
const OWNER: &str = "admin";

impl World for GithubWorld {
    const NAME: &'static str = "GitHub stand-in";

    fn answer(&mut self, asked: &Asked) -> Reply {
        match self.caller(asked) {
            Ok((token, me)) => {
                let mut reply = self.route(asked, (&token, &me));
                reply.headers.push(("x-oauth-scopes", token.scopes.join(", ")));
                reply
            }
            Err(refusal) => refusal,
        }
    }

    fn usual_headers(&self) -> Vec<(&'static str, String)> {
        vec![
            ("x-ratelimit-limit", "5000".to_owned()),
            ("x-ratelimit-remaining", "4999".to_owned()),
            ("x-ratelimit-reset", "4102444800".to_owned()),
            ("x-ratelimit-resource", "core".to_owned()),
        ]
    }

    fn limited(&self, until: u64) -> Reply {
        let headers =
            vec![("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", until.to_string())];
        Reply { headers, ..refuse(403, "API rate limit exceeded for user ID 1.") }
    }

    fn failure(&self, status: u16) -> Reply {
        refuse(status, "(scripted)")
    }
}

fn refuse(status: u16, message: &str) -> Reply {
    let page = "https://docs.github.com/rest";
    Reply::json(status, json!({"message": message, "documentation_url": page, "status": status.to_string()}))
}

fn not_found() -> Reply {
    refuse(404, "Not Found")
}

impl GithubWorld {
    fn caller(&self, asked: &Asked) -> Result<(GithubToken, SimAccount), Reply> {
        if asked.header("user-agent").is_none() {
            return Err(refuse(
                403,
                "Request forbidden by administrative rules. Please make sure your request has a \
                                    User-Agent header",
            ));
        }
        if asked.header("x-github-api-version").is_some_and(|version| version != VERSION) {
            return Err(refuse(400, "Unsupported API version"));
        }
        let given = asked.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let token = self.tokens.iter().find(|token| Some(token.secret.as_str()) == given);
        let account = token.and_then(|token| self.accounts.get(&token.account));
        match (token, account) {
            (Some(token), Some(account)) if !account.suspended => Ok((token.clone(), account.clone())),
            (Some(_), Some(_)) => Err(refuse(403, "Sorry. Your account was suspended")),
            _ => Err(refuse(401, "Bad credentials")),
        }
    }

    fn route(&mut self, asked: &Asked, (token, me): (&GithubToken, &SimAccount)) -> Reply {
        let parts = asked.parts();
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["user"]) => Reply::json(200, self.shown(me)),
            ("GET", ["user", "memberships", "orgs", name]) => {
                let own = self.organizations.get(*name).and_then(|found| found.members.get(&me.id));
                own.map_or_else(not_found, |own| Reply::json(200, membership(name, me, own)))
            }
            ("GET", ["user", id]) => {
                let found = id.parse().ok().and_then(|id: u64| self.accounts.get(&id));
                found.map_or_else(not_found, |found| Reply::json(200, self.shown(found)))
            }
            ("GET", ["users", login]) => {
                self.account(login).map_or_else(not_found, |found| Reply::json(200, self.shown(found)))
            }
            ("PUT" | "DELETE", ["users", login, "suspended"]) => {
                self.suspend(me, login, asked.method.as_str() == "PUT")
            }
            (_, ["orgs", name, rest @ ..]) => self.organization(asked, (token, me), (name, rest)),
            _ => not_found(),
        }
    }

    fn shown(&self, account: &SimAccount) -> Value {
        let mut object = json!({
            "id": account.id, "login": account.login, "type": account.kind, "site_admin": account.site_admin,
            "html_url": format!("https://github.com/{}", account.login),
        });
        if self.is_server {
            object["suspended_at"] =
                account.suspended.then_some("2026-01-31T09:00:00Z").map_or(Value::Null, Value::from);
        }
        object
    }

    fn suspend(&mut self, me: &SimAccount, login: &str, suspended: bool) -> Reply {
        let id = self.account(login).map(|account| account.id);
        if !self.is_server {
            return not_found();
        }
        if !me.site_admin || id == Some(me.id) {
            return refuse(403, "You must be a site administrator, and it must be somebody else");
        }
        match id.and_then(|id| self.accounts.get_mut(&id)) {
            Some(account) => {
                account.suspended = suspended;
                Reply::empty()
            }
            None => not_found(),
        }
    }

    /// What is in an organisation. Whoever is no owner, or has not the scope, is not told that it is there.
    fn organization(
        &mut self,
        asked: &Asked,
        (token, me): (&GithubToken, &SimAccount),
        (name, rest): (&str, &[&str]),
    ) -> Reply {
        let accounts = &self.accounts;
        let named = |login: &str| accounts.values().find(|a| a.login.eq_ignore_ascii_case(login)).cloned();
        let Some(found) = self.organizations.get_mut(name) else { return not_found() };
        let is_owner = found.members.get(&me.id).is_some_and(|own| own.role == OWNER);
        let may = is_owner && token.scopes.contains(&"admin:org");
        match (asked.method.as_str(), rest) {
            ("GET", ["members"]) => owners(found, accounts),
            ("GET", ["memberships", login]) => {
                let account = named(login);
                let own = account.as_ref().and_then(|account| found.members.get(&account.id));
                match (account.as_ref(), own) {
                    (Some(account), Some(own)) => Reply::json(200, membership(name, account, own)),
                    _ => not_found(),
                }
            }
            ("PUT" | "DELETE", ["memberships", _]) if !may => {
                refuse(403, "You must be an admin to manage memberships.")
            }
            ("PUT", ["memberships", login]) => invite(found, asked, name, named(login)),
            ("DELETE", ["memberships", login]) => remove(found, named(login)),
            (_, ["blocks" | "credential-authorizations", ..]) if !may => not_found(),
            ("GET", ["blocks"]) => {
                Reply::json(200, found.blocked.iter().map(|id| json!({"id": id})).collect())
            }
            (method, ["blocks", login]) => block(found, method, named(login)),
            ("GET", ["credential-authorizations"]) => credentials(found, asked),
            ("DELETE", ["credential-authorizations", id]) => {
                let removed = id.parse().ok().and_then(|id: u64| found.credentials.remove(&id));
                removed.map_or_else(not_found, |_| Reply::empty())
            }
            _ => not_found(),
        }
    }
}

fn membership(organization: &str, account: &SimAccount, own: &SimMembership) -> Value {
    json!({
        "state": if own.pending { "pending" } else { "active" }, "role": own.role,
        "organization": {"login": organization}, "user": {"id": account.id, "login": account.login},
    })
}

fn owners(found: &SimOrganization, accounts: &std::collections::BTreeMap<u64, SimAccount>) -> Reply {
    let ids = found.members.iter().filter(|(_, own)| own.role == OWNER && !own.pending).map(|(id, _)| id);
    let shown = ids.filter_map(|id| accounts.get(id));
    Reply::json(200, shown.map(|account| json!({"id": account.id, "login": account.login})).collect())
}

/// Adds by invitation: it must be accepted.
fn invite(found: &mut SimOrganization, asked: &Asked, name: &str, account: Option<SimAccount>) -> Reply {
    let Some(account) = account else { return not_found() };
    let role = asked.parameter("role").and_then(|role| role.as_str().map(str::to_owned));
    let role = role.unwrap_or_else(|| "member".to_owned());
    if !["admin", "member"].contains(&role.as_str()) {
        return refuse(422, "Validation Failed");
    }
    let own = found
        .members
        .entry(account.id)
        .or_insert_with(|| SimMembership { role: role.clone(), pending: true });
    own.role = role;
    Reply::json(200, membership(name, &account, own))
}

fn remove(found: &mut SimOrganization, account: Option<SimAccount>) -> Reply {
    let Some(id) = account.map(|account| account.id).filter(|id| found.members.contains_key(id)) else {
        return not_found();
    };
    let is_owner = |id: &u64| found.members.get(id).is_some_and(|own| own.role == OWNER);
    if is_owner(&id) && found.members.keys().filter(|id| is_owner(id)).count() == 1 {
        return refuse(403, "Cannot remove the last owner of the organization");
    }
    found.members.remove(&id);
    Reply::empty()
}

fn block(found: &mut SimOrganization, method: &str, account: Option<SimAccount>) -> Reply {
    let Some(id) = account.map(|account| account.id) else { return not_found() };
    match method {
        "GET" if found.blocked.contains(&id) => Reply::empty(),
        "PUT" if found.members.contains_key(&id) || found.blocked.contains(&id) => {
            refuse(422, "Validation Failed")
        }
        "PUT" => {
            found.blocked.insert(id);
            Reply::empty()
        }
        "DELETE" if found.blocked.remove(&id) => Reply::empty(),
        _ => not_found(),
    }
}

fn credentials(found: &SimOrganization, asked: &Asked) -> Reply {
    let number = |name: &str, usual: usize| {
        asked.number(name).and_then(|value| usize::try_from(value).ok()).unwrap_or(usual)
    };
    let (size, page) = (number("per_page", 30).clamp(1, 100), number("page", 1).max(1));
    let shown = found.credentials.iter().map(|(id, credential)| {
        json!({
            "login": credential.login, "credential_id": id, "credential_type": credential.kind,
            "token_last_eight": "12345678", "credential_authorized_at": "2026-01-01T09:00:00Z", "scopes": ["repo"],
        })
    });
    Reply::json(200, shown.skip(size * (page - 1)).take(size).collect())
}
