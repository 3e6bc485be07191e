//! `/api/v1/reports`: what happened in a day, a week or a month.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer, de};
use utoipa::ToSchema;

use super::ask::Asked;
use super::control::Control;
use super::events::query;
use super::lookup::LOOKS_FOR_A_COUNT;
use super::problem::Problem;
use crate::report::render::html;
use crate::report::{Every, Period, SectionKind, Zone};
use crate::reporting::{Asked as Wanted, ReportError, make};

/// The page has its styles inside, and nothing else.
const STYLED: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// Which report.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReportAsked {
    /// A day of the period: 2026-01-31. The last period that is over if it is left out.
    #[param(value_type = String, required = false, format = Date, example = "2026-01-31")]
    on: Option<Day>,
    /// Where days begin, such as Europe/Berlin; UTC if it is left out.
    #[param(value_type = String, required = false, example = "Europe/Berlin")]
    time_zone: Option<Where>,
    /// Only events that this finds, in the language of `watchfire search`.
    #[serde(default)]
    #[param(required = false, max_length = 4096)]
    q: String,
    /// For programs or for people.
    #[serde(default)]
    #[param(required = false)]
    format: Form,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ReportFormat)]
pub(super) enum Form {
    /// Every row of every table.
    #[default]
    Json,
    /// A page: the first rows of each table.
    Html,
}

#[derive(Debug)]
struct Day(jiff::civil::Date);

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let day = (text.len() == 10).then(|| text.parse().ok()).flatten();
        day.map(Self).ok_or_else(|| de::Error::custom("it must be a day such as 2026-01-31"))
    }
}

#[derive(Debug)]
struct Where(Zone);

impl<'de> Deserialize<'de> for Where {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(de::Error::custom)
    }
}

/// Report on a day, a week or a month
///
/// Who got or lost access, tokens and keys, destructive actions, sign-ins, alerts, responses, and what could not be seen;
/// each table with its number and that of the period before. As JSON: `title`, `from`, `to`, `events`, `notes` and
/// `sections`, each with `section`, `heading`, `count`, `before` and `rows`, at most 20,000.
#[utoipa::path(get, path = "/api/v1/reports/{every}", tag = "reports",
    params(("every" = Every, Path, description = "How long the period is"), ReportAsked),
    responses((status = 200, description = "The report", content(
        (Object = "application/json"),
        (String = "text/html"),
    ))))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(every): Path<String>,
    Asked(ReportAsked { on, time_zone, q, format }): Asked<ReportAsked>,
) -> Result<Response, Problem> {
    let all = [Every::Daily, Every::Weekly, Every::Monthly];
    let every = all.into_iter().find(|known| known.name() == every);
    let every = every.ok_or_else(|| {
        Problem::missing("report of this name").help("there are `daily`, `weekly` and `monthly`")
    })?;
    // Its mistakes are told with their place.
    query(&q, &control)?;
    let (now, zone) = (control.clock.now(), time_zone.map(|zone| zone.0).unwrap_or_default());
    let period = match on {
        Some(Day(day)) => Period::with(every, day, &zone),
        None => Period::at(every, now, &zone).previous(),
    };
    let wanted = Wanted { name: None, period, sections: SectionKind::ALL.to_vec(), query: q };
    let store = control.store.clone();
    let made = control.find(move |events| {
        events.search(LOOKS_FOR_A_COUNT, |searcher| Ok(make(searcher, &store, &wanted, (now, &|| true))))
    });
    let report = made.await?.map_err(|error| match error {
        ReportError::Search(error) => error.into(),
        ReportError::Store(error) => error.into(),
        ReportError::Query(error) => Problem::bad("bad_query", error.message),
        ReportError::Stopped => Problem::unavailable("Watchfire stops"),
    })?;
    match format {
        Form::Json => Ok(Json(report.json()).into_response()),
        Form::Html => {
            let page = html(&report).map_err(|error| {
                tracing::error!(%error, "a report cannot be shown");
                Problem::internal()
            })?;
            let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, STYLED)];
            Ok((headers, page).into_response())
        }
    }
}
