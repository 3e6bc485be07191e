//! How the way of an alert is shown.

use std::fmt::Write as _;

use crate::alert::Alert;
use crate::cli::terminal::{Paint, behind, clean};
use crate::cli::{held, outbox};
use crate::config::Config;
use crate::route::{Case, Field, Held, Hold, Passed, Route, Scene, Told, Visit, trace, way};
use crate::store::{Followup, OutboxRow};
use crate::time::Timestamp;

/// All that there is to show.
pub(super) struct Explained<'a> {
    pub(super) config: &'a Config,
    pub(super) alert: &'a Alert,
    pub(super) scene: &'a Scene,
    /// The actions that its rule names.
    pub(super) named: &'a [String],
    /// Whether there is such a rule.
    pub(super) is_known: bool,
    pub(super) at: Timestamp,
    /// What holds back, or would.
    pub(super) holds: Vec<Hold>,
    /// What became of it, if there is such an alert.
    pub(super) past: Option<Past>,
}

/// What became of an alert.
pub(super) struct Past {
    pub(super) deliveries: Vec<OutboxRow>,
    pub(super) held: Vec<Held>,
    pub(super) followups: Vec<Followup>,
}

/// The whole of it.
pub(super) fn explanation(explained: &Explained<'_>, (paint, width): (Paint, usize)) -> String {
    let mut text = heading(explained, (paint, width));
    routes(explained, paint, &mut text);
    told(explained, (paint, width), &mut text);
    holds(explained, (paint, width), &mut text);
    if let Some(past) = &explained.past {
        became(explained.alert, past, (paint, width), &mut text);
    }
    text
}

fn heading(explained: &Explained<'_>, (paint, width): (Paint, usize)) -> String {
    let Explained { alert, scene, at, .. } = explained;
    let mut text = format!("{}  {}\n", paint.bold(&clean(&alert.rule)), paint.level(alert.level));
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&behind(&format!("  {name:<9} "), value, 12, width));
        }
    };
    line("alert", &alert.id.0);
    line("key", &alert.key.to_string());
    line("tags", &alert.tags.join(", "));
    let case = Case { alert, scene };
    for field in [Field::Source, Field::Forge, Field::Author, Field::Entity] {
        line(field.name(), &field.joined(&case).unwrap_or_default());
    }
    line("at", &at.to_string());
    if !explained.is_known {
        line(
            "rule",
            "the configuration has no rule of this id: level and tags are what the command line says",
        );
    }
    text
}

fn routes(explained: &Explained<'_>, paint: Paint, text: &mut String) {
    let case = Case { alert: explained.alert, scene: explained.scene };
    let _ = writeln!(text, "\n{}", paint.bold("Way"));
    let names = if explained.named.is_empty() { "no action".to_owned() } else { explained.named.join(", ") };
    let _ = writeln!(text, "  {:<14} names {names}", "rule");
    let visits = trace(&explained.config.routes, &case, explained.at);
    if visits.is_empty() {
        text.push_str("  there are no routes\n");
    }
    for Visit { path, route, passed } in visits {
        let number: Vec<String> = path.iter().map(ToString::to_string).collect();
        let name = format!("{}route {}", "  ".repeat(path.len().saturating_sub(1)), number.join("."));
        let what = match passed {
            Passed::Matched => format!("{} {}", paint.green("matches:"), does(route)),
            Passed::Unmatched(reasons) => format!("no: {}", reasons.join("; ")),
            Passed::Stopped => "not asked: a route before it has `stop`".to_owned(),
        };
        let _ = writeln!(text, "  {name:<14} {}", clean_keeping(&what));
    }
}

/// Names in reasons come from events; colours are ours.
fn clean_keeping(text: &str) -> String {
    text.split('\u{1b}').map(clean).collect::<Vec<_>>().join("\u{1b}")
}

/// What a route does that matches.
fn does(route: &Route) -> String {
    let mut parts = Vec::new();
    if !route.actions.is_empty() {
        parts.push(format!("adds {}", route.actions.join(", ")));
    }
    if route.group.is_some() {
        parts.push("groups".to_owned());
    }
    if let Some(span) = route.repeat {
        parts.push(format!("repeats every {span}"));
    }
    if !route.escalate.is_empty() {
        parts.push("escalates".to_owned());
    }
    if !route.routes.is_empty() {
        parts.push("asks the routes inside it".to_owned());
    }
    if route.stop {
        parts.push("stops here".to_owned());
    }
    if parts.is_empty() { "adds nothing".to_owned() } else { parts.join(", ") }
}

fn told(explained: &Explained<'_>, (paint, width): (Paint, usize), text: &mut String) {
    let Explained { config, alert, scene, named, at, .. } = explained;
    let case = Case { alert, scene };
    let way = way(&config.routes, named, &case, *at);
    let _ = writeln!(text, "\n{}", paint.bold("Actions"));
    let changes =
        |told: &Told| config.actions.get(&told.action).is_some_and(|action| action.respond().is_some());
    let responds = way.told.iter().any(changes);
    if way.told.is_empty() {
        text.push_str("  none: neither the rule nor a route names one; the alert is stored and listed\n");
    }
    for told in &way.told {
        let when = when(told, config, (&case, responds));
        text.push_str(&behind(&format!("  {:<20} ", told.action), &when, 23, width));
    }
    for step in &way.escalate {
        let who = step.actions.join(", ");
        let _ = writeln!(text, "  {who:<20} {} later, if nobody has acknowledged it by then", step.after);
    }
}

/// When an action is set off.
fn when(told: &Told, config: &Config, (case, responds): (&Case<'_>, bool)) -> String {
    let Some(action) = config.actions.get(&told.action) else {
        return "is not configured: it is passed over".to_owned();
    };
    if action.respond().is_some() {
        return "at once, behind its guards".to_owned();
    }
    let mut text = match &told.manner.group {
        None if responds => "at once; it waits up to 60s for the responses".to_owned(),
        None => "at once".to_owned(),
        Some(group) => format!(
            "together with `{}`: {} after the first, then {} after each message",
            group.key(case),
            group.wait,
            group.interval
        ),
    };
    match (&told.manner.group, told.manner.repeat) {
        (Some(group), _) if group.repeat.is_some() => {
            let span = group.repeat.unwrap_or_default();
            text.push_str(&format!("; again every {span} while one of them is unresolved"));
        }
        (_, Some(span)) => text.push_str(&format!("; again every {span} while nobody acknowledges it")),
        _ => {}
    }
    text
}

fn holds(explained: &Explained<'_>, (paint, width): (Paint, usize), text: &mut String) {
    let title = if explained.past.is_some() { "Another one like it, now" } else { "Held back" };
    let _ = writeln!(text, "\n{}", paint.bold(title));
    if explained.holds.is_empty() {
        text.push_str("  by nothing\n");
    }
    for Hold { by, why, spares_responses, .. } in &explained.holds {
        let spares = if *spares_responses { " (responses are made)" } else { "" };
        text.push_str(&behind(&format!("  {:<20} ", by.name()), &format!("{why}{spares}"), 23, width));
    }
}

fn became(alert: &Alert, past: &Past, (paint, width): (Paint, usize), text: &mut String) {
    let _ = writeln!(text, "\n{}", paint.bold("What became of it"));
    if past.deliveries.is_empty() {
        text.push_str("  nothing was sent\n");
    }
    for row in &past.deliveries {
        let (state, result) = (outbox::state(row.state), outbox::result(row));
        let beginning = format!("  {:<20} {:<12} {state:<9} ", row.action, row.occasion.name());
        text.push_str(&behind(&beginning, &result, 23, width));
    }
    text.push_str(&held::text(alert, &past.held, &past.followups, (paint, width)));
}
