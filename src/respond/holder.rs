//! Whose token it is: asked of the forge once, and again after it has refused the token.
//!
//! `GET /user` of both forges answers 200 with the account of the token that asks (docs.gitlab.com/api/users, "Retrieve
//! the current user"; docs.github.com/rest/users/users, "Get the authenticated user").

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::client::{Call, Client};
use crate::deliver::DeliveryError;
use crate::enrich::Account;
use crate::time::Timestamp;

/// What a forge said of its token's account, and how often it had refused the token by then.
#[derive(Debug)]
pub(super) struct Holder<T>(Mutex<Option<(u64, T)>>);

impl<T> Default for Holder<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone + DeserializeOwned> Holder<T> {
    /// Who the token belongs to.
    pub(super) async fn get(&self, client: &Client, now: Timestamp) -> Result<T, DeliveryError> {
        let mut kept = self.0.lock().await;
        if let Some((refusals, own)) = &*kept
            && *refusals == client.refusals()
        {
            return Ok(own.clone());
        }
        let own: T = ask(client, now).await?;
        *kept = Some((client.refusals(), own.clone()));
        Ok(own)
    }
}

/// The parts by which events know it. What decides whether somebody is Watchfire itself has no default.
#[derive(Debug, Deserialize)]
struct Named {
    id: u64,
    #[serde(alias = "login")]
    username: String,
}

/// The same as events of this forge name it, asked anew.
pub(super) async fn account(
    client: &Client,
    (forge, by_name): (&str, bool),
    now: Timestamp,
) -> Result<Account, DeliveryError> {
    let Named { id, username } = ask(client, now).await?;
    Ok(Account { forge: forge.to_owned(), id: id.to_string(), name: username, by_name })
}

async fn ask<T: DeserializeOwned>(client: &Client, now: Timestamp) -> Result<T, DeliveryError> {
    let found = client.find(Call::get("user", "who the token belongs to"), now).await?;
    found.ok_or_else(|| {
        let product = client.product();
        DeliveryError::permanent(format!(
            "{product} does not say who the token belongs to: is `url` the address of {product}'s API?"
        ))
    })
}
