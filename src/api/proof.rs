//! `/api/v1/segments`, `/api/v1/checkpoints`, `/api/v1/key`: what the log consists of, and what proves it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::ask::Asked;
use super::control::Control;
use super::page::{Cursor, Page, PageAsked, number};
use super::problem::Problem;
use crate::log::{Checkpoint, Hex, LogError, PublicKey, Reader, SegmentInfo, newest_checkpoints};
use crate::time::Timestamp;

const CHECKPOINTS: &str = "checkpoints";

/// A sealed segment of the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogSegment)]
pub(super) struct Segment {
    /// The first log position in it.
    first: u64,
    /// The last one.
    last: u64,
    /// How many of the entries are events.
    events: u64,
    /// How many of the entries were deleted.
    deleted: u64,
    /// The length of the file.
    bytes: u64,
    /// The earliest time of an event; null without events.
    #[schema(format = DateTime)]
    from: Option<String>,
    /// The latest one.
    #[schema(format = DateTime)]
    to: Option<String>,
    /// When the first of the events arrived.
    #[schema(format = DateTime)]
    received_from: Option<String>,
    /// When the last one did.
    #[schema(format = DateTime)]
    received_to: Option<String>,
    /// When it was sealed or merged.
    #[schema(format = DateTime)]
    sealed_at: String,
    /// The format of the file.
    format: u32,
    /// Why it cannot be read; null if it can, as far as is known.
    damage: Option<String>,
}

/// All segments, and the part of the log that is not sealed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogSegments)]
pub(super) struct Segments {
    /// In order of position.
    items: Vec<Segment>,
    /// All are on one page: always null.
    next: Option<String>,
    hot: HotEnd,
}

/// What is not yet sealed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogHotEnd)]
pub(super) struct HotEnd {
    /// The first log position that no segment has.
    first: u64,
    /// The last entry of the log; one less than `first` when everything is sealed.
    last: u64,
    /// How many entries only the hot end has.
    entries: u64,
    /// The chain after the last entry, in hex.
    #[schema(min_length = 64, max_length = 64)]
    head: String,
}

/// Where the log and the audit log stood at a moment, signed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogCheckpoint)]
pub(super) struct Shown {
    /// The last entry of the log.
    position: u64,
    /// The chain after it, in hex.
    head: String,
    #[schema(format = DateTime)]
    at: String,
    /// How many rows the audit log had; null where that was not known.
    audit_rows: Option<u64>,
    /// The audit log's chain after them, in hex.
    audit_head: Option<String>,
    /// The line itself with its signature: what to keep elsewhere, for `watchfire verify --checkpoints`.
    line: String,
}

/// The public half of the key that signs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogKey)]
pub(super) struct Key {
    #[schema(example = "Ed25519")]
    algorithm: &'static str,
    /// The text of `key.pub`, for `watchfire verify --key`.
    #[schema(example = "watchfire-ed25519 ea4a6c63…")]
    public_key: String,
}

impl From<SegmentInfo> for Segment {
    fn from(info: SegmentInfo) -> Self {
        let pair = |times: Option<(Timestamp, Timestamp)>| {
            times.map(|(from, to)| (from.to_string(), to.to_string())).unzip()
        };
        let ((from, to), (received_from, received_to)) = (pair(info.times), pair(info.received));
        Self {
            first: info.first,
            last: info.last,
            events: info.events,
            deleted: info.deleted,
            bytes: info.bytes,
            from,
            to,
            received_from,
            received_to,
            sealed_at: info.sealed_at.to_string(),
            format: info.format,
            damage: info.damage,
        }
    }
}

impl From<&Checkpoint> for Shown {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self {
            position: checkpoint.position,
            head: checkpoint.head.to_string(),
            at: Timestamp(checkpoint.at).to_string(),
            audit_rows: checkpoint.audit_rows,
            audit_head: checkpoint.audit_head.map(|head| head.to_string()),
            line: checkpoint.line(),
        }
    }
}

/// List the log's segments
///
/// The sealed ones in order of position, and the part that is not sealed; all on one page.
#[utoipa::path(get, path = "/api/v1/segments", tag = "proof",
    responses((status = 200, description = "All segments", body = Segments)))]
pub(super) async fn segments(State(control): State<Arc<Control>>) -> Result<Json<Segments>, Problem> {
    let listed = control.in_log(|dir| {
        let mut reader = Reader::open(dir)?;
        let infos = reader.segments()?;
        let (first, (last, head)) = (reader.first_unsealed(), reader.end()?);
        let entries = (last + 1).saturating_sub(first);
        let hot = HotEnd { first, last, entries, head: Hex(head).to_string() };
        Ok(Segments { items: infos.into_iter().map(Segment::from).collect(), next: None, hot })
    });
    Ok(Json(listed.await?))
}

/// List checkpoints
///
/// Those that the daemon keeps beside the log, the newest first. They prove something against who owns the machine only
/// where they were kept elsewhere before: see `checkpoints` in the configuration.
#[utoipa::path(get, path = "/api/v1/checkpoints", tag = "proof", params(PageAsked),
    responses((status = 200, description = "A page of checkpoints", body = Page<Shown>)))]
pub(super) async fn checkpoints(
    State(control): State<Arc<Control>>,
    Asked(PageAsked { cursor, limit }): Asked<PageAsked>,
) -> Result<Json<Page<Shown>>, Problem> {
    let before = cursor.map(|cursor| number(cursor.place::<1>(CHECKPOINTS)?[0])).transpose()?;
    let rows = control.in_log(move |dir| newest_checkpoints(dir, before, limit.and_one())).await?;
    let place = |row: &(usize, Checkpoint)| Cursor::new(CHECKPOINTS, &[&row.0]);
    Ok(Json(Page::new(rows, limit, place, |(_, checkpoint)| Shown::from(&checkpoint))))
}

/// Show the public key
///
/// Who keeps it elsewhere can tell whether everything is still signed by the same one.
#[utoipa::path(get, path = "/api/v1/key", tag = "proof",
    responses((status = 200, description = "The key", body = Key)))]
pub(super) async fn key(State(control): State<Arc<Control>>) -> Result<Json<Key>, Problem> {
    let key = control.in_log(|dir| PublicKey::read(&PublicKey::path(dir))).await?;
    Ok(Json(Key { algorithm: "Ed25519", public_key: key.to_string() }))
}

/// A log that cannot be read is ours to mend.
pub(super) fn unreadable(error: &LogError) -> Problem {
    tracing::error!(%error, "the log cannot be read");
    Problem::internal()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::testing::{CONFIGURED, Setup};
    use crate::log::{Checkpoint, PublicKey};
    use crate::store::Role;
    use crate::time::Span;

    #[tokio::test]
    async fn segments_checkpoints_and_key_are_shown_to_viewers() {
        let setup = Setup::new(true);
        let event = r#"{"id":"e1","created_at":"2026-03-01T09:00:00Z","event_type":"user_created","author_id":1,"entity_id":1}"#;
        setup.append(&[event.to_owned()]).await;
        let viewer = setup.token("viewer", Role::Viewer);
        let (status, segments) = setup.get("/api/v1/segments", &viewer).await;
        assert_eq!((status, &segments["items"]), (200, &json!([])));
        let hot = &segments["hot"];
        assert_eq!((&hot["first"], &hot["last"], &hot["entries"]), (&json!(1), &json!(1), &json!(1)));
        assert_eq!(hot["head"].as_str().unwrap().len(), 64);

        let (status, none) = setup.get("/api/v1/checkpoints", &viewer).await;
        assert_eq!((status, none), (200, json!({"items": [], "next": null})));
        for _ in 0..3 {
            setup.wait(Span::hours(1));
            setup.log.keep_checkpoint(setup.clock.now()).unwrap();
        }
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let (_, page) = setup.get(&format!("/api/v1/checkpoints?limit=2{cursor}"), &viewer).await;
            found.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let times: Vec<&str> = found.iter().map(|shown| shown["at"].as_str().unwrap()).collect();
        assert_eq!(
            times,
            ["2026-03-02T15:00:00.000Z", "2026-03-02T14:00:00.000Z", "2026-03-02T13:00:00.000Z"]
        );
        let kept = Checkpoint::parse(found[0]["line"].as_str().unwrap()).unwrap();
        assert_eq!(
            (kept.position, &found[0]["head"]),
            (1, hot["head"].as_str().map(|h| json!(h)).as_ref().unwrap())
        );

        let (status, key) = setup.get("/api/v1/key", &viewer).await;
        assert_eq!((status, &key["algorithm"]), (200, &json!("Ed25519")));
        let shown = PublicKey::parse(key["public_key"].as_str().unwrap()).unwrap();
        assert_eq!(shown, PublicKey::read(&setup.dir.path().join("key.pub")).unwrap());
        assert_eq!(setup.get("/api/v1/checkpoints?cursor=AAAA", CONFIGURED).await.0, 400);
    }
}
