//! `/api/v1/rules/quality`: how good the rules are, from what people said their alerts were.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admit::Caller;
use super::ask::Asked;
use super::control::Control;
use super::page::{Moment, Page};
use super::problem::Problem;
use super::proof::unreadable;
use crate::alert::{Quality, Verdict};
use crate::log::Reader;
use crate::time::Timestamp;
use crate::tuning::{Proof, Proposed, TuneError, propose};

/// Whose quality, and since when.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct QualityAsked {
    /// Only this rule's, by id.
    #[param(value_type = String, required = false)]
    rule: Option<String>,
    /// Only alerts that were stored at this time or later: RFC 3339, or a day.
    #[param(value_type = String, required = false, example = "2026-01-01")]
    since: Option<Moment>,
}

/// How many alerts were resolved as what.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Verdicts {
    true_positive: u64,
    benign: u64,
    false_positive: u64,
    test: u64,
    duplicate: u64,
}

/// What became of a rule's alerts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleQuality {
    rule: String,
    alerts: u64,
    /// Those that nobody has resolved.
    unresolved: u64,
    verdicts: Verdicts,
    /// True positives among true positives, benign ones and false positives; null without any.
    precision: Option<f64>,
    /// With a confidence of 95 % it is at least this (Wilson).
    precision_at_least: Option<f64>,
    /// And at most this.
    precision_at_most: Option<f64>,
    /// Seconds from the first storing to the first acknowledgement: the middle one.
    acknowledge_seconds: Option<f64>,
    /// Seconds from the first storing to the last resolution: the middle one.
    resolve_seconds: Option<f64>,
    /// Messages that were delivered.
    notifications: u64,
    /// Whether it is sure that more than half of its alerts were not worth looking at.
    noisy: bool,
    /// The same in words.
    words: String,
}

impl From<Quality> for RuleQuality {
    fn from(quality: Quality) -> Self {
        let (least, most) = quality.interval().unzip();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of years")]
        let seconds = |span: crate::time::Span| span.0 as f64 / 1000.0;
        Self {
            verdicts: Verdicts {
                true_positive: quality.count(Verdict::TruePositive),
                benign: quality.count(Verdict::Benign),
                false_positive: quality.count(Verdict::FalsePositive),
                test: quality.count(Verdict::Test),
                duplicate: quality.count(Verdict::Duplicate),
            },
            precision: quality.precision(),
            precision_at_least: least,
            precision_at_most: most,
            acknowledge_seconds: quality.acknowledge_time.map(seconds),
            resolve_seconds: quality.resolve_time.map(seconds),
            noisy: quality.is_noisy(),
            words: quality.words(),
            alerts: quality.alerts,
            unresolved: quality.unresolved,
            notifications: quality.notifications,
            rule: quality.rule,
        }
    }
}

/// Show how good the rules are
///
/// From the verdicts on their alerts; rules without alerts are left out. By rule, all on one page.
#[utoipa::path(get, path = "/api/v1/rules/quality", tag = "rules", params(QualityAsked),
    responses((status = 200, description = "The rules' quality", body = Page<RuleQuality>)))]
pub(super) async fn quality(
    State(control): State<Arc<Control>>,
    Asked(QualityAsked { rule, since }): Asked<QualityAsked>,
) -> Result<Json<Page<RuleQuality>>, Problem> {
    let since = since.map_or(Timestamp::MIN, |moment| moment.0);
    let found = control.ask(move |store| store.quality(rule.as_deref(), since)).await?;
    Ok(Json(Page::whole(found.into_iter().map(RuleQuality::from).collect())))
}

/// An exception to a rule that people's verdicts speak for, or why there is none.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RuleException {
    /// A Sigma filter, to be put beside the rules; null if there is none. Nothing is applied by itself.
    yaml: Option<String>,
    /// Its conditions in words.
    conditions: Vec<String>,
    /// What it was held against.
    proof: Option<ExceptionProof>,
    /// Why there is none.
    reason: Option<String>,
}

/// What an exception was held against.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExceptionProof {
    /// Alerts that were resolved as false positives or benign.
    wrong: u64,
    /// Those of them that the rule raises again over the log, and no more with the exception.
    gone: u64,
    /// Those whose events it takes, but that the rule does not raise again by their stretch of the log alone.
    untried: u64,
    /// Known true positives.
    right: u64,
    /// Those of them that the rule raises again, with the exception too.
    kept: u64,
    /// Those whose events it leaves alone, but that the rule does not raise again by their stretch of the log alone.
    untouched: u64,
    /// Those whose events are not all in the log any more, or not all known: whether it takes them cannot be said.
    unseen: u64,
    /// Alerts nobody has judged that would not have been raised either.
    open: u64,
    /// The same in words.
    words: Vec<String>,
}

impl From<Proposed> for RuleException {
    fn from(proposed: Proposed) -> Self {
        match proposed {
            Proposed::Nothing(reason) => {
                Self { yaml: None, conditions: Vec::new(), proof: None, reason: Some(reason) }
            }
            Proposed::Filter(proposal) => {
                let words = proposal.proof.lines();
                let Proof { wrong, gone, untried, right, kept, untouched, unseen, open } = proposal.proof;
                let proof =
                    ExceptionProof { wrong, gone, untried, right, kept, untouched, unseen, open, words };
                let (yaml, conditions) = (Some(proposal.yaml), proposal.conditions);
                Self { yaml, conditions, proof: Some(proof), reason: None }
            }
        }
    }
}

/// Propose an exception
///
/// From the false positives and benign alerts of a rule: the smallest filter over one to three fields that takes their
/// events away and leaves those of every known true positive; the rule is run with it over the log before it is shown.
/// Takes its turn with searches.
#[utoipa::path(get, path = "/api/v1/rules/{id}/exception", tag = "rules",
    params(("id" = String, Path, description = "The rule's id")),
    responses((status = 200, description = "The exception, or why there is none", body = RuleException)))]
pub(super) async fn exception(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<RuleException>, Problem> {
    let (store, status, now) =
        (control.store.clone(), Arc::clone(&control.rules.borrow()), control.clock.now());
    let proposed = control.find(move |events| {
        let propose = || {
            let mut reader = Reader::open(events.dir())?;
            propose((&store, &mut reader), &status.rules, &id, (&caller.name, now))
        };
        Ok(propose())
    });
    match proposed.await? {
        Ok(proposed) => Ok(Json(proposed.into())),
        Err(TuneError::Unknown(_)) => Err(Problem::missing("rule of this id that runs")),
        Err(TuneError::Store(error)) => Err(error.into()),
        Err(TuneError::Log(error)) => Err(unreadable(&error)),
    }
}
