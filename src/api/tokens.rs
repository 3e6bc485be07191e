//! `/api/v1/tokens` and `/api/v1/me`: who may use the API.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admit::Caller;
use super::ask::Sent;
use super::control::{Control, lost};
use super::key::{KeyError, NewToken};
use super::page::Page;
use super::problem::Problem;
use super::record::{Recorded, Ticket};
use crate::store::{Role, TokenRow};
use crate::time::Span;

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Token {
    /// The token's public part: `wf_ID_…`.
    id: String,
    name: String,
    role: Role,
    #[schema(format = DateTime)]
    created_at: String,
    created_by: String,
    /// From when on it is refused; null: never.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// To the minute.
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
}

/// A token that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenMade {
    /// The token itself. It is shown this once, and kept nowhere.
    #[schema(example = "wf_1a2b3c4d5e6f_…")]
    token: String,
    #[serde(flatten)]
    about: Token,
}

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenWanted {
    /// Letters, digits, blanks and `. _ - @ /`; no two tokens that are in use have the same.
    #[schema(min_length = 1, max_length = 64, example = "soc-dashboard")]
    name: String,
    role: Role,
    /// How long it opens anything.
    #[serde(default = "a_year")]
    #[schema(minimum = 1, maximum = 3650, default = 365)]
    valid_days: u16,
}

const fn a_year() -> u16 {
    365
}

/// Whose token this is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    /// The token's id; null for the one of the configuration.
    id: Option<String>,
    name: String,
    role: Role,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

impl From<TokenRow> for Token {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            role: row.role,
            created_at: row.created_at.to_string(),
            created_by: row.created_by,
            expires_at: row.expires_at.map(|at| at.to_string()),
            last_used_at: row.last_used_at.map(|at| at.to_string()),
            revoked_at: row.revoked_at.map(|at| at.to_string()),
        }
    }
}

/// Show whose token this is
#[utoipa::path(get, path = "/api/v1/me", tag = "tokens",
    responses((status = 200, description = "The token of this call", body = Me)))]
pub(super) async fn me(caller: Caller) -> Json<Me> {
    let expires_at = caller.expires_at.map(|at| at.to_string());
    Json(Me { id: caller.id, name: caller.name, role: caller.role, expires_at })
}

/// List tokens
///
/// The newest first, also those that were revoked; all on one page.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens",
    responses((status = 200, description = "All tokens", body = Page<Token>)))]
pub(super) async fn list(State(control): State<Arc<Control>>) -> Result<Json<Page<Token>>, Problem> {
    let rows = control.ask(|store| store.tokens()).await?;
    Ok(Json(Page::whole(rows.into_iter().map(Token::from).collect())))
}

/// Make a token
///
/// The answer has the token, this once.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = TokenWanted,
    responses(
        (status = 201, description = "The token", body = TokenMade),
        (status = 409, description = "The name is taken, or there are 1,000 tokens already"),
    ))]
pub(super) async fn add(
    State(control): State<Arc<Control>>,
    caller: Caller,
    ticket: Ticket,
    Sent(wanted): Sent<TokenWanted>,
) -> Result<Recorded<(StatusCode, Json<TokenMade>)>, Problem> {
    let TokenWanted { name, role, valid_days } = wanted;
    let shown: String = name.chars().take(64).collect();
    let deed = ticket.asking(format!("name {shown:?}, role {}, valid for {valid_days} days", role.name()));
    if !(1..=3650).contains(&valid_days) {
        return Err(Problem::unfit("valid_days", "it must be from 1 to 3650"));
    }
    let expires_at = deed.at.plus(Span::days(i64::from(valid_days)));
    let maker = (deed.at, caller.author());
    let making = move || NewToken::make(&name, role, maker, Some(expires_at));
    let made = tokio::task::spawn_blocking(making).await.map_err(|error| lost(&error))?;
    let NewToken { row, text } = made.map_err(|error| match error {
        KeyError::Name => Problem::unfit("name", error.to_string()),
        KeyError::Random | KeyError::Hash(_) => {
            tracing::error!(%error, "no token can be made");
            Problem::internal()
        }
    })?;
    let kept = row.clone();
    let deed = deed.clone().asking(format!("{}, id {}", deed.request, row.id));
    control.ask(move |store| store.token_add(&kept, &deed)).await?;
    let made = TokenMade { token: text, about: Token::from(row) };
    Ok(Recorded((StatusCode::CREATED, Json(made))))
}

/// Show a token
#[utoipa::path(get, path = "/api/v1/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "The token's id")),
    responses((status = 200, description = "The token", body = Token)))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<Token>, Problem> {
    let found = control.ask(move |store| store.token(&id)).await?;
    found.map(|row| Json(Token::from(row))).ok_or_else(missing)
}

/// Revoke a token
///
/// It opens nothing any more, from now on. Your own may be revoked too.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "The token's id")),
    responses((status = 204, description = "It is revoked")))]
pub(super) async fn revoke(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Path(id): Path<String>,
) -> Result<Recorded<StatusCode>, Problem> {
    let (deed, wanted) = (ticket.asking(""), id.clone());
    if !control.ask(move |store| store.token_revoke(&wanted, &deed)).await? {
        return Err(missing());
    }
    control.guard.forget(&id);
    Ok(Recorded(StatusCode::NO_CONTENT))
}

fn missing() -> Problem {
    Problem::missing("token of this id that is in use")
}

#[cfg(test)]
mod tests;
