//! `watchfire import`: exports and logs of the past, into the log.

mod deliver;
mod read;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use self::deliver::{Door, Way};
use self::read::{Events, Found};
use crate::clock::Clock;
use crate::decode::{Origin, decode_from};
use crate::event::Format;
use crate::log::NewEvent;
use crate::source::{self, Added, check_import_name};
use crate::time::Timestamp;

/// Options of `watchfire import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Reads what GitLab's REST API answers to GET /audit_events (array or one event a line), audit_json.log, the CSV \
export of GitLab's pages, streamed events, and audit logs of GitHub, Azure DevOps and Bitbucket; packed with gzip \
or not. What the log has already is passed over, in whichever of these forms it came.

Rules learn from imported events, and raise no alerts for them; --judge lets them. `watchfire backtest --store` \
judges them in any case.

While a daemon runs on the folder it is the only one that may write: give its address and a token with the role admin \
(`watchfire token add import --role admin --valid 1d`).

Examples:
  watchfire import audit_json.log* --data-dir /var/lib/watchfire
  watchfire import audit-events.csv --url http://127.0.0.1:8650 --token-file import.token
  watchfire import page-*.json --source gitlab --dry-run")]
pub struct ImportArgs {
    /// Files of events; - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the events are written; recognised by their content without it
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// The name under which they are stored, behind `past/`
    #[arg(long, value_name = "NAME", default_value = "import", value_parser = source_name)]
    source: String,
    /// The system they happened in, as `forge` of its sources says; without it that of the daemon's source named by
    /// --source, if there is one, else each event's format gives the name
    #[arg(long, value_name = "NAME", value_parser = source_name)]
    forge: Option<String>,
    /// Let rules raise alerts for them, as if they came now
    #[arg(long)]
    judge: bool,
    /// Read and count only
    #[arg(long)]
    dry_run: bool,
    /// The daemon's data folder; no daemon may be running on it
    #[arg(long, value_name = "DIR", env = "WATCHFIRE_DATA_DIR", default_value = "/var/lib/watchfire")]
    data_dir: PathBuf,
    /// The address of the running daemon, to import through it
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A file with a token of the daemon's API that has the role admin
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// A PEM file with further root certificates
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
}

/// How events of the past are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// What `GET /audit_events` answers
    GitlabRest,
    /// `audit_json.log`
    GitlabLog,
    /// The CSV export
    GitlabCsv,
    /// Events as they are streamed
    GitlabStream,
    Github,
    AzureDevops,
    Bitbucket,
    /// Any other JSON objects
    Generic,
}

impl Form {
    const fn format(self) -> Format {
        match self {
            Self::GitlabRest | Self::GitlabLog | Self::GitlabCsv | Self::GitlabStream => Format::Gitlab,
            Self::Github => Format::Github,
            Self::AzureDevops => Format::AzureDevops,
            Self::Bitbucket => Format::Bitbucket,
            Self::Generic => Format::Generic,
        }
    }
}

fn source_name(text: &str) -> Result<String, String> {
    check_import_name(text)?;
    Ok(text.to_owned())
}

/// So much is put in order before it is stored.
const RUN_BYTES: usize = 256 << 20;
/// So many mistakes are shown each by itself.
const SHOWN_MAX: u64 = 20;

/// Stores what is not there yet; 1 if anything could not be read.
pub fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let way = Way::new(args)?;
    let mut import = Import { way, run: Vec::new(), bytes: 0, tally: Tally::default(), files: Vec::new() };
    let told = runtime.block_on(async {
        for path in &args.files {
            import.file(path, args).await?;
        }
        import.flush().await?;
        import.way.close().await;
        anyhow::Ok(())
    });
    // What was stored before it broke off is stored, and known the next time.
    let tally = &import.tally;
    if told.is_ok() || tally.added != Added::default() {
        super::print(&tally.summary(args))?;
    }
    told?;
    Ok(if tally.rejected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An event that was read, and where.
struct Item {
    file: usize,
    line: usize,
    event: NewEvent,
}

struct Import {
    way: Way,
    /// What is not stored yet.
    run: Vec<Item>,
    bytes: usize,
    tally: Tally,
    files: Vec<String>,
}

/// What came of it.
#[derive(Debug, Default)]
struct Tally {
    read: u64,
    added: Added,
    rejected: u64,
    span: Option<(Timestamp, Timestamp)>,
}

impl Import {
    async fn file(&mut self, path: &Path, args: &ImportArgs) -> anyhow::Result<()> {
        let shown =
            if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
        let file = self.files.len();
        self.files.push(shown.clone());
        let opened =
            read::open(path).and_then(|input| Events::new(input, args.format == Some(Form::GitlabCsv)));
        let mut events = opened.with_context(|| shown.clone())?;
        let source: Arc<str> = stored_name(args).into();
        let forge: Option<Arc<str>> = args.forge.as_deref().map(Into::into);
        let now = Clock::system().now();
        while let Some(found) = events.next().with_context(|| shown.clone())? {
            self.take(file, found, (args.format.map(Form::format), &source, forge.as_ref(), now));
            if self.bytes >= RUN_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        file: usize,
        found: Found,
        (format, source, forge, now): (Option<Format>, &Arc<str>, Option<&Arc<str>>, Timestamp),
    ) {
        self.tally.read += 1;
        let line = found.line;
        let decoded = found.bytes.and_then(|raw| {
            let format = format.unwrap_or_else(|| Format::recognise(&raw));
            let forge = forge.cloned().unwrap_or_else(|| format.name().into());
            decode_from(format, Origin { source, forge: &forge }, raw, None, now)
                .map_err(|error| error.to_string())
        });
        match decoded {
            Ok(decoded) => {
                let event = NewEvent { event: decoded.event, dedupe: decoded.dedupe };
                let (time, size) = (event.event.time, event.event.raw.len());
                let (first, last) = self.tally.span.unwrap_or((time, time));
                self.tally.span = Some((first.min(time), last.max(time)));
                self.bytes += size + size_of::<Item>();
                self.run.push(Item { file, line, event });
            }
            Err(reason) => self.reject((file, line), &reason),
        }
    }

    fn reject(&mut self, (file, line): (usize, usize), reason: &str) {
        self.tally.rejected += 1;
        if self.tally.rejected <= SHOWN_MAX {
            let name = self.files.get(file).map_or("", String::as_str);
            super::say(&format!("{name}:{line}: {}", super::terminal::clean(reason)));
        } else if self.tally.rejected == SHOWN_MAX + 1 {
            super::say("further mistakes are only counted");
        }
    }

    /// Stores what was read, oldest first: rules learn in the order of time.
    async fn flush(&mut self) -> anyhow::Result<()> {
        let mut run = std::mem::take(&mut self.run);
        self.bytes = 0;
        run.sort_by_key(|item| item.event.event.time);
        let places: Vec<(usize, usize)> = run.iter().map(|item| (item.file, item.line)).collect();
        let events: Vec<NewEvent> = run.into_iter().map(|item| item.event).collect();
        let mut refused = Vec::new();
        let stored = self.way.send(&events, &mut refused, &mut self.tally.added).await;
        for (index, reason) in refused {
            self.reject(places.get(index).copied().unwrap_or_default(), &reason);
        }
        stored?;
        if std::io::stderr().is_terminal() {
            super::say(&format!("{} events read, {} stored", self.tally.read, self.tally.added.stored));
        }
        Ok(())
    }
}

/// The name the events get in the log.
fn stored_name(args: &ImportArgs) -> String {
    source::stored_name(&args.source, args.judge)
}

impl Tally {
    fn summary(&self, args: &ImportArgs) -> String {
        let Self { read, added, rejected, span } = self;
        let mut text = format!("read {read} events");
        if let Some((first, last)) = span {
            text.push_str(&format!(" from {first} to {last}"));
        }
        if args.dry_run {
            return format!("{text}\n{rejected} could not be read; nothing was stored\n");
        }
        let Added { stored, duplicates } = added;
        text.push_str(&format!(
            "\nstored {stored} as source {}, known already {duplicates}, rejected {rejected}\n",
            stored_name(args)
        ));
        if *stored > 0 && !args.judge {
            text.push_str("rules learn from them and raise no alerts; `watchfire backtest --store` shows what they would find\n");
        }
        text
    }
}

impl Way {
    /// Where the events go: into the folder, through the daemon, or nowhere.
    fn new(args: &ImportArgs) -> anyhow::Result<Self> {
        if args.dry_run {
            return Ok(Self::Nowhere);
        }
        if let Some(url) = &args.url {
            let door = Door { url, token_file: args.token_file.as_deref(), ca: args.ca.as_deref() };
            return Self::through(&door, (&args.source, args.forge.as_deref()), args.judge);
        }
        Self::into_folder(&args.data_dir, &stored_name(args), args.forge.as_deref())
    }
}

#[cfg(test)]
mod tests;
