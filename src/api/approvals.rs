//! People's words on responses that wait: by the API with a token, and by signed links of messages without one.
//!
//! A link's page changes nothing: programs that look through mail open every link. Only its button decides.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response as Answer};
use axum::routing::get;
use axum::{Json, Router};

use super::admit::{Caller, Peer};
use super::control::Control;
use super::guard::{WRONG, counted};
use super::problem::{Problem, ProblemBody};
use super::record::{Recorded, Ticket};
use super::responses::{Whole, missing, whole};
use crate::respond::{Link, Signer};
use crate::store::{Decided, Decision, Deed, Response, ResponseStatus, Store, StoreError};

/// Approve a response
///
/// It is done once enough people have approved it, none of whom asked for it. Beyond a limit, one word more is needed.
#[utoipa::path(post, path = "/api/v1/responses/{id}/approve", tag = "responses",
    params(("id" = String, Path, description = "The response's id")),
    responses(
        (status = 200, description = "The response", body = Whole),
        (status = 409, description = "It does not wait, or this word does not count", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
pub(super) async fn approve(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    _caller: Caller,
    Path(id): Path<String>,
) -> Result<Recorded<Json<Whole>>, Problem> {
    decide(&control, &ticket, id, Decision::Approve).await
}

/// Refuse a response
#[utoipa::path(post, path = "/api/v1/responses/{id}/refuse", tag = "responses",
    params(("id" = String, Path, description = "The response's id")),
    responses(
        (status = 200, description = "The response", body = Whole),
        (status = 409, description = "It does not wait", body = ProblemBody,
            content_type = "application/problem+json"),
    ))]
pub(super) async fn refuse(
    State(control): State<Arc<Control>>,
    ticket: Ticket,
    _caller: Caller,
    Path(id): Path<String>,
) -> Result<Recorded<Json<Whole>>, Problem> {
    decide(&control, &ticket, id, Decision::Refuse).await
}

async fn decide(
    control: &Control,
    ticket: &Ticket,
    id: String,
    decision: Decision,
) -> Result<Recorded<Json<Whole>>, Problem> {
    let deed = ticket.asking(format!("response {}", id.chars().take(64).collect::<String>()));
    let wanted = id.clone();
    control
        .ask(move |store| {
            if store.response(&wanted)?.is_none() {
                return Ok(None);
            }
            store.response_decide(&wanted, decision, None, &deed).map(Some)
        })
        .await?
        .ok_or_else(missing)?;
    control.wake.notify_one();
    whole(control, id).await.map(|whole| Recorded(Json(whole)))
}

/// The pages that links lead to; they need no token.
pub(super) fn pages(control: Arc<Control>) -> Router {
    Router::new().route("/approve/{link}", get(look).post(press)).with_state(control)
}

async fn look(State(control): State<Arc<Control>>, Path(link): Path<String>, request: Request) -> Answer {
    let (link, _) = match known(&control, &link, Peer::of(&request)).await {
        Ok(known) => known,
        Err(answer) => return answer,
    };
    let id = link.response.clone();
    match control.ask(move |store| store.response(&id)).await {
        Ok(Some(response)) => page(StatusCode::OK, "Response", &asking(&link, &response)),
        Ok(None) => page(StatusCode::NOT_FOUND, "Response", "<p>There is no such response any more.</p>"),
        Err(problem) => problem.into_response(),
    }
}

async fn press(State(control): State<Arc<Control>>, Path(text): Path<String>, request: Request) -> Answer {
    let (link, address) = match known(&control, &text, Peer::of(&request)).await {
        Ok(known) => known,
        Err(answer) => return answer,
    };
    let now = control.clock.now();
    let author = format!("{} (link)", link.recipient);
    let deed = Deed { address, ..Deed::new(now, author, "POST /approve/…") };
    let (hash, recorded) = (Signer::hash(&text), deed.clone());
    let id = link.response.clone();
    let decided = control.ask(move |store| match decide_by(store, &link, &hash, &deed) {
        Ok(decided) => Ok(Ok(decided)),
        Err(StoreError::Conflict { what }) => {
            let recorded = recorded.asking(format!("response {id}"));
            store.record(&recorded, &format!("refused: {what}"))?;
            Ok(Err(what))
        }
        Err(error) => Err(error),
    });
    let decided = decided.await;
    control.wake.notify_one();
    match decided {
        Ok(Ok(decided)) => {
            let told = match decided {
                Decided::Allowed => "Approved. It is being done now.".to_owned(),
                Decided::Wants(more) => format!("Approved. {more} more must approve it."),
                Decided::Declined => "Refused. It is not done.".to_owned(),
            };
            page(StatusCode::OK, "Thank you", &format!("<p>{}</p>", escaped(&told)))
        }
        Ok(Err(what)) => {
            page(StatusCode::CONFLICT, "Nothing was changed", &format!("<p>{}</p>", escaped(&what)))
        }
        Err(problem) => problem.into_response(),
    }
}

/// Decides what the link's message asked. When the response waits anew, that message did not say for what.
fn decide_by(store: &Store, link: &Link, hash: &str, deed: &Deed) -> Result<Decided, StoreError> {
    if store.response(&link.response)?.is_some_and(|response| is_asked_anew(link, &response)) {
        return Err(StoreError::Conflict { what: ANEW.to_owned() });
    }
    store.response_decide(&link.response, link.decision, Some(hash), deed)
}

/// Whether a response waits for something that a link's message did not know of: each time it waits, it waits until another
/// time.
fn is_asked_anew(link: &Link, response: &Response) -> bool {
    response.status == ResponseStatus::Waiting && response.expires_at != Some(link.until)
}

const ANEW: &str = "it was asked for anew since this message: look at it again";

/// The link, if it was made here and is still good, and the caller's address. Wrong ones are charged to that.
async fn known(control: &Control, text: &str, address: IpAddr) -> Result<(Link, String), Answer> {
    let now = control.clock.now();
    let peer = counted(address);
    if control.guard.wrong.ask(&peer, now, WRONG).is_err() {
        return Err(page(StatusCode::TOO_MANY_REQUESTS, "Too many", "<p>Try again in a minute.</p>"));
    }
    let signer = control.ask(Signer::of).await.map_err(IntoResponse::into_response)?;
    let wrong = |told: &str| {
        control.guard.wrong.take(&peer, now, WRONG).ok();
        page(StatusCode::NOT_FOUND, "No such link", &format!("<p>{told}</p>"))
    };
    let link = signer.read(text).ok_or_else(|| wrong("This link was not made here, or is not whole."))?;
    if link.until <= now {
        let told = format!("This link was good until {}.", link.until);
        return Err(page(StatusCode::GONE, "Too late", &format!("<p>{told}</p>")));
    }
    Ok((link, address.to_string()))
}

fn asking(link: &Link, response: &Response) -> String {
    let what = format!("{} {}", response.verb, response.who.as_deref().unwrap_or("?"));
    let mut rows =
        vec![("What", what), ("State", response.summary.clone()), ("Action", response.action.clone())];
    rows.extend(response.rule.clone().map(|rule| ("Rule", rule)));
    rows.extend(response.reason.clone().map(|reason| ("Reason", reason)));
    rows.push(("Asked for by", response.requested_by.clone()));
    let table: String = rows
        .iter()
        .map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>", escaped(value)))
        .collect();
    if response.status != ResponseStatus::Waiting {
        return format!("<table>{table}</table><p>It waits for nobody any more.</p>");
    }
    if is_asked_anew(link, response) {
        return format!("<table>{table}</table><p>{ANEW}.</p>");
    }
    let (label, class) = match link.decision {
        Decision::Approve => ("Approve: do it", "go"),
        Decision::Refuse => ("Refuse: do not do it", "no"),
    };
    format!("<table>{table}</table><form method=\"post\"><button class=\"{class}\">{label}</button></form>")
}

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:42em;margin:2em auto;padding:0 1em}\
    th{text-align:left;padding-right:1em;vertical-align:top}button{font:inherit;padding:.6em 1.2em;margin-top:1em}\
    .go{background:#1a7f37;color:#fff;border:0}.no{background:#cf222e;color:#fff;border:0}";

fn page(status: StatusCode, title: &str, body: &str) -> Answer {
    let text = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Watchfire: {title}</title>\
         <style>{STYLE}</style><h1>{title}</h1>{body}</html>"
    );
    let csp = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(csp)),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (status, headers, text).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
