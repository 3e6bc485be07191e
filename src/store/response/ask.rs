//! Asking for a response by hand.

use super::super::{Deed, DeliveryKind, OutboxRow, Store, StoreError, audit, outbox};
use super::row::{Response, get, put, step};
use super::run::response_name;
use super::stop::stopped;
use crate::alert::AlertId;
use crate::tuple;

/// The id of a response that a person asks for: of who asks for what, whom and why, and either of the moment or of a `key`
/// that the asker gives to one request however often it is sent. The same request is the same response.
#[must_use]
pub fn asked_id(wanted: &Response, deed: &Deed, key: Option<&str>) -> String {
    let at = deed.at.0.to_string();
    let parts = match key {
        // What else it says is compared with what is kept.
        Some(key) => vec!["key", &deed.author, key],
        None => {
            let [user, alert, reason] = said(wanted);
            vec!["moment", &deed.author, &at, &wanted.action, user, alert, reason]
        }
    };
    let unique = format!("asked\0{}", tuple::value(parts));
    blake3::hash(unique.as_bytes()).to_hex().chars().take(32).collect()
}

/// What a person says of a response. Nobody and the empty name are one: neither is anybody.
fn said(response: &Response) -> [&str; 3] {
    let alert = response.alert.as_ref().map(|alert| alert.0.as_str());
    [response.user.as_deref(), alert, response.reason.as_deref()].map(Option::unwrap_or_default)
}

impl Store {
    /// Asks for a response by hand: `wanted` says which action and whom, under an id of [`asked_id`]. Its delivery is due
    /// at once. If the same was asked for already, nothing is changed. The response as it stands.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] while responses are stopped, and if something else was asked for under the same id.
    pub fn response_ask(&self, wanted: &Response, deed: &Deed) -> Result<Response, StoreError> {
        self.write(|transaction| {
            if let Some(known) = get(transaction, &wanted.id)? {
                if known.action != wanted.action || said(&known) != said(wanted) {
                    let what = "something else was asked for under the same key: give each request its own";
                    return Err(StoreError::Conflict { what: what.to_owned() });
                }
                audit::record(transaction, deed, &format!("response {} was asked for already", known.id))?;
                return Ok(known);
            }
            if let Some(stop) = stopped(transaction)? {
                let what = format!("responses are stopped by {}: {}", stop.by, stop.reason);
                return Err(StoreError::Conflict { what });
            }
            let mut response = wanted.clone();
            response.requested_by.clone_from(&deed.author);
            put(transaction, &response)?;
            let about = response.alert.clone().unwrap_or_else(|| AlertId(response_name(&response.id)));
            let row = OutboxRow {
                id: response.id.clone(),
                ..OutboxRow::owed(DeliveryKind::Respond, (about, &response.action), "", deed.at)
            };
            outbox::insert(transaction, &[row])?;
            let user = response.user.as_deref().unwrap_or("the one its alert is about");
            let reason = response.reason.as_deref().unwrap_or_default();
            let told = format!("asked to {} {user}: {reason}", response.verb);
            step(transaction, &response, ("asked", &told), deed)?;
            Ok(response)
        })
    }
}
