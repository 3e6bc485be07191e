//! Who calls: the token, what it allows, and how often.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;

use super::control::{Control, lost};
use super::guard::{Known, WRONG, counted};
use super::key;
use super::problem::Problem;
use crate::source::bearer;
use crate::store::{Role, TokenRow};
use crate::time::{Span, Timestamp};

/// When a token was used last is known to this.
const USED_EVERY: Span = Span::minutes(1);

/// Where a request came from; put there by the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

impl Peer {
    pub(super) fn of(request: &Request) -> IpAddr {
        request.extensions().get::<Self>().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0)
    }
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// The token's id; none: the one of the configuration.
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) expires_at: Option<Timestamp>,
}

impl Caller {
    fn of(row: TokenRow) -> Self {
        Self { id: Some(row.id), name: row.name, role: row.role, expires_at: row.expires_at }
    }

    fn configured() -> Self {
        Self { id: None, name: "api.token".to_owned(), role: Role::Admin, expires_at: None }
    }

    /// As the audit log has it; brackets are in no token's name.
    pub(super) fn author(&self) -> String {
        match &self.id {
            Some(id) => format!("{} (wf_{id})", self.name),
            None => format!("{} (configuration)", self.name),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get().cloned().ok_or_else(Problem::internal)
    }
}

/// Lets nobody through without a token, and nobody too often.
pub(super) async fn admit(
    State(control): State<Arc<Control>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let now = control.clock.now();
    let given = request.headers().get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    let Some(given) = given.filter(|given| !given.is_empty()).map(<[u8]>::to_vec) else {
        return Err(Problem::unauthorized("this path needs a token", "Bearer"));
    };
    let caller = control.caller(&given, counted(Peer::of(&request)), now).await?;
    let account = caller.id.as_deref().unwrap_or_default().to_owned();
    control
        .guard
        .calls
        .take(&account, now, control.pace)
        .map_err(|wait| Problem::too_many("this token has called too often", wait))?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// Lets only callers through who may do what the role may.
pub(super) fn check_role(request: &Request, role: Role) -> Result<(), Problem> {
    let caller = request.extensions().get::<Caller>().ok_or_else(Problem::internal)?;
    if caller.role >= role {
        return Ok(());
    }
    let detail = format!(
        "this needs the role {}; the token `{}` has the role {}",
        role.name(),
        caller.name,
        caller.role.name()
    );
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
}

impl Control {
    async fn caller(&self, given: &[u8], peer: IpAddr, now: Timestamp) -> Result<Caller, Problem> {
        if self.administrators.as_ref().is_some_and(|tokens| tokens.admit(given)) {
            return Ok(Caller::configured());
        }
        let digest = *blake3::hash(given).as_bytes();
        match self.guard.known(&digest, now) {
            Known::Fresh(row) if row.is_valid(now) => return Ok(Caller::of(*row)),
            Known::Secret(row) => {
                let id = row.id.clone();
                let found = self.ask(move |store| store.token(&id)).await?;
                if let Some(found) = found.filter(|found| found.hash == row.hash && found.is_valid(now)) {
                    self.guard.refresh(&digest, found.clone(), now);
                    if found.last_used_at.is_none_or(|at| now.since(at) >= USED_EVERY) {
                        self.note_use(&found, now).await;
                    }
                    return Ok(Caller::of(found));
                }
            }
            Known::Fresh(_) | Known::No => {}
        }
        self.not_too_wrong(peer, now)?;
        match self.check(given, peer, now).await? {
            Ok((row, revoked)) => {
                self.guard.remember(digest, row.clone(), now, revoked);
                self.note_use(&row, now).await;
                Ok(Caller::of(row))
            }
            Err(why) => Err(Problem::unauthorized(&why, "Bearer error=\"invalid_token\"")),
        }
    }

    fn not_too_wrong(&self, peer: IpAddr, now: Timestamp) -> Result<(), Problem> {
        let asked = self.guard.wrong.ask(&peer, now, WRONG);
        asked.map_err(|wait| Problem::too_many("too many wrong tokens came from this address", wait))
    }

    /// The token with this text, and how many had been revoked when it was looked up; or why it opens nothing, which is
    /// charged to the address.
    async fn check(
        &self,
        given: &[u8],
        peer: IpAddr,
        now: Timestamp,
    ) -> Result<Result<(TokenRow, u64), String>, Problem> {
        let refused = |why: String| {
            // How long is told when the next one comes.
            self.guard.wrong.take(&peer, now, WRONG).ok();
            Ok(Err(why))
        };
        let wrong = || refused("the token is wrong".to_owned());
        let Some((id, secret)) = key::parts(given) else { return wrong() };
        let id = id.to_owned();
        let look = || {
            let id = id.clone();
            self.ask(move |store| store.token(&id))
        };
        let Some(row) = look().await? else { return wrong() };
        let hash = row.hash.clone();
        let turn = self.guard.checks.acquire().await.map_err(|_| Problem::internal())?;
        // Others from there may have turned out wrong while this one waited.
        self.not_too_wrong(peer, now)?;
        let is_right = tokio::task::spawn_blocking(move || key::is_secret_of(&secret, &hash)).await;
        if !is_right.map_err(|error| lost(&error))? {
            return wrong();
        }
        drop(turn);
        // The hash took its time: what counts is how the token stands now.
        let revoked = self.guard.revoked();
        let Some(row) = look().await?.filter(|found| found.hash == row.hash) else { return wrong() };
        // Only who knows the secret is told what became of the token.
        if let Some(at) = row.revoked_at {
            return refused(format!("the token was revoked at {at}"));
        }
        if let Some(at) = row.expires_at.filter(|at| *at <= now) {
            return refused(format!("the token expired at {at}"));
        }
        Ok(Ok((row, revoked)))
    }

    async fn note_use(&self, row: &TokenRow, now: Timestamp) {
        let id = row.id.clone();
        if let Err(problem) = self.ask(move |store| store.token_used(&id, now)).await {
            // A full disk is no reason to lock people out.
            tracing::debug!(?problem, "when the token was used last could not be written");
        }
    }
}

#[cfg(test)]
mod tests;
