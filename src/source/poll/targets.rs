//! Whose events are asked for: a group's own endpoint has neither its subgroups' events nor its projects'.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::access::Access;
use super::config::Target;
use super::pages::Pages;
use super::round::Round;
use super::run::Broken;
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

/// What is to be asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    pub(super) targets: Vec<Target>,
    /// What is in each configured group, by the group's name: kept for when it cannot be listed anew.
    within: BTreeMap<String, Vec<Target>>,
    /// Why the first group that cannot be listed cannot.
    pub(super) trouble: Option<Trouble>,
    /// There are more than may be asked for.
    is_cut: bool,
}

impl Listing {
    /// Whether what is not among them is not to be asked for any more.
    pub(super) const fn is_whole(&self) -> bool {
        self.trouble.is_none() && !self.is_cut
    }
}

/// These targets, and what is in the groups among them. Of a group that cannot be listed, what it had before.
pub(super) async fn all(
    access: &Access,
    configured: &[Target],
    before: Option<&Listing>,
) -> Result<Listing, Broken> {
    let mut listing = Listing { targets: configured.to_vec(), ..Listing::default() };
    let mut round = Round::default();
    for target in configured {
        let Target::Group(name) = target else { continue };
        let (within, done) = match within(access, name).await {
            Ok(within) => (within, Ok(())),
            Err(trouble) => {
                let known = before.and_then(|before| before.within.get(name));
                (known.cloned().unwrap_or_default(), Err(Broken::Forge(trouble)))
            }
        };
        let trouble = match &done {
            Err(Broken::Forge(trouble)) => Some(trouble.clone()),
            _ => None,
        };
        if round.note(target, done)?.is_break()
            && let Some(trouble) = trouble
        {
            return Err(trouble.into());
        }
        listing.targets.extend(within.iter().cloned());
        listing.within.insert(name.clone(), within);
        if listing.targets.len() > TARGETS_MAX {
            listing.targets.truncate(TARGETS_MAX);
            listing.is_cut = true;
            tracing::warn!(
                group = name,
                max = TARGETS_MAX,
                "too many groups and projects; the rest is not asked for"
            );
            break;
        }
    }
    listing.trouble = round.trouble();
    Ok(listing)
}

async fn within(access: &Access, name: &str) -> Result<Vec<Target>, Trouble> {
    let no_shared = [("include_subgroups", "true".to_owned()), ("with_shared", "false".to_owned())];
    let groups = list(access, vec!["groups", name, "descendant_groups"], &[]).await?;
    let projects = list(access, vec!["groups", name, "projects"], &no_shared).await?;
    let groups = groups.into_iter().map(|id| Target::Group(id.to_string()));
    Ok(groups.chain(projects.into_iter().map(|id| Target::Project(id.to_string()))).collect())
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
