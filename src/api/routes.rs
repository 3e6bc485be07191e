//! Every path of the API with the role it needs, on one screen. A new one is one line here, and a handler with its
//! `#[utoipa::path]`: routing, checks and documentation follow from these.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, body::Bytes};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use super::admit::{admit, check_role};
use super::ask::check_names;
use super::conditional::conditional;
use super::control::Control;
use super::document::{blank, complete};
use super::finish::{finish, is_api};
use super::problem::Problem;
use super::record::record;
use super::{
    alerts, approvals, audit, counts, coverage, events, exports, gaps, health, holds, import, incidents,
    ledger, outbox, proof, quality, rejected, reports, respond, responses, retention, rules, silences,
    stream, tokens, trace, triage, verify,
};
use crate::source::not_found;
use crate::store::Role::{self, Admin, Analyst, Responder, Viewer};

/// Where the document is; it needs no token.
pub(super) const DOCUMENT: &str = "/api/v1/openapi.json";

pub(super) fn registry() -> OpenApiRouter<Arc<Control>> {
    about_alerts(OpenApiRouter::with_openapi(blank()))
        .routes(at(Viewer, routes!(health::health)))
        .routes(at(Viewer, routes!(tokens::me)))
        .routes(at(Viewer, routes!(rules::list)))
        .routes(at(Viewer, routes!(rules::status)))
        .routes(at(Viewer, routes!(quality::quality)))
        .routes(at(Viewer, routes!(rules::show)))
        .routes(at(Analyst, routes!(quality::exception)))
        .routes(at(Viewer, routes!(ledger::list)))
        .routes(at(Viewer, routes!(coverage::coverage)))
        .routes(at(Viewer, routes!(gaps::list)))
        .routes(at(Responder, routes!(gaps::add)))
        .routes(at(Viewer, routes!(proof::segments)))
        .routes(at(Viewer, routes!(proof::checkpoints)))
        .routes(at(Viewer, routes!(proof::key)))
        .routes(at(Viewer, routes!(verify::list)))
        .routes(at(Viewer, routes!(verify::show)))
        .routes(at(Admin, routes!(verify::start)))
        .routes(at(Analyst, routes!(events::list)))
        .routes(at(Analyst, routes!(events::show)))
        .routes(at(Analyst, routes!(trace::trace)))
        .routes(at(Analyst, routes!(counts::counts)))
        .routes(at(Analyst, routes!(exports::list)))
        .routes(at(Analyst, routes!(reports::show)))
        .routes(at(Analyst, routes!(rejected::list)))
        .routes(at(Analyst, routes!(rejected::show)))
        .routes(at(Responder, routes!(rejected::replay)))
        .routes(at(Admin, routes!(import::import)))
        .routes(at(Admin, routes!(tokens::list, tokens::add)))
        .routes(at(Admin, routes!(tokens::show, tokens::revoke)))
        .routes(at(Viewer, routes!(retention::show)))
        .routes(at(Viewer, routes!(retention::deletions)))
        .routes(at(Analyst, routes!(holds::list)))
        .routes(at(Admin, routes!(holds::add)))
        .routes(at(Analyst, routes!(holds::show)))
        .routes(at(Admin, routes!(holds::end)))
        .routes(at(Admin, routes!(audit::list)))
        .routes(at(Admin, routes!(audit::verify)))
}

/// Alerts, and what is told and done about them.
fn about_alerts(router: OpenApiRouter<Arc<Control>>) -> OpenApiRouter<Arc<Control>> {
    router
        .routes(at(Viewer, routes!(alerts::list)))
        .routes(at(Viewer, routes!(stream::stream)))
        .routes(at(Viewer, routes!(alerts::show)))
        .routes(at(Analyst, routes!(triage::acknowledge)))
        .routes(at(Analyst, routes!(triage::resolve)))
        .routes(at(Analyst, routes!(triage::reopen)))
        .routes(at(Analyst, routes!(triage::assign)))
        .routes(at(Analyst, routes!(triage::comment)))
        .routes(at(Viewer, routes!(incidents::list)))
        .routes(at(Viewer, routes!(incidents::show)))
        .routes(at(Analyst, routes!(incidents::acknowledge)))
        .routes(at(Analyst, routes!(incidents::resolve)))
        .routes(at(Analyst, routes!(incidents::assign)))
        .routes(at(Viewer, routes!(outbox::list)))
        .routes(at(Viewer, routes!(outbox::counts)))
        .routes(at(Viewer, routes!(outbox::show)))
        .routes(at(Responder, routes!(outbox::redrive)))
        .routes(at(Responder, routes!(outbox::redrive_action)))
        .routes(at(Viewer, routes!(responses::list)))
        .routes(at(Responder, routes!(respond::ask)))
        .routes(at(Viewer, routes!(responses::show)))
        .routes(at(Responder, routes!(respond::undo)))
        .routes(at(Responder, routes!(approvals::approve)))
        .routes(at(Responder, routes!(approvals::refuse)))
        .routes(at(Viewer, routes!(respond::state)))
        .routes(at(Responder, routes!(respond::stop)))
        .routes(at(Responder, routes!(respond::resume)))
        .routes(at(Viewer, routes!(silences::list)))
        .routes(at(Analyst, routes!(silences::add)))
        .routes(at(Analyst, routes!(silences::preview)))
        .routes(at(Viewer, routes!(silences::show)))
        .routes(at(Analyst, routes!(silences::end)))
        .routes(at(Analyst, routes!(silences::extend)))
}

/// Everything under `/api/v1`, behind its layers.
pub(super) fn api(control: Arc<Control>) -> Router {
    let (router, document) = registry().split_for_parts();
    let behind = router
        .layer(from_fn_with_state(Arc::clone(&control), record))
        .layer(from_fn_with_state(Arc::clone(&control), admit))
        .with_state(control);
    behind.merge(shown(&document)).layer(from_fn(conditional)).layer(from_fn(finish))
}

/// What answers at paths that are nobody's; those of the API in its own way.
pub(super) fn nowhere() -> Router {
    let answer = async |request: Request| {
        if is_api(request.uri().path()) {
            return Problem::no_such_path().into_response();
        }
        not_found().await.into_response()
    };
    Router::new().fallback(answer).layer(from_fn(finish))
}

fn shown(document: &OpenApi) -> Router {
    let json = Bytes::from(document.to_json().unwrap_or_default());
    let answer = move || {
        let json = json.clone();
        async move { ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], json) }
    };
    Router::new().route(DOCUMENT, get(answer))
}

type Methods = UtoipaMethodRouter<Arc<Control>>;

/// Puts the checks before a path that its description asks for, and completes the description.
fn at(role: Role, (schemas, mut paths, methods): Methods) -> Methods {
    let mut known = Vec::new();
    for (path, item) in &mut paths.paths {
        for (method, operation) in operations(item) {
            known.push((method.clone(), query_names(operation)));
            operation.operation_id = operation.operation_id.take().map(|handler| operation_id(path, handler));
            complete(operation, role, method == Method::GET);
        }
    }
    let known: Arc<[(Method, Vec<String>)]> = known.into();
    let check = move |request: Request, next: Next| {
        let known = Arc::clone(&known);
        async move { checked(role, &known, request, next).await }
    };
    (schemas, paths, methods.layer(from_fn(check)))
}

/// `alerts_list`: what the path is about, and the handler's name; once, where the two are the same.
fn operation_id(path: &str, handler: String) -> String {
    let about = path.split('/').nth(3).unwrap_or_default();
    if about == handler { handler } else { format!("{about}_{handler}") }
}

async fn checked(
    role: Role,
    known: &[(Method, Vec<String>)],
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let is_head = *request.method() == Method::HEAD;
    let method = if is_head { &Method::GET } else { request.method() };
    // A method that is not there is answered by what comes next.
    if let Some((_, names)) = known.iter().find(|(known, _)| known == method) {
        check_role(&request, role)?;
        check_names(request.uri(), names)?;
    }
    Ok(next.run(request).await)
}

fn operations(item: &mut PathItem) -> Vec<(Method, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let methods = [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH];
    methods
        .into_iter()
        .zip([get, put, post, delete, patch])
        .filter_map(|(m, o)| Some((m, o.as_mut()?)))
        .collect()
}

fn query_names(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.iter().flatten();
    parameters
        .filter(|parameter| matches!(parameter.parameter_in, ParameterIn::Query))
        .map(|parameter| parameter.name.clone())
        .collect()
}

#[cfg(test)]
mod roles_tests;
#[cfg(test)]
mod tests;
