//! Credentials that single sign-on has authorised for an organisation.
//!
//! Calls and codes: docs.github.com/enterprise-cloud@latest/rest/orgs/orgs, "List SAML SSO authorizations for an
//! organization" 200, "Remove a SAML SSO authorization for an organization" 204, 404. What is removed is known by
//! `credential_id` alone; there is no call for a single one, so the list is read.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::deliver::{DeliveryError, Method, one_line};
use crate::respond::client::Call;
use crate::respond::target::{number, text};
use crate::respond::{Receipt, Sight, Standing, Subject};
use crate::time::Timestamp;

use super::Github;
use super::people::who;

const PAGE: usize = 100;
/// So many pages of credentials are read.
const PAGES_MAX: usize = 100;

/// An authorised credential, without what is no business of ours.
#[derive(Debug, Deserialize)]
struct Credential {
    login: String,
    /// A number; older versions write it as a text.
    credential_id: Value,
    /// `personal access token`, `SSH key`, or whatever there will be.
    #[serde(default = "credential")]
    credential_type: String,
    #[serde(default)]
    credential_authorized_at: Option<String>,
    #[serde(default)]
    scopes: Option<Vec<String>>,
}

fn credential() -> String {
    "credential".to_owned()
}

fn id_of(subject: &Subject) -> Result<u64, DeliveryError> {
    number(&subject.id, "a credential").map_err(DeliveryError::permanent)
}

pub(super) async fn look(github: &Github, subject: &Subject, now: Timestamp) -> Result<Sight, DeliveryError> {
    let id = id_of(subject)?;
    let own = github.own(now).await?;
    let Some(found) = find(github, id, now).await? else {
        let who = format!("credential {id} of {}", github.organization);
        let gone = Sight::missing(who, "not authorised (any more)");
        return Ok(Sight { standing: Standing::Already, ..gone });
    };
    let holder = Subject { id: format!("@{}", found.login), ..subject.clone() };
    let named = format!("{} {id} of {}", one_line(&found.credential_type, 50), one_line(&found.login, 100));
    let before = json!({
        "login": found.login, "credential_type": found.credential_type, "scopes": found.scopes,
        "credential_authorized_at": found.credential_authorized_at,
    });
    let mut sight = match github.user(&holder, now).await? {
        Some(user) => {
            let membership = github.membership(&user, now).await?;
            let mut obstacles = github.obstacles(&user, own);
            obstacles.extend(github.organization_obstacles(&user, membership.as_ref(), now).await?);
            let sight = github.sight(&user, obstacles);
            Sight { who: format!("{named}, {}", who(&user)), ..sight }
        }
        None => {
            let mut sight = Sight::missing(named, "");
            sight.obstacles.push(format!("its account {} cannot be looked up", found.login));
            sight
        }
    };
    sight.standing = Standing::ToDo;
    "authorised".clone_into(&mut sight.state);
    sight.before = before;
    Ok(sight)
}

async fn find(github: &Github, id: u64, now: Timestamp) -> Result<Option<Credential>, DeliveryError> {
    for page in 1..=PAGES_MAX {
        let path =
            format!("orgs/{}/credential-authorizations?per_page={PAGE}&page={page}", github.organization);
        let call = Call::get(&path, "look at the authorised credentials");
        let answer = github.client.ask(call, None, now).await?;
        if answer.status != 200 {
            return Err(github.client.failure(call, &answer, "200"));
        }
        let list: Vec<Credential> = github.client.parsed(call, &answer)?;
        let is_last = list.len() < PAGE;
        let wanted = id.to_string();
        match list.into_iter().find(|credential| text(Some(&credential.credential_id)) == wanted) {
            Some(found) => return Ok(Some(found)),
            None if is_last => return Ok(None),
            None => {}
        }
    }
    Err(DeliveryError::permanent(format!(
        "{} has more than {} authorised credentials: a person must revoke it",
        github.organization,
        PAGE * PAGES_MAX
    )))
}

pub(super) async fn act(
    github: &Github,
    subject: &Subject,
    sight: &Sight,
    now: Timestamp,
) -> Result<Receipt, DeliveryError> {
    let path = format!("orgs/{}/credential-authorizations/{}", github.organization, id_of(subject)?);
    let what = format!("revoke {}", sight.who);
    let call = Call::new(&Method::DELETE, &path, &what);
    github.client.change(call, (None::<Value>, 204), now).await.map(|(receipt, _)| receipt)
}
