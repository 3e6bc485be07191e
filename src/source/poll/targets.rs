//! Whose events are asked for: a group's own endpoint has neither its subgroups' events nor its projects'.

use serde::Deserialize;

use super::access::Access;
use super::config::Target;
use super::pages::Pages;
use super::trouble::Trouble;

/// So many at most; what is beyond is told.
const TARGETS_MAX: usize = 5_000;

/// A group or project in a list.
#[derive(Deserialize)]
struct Listed {
    id: u64,
}

impl Target {
    /// The path of its events, in parts.
    pub(super) fn path(&self) -> Vec<&str> {
        match self {
            Self::Instance => vec!["audit_events"],
            Self::Group(name) => vec!["groups", name, "audit_events"],
            Self::Project(name) => vec!["projects", name, "audit_events"],
        }
    }
}

/// These targets, and what is in the groups among them.
pub(super) async fn all(access: &Access, configured: &[Target]) -> Result<Vec<Target>, Trouble> {
    let mut targets = configured.to_vec();
    for target in configured {
        let Target::Group(name) = target else { continue };
        let no_shared = [("include_subgroups", "true".to_owned()), ("with_shared", "false".to_owned())];
        for group in list(access, vec!["groups", name, "descendant_groups"], &[]).await? {
            targets.push(Target::Group(group.to_string()));
        }
        for project in list(access, vec!["groups", name, "projects"], &no_shared).await? {
            targets.push(Target::Project(project.to_string()));
        }
        if targets.len() > TARGETS_MAX {
            targets.truncate(TARGETS_MAX);
            tracing::warn!(
                group = name,
                max = TARGETS_MAX,
                "too many groups and projects; the rest is not asked for"
            );
            break;
        }
    }
    Ok(targets)
}

async fn list(access: &Access, path: Vec<&str>, pairs: &[(&str, String)]) -> Result<Vec<u64>, Trouble> {
    let mut pages = Pages::new(access, path, pairs);
    let mut ids = Vec::new();
    while let Some(objects) = pages.next().await? {
        for object in objects {
            let listed: Listed = serde_json::from_slice(&object).map_err(|error| {
                Trouble::lying(format!("GitLab lists a group or project without id: {error}"))
            })?;
            ids.push(listed.id);
        }
        if ids.len() > TARGETS_MAX {
            break;
        }
    }
    Ok(ids)
}
