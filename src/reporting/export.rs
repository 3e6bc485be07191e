//! The file of a period: written under a temporary name, synced, and renamed, so that a file is whole or not there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{EventFile, ExportConfig, ExportFormat, GoOn};
use crate::query::{Query, QueryError, format};
use crate::report::Period;
use crate::search::{Found, Order, Parts, SearchError, Searcher};
use crate::time::Span;

/// Events of one page.
const EVENTS: usize = 1_000;

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where.
    pub path: PathBuf,
    /// With how many events.
    pub events: u64,
    /// What of the log could not be read, each as a sentence.
    pub damaged: Vec<String>,
    /// Older files that were removed.
    pub removed: usize,
}

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log could not be searched.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// Its query is none.
    #[error("query: {0}")]
    Query(#[from] QueryError),
    /// The file.
    #[error("{}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The program is stopping.
    #[error("it was given up because Watchfire stops")]
    Stopped,
    /// The events could not be put into the format.
    #[error("the events cannot be written as {0}")]
    Encode(String),
}

/// The ending of a file's name.
#[must_use]
pub const fn extension(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Csv => "csv",
        ExportFormat::Ndjson => "ndjson",
        #[cfg(feature = "parquet")]
        ExportFormat::Parquet => "parquet",
    }
}

/// The columns of CSV: those of a search, with the position in front, by which one goes on.
const COLUMNS: [&str; 17] = {
    let mut columns = ["position"; 17];
    let mut at = 0;
    while at < format::CSV_COLUMNS.len() {
        columns[at + 1] = format::CSV_COLUMNS[at];
        at += 1;
    }
    columns
};

/// Canonical events as bytes of a file; of CSV with the heading in front if they are the first ones.
///
/// # Errors
///
/// [`ExportError::Encode`] when memory runs out.
pub fn encode(
    events: &[Map<String, Value>],
    format: ExportFormat,
    is_first: bool,
) -> Result<Vec<u8>, ExportError> {
    let failed = |error: csv::Error| ExportError::Encode(format!("CSV: {error}"));
    match format {
        ExportFormat::Ndjson => Ok(format::ndjson(events).into_bytes()),
        ExportFormat::Csv => {
            let mut bytes =
                if is_first { format::csv_heading(&COLUMNS).map_err(failed)? } else { Vec::new() };
            bytes.extend(format::csv_rows(events, &COLUMNS).map_err(failed)?);
            Ok(bytes)
        }
        #[cfg(feature = "parquet")]
        ExportFormat::Parquet => {
            Err(ExportError::Encode("Parquet in pieces: it is a file with an end".to_owned()))
        }
    }
}

/// Writes the events of a period, by their own time, in the order in which they were received; then removes the files of
/// the oldest periods beyond those that are kept. Done again, it puts a whole file in place of the one before.
///
/// # Errors
///
/// What the log or the file system says; then there is no file, or the one of before.
pub fn write_export<P: Parts>(
    searcher: &mut Searcher<P>,
    config: &ExportConfig,
    period: &Period,
    go_on: GoOn<'_>,
) -> Result<Written, ExportError> {
    let ending = extension(config.format);
    let path = config.folder.join(format!("{}-{}.{ending}", config.name, period.key()));
    let partial = config.folder.join(format!(".{}-{}.{ending}.partial", config.name, period.key()));
    let place = |path: &Path| {
        let path = path.to_owned();
        move |error| ExportError::File { path, error }
    };
    fs::create_dir_all(&config.folder).map_err(place(&config.folder))?;
    drop(searcher.take_damaged());
    let file = File::create(&partial).map_err(place(&partial))?;
    let mut file = EventFile::new(file, config.format, &partial)?;
    let events =
        write(
            searcher,
            config,
            period,
            |events| {
                if go_on() { file.put(events) } else { Err(ExportError::Stopped) }
            },
        )?;
    let file = file.finish()?;
    file.sync_all().map_err(place(&partial))?;
    drop(file);
    fs::rename(&partial, &path).map_err(place(&path))?;
    File::open(&config.folder).and_then(|folder| folder.sync_all()).map_err(place(&config.folder))?;
    let damaged = searcher.take_damaged().iter().map(ToString::to_string).collect();
    let removed = remove_old(config).map_err(place(&config.folder))?;
    Ok(Written { path, events, damaged, removed })
}

fn write<P: Parts>(
    searcher: &mut Searcher<P>,
    config: &ExportConfig,
    period: &Period,
    mut put: impl FnMut(Vec<Found>) -> Result<(), ExportError>,
) -> Result<u64, ExportError> {
    let (from, to) = (period.start(), period.end());
    let query = Query::parse(&config.query, to)?.between(from, to.minus(Span::millis(1)));
    let (mut cursor, mut count) = (None, 0);
    loop {
        let page = searcher.page(&query, cursor, (EVENTS, Order::OldestFirst))?;
        count += page.events.len() as u64;
        put(page.events)?;
        cursor = page.next;
        if cursor.is_none() {
            return Ok(count);
        }
    }
}

/// Files of this export by their names, which are in the order of time; what else lies there stays.
fn remove_old(config: &ExportConfig) -> std::io::Result<usize> {
    if config.keep == 0 {
        return Ok(0);
    }
    let (start, ending) = (format!("{}-", config.name), format!(".{}", extension(config.format)));
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(&config.folder)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        let key = name.strip_prefix(&start).and_then(|rest| rest.strip_suffix(&ending));
        // Of another export whose name begins the same, more than a date is left.
        if key.is_some_and(|key| is_key(key, config.every)) {
            names.push(name);
        }
    }
    names.sort_unstable();
    let old = names.len().saturating_sub(config.keep);
    for name in names.iter().take(old) {
        fs::remove_file(config.folder.join(name))?;
    }
    Ok(old)
}

/// `2026-11-22`, or of months `2026-11`.
fn is_key(text: &str, every: crate::report::Every) -> bool {
    let form = if every == crate::report::Every::Monthly { "0000-00" } else { "0000-00-00" };
    let fits =
        |(letter, form): (char, char)| if form == '0' { letter.is_ascii_digit() } else { letter == form };
    text.len() == form.len() && text.chars().zip(form.chars()).all(fits)
}
