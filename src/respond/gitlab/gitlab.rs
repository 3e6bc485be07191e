//! A GitLab, and what to do there.

use reqwest::header::HeaderMap;
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

use super::api::Own;
use super::config::Family;
use super::{GitlabConfig, GitlabDo, account, key, member, subject, token};

/// One change at one GitLab.
pub(crate) struct Gitlab {
    pub(super) client: Client,
    pub(super) config: GitlabConfig,
    pub(super) own: Holder<Own>,
}

impl Gitlab {
    pub(crate) fn build(config: &GitlabConfig, context: &BuildContext<'_>) -> Result<Self, Problem> {
        let lowers = config.change == GitlabDo::LowerMember;
        if lowers != config.to.is_some() {
            let reason = if lowers {
                "to: say the role that members are lowered to, such as `to: guest`"
            } else {
                "to: belongs to `do: lower_member`; take it out"
            };
            return Err(Problem::setting(reason));
        }
        let token = config.token.resolve(context.env, context.base)?;
        let parts = Parts {
            product: "GitLab",
            reach: Reach { url: &config.url, timeout: config.timeout, ca: config.ca.as_deref() },
            root: "/api/v4",
            headers: HeaderMap::from_iter([header("private-token", token.expose())?]),
            token,
            needs: match config.change.family() {
                _ if config.change == GitlabDo::DeleteDeployKey => {
                    "a maintainer's of the project, or an administrator's, with the `api` scope"
                }
                Family::Member => {
                    "an owner's of the group or project, or an administrator's, with the `api` scope"
                }
                Family::Key | Family::Token | Family::Account => {
                    "an administrator's, with the `api` scope (and `admin_mode` where admin mode is on)"
                }
            },
        };
        Ok(Self { client: Client::new(parts, context)?, config: config.clone(), own: Holder::default() })
    }

    /// The forge, and the role that members are lowered to.
    pub(crate) fn aim(&self) -> String {
        let to = self.config.to.map(|role| role.level().to_string()).unwrap_or_default();
        tuple::value([self.config.forge.as_str(), &to])
    }

    /// How often the token was refused.
    pub(crate) fn refusals(&self) -> u64 {
        self.client.refusals()
    }

    /// The token's own account, asked for anew. What events call its author is a name that anybody can give himself.
    pub(crate) async fn account(&self, now: Timestamp) -> Result<Account, DeliveryError> {
        holder::account(&self.client, (&self.config.forge, false), now).await
    }

    pub(crate) const fn verb(&self) -> Verb {
        self.config.change.verb()
    }

    pub(crate) fn subject(&self, notification: &Notification) -> Result<Subject, String> {
        subject::subject(&self.config, notification)
    }

    /// The account of this number; what else there is an alert must say.
    pub(crate) fn named(&self, id: &str) -> Result<Subject, String> {
        let kind = match self.config.change.family() {
            Family::Account => SubjectKind::Account,
            _ => {
                return Err(
                    "only an alert says where this is; ask with `--alert` and without `--user`".to_owned()
                );
            }
        };
        let id = number(id, "an account")?.to_string();
        Ok(Subject { forge: self.config.forge.clone(), kind, id, within: None })
    }

    pub(crate) async fn look(&self, subject: &Subject, now: Timestamp) -> Result<Sight, DeliveryError> {
        self.is_ours(subject)?;
        match self.config.change.family() {
            Family::Account => account::look(self, subject, now).await,
            Family::Token => token::look(self, subject, now).await,
            Family::Key => key::look(self, subject, now).await,
            Family::Member => member::look(self, subject, now).await,
        }
    }

    pub(crate) async fn act(
        &self,
        subject: &Subject,
        sight: &Sight,
        now: Timestamp,
    ) -> Result<Receipt, DeliveryError> {
        self.is_ours(subject)?;
        match self.config.change.family() {
            Family::Account => account::act(self, subject, sight, now).await,
            Family::Token => token::act(self, subject, sight, now).await,
            Family::Key => key::act(self, subject, sight, now).await,
            Family::Member => member::act(self, subject, sight, now).await,
        }
    }

    /// Whether an undoing that broke off left it so.
    pub(crate) fn is_half_way(&self, before: &Value, sight: &Sight) -> bool {
        self.config.change.family() == Family::Account
            && account::is_half_way(self.config.change, before, sight)
    }

    pub(crate) async fn undo(
        &self,
        subject: &Subject,
        before: &Value,
        now: Timestamp,
    ) -> Result<Receipt, DeliveryError> {
        self.is_ours(subject)?;
        match self.config.change.family() {
            Family::Account => account::undo(self, subject, before, now).await,
            Family::Member => member::undo(self, subject, before, now).await,
            Family::Token => Err(DeliveryError::permanent(
                "a revoked token cannot be brought back: its owner makes a new one",
            )),
            Family::Key => Err(DeliveryError::permanent(
                "a deleted key cannot be brought back as it was: its owner adds it again",
            )),
        }
    }

    /// A subject that was kept while the configuration changed may be another system's.
    fn is_ours(&self, subject: &Subject) -> Result<(), DeliveryError> {
        let (forge, other) = (&self.config.forge, &subject.forge);
        if forge == other {
            return Ok(());
        }
        Err(DeliveryError::permanent(format!("it is at the forge {other}, and this action is for {forge}")))
    }
}

/// The number of a subject, which may come from a file or a person.
pub(super) fn id_of(subject: &Subject) -> Result<u64, DeliveryError> {
    number(&subject.id, "anything in GitLab").map_err(DeliveryError::permanent)
}

/// Where a subject is, which becomes a part of a path: `groups/5`, `projects/9`, `users/7`.
pub(super) fn within<'a>(subject: &'a Subject, kinds: &[&str]) -> Result<&'a str, DeliveryError> {
    let within = subject.within.as_deref().unwrap_or_default();
    let fits = within.split_once('/').is_some_and(|(kind, id)| {
        kinds.contains(&kind) && !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())
    });
    if fits {
        return Ok(within);
    }
    Err(DeliveryError::permanent(format!("`{within}` is not one of {}, with its number", kinds.join(", "))))
}
