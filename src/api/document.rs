//! The OpenAPI document: what the handlers say of themselves, completed with what holds for all of them.

use utoipa::openapi::header::Header;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, Content, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
    Response,
};
use utoipa::{PartialSchema as _, ToSchema as _};

use super::counts::Per;
use super::events::First;
use super::exports::Lines;
use super::import::Form;
use super::problem::{Fault, PROBLEM_JSON, ProblemBody};
use super::reports;
use super::routes::registry;
use crate::alert::{AlertState, Verdict};
use crate::report::Every;
use crate::store::Role;

const DESCRIPTION: &str = "\
Watchfire's alerts, events, rules and deliveries. `watchfire token add` makes a token; send it as \
`Authorization: Bearer TOKEN`.

* Roles: viewer < analyst < responder < admin; each path says which one it needs.
* Lists come in pages of `limit` (100, at most 1,000); `next` is the `cursor` of the page after.
* Errors are `application/problem+json` (RFC 9457); `code` is stable. Unknown parameters and fields are errors.
* Every answer to a GET but an export and the stream has an `ETag`; with `If-None-Match` it is 304 while nothing has changed.
* A token may call 50 times a second, 200 times at once (`api.rate`); beyond that, and after ten wrong tokens from one \
address, the answer is 429 with `Retry-After`.
* Times are RFC 3339 in UTC. Bodies have at most 64 KiB, but those of an import.
* Keys may be added to answers; none is renamed or removed within `/api/v1`.";

const SCHEME: &str = "token";

/// The document that `/api/v1/openapi.json` shows.
#[must_use]
pub fn document() -> OpenApi {
    registry().into_openapi()
}

/// The document before any path is in it.
pub(super) fn blank() -> OpenApi {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("wf_ID_SECRET")).build();
    let mut components = Components::new();
    components.add_security_scheme(SCHEME, SecurityScheme::Http(bearer));
    components.schemas.insert(ProblemBody::name().into_owned(), ProblemBody::schema());
    components.schemas.insert(Fault::name().into_owned(), Fault::schema());
    // Only parameters have these, whose schemas are not gathered.
    components.schemas.insert(First::name().into_owned(), First::schema());
    components.schemas.insert(Per::name().into_owned(), Per::schema());
    components.schemas.insert("AlertState".to_owned(), AlertState::schema());
    components.schemas.insert("Verdict".to_owned(), Verdict::schema());
    components.schemas.insert(Lines::name().into_owned(), Lines::schema());
    components.schemas.insert(reports::Form::name().into_owned(), reports::Form::schema());
    components.schemas.insert("Every".to_owned(), Every::schema());
    components.schemas.insert(Form::name().into_owned(), Form::schema());
    let license = LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0"));
    let info = InfoBuilder::new()
        .title("Watchfire")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license.build()));
    OpenApiBuilder::new().info(info.build()).components(Some(components)).build()
}

/// Adds to an operation what every operation with this role has.
pub(super) fn complete(operation: &mut Operation, role: Role, is_get: bool) {
    let about = operation.description.take().map(|about| format!("{about}\n\n")).unwrap_or_default();
    operation.description = Some(format!("{about}Needs the role {}.", role.name()));
    operation.security = Some(vec![SecurityRequirement::new(SCHEME, Vec::<String>::new())]);
    let has_place = operation
        .parameters
        .iter()
        .flatten()
        .any(|parameter| matches!(parameter.parameter_in, ParameterIn::Path));
    let responses = &mut operation.responses.responses;
    let is_get = is_get && !is_streamed(responses.get("200"));
    if is_get {
        let about = "The `ETag` of the answer that is there already";
        operation.parameters.get_or_insert_default().push(header_asked("If-None-Match", about));
    }
    if responses.contains_key("412") {
        let about = "The `ETag` of the alert as it was seen; in place of `revision`";
        operation.parameters.get_or_insert_default().push(header_asked("If-Match", about));
    }
    let reads_by_itself = responses.contains_key("413");
    for (status, response) in responses.iter_mut() {
        let RefOr::T(response) = response else { continue };
        if !status.starts_with('2') {
            // All errors look alike.
            response.content.insert(PROBLEM_JSON.to_owned(), problem_content());
        } else {
            response.headers.insert("X-Request-Id".to_owned(), header("Names this call in the daemon's log"));
            if is_get {
                response.headers.insert("ETag".to_owned(), header("For `If-None-Match`"));
            }
        }
    }
    let mut add = |status: u16, about: &str| {
        responses.entry(status.to_string()).or_insert_with(|| RefOr::T(problem(status, about)));
    };
    add(400, "A parameter is unknown or not what it should be; `errors` says which");
    add(401, "The token is missing, wrong, expired or revoked");
    if role > Role::Viewer {
        add(403, "The token's role does not reach");
    }
    if has_place {
        add(404, "There is no such thing");
    }
    // Whoever describes this by itself reads its body by itself.
    if operation.request_body.is_some() && !reads_by_itself {
        add(408, "The body did not arrive within 10 seconds");
        add(413, "The body is larger than 64 KiB");
        add(415, "The body is not `application/json`");
        add(422, "The body is JSON, but not what is wanted; `errors` says where");
    }
    add(429, "This token called too often, or too many wrong tokens came from this address");
    add(500, "It failed; the daemon's log says why");
    add(503, "The store cannot be written or read at present");
    // These two come from below, where the request is not yet one of the API: they have no body.
    for (status, about) in
        [("414", "The address is too long"), ("431", "The header is larger than `limits.header`")]
    {
        responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(Response::new(about)));
    }
    if is_get {
        responses
            .entry("304".to_owned())
            .or_insert_with(|| RefOr::T(Response::new("The caller has it already (`If-None-Match`)")));
    }
}

/// An answer that is made while it is sent has no tag.
fn is_streamed(answer: Option<&RefOr<Response>>) -> bool {
    let streams = ["application/x-ndjson", "text/event-stream"];
    matches!(answer, Some(RefOr::T(response)) if streams.iter().any(|kind| response.content.contains_key(*kind)))
}

fn problem(status: u16, about: &str) -> Response {
    let mut response = Response::new(about);
    response.content.insert(PROBLEM_JSON.to_owned(), problem_content());
    if matches!(status, 429 | 503) {
        response.headers.insert("Retry-After".to_owned(), header("Seconds to wait"));
    }
    if status == 401 {
        response.headers.insert("WWW-Authenticate".to_owned(), header("As RFC 6750 has it"));
    }
    response
}

fn problem_content() -> Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name(ProblemBody::name()))).build()
}

fn header_asked(name: &str, about: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .description(Some(about))
        .schema(Some(Object::with_type(Type::String)))
        .build()
}

fn header(about: &str) -> Header {
    let mut header = Header::default();
    header.description = Some(about.to_owned());
    header
}
