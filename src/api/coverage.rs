//! `/api/v1/coverage`: which event types no rule looks at, and which sources have fallen silent.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::control::Control;
use super::lookup::{Damaged, LOOKS_FOR_A_COUNT};
use super::problem::Problem;
use crate::event::is_past;
use crate::reach::{HeardSource, Report, Totals, reach};
use crate::search::Searcher;

/// What the rules reach, and what was left out of that.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CoverageShown)]
pub(super) struct Shown {
    #[serde(flatten)]
    report: Report,
    /// Parts of the log that could not be read: their events are not counted. Empty as a rule.
    damaged: Vec<Damaged>,
}

/// Show what the rules cover
///
/// Which event types are known and were seen, how often and when, which rules look at them; and when each source was heard,
/// against its own rhythm of the last 30 days.
#[utoipa::path(get, path = "/api/v1/coverage", tag = "rules",
    responses((status = 200, description = "What the rules cover", body = Shown)))]
pub(super) async fn coverage(State(control): State<Arc<Control>>) -> Result<Json<Shown>, Problem> {
    let rules = Arc::clone(&control.rules.borrow().rules);
    let mut heard = control.door.metrics.heard().all();
    let configured: Vec<String> = control.intakes.keys().cloned().collect();
    let now = control.clock.now();
    let found = control.find(move |events| {
        let (seen, damaged) = events.search_telling(LOOKS_FOR_A_COUNT, Searcher::seen)?;
        let forges = reach(&rules, &seen.types);
        let mut sources: Vec<HeardSource> = Vec::new();
        for source in seen.sources.into_iter().filter(|source| !is_past(&source.name)) {
            let mut arrivals = heard.remove(&source.name).unwrap_or_default();
            source.last_received.into_iter().for_each(|last| arrivals.note(last));
            sources.push(HeardSource { name: source.name, events: source.events, arrivals });
        }
        for name in configured {
            if !sources.iter().any(|source| source.name == name) {
                let arrivals = heard.remove(&name).unwrap_or_default();
                sources.push(HeardSource { name, events: 0, arrivals });
            }
        }
        sources.sort_by(|a, b| a.name.cmp(&b.name));
        let totals = Totals { is_complete: seen.is_complete && seen.others == 0, untyped: seen.untyped };
        Ok(Shown { report: Report::new(&forges, &sources, totals, now), damaged })
    });
    Ok(Json(found.await?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use crate::api::testing::{CONFIGURED, Setup, status};

    #[tokio::test]
    async fn what_no_rule_looks_at_is_shown() {
        let setup = Setup::new(true);
        let event = |number: u32, name: &str| {
            format!(
                r#"{{"id":"e{number}","created_at":"2026-03-01T09:00:{number:02}Z","event_type":"{name}","author_id":1,"entity_id":1}}"#
            )
        };
        let names = ["user_created", "user_created", "user_destroyed", "new_in_gitlab_99"];
        setup.append(&(0..).zip(names).map(|(number, name)| event(number, name)).collect::<Vec<_>>()).await;
        let rule = |id: &str, condition: &str| {
            format!(
                "title: {id}\nid: {id}\nlevel: high\nlogsource: {{product: gitlab}}\ndetection: {{any: {{{condition}}}, condition: any}}\n"
            )
        };
        let texts = [rule("typed", "event_type: user_created"), rule("broad", "author_id: 7")];
        setup.rules.send_replace(Arc::new(status(&[&texts[0], &texts[1]])));
        let (status, found) = setup.get("/api/v1/coverage", CONFIGURED).await;
        assert_eq!(
            (status, &found["complete"], &found["damaged"]),
            (200, &json!(true), &json!([])),
            "{found}"
        );
        let forge = &found["forges"][0];
        assert_eq!(
            (&forge["forge"], &forge["known_types"], &forge["general_rules"]),
            (&json!("gitlab"), &json!(449), &json!(["broad"]))
        );
        let numbers = [&forge["seen_types"], &forge["unknown_types"], &forge["unwatched_types"]];
        assert_eq!(numbers, [&json!(3), &json!(1), &json!(2)]);
        let of = |name: &str| -> Value {
            let types = forge["types"].as_array().unwrap();
            types.iter().find(|of| of["type"] == name).unwrap().clone()
        };
        assert_eq!(
            of("user_created"),
            json!({
                "type": "user_created", "known": true, "category": of("user_created")["category"],
                "tier": of("user_created")["tier"], "events": 2, "first": "2026-03-01T09:00:00.000Z",
                "last": "2026-03-01T09:00:01.000Z", "rules": ["typed"],
            })
        );
        assert_eq!(
            (&of("new_in_gitlab_99")["known"], &of("project_created")["events"]),
            (&json!(false), &json!(0))
        );
        let sources = found["sources"].as_array().unwrap();
        let state = |name: &str| {
            let source = sources.iter().find(|source| source["source"] == name).unwrap();
            (
                source["state"].as_str().unwrap().to_owned(),
                source["last_heard"].clone(),
                source["events"].clone(),
            )
        };
        assert_eq!(state("gitlab"), ("new".to_owned(), json!("2026-03-02T12:00:00.000Z"), json!(4)));
        assert_eq!(state("tools"), ("never".to_owned(), Value::Null, json!(0)));
    }
}
