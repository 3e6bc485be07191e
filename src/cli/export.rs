//! `watchfire export`: found events into a file, which an interrupted export goes on with.

mod state;
#[cfg(feature = "parquet")]
mod whole;

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::{Map, Value};

use self::state::State;
use super::Usage;
use super::data::{self, DataDir};
use super::rules::ShowArgs;
use crate::clock::Clock;
use crate::query::{Query, format};
use crate::reporting::ExportFormat;
use crate::search::{Cursor, Order, Parts, Searcher};

/// Options of `watchfire export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Events come in the order they were received, up to the last one of the moment it began. Beside FILE stands FILE.state \
until all is written; with --resume an export that was interrupted goes on behind the last line that is whole.
In CSV a cell that a spreadsheet would run as a formula gets a ' in front.

Examples:
  watchfire export 'tier:destructive created:2026-01' --data-dir D --output january.csv
  watchfire export '' --data-dir D --format ndjson --output all.ndjson --resume
  watchfire export 'author:alice' --data-dir D --columns created_at,event_type,details.custom_message.action --output a.csv")]
pub struct ExportArgs {
    /// What to look for
    query: String,
    #[command(flatten)]
    data: DataDir,
    /// csv: for spreadsheets. ndjson: the event as one object a line
    #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
    format: ExportFormat,
    /// Where to
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Go on with what an interrupted export left
    #[arg(long)]
    resume: bool,
    /// The columns of CSV, fields with dots into objects, separated by commas
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    columns: Vec<String>,
    #[command(flatten)]
    show: ShowArgs,
}

/// How many events are written between two notes of how far it came.
const EVENTS: usize = 4096;

/// Writes them; says how many.
pub fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    if args.format == ExportFormat::Ndjson && !args.columns.is_empty() {
        let message = "--columns is for --format csv; ndjson has the whole event";
        return Err(Usage(message.to_owned()).into());
    }
    #[cfg(feature = "parquet")]
    if args.format == ExportFormat::Parquet {
        return whole::run(args);
    }
    let mut searcher = args.data.searcher(args.show.catalogue()?)?;
    let mut export = Export::begin(args, &mut searcher)?;
    while export.step(&mut searcher, EVENTS)? {}
    data::say_damaged(&mut searcher);
    super::say(&format!("{} events in {}", export.state.events, args.output.display()));
    Ok(ExitCode::SUCCESS)
}

/// An export on its way.
struct Export {
    output: PathBuf,
    file: File,
    query: Query,
    state: State,
}

impl Export {
    fn begin<P: Parts>(args: &ExportArgs, searcher: &mut Searcher<P>) -> anyhow::Result<Self> {
        let output = args.output.clone();
        let mut state = State::asked(args, searcher)?;
        let query =
            |state: &State| Query::parse(&state.query, state.now).map_err(|error| Usage(error.to_string()));
        query(&state)?;
        let left = State::read(&output)?;
        if let Some(left) = left.filter(|_| args.resume) {
            left.check(&state, &output)?;
            left.check_file(&output)?;
            state = left;
        } else if output.exists() || state::path(&output).exists() {
            return Err(Usage(in_the_way(&output, args.resume)).into());
        } else {
            state.write(&output)?;
        }
        let place = || output.display().to_string();
        let mut file =
            OpenOptions::new().create(true).write(true).truncate(false).open(&output).with_context(place)?;
        // What was written behind the last note may be half a line.
        file.set_len(state.bytes).and_then(|()| file.seek(SeekFrom::End(0))).with_context(place)?;
        Ok(Self { query: query(&state)?, output, file, state })
    }

    /// Writes the next events and notes how far it came; false when all is written.
    fn step<P: Parts>(&mut self, searcher: &mut Searcher<P>, count: usize) -> anyhow::Result<bool> {
        let cursor = self.state.cursor.as_deref().map(Cursor::parse).transpose()?;
        let mut page = searcher.page(&self.query, cursor, (count, Order::OldestFirst))?;
        let found = page.events.len();
        page.events.retain(|found| found.event.position <= self.state.until);
        let is_last = page.next.is_none() || page.events.len() < found;
        let shown: Vec<Map<String, Value>> = page.events.into_iter().map(|found| found.shown).collect();
        let bytes = self.encode(&shown)?;
        let place = || self.output.display().to_string();
        self.file.write_all(&bytes).and_then(|()| self.file.sync_data()).with_context(place)?;
        self.state.bytes += bytes.len() as u64;
        self.state.events += shown.len() as u64;
        if is_last {
            std::fs::remove_file(state::path(&self.output)).with_context(place)?;
            return Ok(false);
        }
        self.state.cursor = page.next.map(|next| next.to_string());
        self.state.write(&self.output)?;
        Ok(true)
    }

    fn encode(&self, shown: &[Map<String, Value>]) -> anyhow::Result<Vec<u8>> {
        if self.state.format == ExportFormat::Ndjson {
            return Ok(format::ndjson(shown).into_bytes());
        }
        let columns: Vec<&str> = self.state.columns.iter().map(String::as_str).collect();
        let mut bytes = if self.state.bytes == 0 { format::csv_heading(&columns)? } else { Vec::new() };
        bytes.extend(format::csv_rows(shown, &columns)?);
        Ok(bytes)
    }
}

impl State {
    /// What is asked for, from the beginning.
    fn asked<P: Parts>(args: &ExportArgs, searcher: &mut Searcher<P>) -> anyhow::Result<Self> {
        let columns = match args.format {
            ExportFormat::Ndjson => Vec::new(),
            #[cfg(feature = "parquet")]
            ExportFormat::Parquet => Vec::new(),
            ExportFormat::Csv if args.columns.is_empty() => format::CSV_COLUMNS.map(str::to_owned).into(),
            ExportFormat::Csv => args.columns.clone(),
        };
        let newest = searcher.newest()?;
        Ok(Self {
            query: args.query.clone(),
            now: Clock::system().now(),
            format: args.format,
            columns,
            until: newest.map_or(0, |event| event.position),
            cursor: None,
            bytes: 0,
            events: 0,
        })
    }
}

fn in_the_way(output: &Path, is_resumed: bool) -> String {
    let (is_there, output, state) = (output.exists(), output.display(), state::path(output));
    match (state.exists(), is_resumed) {
        (true, _) if !is_there => {
            format!(
                "{} is left of an export whose {output} is gone; remove it, and begin anew",
                state.display()
            )
        }
        (true, _) => format!("{output} was begun and not ended; go on with it with --resume, or remove it"),
        (false, true) => format!("{output} is whole: there is no {} beside it", state.display()),
        (false, false) => format!("{output} is there already; choose another name, or remove it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Catalogue;

    fn events() -> Vec<String> {
        let event = |number: u32| {
            let kind = if number.is_multiple_of(3) { "user_created" } else { "=cmd()" };
            format!(
                r#"{{"id":"e{number}","created_at":"2026-01-01T00:00:{:02}Z","event_type":"{kind}","author_id":7,"entity_id":1,"details":{{"x":"ä\n\"{number}"}}}}"#,
                number % 60
            )
        };
        (1..=100).map(event).collect()
    }

    fn args(dir: &Path, format: ExportFormat, output: &str, resume: bool) -> ExportArgs {
        ExportArgs {
            query: "-id:e50".to_owned(),
            data: DataDir::of(dir),
            format,
            output: dir.join(output),
            resume,
            columns: match format {
                ExportFormat::Csv => vec!["id".to_owned(), "event_type".to_owned(), "details.x".to_owned()],
                _ => Vec::new(),
            },
            show: ShowArgs::default(),
        }
    }

    #[test]
    fn an_export_whose_file_is_gone_is_not_gone_on_with() {
        let dir = crate::cli::testing::data_dir(&events());
        let mut searcher = data::searcher(dir.path(), Catalogue::built_in().into()).unwrap();
        let of = |resume| args(dir.path(), ExportFormat::Csv, "lost.csv", resume);
        let path = dir.path().join("lost.csv");
        let mut export = Export::begin(&of(false), &mut searcher).unwrap();
        assert!(export.step(&mut searcher, 10).unwrap());
        let written = export.state.bytes;
        drop(export);
        std::fs::remove_file(&path).unwrap();
        for is_cut in [false, true] {
            if is_cut {
                std::fs::write(&path, "id").unwrap();
            }
            let refused = run(&of(true)).unwrap_err().to_string();
            assert!(
                refused.contains("lost.csv.state") && refused.contains(&written.to_string()),
                "{refused}"
            );
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"id", "nothing was filled up");
        std::fs::remove_file(&path).unwrap();
        let refused = run(&of(false)).unwrap_err().to_string();
        assert!(refused.contains("is gone") && !refused.contains("--resume"), "{refused}");
        std::fs::remove_file(state::path(&path)).unwrap();
        assert!(run(&of(false)).is_ok());
    }

    #[test]
    fn an_interrupted_export_ends_as_if_it_had_not_been() {
        let dir = crate::cli::testing::data_dir(&events());
        let mut searcher = data::searcher(dir.path(), Catalogue::built_in().into()).unwrap();
        for format in [ExportFormat::Csv, ExportFormat::Ndjson] {
            let name = |kind: &str| format!("{kind}.{}", crate::reporting::extension(format));
            let (whole, parts) = (name("whole"), name("parts"));
            assert!(run(&args(dir.path(), format, &whole, false)).is_ok());
            let expected = std::fs::read(dir.path().join(&whole)).unwrap();
            let lines = if format == ExportFormat::Csv { 199 } else { 99 };
            assert_eq!(expected.iter().filter(|byte| **byte == b'\n').count(), lines);

            let mut export = Export::begin(&args(dir.path(), format, &parts, false), &mut searcher).unwrap();
            for _ in 0..3 {
                assert!(export.step(&mut searcher, 10).unwrap());
            }
            export.file.write_all(b"half a li").unwrap();
            drop(export);
            let refused = run(&args(dir.path(), format, &parts, false)).unwrap_err();
            assert!(refused.to_string().contains("--resume"), "{refused}");
            let other = ExportArgs { query: "x".to_owned(), ..args(dir.path(), format, &parts, true) };
            assert!(run(&other).unwrap_err().to_string().contains("was begun for the query `-id:e50`"));
            assert!(run(&args(dir.path(), format, &parts, true)).is_ok());
            assert_eq!(std::fs::read(dir.path().join(&parts)).unwrap(), expected);
            assert!(!state::path(&dir.path().join(&parts)).exists());
            let again = run(&args(dir.path(), format, &parts, true)).unwrap_err();
            assert!(again.to_string().contains("is whole"), "{again}");
        }
        let text = std::fs::read_to_string(dir.path().join("whole.csv")).unwrap();
        assert!(text.starts_with("id,event_type,details.x\r\ne1,'=cmd(),\"ä\n\"\"1\"\r\n"), "{text}");
        let mut wrong = args(dir.path(), ExportFormat::Ndjson, "x", false);
        wrong.columns.push("id".to_owned());
        assert!(run(&wrong).is_err());
    }
}
