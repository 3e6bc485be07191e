//! `/api/v1/import`: events of the past.

use std::sync::Arc;

use axum::Json;
use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::Asked;
use super::control::Control;
use super::problem::Problem;
use super::record::{Recorded, Ticket};
use crate::event::Format;
use crate::source::{self, Bad, Refusal, check_import_name};

/// Where events of the past are posted to.
pub const IMPORT_PATH: &str = "/api/v1/import";

/// How the events are to be taken.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportAsked {
    /// The name under which they are stored, behind `past/` unless they are judged.
    #[serde(default)]
    #[param(value_type = String, required = false, min_length = 1, max_length = 100, pattern = "^[a-z0-9_-]+$",
        default = "import")]
    source: Name,
    /// The system they happened in. Without it that of the configured source of this name, if there is one, else each
    /// event's format gives the name (`gitlab` for GitLab's).
    #[param(value_type = String, required = false, min_length = 1, max_length = 100, pattern = "^[a-z0-9_-]+$")]
    forge: Option<Name>,
    /// Their format; each is recognised by itself without it.
    #[param(value_type = Form, required = false)]
    format: Option<Form>,
    /// Whether rules raise alerts for them, as if they came now.
    #[serde(default)]
    #[param(required = false, default = false)]
    judge: bool,
}

/// A name that is fit.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl Default for Name {
    fn default() -> Self {
        Self("import".to_owned())
    }
}

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        check_import_name(&name).map(|()| Self(name))
    }
}

/// How events are written.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ImportFormat)]
pub(super) enum Form {
    /// As it is streamed, as the REST API answers it, a line of `audit_json.log`, a row of the CSV export as an object.
    Gitlab,
    Github,
    AzureDevops,
    Bitbucket,
    /// Any JSON objects.
    Generic,
}

impl Form {
    const fn format(self) -> Format {
        match self {
            Self::Gitlab => Format::Gitlab,
            Self::Github => Format::Github,
            Self::AzureDevops => Format::AzureDevops,
            Self::Bitbucket => Format::Bitbucket,
            Self::Generic => Format::Generic,
        }
    }
}

/// What became of the events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Imported {
    /// New, and on disk now.
    stored: u64,
    /// How many were there already, or twice among them.
    duplicates: u64,
    /// What could not be read; nothing of it is kept.
    rejected: Vec<NotImported>,
}

/// An event that could not be read.
#[derive(Debug, Serialize, ToSchema)]
struct NotImported {
    /// Of the body, from 1.
    #[schema(minimum = 1)]
    line: usize,
    /// In it, in bytes from 1.
    #[schema(minimum = 1)]
    column: usize,
    reason: String,
}

impl From<Bad> for NotImported {
    fn from(bad: Bad) -> Self {
        Self { line: bad.line, column: bad.column, reason: bad.reason }
    }
}

/// Import events of the past
///
/// A JSON array, one object, or one object per line, at most `limits.body` and `limits.events`; with
/// `Content-Encoding: gzip` also packed. What the log has already, in whichever form it came, is passed over. Rules learn
/// from the events and raise no alerts for them, unless `judge` says so.
#[utoipa::path(post, path = "/api/v1/import", tag = "events", params(ImportAsked),
    request_body(description = "The events", content(
        (serde_json::Value = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 200, description = "All that could be read is on disk", body = Imported),
        (status = 400, description = "A parameter is not what it should be, or the body is missing, is no JSON as a whole, no whole \
            gzip stream, or broke off; nothing is stored"),
        (status = 408, description = "The body did not arrive within `limits.body_time`"),
        (status = 413, description = "The body is larger than `limits.body` or has more events than `limits.events`"),
        (status = 415, description = "The content encoding is not understood"),
    ))]
pub(super) async fn import(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    Asked(ImportAsked { source, forge, format, judge }): Asked<ImportAsked>,
    request: Request,
) -> Result<Recorded<Json<Imported>>, Problem> {
    let format = format.map(Form::format);
    let configured = || control.intakes.get(&source.0).and_then(|intake| intake.forge().cloned());
    let forge = forge.map(|forge| forge.0.into()).or_else(configured);
    let wish = source::Import { source: source.0, forge, format, judge };
    let written = format.map_or("each event's own", Format::name);
    let deed = ticket.asking(format!("source {}, format {written}", wish.stored_name()));
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return Err(Problem::bad("no_body", "there is no body").help("send the events as the body"));
    }
    let source::Imported { added, bad } = wish.run(&control.door, &parts.headers, body).await?;
    let (stored, duplicates) = (added.stored, added.duplicates);
    let outcome = format!("done: {stored} stored, {duplicates} duplicates, {} rejected", bad.len());
    // An interruption before this costs a second import, that stores nothing twice and is recorded.
    control.ask(move |store| store.record(&deed, &outcome)).await?;
    tracing::info!(source = wish.stored_name(), stored, duplicates, rejected = bad.len(), "imported events");
    let rejected = bad.into_iter().map(NotImported::from).collect();
    Ok(Recorded(Json(Imported { stored, duplicates, rejected })))
}

impl From<Refusal> for Problem {
    /// As the endpoints of sources would answer it.
    fn from(refusal: Refusal) -> Self {
        let Refusal { status, error, header } = refusal;
        let detail = match (error.line, error.column) {
            (Some(line), Some(column)) => format!("line {line}, column {column}: {}", error.message),
            _ => error.message,
        };
        let mut problem = Self::new(status, error.code, detail);
        if let Some(help) = error.help {
            problem = problem.help(help);
        }
        match header {
            Some((name, value)) => problem.header(name, value),
            None => problem,
        }
    }
}

#[cfg(test)]
mod tests;
