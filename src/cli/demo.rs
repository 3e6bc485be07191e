//! `watchfire demo`: the real daemon, a simulated company, six attacks, and what becomes of them.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use crate::clock::Clock;
use crate::demo::{Demo, DemoEvent, Report, Screen, Style, Tell};
use crate::telemetry::{self, LoggingConfig};

/// Options of `watchfire demo`.
#[derive(Debug, Args)]
#[command(
    after_help = "Everything happens on this machine: the daemon, a stand-in of GitLab's API, a mail sink and a \
webhook sink listen on the loopback address. Exit codes: 0 every planted attack was caught, 1 one was missed."
)]
pub struct DemoArgs {
    /// At full speed and to the end, without waiting for anybody; otherwise it takes a minute and a half
    #[arg(long)]
    once: bool,
    /// text: the story as it happens. json: one object at the end (with --once)
    #[arg(long, value_enum, default_value_t = DemoFormat::Text, requires_if("json", "once"))]
    format: DemoFormat,
    /// Another number is another company, with other people and other days
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Put everything into this folder, new or empty, and leave it there; otherwise a temporary one is used
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// How the result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DemoFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What a shell expects of a program that was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Runs it.
pub fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    telemetry::install(&LoggingConfig { level: "warn".to_owned(), ..LoggingConfig::default() })?;
    let (folder, temporary) = match &args.keep {
        Some(folder) => (empty(folder)?, None),
        None => {
            let made = tempfile::Builder::new().prefix("watchfire-demo-").tempdir();
            let made = made.context("cannot make a temporary folder; --keep DIR uses another")?;
            (made.path().to_owned(), Some(made))
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(play(args, &folder))?;
    if let Some(folder) = temporary {
        folder.close().context("cannot remove the demo's folder")?;
    }
    Ok(code)
}

/// A folder with something in it may be somebody's data, or an older demo's, whose events would count as repeated.
fn empty(folder: &Path) -> anyhow::Result<PathBuf> {
    let what = || format!("cannot use the folder {}", folder.display());
    std::fs::create_dir_all(folder).with_context(what)?;
    if std::fs::read_dir(folder).with_context(what)?.next().is_some() {
        bail!("the folder {} is not empty: --keep wants a new or an empty one", folder.display());
    }
    Ok(folder.to_owned())
}

async fn play(args: &DemoArgs, folder: &Path) -> anyhow::Result<ExitCode> {
    let clock = Clock::system();
    let demo = Demo::start(folder, args.seed, clock).await?;
    let is_shown = !args.once;
    let style = Style { colour: colour(), in_place: io::stdout().is_terminal() };
    let mut screen = Screen::new(demo.users(), style);
    let mut on_screen = |event: &DemoEvent| screen.show(event, &mut io::stdout().lock());
    let mut nothing = |_: &DemoEvent| Ok(());
    let tell: &mut Tell<'_> = match args.format {
        DemoFormat::Text => &mut on_screen,
        DemoFormat::Json => &mut nothing,
    };
    let played = tokio::select! {
        report = demo.play(is_shown, tell) => Some(report),
        _ = tokio::signal::ctrl_c() => None,
    };
    let ended = match played {
        None => Ok(ExitCode::from(INTERRUPTED)),
        Some(Err(error)) => Err(error.into()),
        Some(Ok(report)) => finish(args, &demo, &report).await,
    };
    // Also after an error: what was accepted is written, and the error is the news.
    let stopped = demo.stop().await;
    let code = ended?;
    stopped?;
    Ok(code)
}

async fn finish(args: &DemoArgs, demo: &Demo, report: &Report) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout();
    if args.format == DemoFormat::Json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
    } else if args.once || !io::stdin().is_terminal() {
        writeln!(out, "\n{}", remains(args, demo))?;
    } else {
        write!(out, "\n{}", look_around(args, demo))?;
        out.flush()?;
        enter_or_interrupt().await;
    }
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Said at the end when nobody is waited for.
fn remains(args: &DemoArgs, demo: &Demo) -> String {
    match args.keep {
        Some(_) => format!("  The mails are in {}", demo.places().mails.display()),
        None => {
            "  The temporary folder is removed now; --keep DIR leaves mails and data to look at.".to_owned()
        }
    }
}

/// Said when a person may look around.
fn look_around(args: &DemoArgs, demo: &Demo) -> String {
    let places = demo.places();
    let (mails, data) = (places.mails.display(), places.data.display());
    let after = if args.keep.is_some() { "the folder stays" } else { "the folder is removed then" };
    format!(
        "  The daemon still runs. In another terminal:\n    \
         ls {mails}        # open one of the .html in a browser\n    \
         watchfire alerts --data-dir {data}\n    \
         watchfire search 'event_type:project_destroyed' --data-dir {data}\n    \
         curl {}\n\n  Enter or Ctrl-C ends the demo ({after}). ",
        places.metrics
    )
}

/// A thread of its own waits for Enter: a blocked read must not hold up the end.
async fn enter_or_interrupt() {
    let (pressed, enter) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        drop(io::stdin().read_line(&mut line));
        // Nobody listens any more after Ctrl-C.
        pressed.send(()).ok();
    });
    tokio::select! {
        _ = enter => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

fn colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
