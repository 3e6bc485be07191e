//! A GitHub, and what to do there.

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::Value;

use crate::deliver::{BuildContext, DeliveryError, header};
use crate::encode::Notification;
use crate::enrich::Account;
use crate::respond::client::{Client, Parts, Reach};
use crate::respond::holder::{self, Holder};
use crate::respond::target::number;
use crate::respond::{Problem, Receipt, Sight, Subject, SubjectKind, Verb};
use crate::time::Timestamp;
use crate::tuple;

use super::people::Own;
use super::subject::{self, is_login};
use super::{GithubConfig, GithubDo, credential, membership, switch};

/// One change at one GitHub.
pub(crate) struct Github {
    pub(super) client: Client,
    pub(super) config: GithubConfig,
    /// Empty for suspensions.
    pub(super) organization: String,
    /// What people open; without a slash at the end.
    pub(super) site: String,
    pub(super) own: Holder<Own>,
}

impl Github {
    pub(crate) fn build(config: &GithubConfig, context: &BuildContext<'_>) -> Result<Self, Problem> {
        check(config)?;
        let token = config.token.resolve(context.env, context.base)?;
        let mut headers = HeaderMap::from_iter([
            header(AUTHORIZATION.as_str(), &format!("Bearer {}", token.expose()))?,
            header("x-github-api-version", &config.api_version)?,
        ]);
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
        let parts = Parts {
            product: "GitHub",
            reach: Reach { url: &config.url, timeout: config.timeout, ca: config.ca.as_deref() },
            root: "",
            headers,
            token,
            needs: if config.change.is_of_organization() {
                "an organisation owner's, with the scope `admin:org` (or the fine-grained permission that \
                 docs/responses.md names)"
            } else {
                "a site administrator's, with the scope `site_admin`"
            },
        };
        let client = Client::new(parts, context)?;
        let site = match client.site() {
            "https://api.github.com" => "https://github.com",
            server => server.trim_end_matches("/api/v3"),
        };
        Ok(Self {
            organization: config.organization.clone().unwrap_or_default(),
            site: site.to_owned(),
            client,
            config: config.clone(),
            own: Holder::default(),
        })
    }

    /// The forge and the organisation.
    pub(crate) fn aim(&self) -> String {
        tuple::value([self.config.forge.as_str(), &self.organization])
    }

    /// How often the token was refused.
    pub(crate) fn refusals(&self) -> u64 {
        self.client.refusals()
    }

    /// The token's own account, asked for anew. Events may have nothing but its login.
    pub(crate) async fn account(&self, now: Timestamp) -> Result<Account, DeliveryError> {
        holder::account(&self.client, (&self.config.forge, true), now).await
    }

    pub(crate) const fn verb(&self) -> Verb {
        self.config.change.verb()
    }

    pub(crate) fn subject(&self, notification: &Notification) -> Result<Subject, String> {
        subject::subject(&self.config, notification)
    }

    /// The account of this number, or of this login after an `@`; what else there is an alert must say.
    pub(crate) fn named(&self, id: &str) -> Result<Subject, String> {
        if self.config.change == GithubDo::RevokeCredential {
            return Err(
                "only an alert says which credential; ask with `--alert` and without `--user`".to_owned()
            );
        }
        let kind = match self.config.change {
            GithubDo::RemoveMember => SubjectKind::Membership,
            _ => SubjectKind::Account,
        };
        let id = match id.strip_prefix('@') {
            Some(login) if is_login(login) => id.to_owned(),
            Some(login) => return Err(format!("`{login}` is no login of GitHub")),
            None => number(id, "an account")?.to_string(),
        };
        let within = self.config.organization.clone();
        Ok(Subject { forge: self.config.forge.clone(), kind, id, within })
    }

    pub(crate) async fn look(&self, subject: &Subject, now: Timestamp) -> Result<Sight, DeliveryError> {
        self.is_ours(subject)?;
        match self.config.change {
            GithubDo::RemoveMember => membership::look(self, subject, now).await,
            GithubDo::RevokeCredential => credential::look(self, subject, now).await,
            GithubDo::Block | GithubDo::Unblock | GithubDo::Suspend | GithubDo::Unsuspend => {
                switch::look(self, subject, now).await
            }
        }
    }

    pub(crate) async fn act(
        &self,
        subject: &Subject,
        sight: &Sight,
        now: Timestamp,
    ) -> Result<Receipt, DeliveryError> {
        self.is_ours(subject)?;
        match self.config.change {
            GithubDo::RemoveMember => membership::act(self, sight, now).await,
            GithubDo::RevokeCredential => credential::act(self, subject, sight, now).await,
            GithubDo::Block | GithubDo::Unblock | GithubDo::Suspend | GithubDo::Unsuspend => {
                switch::act(self, sight, now).await
            }
        }
    }

    pub(crate) async fn undo(
        &self,
        subject: &Subject,
        before: &Value,
        now: Timestamp,
    ) -> Result<Receipt, DeliveryError> {
        self.is_ours(subject)?;
        match self.config.change {
            GithubDo::RemoveMember => membership::undo(self, subject, before, now).await,
            GithubDo::RevokeCredential => Err(DeliveryError::permanent(
                "a credential's authorisation cannot be brought back: its owner makes a new one and authorises it",
            )),
            GithubDo::Block | GithubDo::Unblock | GithubDo::Suspend | GithubDo::Unsuspend => {
                switch::undo(self, subject, before, now).await
            }
        }
    }

    /// A subject that was kept while the configuration changed may be another system's or organisation's.
    fn is_ours(&self, subject: &Subject) -> Result<(), DeliveryError> {
        let (forge, within) = (&self.config.forge, &self.config.organization);
        if *forge == subject.forge && *within == subject.within {
            return Ok(());
        }
        let place = |organization: &Option<String>| organization.clone().unwrap_or_else(|| "all".to_owned());
        Err(DeliveryError::permanent(format!(
            "it is at the forge {}, organisation {}, and this action is for {forge}, {}",
            subject.forge,
            place(&subject.within),
            place(within)
        )))
    }
}

/// The account's login, from a sight.
pub(super) fn login(sight: &Sight) -> Result<&str, DeliveryError> {
    let name = sight.identity.as_ref().and_then(|identity| identity.name.as_deref());
    name.filter(|name| is_login(name))
        .ok_or_else(|| DeliveryError::permanent(format!("{}: its login is not known", sight.who)))
}

fn check(config: &GithubConfig) -> Result<(), Problem> {
    match &config.organization {
        None if config.change.is_of_organization() => {
            Err(Problem::setting("organization: say the organisation that the accounts belong to"))
        }
        Some(_) if !config.change.is_of_organization() => Err(Problem::setting(
            "organization: a suspension is for the whole Enterprise Server; take it out",
        )),
        Some(name) if !is_login(name) => {
            Err(Problem::setting(format!("organization: `{name}` is no name of an organisation")))
        }
        _ if !config.change.is_of_organization() && config.url.contains("//api.github.com") => {
            Err(Problem::setting("url: suspensions are for an Enterprise Server: https://HOST/api/v3"))
        }
        _ if (config.change == GithubDo::RevokeCredential) != config.target.is_some() => {
            Err(Problem::setting(
                "target: the field of the alert that holds the credential's id belongs to `do: revoke_credential`, and to \
                 no other",
            ))
        }
        _ => Ok(()),
    }
}
