//! `/api/v1/rules/quality`: how good the rules are, from what people said their alerts were.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::Asked;
use super::control::Control;
use super::page::{Moment, Page};
use super::problem::Problem;
use crate::alert::{Quality, Verdict};
use crate::time::Timestamp;

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
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Asked(QualityAsked { rule, since }): Asked<QualityAsked>,
) -> Result<Json<Page<RuleQuality>>, Problem> {
    let since = since.map_or(Timestamp::MIN, |moment| moment.0);
    let found = control.ask(move |store| store.quality(rule.as_deref(), since)).await?;
    Ok(Json(Page::whole(found.into_iter().map(RuleQuality::from).collect())))
}
