//! An export in a format that has an end: written beside the file and put in its place, in one go.

use std::fs::File;
use std::process::ExitCode;

use anyhow::Context;

use super::{EVENTS, ExportArgs, in_the_way};
use crate::cli::{Usage, data};
use crate::clock::Clock;
use crate::query::Query;
use crate::reporting::EventFile;
use crate::search::Order;

/// Writes it; says how many events are in it.
pub(super) fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    if args.resume || !args.columns.is_empty() {
        let message =
            "Parquet is written in one go, with columns of its own: leave --resume and --columns out";
        return Err(Usage(message.to_owned()).into());
    }
    let output = &args.output;
    if output.exists() {
        return Err(Usage(in_the_way(output, false)).into());
    }
    let query = Query::parse(&args.query, Clock::system().now()).map_err(|error| Usage(error.to_string()))?;
    let mut searcher = args.data.searcher(args.show.catalogue()?)?;
    let newest = searcher.newest()?;
    let until = newest.map_or(0, |event| event.position);
    let mut name = output.as_os_str().to_owned();
    name.push(".partial");
    let place = || output.display().to_string();
    let partial = std::path::PathBuf::from(name);
    let mut file = EventFile::new(File::create(&partial).with_context(place)?, args.format, &partial)?;
    let (mut cursor, mut count) = (None, 0);
    loop {
        let mut page = searcher.page(&query, cursor, (EVENTS, Order::OldestFirst))?;
        let found = page.events.len();
        page.events.retain(|found| found.event.position <= until);
        let is_last = page.next.is_none() || page.events.len() < found;
        count += page.events.len();
        file.put(page.events)?;
        cursor = page.next;
        if is_last {
            break;
        }
    }
    file.finish()?.sync_all().with_context(place)?;
    std::fs::rename(&partial, output).with_context(place)?;
    data::say_damaged(&mut searcher);
    crate::cli::say(&format!("{count} events in {}", output.display()));
    Ok(ExitCode::SUCCESS)
}
