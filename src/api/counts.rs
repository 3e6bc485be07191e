//! `/api/v1/counts`: how many events, in all, by a field, or over time.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::Asked;
use super::control::Control;
use super::events::query;
use super::lookup::{Damaged, LOOKS_FOR_A_COUNT};
use super::page::Limit;
use super::problem::{Fault, Problem};
use crate::search::{Groups, Series, Unit};

/// Characters of a field's name.
const FIELD_MAX: usize = 200;

/// What to count.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CountsAsked {
    /// Which events, in the language of `watchfire search`; all if it is empty.
    #[serde(default)]
    #[param(required = false, max_length = 4096, example = "created_at:-7d")]
    q: String,
    /// By the values of this field.
    #[param(value_type = String, required = false, max_length = 200, example = "author_name")]
    by: Option<String>,
    /// For each of these stretches of time, in UTC; weeks begin on Monday.
    #[param(value_type = Per, required = false)]
    per: Option<Per>,
    /// How many values, the most frequent ones.
    #[serde(default)]
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000, default = 100)]
    limit: Limit,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Per {
    Hour,
    Day,
    Week,
    Month,
}

/// How many events were found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventCounts)]
pub(super) struct Counted {
    /// In all.
    total: u64,
    /// Whether all were counted: one call looks at a million events at most that the index is not sure of, the newest
    /// ones.
    complete: bool,
    /// With `by`: the most frequent values; one event with several values counts for each.
    values: Option<Vec<Value>>,
    /// With `by`: how many further values there are.
    other_values: Option<u64>,
    /// With `by`: how often they occur.
    other_events: Option<u64>,
    /// With `per`: the stretches that have events, in order.
    stretches: Option<Vec<Stretch>>,
    /// Parts of the log that could not be read: their events are not counted. Empty as a rule.
    damaged: Vec<Damaged>,
}

/// A value, and how many events have it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CountOfValue)]
pub(super) struct Value {
    value: String,
    events: u64,
}

/// A stretch of time, and how many events lie in it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CountOfStretch)]
pub(super) struct Stretch {
    /// Where it begins.
    #[schema(format = DateTime)]
    start: String,
    events: u64,
}

impl From<Groups> for Counted {
    fn from(groups: Groups) -> Self {
        let value = |group: crate::search::Group| Value { value: group.value, events: group.events };
        Self {
            total: groups.total.events,
            complete: groups.total.is_complete,
            values: Some(groups.groups.into_iter().map(value).collect()),
            other_values: Some(groups.other_values),
            other_events: Some(groups.other_events),
            stretches: None,
            damaged: Vec::new(),
        }
    }
}

impl From<Series> for Counted {
    fn from(series: Series) -> Self {
        let stretch =
            |(start, events): (crate::time::Timestamp, u64)| Stretch { start: start.to_string(), events };
        let stretches = Some(series.stretches.into_iter().map(stretch).collect());
        Self { stretches, ..Self::total(series.total) }
    }
}

impl Counted {
    const fn total(count: crate::search::Count) -> Self {
        let (total, complete) = (count.events, count.is_complete);
        Self {
            total,
            complete,
            values: None,
            other_values: None,
            other_events: None,
            stretches: None,
            damaged: Vec::new(),
        }
    }
}

/// Count events
///
/// In all; by the values of a field; or per hour, day, week or month.
#[utoipa::path(get, path = "/api/v1/counts", tag = "events", params(CountsAsked),
    responses((status = 200, description = "How many", body = Counted)))]
pub(super) async fn counts(
    State(control): State<Arc<Control>>,
    Asked(CountsAsked { q, by, per, limit }): Asked<CountsAsked>,
) -> Result<Json<Counted>, Problem> {
    let query = query(&q, &control)?;
    if by.is_some() && per.is_some() {
        return Err(bad("per", "count either `by` a field or `per` stretch of time"));
    }
    if by.as_ref().is_some_and(|field| field.is_empty() || field.chars().count() > FIELD_MAX) {
        return Err(bad("by", "a field's name has 1 to 200 characters"));
    }
    let unit = per.map(|per| match per {
        Per::Hour => Unit::Hour,
        Per::Day => Unit::Day,
        Per::Week => Unit::Week,
        Per::Month => Unit::Month,
    });
    let counted = control.find(move |events| {
        events.search_telling(LOOKS_FOR_A_COUNT, |searcher| match (by, unit) {
            (Some(field), _) => searcher.count_by(&query, &field, limit.0).map(Counted::from),
            (None, Some(unit)) => searcher.per(&query, unit).map(Counted::from),
            (None, None) => searcher.count(&query).map(Counted::total),
        })
    });
    let (counted, damaged) = counted.await?;
    Ok(Json(Counted { damaged, ..counted }))
}

fn bad(parameter: &str, detail: &str) -> Problem {
    let fault =
        Fault { parameter: Some(parameter.to_owned()), detail: detail.to_owned(), ..Fault::default() };
    Problem::bad("bad_parameter", detail).fault(fault)
}
