//! `/api/v1/retention`: how long events are kept, and what was deleted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::ask::Asked;
use super::control::{Control, lost};
use super::page::{Cursor, Page, PageAsked, number};
use super::problem::Problem;
use crate::event::Tier;
use crate::log::{Board, Deletion, read_deletions};
use crate::retention::{Keep, Policy};
use crate::search::SearchError;
use crate::time::{Span, Timestamp};

const LIST: &str = "deletions";

/// What the API knows of deleting.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// The data folder.
    pub dir: PathBuf,
    /// The policy as it runs.
    pub policy: watch::Receiver<Arc<Policy>>,
    /// How it goes.
    pub board: Board,
}

/// How long events are kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Retention)]
pub(super) struct Shown {
    /// How long events are kept where no rule says otherwise.
    #[schema(example = "7y")]
    keep: String,
    /// How long alerts are kept, from the last that happened to them.
    #[schema(example = "7y")]
    alerts: String,
    /// The first that matches decides.
    rules: Vec<RuleShown>,
    /// The level of coverage of categories that are not named.
    #[schema(example = "full")]
    coverage_default: &'static str,
    /// The levels of those that are.
    coverage: BTreeMap<String, &'static str>,
    /// How long events with `store: no` are kept at least; longer if a rule matches them whose window is longer.
    kept_to_judge: Option<String>,
    /// The longest time for which any rule needs an event.
    longest_window: Option<String>,
    /// Nothing is deleted sooner, whatever the policy says.
    at_least: Option<String>,
    /// How long a due event may wait for others at most.
    slack: &'static str,
    /// Detection and every forwarder have passed this position; nothing behind it is deleted.
    settled: u64,
    /// When a segment has to be looked at next.
    #[schema(format = DateTime)]
    next_look: Option<String>,
    /// How many due events a hold keeps, in the segments that were looked at.
    held_events: u64,
    /// Why nothing is deleted at present, if that is so.
    trouble: Option<String>,
    /// How many records of deletions there are.
    deletions: u64,
    /// How many events they tell of.
    deleted_events: u64,
    /// How many bytes that gave free.
    freed_bytes: u64,
    /// When something was deleted last.
    #[schema(format = DateTime)]
    last_at: Option<String>,
}

/// One rule of the policy.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetentionRule)]
pub(super) struct RuleShown {
    name: String,
    sources: Vec<String>,
    types: Vec<String>,
    categories: Vec<String>,
    tiers: Vec<&'static str>,
    /// How long; null: `store: no`.
    keep: Option<String>,
}

/// What was deleted at a moment: a signed record, chained to the one before.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deletion)]
pub(super) struct DeletionShown {
    /// 1, 2, 3, none left out.
    number: u64,
    #[schema(format = DateTime)]
    at: String,
    /// The first position of the segment.
    first: u64,
    last: u64,
    /// Whether all of it was removed; else a digest is left of each deleted event.
    removed: bool,
    /// How many events were deleted.
    events: u64,
    rules: Vec<DeletedByShown>,
    /// How many of each type.
    types: BTreeMap<String, u64>,
    freed_bytes: u64,
    /// The chain before the first entry, in hex.
    head_before: String,
    /// The chain after the last one.
    head_after: String,
    /// The digests of the manifests before.
    manifests: Vec<String>,
    /// The digest of the manifest that took their place.
    replaced_by: Option<String>,
    /// The signature of the record, in hex.
    signature: String,
}

/// What one part of the policy had deleted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedBy)]
pub(super) struct DeletedByShown {
    /// The rule's name, `coverage`, or `default`.
    name: String,
    /// What it said.
    said: String,
    events: u64,
    #[schema(format = DateTime)]
    received_min: String,
    #[schema(format = DateTime)]
    received_max: String,
}

impl From<&crate::retention::Rule> for RuleShown {
    fn from(rule: &crate::retention::Rule) -> Self {
        Self {
            name: rule.name.clone(),
            sources: rule.sources.clone(),
            types: rule.types.clone(),
            categories: rule.categories.clone(),
            tiers: rule.tiers.iter().copied().map(Tier::name).collect(),
            keep: match rule.keep {
                Keep::For(_) => Some(rule.keep.to_string()),
                Keep::ToJudge => None,
            },
        }
    }
}

impl From<Deletion> for DeletionShown {
    fn from(record: Deletion) -> Self {
        let by = |by: &crate::log::DeletedBy| DeletedByShown {
            name: by.name.clone(),
            said: by.said.clone(),
            events: by.events,
            received_min: Timestamp(by.received_min).to_string(),
            received_max: Timestamp(by.received_max).to_string(),
        };
        Self {
            number: record.number,
            at: Timestamp(record.at).to_string(),
            first: record.first,
            last: record.last,
            removed: record.removed,
            events: record.events,
            rules: record.rules.iter().map(by).collect(),
            freed_bytes: record.freed(),
            head_before: record.head_before.to_string(),
            head_after: record.head_after.to_string(),
            manifests: record.manifests.iter().map(ToString::to_string).collect(),
            replaced_by: record.replaced_by.map(|digest| digest.to_string()),
            signature: record.signature.map(|signature| signature.to_string()).unwrap_or_default(),
            types: record.types,
        }
    }
}

/// Show how long events are kept
///
/// The policy as it runs, what holds it up, and what was deleted so far.
#[utoipa::path(get, path = "/api/v1/retention", tag = "retention",
    responses((status = 200, description = "The policy, and how it goes", body = Shown)))]
pub(super) async fn show(State(control): State<Arc<Control>>) -> Result<Json<Shown>, Problem> {
    let records = records(&control).await?;
    let (policy, state) = (Arc::clone(&control.keeping.policy.borrow()), control.keeping.board.state());
    let text = |span: Option<Span>| span.map(|span| span.to_string());
    let levels = policy.coverage.categories.iter();
    Ok(Json(Shown {
        keep: Keep::For(policy.default).to_string(),
        alerts: Keep::For(policy.alerts).to_string(),
        rules: policy.rules.iter().map(RuleShown::from).collect(),
        coverage_default: policy.coverage.default.name(),
        coverage: levels.map(|(name, level)| (name.clone(), level.name())).collect(),
        kept_to_judge: text(state.to_judge),
        longest_window: text(state.longest),
        at_least: text(state.at_least),
        slack: "a tenth of the time, from 1h to 30d",
        settled: state.settled,
        next_look: state.next_look.map(|at| at.to_string()),
        held_events: state.held,
        trouble: state.trouble,
        deletions: records.len() as u64,
        deleted_events: records.iter().map(|record| record.events).sum(),
        freed_bytes: records.iter().map(Deletion::freed).sum(),
        last_at: records.last().map(|record| Timestamp(record.at).to_string()),
    }))
}

/// List what was deleted
///
/// The newest first.
#[utoipa::path(get, path = "/api/v1/retention/deletions", tag = "retention", params(PageAsked),
    responses((status = 200, description = "A page of records", body = Page<DeletionShown>)))]
pub(super) async fn deletions(
    State(control): State<Arc<Control>>,
    Asked(PageAsked { cursor, limit }): Asked<PageAsked>,
) -> Result<Json<Page<DeletionShown>>, Problem> {
    let before: Option<u64> = cursor.map(|cursor| number(cursor.place::<1>(LIST)?[0])).transpose()?;
    let mut records = records(&control).await?;
    records.retain(|record| before.is_none_or(|before| record.number < before));
    records.reverse();
    records.truncate(limit.and_one());
    Ok(Json(Page::new(records, limit, |row| Cursor::new(LIST, &[&row.number]), DeletionShown::from)))
}

async fn records(control: &Control) -> Result<Vec<Deletion>, Problem> {
    let dir = control.keeping.dir.clone();
    let read = tokio::task::spawn_blocking(move || read_deletions(&dir));
    Ok(read.await.map_err(|error| lost(&error))?.map_err(SearchError::from)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::api::testing::Setup;
    use crate::store::Role;

    #[tokio::test]
    async fn the_policy_is_shown_and_nothing_was_deleted_yet() {
        let setup = Setup::new(true);
        let token = setup.token("v", Role::Viewer);
        let (status, shown) = setup.get("/api/v1/retention", &token).await;
        assert_eq!((status, &shown["keep"], &shown["deletions"]), (200, &json!("7y"), &json!(0)), "{shown}");
        assert_eq!(shown["alerts"], json!("7y"));
        let (status, list) = setup.get("/api/v1/retention/deletions", &token).await;
        assert_eq!((status, list), (200, json!({"items": [], "next": null})));
        assert_eq!(setup.get("/api/v1/retention/deletions?cursor=x", &token).await.0, 400);
    }
}
