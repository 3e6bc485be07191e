//! `/api/v1/audit`: who changed what.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::Asked;
use super::control::Control;
use super::page::{Cursor, Limit, Page, number};
use super::problem::Problem;
use crate::log::Hex;
use crate::store::{AuditQuery, AuditRow};

const LIST: &str = "audit";

/// Which rows to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditAsked {
    /// Only this author's, as the list shows it.
    #[param(value_type = String, required = false)]
    author: Option<String>,
    /// The `next` of the page before.
    #[param(value_type = String, required = false)]
    cursor: Option<Cursor>,
    /// How many.
    #[serde(default)]
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
}

/// A call that changed something, or was refused to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct Entry {
    /// 1, 2, 3, none left out.
    number: u64,
    #[schema(format = DateTime)]
    at: String,
    /// A token by name and id, or an account of the machine.
    #[schema(example = "soc-dashboard (wf_1a2b3c4d5e6f)")]
    author: String,
    /// Empty on the command line.
    address: String,
    #[schema(example = "POST /api/v1/tokens")]
    what: String,
    /// What was asked for, without secrets.
    request: String,
    /// `done`, or why it was refused.
    outcome: String,
    /// The chain after this row, in hex.
    #[schema(min_length = 64, max_length = 64)]
    hash: String,
}

/// Whether the audit log is what was written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditVerified)]
pub(super) struct Verified {
    intact: bool,
    /// How many rows are in order, from the first.
    rows: u64,
    /// The chain after them, in hex.
    head: String,
    /// The first row that is not in order.
    first_wrong: Option<u64>,
    /// What is wrong with it.
    reason: Option<String>,
}

impl From<AuditRow> for Entry {
    fn from(row: AuditRow) -> Self {
        Self {
            number: row.number,
            at: row.deed.at.to_string(),
            author: row.deed.author,
            address: row.deed.address,
            what: row.deed.what,
            request: row.deed.request,
            outcome: row.outcome,
            hash: Hex(row.hash).to_string(),
        }
    }
}

/// List the audit log
///
/// The newest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditAsked),
    responses((status = 200, description = "A page of the audit log", body = Page<Entry>)))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Asked(AuditAsked { author, cursor, limit }): Asked<AuditAsked>,
) -> Result<Json<Page<Entry>>, Problem> {
    let before = cursor.map(|cursor| number(cursor.place::<1>(LIST)?[0])).transpose()?;
    let query = AuditQuery { author, before, limit: limit.and_one() };
    let rows = control.ask(move |store| store.audit(&query)).await?;
    Ok(Json(Page::new(rows, limit, |row| Cursor::new(LIST, &[&row.number]), Entry::from)))
}

/// Check the audit log
///
/// Computes its chain anew; names the first row that was changed, removed or inserted.
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit",
    responses((status = 200, description = "What was found", body = Verified)))]
pub(super) async fn verify(State(control): State<Arc<Control>>) -> Result<Json<Verified>, Problem> {
    let found = control.ask(|store| store.audit_verify()).await?;
    let (first_wrong, reason) = found.wrong.map(|wrong| (wrong.number, wrong.reason)).unzip();
    let intact = first_wrong.is_none();
    Ok(Json(Verified { intact, rows: found.rows, head: Hex(found.head).to_string(), first_wrong, reason }))
}
