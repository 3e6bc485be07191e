//! `watchfire report`: what happened in a day, a week or a month.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::Usage;
use super::data::{self, DataDir};
use super::rules::ShowArgs;
use crate::clock::Clock;
use crate::report::render::{csv, file_name, html, text};
use crate::report::{Every, Period, SectionKind, Zone};
use crate::reporting::{Asked, ReportConfig, make};

/// Options of `watchfire report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Who got or lost access, tokens and keys, destructive actions, sign-ins, alerts, responses, and what could not be seen; \
numbers stand beside those of the period before. The daemon mails the same: see `reports` in the configuration.

Examples:
  watchfire report daily --data-dir /var/lib/watchfire
  watchfire report monthly --on 2026-01-01 --time-zone Europe/Berlin --html january.html --csv january
  watchfire report weekly --config /etc/watchfire/config.yaml --name security --query 'entity_path:shop/*'")]
pub struct ReportArgs {
    /// Of what time
    #[arg(value_enum)]
    every: EveryArg,
    /// A day of that time [default: of the last one that is over]
    #[arg(long, value_name = "DATE")]
    on: Option<jiff::civil::Date>,
    #[command(flatten)]
    data: DataDir,
    /// Time zone, sections and query of the report with this name in --config
    #[arg(long, value_name = "NAME", requires = "config")]
    name: Option<String>,
    /// Where days begin, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<Zone>,
    /// Only events that this finds
    #[arg(long, value_name = "QUERY")]
    query: Option<String>,
    /// Only these parts, separated by commas: access_gained, access_lost, tokens_made, tokens_revoked, destructive,
    /// sign_ins, alerts, responses, coverage
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = section)]
    sections: Vec<SectionKind>,
    /// Write it as a page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write each table with all its rows as CSV into this folder
    #[arg(long, value_name = "FOLDER")]
    csv: Option<PathBuf>,
    #[command(flatten)]
    show: ShowArgs,
}

/// How long a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EveryArg {
    /// A day
    Daily,
    /// A week, from Monday on
    Weekly,
    /// A month
    Monthly,
}

impl From<EveryArg> for Every {
    fn from(every: EveryArg) -> Self {
        match every {
            EveryArg::Daily => Self::Daily,
            EveryArg::Weekly => Self::Weekly,
            EveryArg::Monthly => Self::Monthly,
        }
    }
}

fn section(text: &str) -> Result<SectionKind, String> {
    let known = SectionKind::ALL.map(SectionKind::name).join(", ");
    SectionKind::named(text).ok_or_else(|| format!("the sections are {known}"))
}

/// Prints it, and writes the files that were asked for.
pub fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let now = Clock::system().now();
    let asked = asked(args, now)?;
    let mut searcher = args.data.searcher(args.show.catalogue()?)?;
    let report = make(&mut searcher, &args.data.store()?, &asked, (now, &|| true))?;
    if let Some(path) = &args.html {
        std::fs::write(path, html(&report)?).with_context(|| path.display().to_string())?;
    }
    if let Some(folder) = &args.csv {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        for section in &report.sections {
            let path = folder.join(file_name(&report, section.kind));
            let bytes = csv(section, report.period.zone())?;
            std::fs::write(&path, bytes).with_context(|| path.display().to_string())?;
        }
    }
    super::print(&(text(&report)?.trim_end().to_owned() + "\n"))?;
    data::say_damaged(&mut searcher);
    Ok(ExitCode::SUCCESS)
}

fn asked(args: &ReportArgs, now: crate::time::Timestamp) -> anyhow::Result<Asked> {
    let every = Every::from(args.every);
    let settings = settings(args)?;
    let of_settings = settings.as_ref().map(|report| report.time_zone.clone());
    let zone = args.time_zone.clone().or(of_settings).unwrap_or_default();
    let period = match args.on {
        Some(day) => Period::with(every, day, &zone),
        None => Period::at(every, now, &zone).previous(),
    };
    let sections = match &settings {
        _ if !args.sections.is_empty() => args.sections.clone(),
        Some(report) => report.sections.clone(),
        None => SectionKind::ALL.to_vec(),
    };
    let of_settings = settings.as_ref().map(|report| report.query.clone());
    let query = args.query.clone().or(of_settings).unwrap_or_default();
    crate::query::Query::parse(&query, now).map_err(|error| Usage(format!("--query: {error}")))?;
    Ok(Asked { name: args.name.clone(), period, sections, query })
}

fn settings(args: &ReportArgs) -> anyhow::Result<Option<ReportConfig>> {
    let (Some(name), Some(config)) = (&args.name, args.show.config()?) else { return Ok(None) };
    let known: Vec<&str> = config.schedules.reports.iter().map(|report| report.name.as_str()).collect();
    let found = config.schedules.reports.iter().find(|report| report.name == *name);
    let missing = || {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Usage(format!("--name: the configuration has no report `{name}`; it has {known}"))
    };
    Ok(Some(found.ok_or_else(missing)?.clone()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: ReportArgs,
    }

    #[test]
    fn a_report_is_printed_and_written() {
        let event = |number: u32| {
            format!(
                r#"{{"id":"e{number}","created_at":"2026-01-0{number}T23:30:00Z","event_type":"user_created","author_id":7,"author_name":"alice","entity_id":1,"entity_type":"User"}}"#
            )
        };
        let events: Vec<String> = (1..=3).map(event).collect();
        let dir = crate::cli::testing::data_dir(&events);
        drop(crate::store::Store::open(dir.path()).unwrap());
        let path = |name: &str| dir.path().join(name);
        std::fs::write(
            path("w.yaml"),
            "actions:\n  m: {type: email, smtp: {host: h}, from: a@b.c, to: [a@b.c]}\n\
             reports: [{name: users, every: daily, time_zone: Europe/Berlin, action: m, sections: [access_gained]}]\n",
        )
        .unwrap();
        let line = |more: &[&str]| {
            let data = dir.path().to_str().unwrap();
            let words = [&["report", "daily", "--data-dir", data, "--on", "2026-01-03"], more].concat();
            run(&Line::parse_from(words).args)
        };
        let (page, tables, config) = (path("r.html"), path("tables"), path("w.yaml"));
        let [page_text, tables_text, config_text] =
            [&page, &tables, &config].map(|path| path.to_str().unwrap().to_owned());
        line(&["--html", &page_text, "--csv", &tables_text, "--config", &config_text, "--name", "users"])
            .unwrap();
        assert!(std::fs::read_to_string(&page).unwrap().contains("Saturday 3 January 2026"));
        let files: Vec<_> =
            std::fs::read_dir(&tables).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(files, ["users-2026-01-03-access_gained.csv"]);
        let csv = std::fs::read_to_string(tables.join(&files[0])).unwrap();
        // Half past eleven at night on the second in Greenwich.
        assert!(csv.contains("2026-01-03T00:30:00+01:00,user_created") && csv.lines().count() == 2, "{csv}");
        line(&["--sections", "coverage,alerts", "--query", "author:alice"]).unwrap();
        let wrong = line(&["--config", &config_text, "--name", "usres"]).unwrap_err();
        assert!(wrong.to_string().contains("no report `usres`; it has users"), "{wrong}");
        assert!(line(&["--query", "("]).unwrap_err().to_string().contains("--query"));
        let parsed = Line::try_parse_from(["report", "daily", "--sections", "x"]).unwrap_err().to_string();
        assert!(parsed.contains("the sections are access_gained"), "{parsed}");
    }
}
