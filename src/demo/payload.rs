//! The bodies GitLab streams, key for key in GitLab's order.
//!
//! Source of the shapes: the documented samples of GitLab's audit event streaming and schema pages. Database
//! events have a number as id, stream-only ones a UUID; `details` repeats most of what stands at the top.

use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use crate::time::Timestamp;

/// The event types used here that GitLab streams without storing them: their id is a UUID.
pub(super) const STREAM_ONLY: [&str; 3] =
    ["repository_git_operation", "merge_request_create", "merge_request_approval_operation"];

/// Who did it.
#[derive(Debug, Clone)]
pub(super) struct Author {
    pub(super) id: i64,
    pub(super) name: Arc<str>,
    pub(super) class: &'static str,
}

impl Author {
    /// GitLab's stand-in for somebody who is not signed in; the name is the login that was typed.
    pub(super) fn unauthenticated(login: &Arc<str>) -> Self {
        Self { id: -1, name: Arc::clone(login), class: "Gitlab::Audit::UnauthenticatedAuthor" }
    }
}

/// Where it belongs: GitLab calls it the scope in its code and the entity in the event.
#[derive(Debug, Clone)]
pub(super) struct Entity {
    pub(super) id: i64,
    pub(super) kind: &'static str,
    pub(super) path: Arc<str>,
}

impl Entity {
    pub(super) fn instance() -> Self {
        Self { id: 1, kind: "Gitlab::Audit::InstanceScope", path: "gitlab_instance".into() }
    }
}

/// What it was done to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) id: i64,
    pub(super) kind: &'static str,
    pub(super) details: Arc<str>,
}

/// `details.custom_message`: prose, or an object for git operations.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Message {
    Text(Arc<str>),
    Git { protocol: &'static str, action: &'static str },
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

/// An event before it has its id: ids are given in the order of time.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) at: Timestamp,
    pub(super) event_type: &'static str,
    pub(super) author: Author,
    pub(super) entity: Entity,
    pub(super) target: Target,
    pub(super) message: Message,
    /// Keys of `details` that only some types have: `change`, `from`, `to`, `with`, `remove` …
    pub(super) more: Vec<(&'static str, Value)>,
    pub(super) address: Arc<str>,
}

impl Draft {
    pub(super) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.more.push((key, value.into()));
        self
    }

    pub(super) fn is_stream_only(&self) -> bool {
        STREAM_ONLY.contains(&self.event_type)
    }

    /// The request body with this id.
    pub(super) fn body(&self, id: &Value) -> Vec<u8> {
        let event = Body {
            id,
            author_id: self.author.id,
            entity_id: self.entity.id,
            entity_type: self.entity.kind,
            details: Details(self),
            ip_address: &self.address,
            author_name: &self.author.name,
            entity_path: &self.entity.path,
            target_details: &self.target.details,
            created_at: self.at.to_string(),
            target_type: self.target.kind,
            target_id: self.target.id,
            event_type: self.event_type,
        };
        // Strings and numbers into memory: this cannot fail, and an empty body would fail every test.
        serde_json::to_vec(&event).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a Value,
    author_id: i64,
    entity_id: i64,
    entity_type: &'a str,
    details: Details<'a>,
    ip_address: &'a str,
    author_name: &'a str,
    entity_path: &'a str,
    target_details: &'a str,
    created_at: String,
    target_type: &'a str,
    target_id: i64,
    event_type: &'a str,
}

struct Details<'a>(&'a Draft);

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let draft = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("author_name", &*draft.author.name)?;
        map.serialize_entry("author_class", draft.author.class)?;
        // The documented git events alone do not repeat their type here.
        if draft.event_type != "repository_git_operation" {
            map.serialize_entry("event_name", draft.event_type)?;
        }
        for (key, value) in &draft.more {
            map.serialize_entry(key, value)?;
        }
        map.serialize_entry("target_id", &draft.target.id)?;
        map.serialize_entry("target_type", draft.target.kind)?;
        map.serialize_entry("target_details", &*draft.target.details)?;
        map.serialize_entry("custom_message", &draft.message)?;
        map.serialize_entry("ip_address", &*draft.address)?;
        map.serialize_entry("entity_path", &*draft.entity.path)?;
        map.end()
    }
}
