//! `/api/v1/ledger`: what rules could not judge, and why.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::control::Control;
use super::page::Page;
use super::problem::Problem;
use crate::alert::{LedgerEntry, LedgerReason};

/// What one rule could not judge for one reason.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Unjudged {
    rule: String,
    reason: LedgerReason,
    /// How many events.
    count: u64,
    /// The log position of the first of them.
    first: u64,
    /// The log position of the last of them.
    last: u64,
    /// What went wrong with the last one.
    detail: Option<String>,
}

impl From<LedgerEntry> for Unjudged {
    fn from(entry: LedgerEntry) -> Self {
        let LedgerEntry { rule, reason, count, first, last, detail } = entry;
        Self { rule: rule.to_string(), reason, count, first, last, detail }
    }
}

/// List what could not be judged
///
/// One entry for each rule and reason since the store began, by rule; all on one page.
#[utoipa::path(get, path = "/api/v1/ledger", tag = "rules",
    responses((status = 200, description = "The ledger", body = Page<Unjudged>)))]
pub(super) async fn list(State(control): State<Arc<Control>>) -> Result<Json<Page<Unjudged>>, Problem> {
    let entries = control.ask(|store| store.ledger()).await?;
    Ok(Json(Page::whole(entries.into_iter().map(Unjudged::from).collect())))
}
