//! ETags: who has a thing already is told so, without the thing.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// Marks an answer that is made while it is sent: it is never in memory as a whole, and has no tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streamed;

/// Goes with the answer of a thing that is changed by who has seen it: stands in the tag behind a dot, so that `If-Match`
/// can be held against it although more of the answer has changed meanwhile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Revision(pub(super) u64);

/// The revision in an `If-Match`: none without one, or with `*`. A tag that is none of a thing with revisions is met by
/// no revision.
pub(super) fn seen(headers: &HeaderMap) -> Option<u64> {
    let wanted = headers.get(IF_MATCH)?.to_str().unwrap_or_default().trim();
    let number = wanted.trim_end_matches('"').rsplit_once('.').and_then(|(_, number)| number.parse().ok());
    (wanted != "*").then(|| number.unwrap_or(u64::MAX))
}

/// Gives every successful GET a tag of its bytes, and answers 304 to who has them. Other answers are in memory anyway, and
/// hashing them takes less than making them did.
pub(super) async fn conditional(request: Request, next: Next) -> Response {
    // What answers HEAD has its body taken off before it comes here.
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let wanted = request.headers().get(IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    if response.status() != StatusCode::OK || response.extensions().get::<Streamed>().is_some() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else { return Problem::internal().into_response() };
    let hash = blake3::hash(&bytes).to_hex();
    let revision = parts.extensions.get().map_or_else(String::new, |Revision(number)| format!(".{number}"));
    let tag = format!("\"{}{revision}\"", hash.get(..32).unwrap_or_default());
    if wanted.is_some_and(|wanted| has(&wanted, &tag)) {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(CONTENT_TYPE);
        parts.headers.remove(CONTENT_LENGTH);
        tagged(&mut parts.headers, &tag);
        return Response::from_parts(parts, Body::empty());
    }
    tagged(&mut parts.headers, &tag);
    Response::from_parts(parts, Body::from(bytes))
}

fn tagged(headers: &mut HeaderMap, tag: &str) {
    headers.extend(HeaderValue::from_str(tag).ok().map(|tag| (ETAG, tag)));
}

/// RFC 9110, section 13.1.2: any of a list, or `*`; compared weakly.
fn has(wanted: &HeaderValue, tag: &str) -> bool {
    let Ok(wanted) = wanted.to_str() else { return false };
    wanted.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_read_from_its_tag() {
        let seen = |wanted: &'static str| {
            seen(&HeaderMap::from_iter([(IF_MATCH, HeaderValue::from_static(wanted))]))
        };
        assert_eq!((seen("\"ab.17\""), seen("W/\"ab.17\"")), (Some(17), Some(17)));
        assert_eq!((seen("*"), seen("\"ab\""), seen("17")), (None, Some(u64::MAX), Some(u64::MAX)));
    }

    #[test]
    fn tags_are_compared_as_the_rfc_says() {
        let has = |wanted: &'static str| has(&HeaderValue::from_static(wanted), "\"ab\"");
        assert!(has("\"ab\"") && has("W/\"ab\"") && has("\"x\", \"ab\"") && has("*"));
        assert!(!has("ab") && !has("\"a\"") && !has(""));
    }
}
