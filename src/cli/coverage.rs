//! `watchfire coverage`: which event types no rule looks at, and which sources have fallen silent.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::data::{DataDir, say_damaged};
use super::rules::JudgeArgs;
use super::{table, terminal};
use crate::clock::Clock;
use crate::event::is_past;
use crate::reach::{ForgeReport, HeardSource, Report, SourceReport, SourceState, Totals, TypeReport, reach};
use crate::source::Heard;
use crate::time::Span;

/// Options of `watchfire coverage`.
#[derive(Debug, Args)]
#[command(after_help = "\
Which event types a rule looks at follows from its condition: with `event_type: user_created` it is that one, with \
`event_type|endswith: _destroyed` all that end so. A rule whose condition says nothing of the type, or only leaves some \
out, looks at every type and is named by itself; it hides no gap from this list.

A source is called silent when it was not heard for half as long again as ever at this time of the week in the last 30 \
days. What is heard for less than a week is not compared.

Examples:
  watchfire coverage --config /etc/watchfire/watchfire.yaml
  watchfire coverage --config /etc/watchfire/watchfire.yaml --all --json")]
pub struct CoverageArgs {
    #[command(flatten)]
    data: DataDir,
    /// A rule file or a folder with them, in place of the configuration's; may be repeated
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    judge: JudgeArgs,
    /// List every event type that was seen or is known, not only those that no rule looks at
    #[arg(long)]
    all: bool,
    /// The whole answer as one JSON object, the same as GET /api/v1/coverage
    #[arg(long)]
    json: bool,
}

/// Prints it. Gaps are no errors: the exit code is 0.
pub fn run(args: &CoverageArgs) -> anyhow::Result<ExitCode> {
    let now = Clock::system().now();
    let rules = args.judge.settle(&args.rules)?.read(now)?.rules;
    let mut heard = Heard::kept(&args.data.store()?)?;
    let mut searcher = args.data.searcher(Arc::clone(rules.catalogue()))?.with_looks(u64::MAX);
    let seen = searcher.seen()?;
    let mut sources: Vec<HeardSource> = Vec::new();
    for source in seen.sources.into_iter().filter(|source| !is_past(&source.name)) {
        let mut arrivals = heard.remove(&source.name).unwrap_or_default();
        source.last_received.into_iter().for_each(|last| arrivals.note(last));
        sources.push(HeardSource { name: source.name, events: source.events, arrivals });
    }
    let totals = Totals { is_complete: seen.is_complete && seen.others == 0, untyped: seen.untyped };
    let report = Report::new(&reach(&rules, &seen.types), &sources, totals, now);
    if args.json {
        super::print(&(serde_json::to_string_pretty(&report)? + "\n"))?;
    } else {
        super::print(&text(&report, args.all, terminal::width()))?;
    }
    say_damaged(&mut searcher);
    Ok(ExitCode::SUCCESS)
}

fn text(report: &Report, all: bool, width: usize) -> String {
    let mut text = String::new();
    for forge in &report.forges {
        text += &of_forge(forge, all, width);
    }
    if !report.complete {
        text += "\nnot all events could be looked at: these numbers are too small\n";
    }
    if report.untyped_events > 0 {
        text += &format!("\n{} events have no type\n", report.untyped_events);
    }
    text.push('\n');
    text.push_str(&of_sources(&report.sources, width));
    text
}

fn of_forge(forge: &ForgeReport, all: bool, width: usize) -> String {
    let ForgeReport { forge: name, known_types, seen_types, unknown_types, unwatched_types, .. } = forge;
    let known = match known_types {
        Some(known) => format!("{known} event types are known, "),
        None => "there is no list of its event types; ".to_owned(),
    };
    let unknown = match unknown_types {
        Some(unknown) if *unknown > 0 => format!(", {unknown} of them not known"),
        _ => String::new(),
    };
    let mut text = format!(
        "{name}: {known}{seen_types} seen{unknown}; no rule looks at {unwatched_types} of those seen\n"
    );
    let unseen = forge.types.iter().filter(|of| of.events == 0 && !of.rules.is_empty()).count();
    if unseen > 0 {
        text += &format!("  rules look at {unseen} types that were never seen\n");
    }
    if !forge.general_rules.is_empty() {
        let rules = forge.general_rules.join(", ");
        text += &format!("  rules that look at every type, and are not counted: {rules}\n");
    }
    let is_listed = |of: &&TypeReport| all || (of.events > 0 && of.rules.is_empty());
    let row = |of: &TypeReport| {
        let tier = of.tier.as_deref().unwrap_or(if known_types.is_some() { "NOT KNOWN" } else { "" });
        let day = |time: &Option<String>| {
            time.as_ref().and_then(|time| time.get(..10)).unwrap_or_default().to_owned()
        };
        let rules = of.rules.join(", ");
        vec![of.name.clone(), tier.to_owned(), of.events.to_string(), day(&of.first), day(&of.last), rules]
    };
    let mut listed: Vec<&TypeReport> = forge.types.iter().filter(is_listed).collect();
    listed.sort_by_key(|of| (rank(of), std::cmp::Reverse(of.events)));
    let rows: Vec<Vec<String>> = listed.into_iter().map(row).collect();
    if !rows.is_empty() {
        let heading = if all { "\nevent types:\n" } else { "\nseen, and no rule looks at them:\n" };
        text += heading;
        let columns = ["TYPE", "TIER", "EVENTS", "FIRST", "LAST", "RULES"];
        text += &table::table(&columns, &rows, &[0, 2, 3, 4], width);
    }
    text
}

/// The gravest first; what nobody knows may be anything.
fn rank(of: &TypeReport) -> usize {
    let tiers = crate::event::Tier::ALL.map(crate::event::Tier::name);
    of.tier.as_deref().and_then(|tier| tiers.iter().position(|known| *known == tier)).map_or(0, |at| at + 1)
}

fn of_sources(sources: &[SourceReport], width: usize) -> String {
    if sources.is_empty() {
        return "no source was ever heard\n".to_owned();
    }
    let span = |seconds: Option<u64>| {
        let seconds = seconds.and_then(|seconds| i64::try_from(seconds).ok());
        // Nobody wants the seconds of a day.
        let cut = |seconds: i64| if seconds >= 3_600 { seconds / 60 * 60 } else { seconds };
        seconds.map_or("-".to_owned(), |seconds| Span::seconds(cut(seconds)).to_string())
    };
    let row = |source: &SourceReport| {
        let state = match source.state {
            SourceState::Silent => "SILENT".to_owned(),
            state => state.name().to_owned(),
        };
        let last = source
            .last_heard
            .as_ref()
            .and_then(|last| last.get(..19))
            .map_or("-".to_owned(), |last| format!("{last}Z"));
        vec![
            source.source.clone(),
            state,
            last,
            span(source.silent_seconds),
            span(source.longest_pause_seconds),
            span(source.p99_pause_seconds),
            source.events.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = sources.iter().map(row).collect();
    let columns = ["SOURCE", "STATE", "LAST HEARD", "SILENT FOR", "USUAL MOST", "99%", "EVENTS"];
    table::table(&columns, &rows, &[1, 2, 3, 4], width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_silences_are_told_in_words() {
        let of = |name: &str, tier: Option<&str>, events, rules: &[&str]| TypeReport {
            name: name.to_owned(),
            known: tier.is_some(),
            category: None,
            tier: tier.map(str::to_owned),
            events,
            first: (events > 0).then(|| "2026-03-01T09:00:00.000Z".to_owned()),
            last: (events > 0).then(|| "2026-03-02T09:00:00.000Z".to_owned()),
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
        };
        let forge = ForgeReport {
            forge: "gitlab".to_owned(),
            known_types: Some(449),
            seen_types: 3,
            unknown_types: Some(1),
            unwatched_types: 2,
            general_rules: vec!["broad".to_owned()],
            types: vec![
                of("user_created", Some("permission"), 12, &["typed"]),
                of("push", Some("routine"), 90, &[]),
                of("brand_new", None, 1, &[]),
                of("never", Some("secret"), 0, &["typed"]),
            ],
        };
        let source = SourceReport {
            source: "gitlab".to_owned(),
            events: 103,
            last_heard: Some("2026-03-02T09:00:00.000Z".to_owned()),
            silent_seconds: Some(18_030),
            state: SourceState::Silent,
            median_pause_seconds: Some(60),
            p99_pause_seconds: Some(600),
            longest_pause_seconds: Some(2_400),
        };
        let report = Report { complete: true, untyped_events: 2, forges: vec![forge], sources: vec![source] };
        insta::assert_snapshot!(text(&report, false, 100), @r"
        gitlab: 449 event types are known, 3 seen, 1 of them not known; no rule looks at 2 of those seen
          rules look at 1 types that were never seen
          rules that look at every type, and are not counted: broad

        seen, and no rule looks at them:
        TYPE       TIER       EVENTS  FIRST       LAST        RULES
        brand_new  NOT KNOWN  1       2026-03-01  2026-03-02
        push       routine    90      2026-03-01  2026-03-02

        2 events have no type

        SOURCE  STATE   LAST HEARD            SILENT FOR  USUAL MOST  99%  EVENTS
        gitlab  SILENT  2026-03-02T09:00:00Z  5h          40m         10m  103
        ");
        assert_eq!(text(&report, true, 100).lines().filter(|line| line.contains("typed")).count(), 2);
    }
}
