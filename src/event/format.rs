//! The wire formats of the forges, as tables: where each canonical field stands in each format.

use serde::{Deserialize, Serialize};

/// How an event's bytes are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// GitLab streaming payload, REST event, `audit_json.log` line, or row of its CSV export.
    Gitlab,
    /// GitHub audit log entry.
    Github,
    /// Azure DevOps audit log entry.
    AzureDevops,
    /// Bitbucket Data Center, log file or REST shape.
    Bitbucket,
    /// Any JSON object; canonical fields are taken where they have their canonical names.
    Generic,
}

/// Where a canonical field stands in the original: the first path that is present and not null wins.
#[derive(Debug, Clone, Copy)]
pub struct Mapping {
    /// The canonical name.
    pub field: &'static str,
    /// Dotted paths into the original object, in order of preference.
    pub paths: &'static [&'static str],
}

const fn map(field: &'static str, paths: &'static [&'static str]) -> Mapping {
    Mapping { field, paths }
}

// Sources: GitLab doc/user/compliance/audit_event_schema.md, doc/api/audit_events.md (REST puts most fields
// into `details` and the type into `details.event_name`), lib/gitlab/audit/auditor.rb (the log file) and
// ee/app/services/audit_events/export_csv_service.rb (the headings of the CSV export).
const GITLAB: &[Mapping] = &[
    map("id", &["id", "ID"]),
    map("author_id", &["author_id", "Author ID"]),
    map("author_name", &["author_name", "details.author_name", "Author Name"]),
    map("entity_id", &["entity_id", "Entity ID"]),
    map("entity_type", &["entity_type", "Entity Type"]),
    map("entity_path", &["entity_path", "details.entity_path", "Entity Path"]),
    map("target_id", &["target_id", "details.target_id", "Target ID"]),
    map("target_type", &["target_type", "details.target_type", "Target Type"]),
    map("target_details", &["target_details", "details.target_details", "Target Details"]),
    map("event_type", &["event_type", "details.event_name", "event_name"]),
    map("ip_address", &["ip_address", "details.ip_address", "IP Address"]),
    map("created_at", &["created_at", "time", "Created At (UTC)"]),
    map("correlation_id", &["correlation_id", "meta.correlation_id"]),
    map("user_agent", &["user_agent", "details.user_agent", "meta.user_agent"]),
    map("author_class", &["author_class", "details.author_class"]),
];

// Source: docs.github.com, "Audit log events for your enterprise"; times are epoch milliseconds.
const GITHUB: &[Mapping] = &[
    map("id", &["_document_id"]),
    map("author_id", &["actor_id"]),
    map("author_name", &["actor"]),
    map("entity_id", &["repository_id", "repo_id", "org_id", "business_id"]),
    map("entity_type", &[]),
    map("entity_path", &["repo", "repository", "org", "business"]),
    map("target_id", &["user_id", "team_id", "hook_id"]),
    map("target_type", &[]),
    map("target_details", &["user", "team", "name"]),
    map("event_type", &["action"]),
    map("ip_address", &["actor_ip"]),
    map("created_at", &["created_at", "@timestamp"]),
    map("correlation_id", &["request_id"]),
    map("user_agent", &["user_agent"]),
    map("author_class", &["programmatic_access_type"]),
];

// Source: learn.microsoft.com, "Access, export, and filter audit logs" and "Auditing events list".
const AZURE_DEVOPS: &[Mapping] = &[
    map("id", &["id"]),
    map("author_id", &["actorUserId"]),
    map("author_name", &["actorDisplayName"]),
    map("entity_id", &["projectId", "data.ProjectId", "scopeId"]),
    map("entity_type", &["scopeType"]),
    map("entity_path", &["projectName", "data.ProjectName", "scopeDisplayName"]),
    map("target_id", &["data.RepoId", "data.GroupId"]),
    map("target_type", &["area"]),
    map("target_details", &["data.RepoName", "data.GroupName", "details"]),
    map("event_type", &["actionId"]),
    map("ip_address", &["ipAddress"]),
    map("created_at", &["timestamp"]),
    map("correlation_id", &["correlationId"]),
    map("user_agent", &["userAgent"]),
    map("author_class", &["actorClientId", "authenticationMechanism"]),
];

// Source: Atlassian, "Audit log events in Bitbucket" (the file) and "Audit log REST API" (`type` for `auditType`).
const BITBUCKET: &[Mapping] = &[
    map("id", &[]),
    map("author_id", &["author.id"]),
    map("author_name", &["author.name"]),
    map("entity_id", &["affectedObjects.id"]),
    map("entity_type", &["affectedObjects.type"]),
    map("entity_path", &["affectedObjects.name"]),
    map("target_id", &[]),
    map("target_type", &[]),
    map("target_details", &["affectedObjects.name"]),
    map("event_type", &["auditType.action", "type.action"]),
    map("ip_address", &["source"]),
    map("created_at", &["timestamp"]),
    map("correlation_id", &[]),
    map("user_agent", &[]),
    map("author_class", &["author.type"]),
];

const GENERIC: &[Mapping] = &[
    map("id", &["id", "event_id", "uuid"]),
    map("author_id", &["author_id", "user_id", "actor_id"]),
    map("author_name", &["author_name", "user", "username", "actor"]),
    map("entity_id", &["entity_id"]),
    map("entity_type", &["entity_type"]),
    map("entity_path", &["entity_path"]),
    map("target_id", &["target_id"]),
    map("target_type", &["target_type"]),
    map("target_details", &["target_details"]),
    map("event_type", &["event_type", "action", "event"]),
    map("ip_address", &["ip_address", "source_ip", "client_ip"]),
    map("created_at", &["created_at", "@timestamp", "timestamp", "time", "eventTime"]),
    map("correlation_id", &["correlation_id"]),
    map("user_agent", &["user_agent"]),
    map("author_class", &["author_class", "details.author_class"]),
];

impl Format {
    /// Every format, in the order the documentation lists them.
    pub const ALL: [Self; 5] =
        [Self::Gitlab, Self::Github, Self::AzureDevops, Self::Bitbucket, Self::Generic];

    /// The name in configuration, on the command line and as canonical `source` product.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gitlab => "gitlab",
            Self::Github => "github",
            Self::AzureDevops => "azure_devops",
            Self::Bitbucket => "bitbucket",
            Self::Generic => "generic",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Whether a rule for this Sigma `logsource.product` sees events of this format. Generic events may come
    /// from anything, so only rules without a product see them.
    #[must_use]
    pub fn is_product(self, product: &str) -> bool {
        match self {
            Self::AzureDevops => matches!(product, "azure_devops" | "azuredevops"),
            Self::Generic => product == "generic",
            Self::Gitlab | Self::Github | Self::Bitbucket => product == self.name(),
        }
    }

    /// Where the canonical fields stand.
    #[must_use]
    pub const fn mappings(self) -> &'static [Mapping] {
        match self {
            Self::Gitlab => GITLAB,
            Self::Github => GITHUB,
            Self::AzureDevops => AZURE_DEVOPS,
            Self::Bitbucket => BITBUCKET,
            Self::Generic => GENERIC,
        }
    }

    /// The original paths of a canonical field, if it is one.
    #[must_use]
    pub fn paths(self, field: &str) -> Option<&'static [&'static str]> {
        self.mappings().iter().find(|mapping| mapping.field == field).map(|mapping| mapping.paths)
    }

    /// Recognises the format of one event by its telling fields; generic where there are none.
    #[must_use]
    pub fn guess(object: &serde_json::Map<String, serde_json::Value>) -> Self {
        Self::told_by(|key| object.contains_key(key))
    }

    /// As [`Format::guess`], from the event's bytes; bytes that are no JSON object are generic.
    #[must_use]
    pub fn recognise(raw: &[u8]) -> Self {
        let keys: Keys = serde_json::from_slice(raw).unwrap_or_default();
        Self::told_by(|key| {
            TELLING.iter().position(|telling| *telling == key).is_some_and(|at| keys.0 & (1 << at) != 0)
        })
    }

    fn told_by(has: impl Fn(&str) -> bool) -> Self {
        let is_exported = has("Author ID") && has("Entity ID");
        if is_exported || (has("author_id") && (has("entity_type") || has("entity_id"))) {
            Self::Gitlab
        } else if has("actionId") && has("area") {
            Self::AzureDevops
        } else if has("auditType") || (has("affectedObjects") && has("author")) {
            Self::Bitbucket
        } else if has("action") && (has("_document_id") || has("actor")) {
            Self::Github
        } else {
            Self::Generic
        }
    }
}

/// The fields that tell a format.
const TELLING: [&str; 13] = [
    "author_id",
    "entity_type",
    "entity_id",
    "actionId",
    "area",
    "auditType",
    "affectedObjects",
    "author",
    "action",
    "_document_id",
    "actor",
    "Author ID",
    "Entity ID",
];

/// Which of the [`TELLING`] keys an object has at its top level, as bits.
#[derive(Default)]
struct Keys(u16);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de> serde::de::Visitor<'de> for Keys {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if let Some(at) = TELLING.iter().position(|telling| *telling == key) {
                self.0 |= 1 << at;
            }
            map.next_value::<serde::de::IgnoredAny>()?;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn an_event_tells_its_format() {
        for (body, format) in [
            (r#"{"id":1,"author_id":1,"entity_type":"Project"}"#, Format::Gitlab),
            (r#"{"ID":"1","Author ID":"1","Entity ID":"2"}"#, Format::Gitlab),
            (r#"{"actionId":"Git.Push","area":"Git","id":"1"}"#, Format::AzureDevops),
            (r#"{"auditType":{"action":"Push"},"author":{}}"#, Format::Bitbucket),
            (r#"{"type":{"action":"Push"},"author":{},"affectedObjects":[]}"#, Format::Bitbucket),
            (r#"{"action":"repo.destroy","actor":"monalisa"}"#, Format::Github),
            (r#"{"details":{"author_id":1,"entity_type":"x"}}"#, Format::Generic),
            (r#"{"author_id":1,"#, Format::Generic),
            ("[]", Format::Generic),
        ] {
            assert_eq!(Format::recognise(body.as_bytes()), format, "{body}");
            if let Ok(object) = serde_json::from_str(body) {
                assert_eq!(Format::guess(&object), format, "{body}");
            }
        }
    }
}
