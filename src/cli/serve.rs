//! `watchfire serve`: the daemon in the foreground, as systemd wants it.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::daemon::{App, Options};
use crate::telemetry;

/// How long what was begun aside may take to end after everything else has.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Options of `watchfire serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/watchfire/config.yaml")]
    config: PathBuf,
    /// Where events and alerts are kept; overrides `data_dir`
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where to listen; overrides `listen`. A socket handed over by systemd comes first
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
}

/// Runs until SIGTERM or SIGINT; SIGHUP reads configuration and rules anew.
pub fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let env = |name: &str| std::env::var(name).ok();
    let mut config = config::load(&args.config, &env).map_err(|error| anyhow::anyhow!("{error}"))?;
    if let Some(dir) = &args.data_dir {
        config.data_dir.clone_from(dir);
    }
    if let Some(address) = args.listen {
        config.listen = address;
    }
    telemetry::install(&config.logging)?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.data_dir)
        .with_context(|| format!("cannot make the folder {}", config.data_dir.display()))?;
    let listener =
        listenfd::ListenFd::from_env().take_tcp_listener(0).context("the socket that was handed over")?;
    let options =
        Options { config_path: args.config.clone(), clock: Clock::system(), env: Arc::new(env), listener };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(config, options));
    // All that must be kept is kept by now. A thread that waits for standard input would be waited for.
    runtime.shutdown_timeout(LAST_WORK);
    ended
}

async fn serve(config: Config, options: Options) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let app = App::start(config, options).await?;
    tell_systemd(&[NotifyState::Ready]);
    let watchdog = sd_notify::watchdog_enabled().map(|period| period / 2);
    let mut pulse = tokio::time::interval(watchdog.unwrap_or(Duration::from_secs(3600)));
    let failed = loop {
        tokio::select! {
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
            reason = app.detection_ended() => break Some(reason),
            _ = hangup.recv() => reload(&app).await,
            _ = pulse.tick() => if watchdog.is_some() { tell_systemd(&[NotifyState::Watchdog]) },
        }
    };
    tell_systemd(&[NotifyState::Stopping]);
    app.stop().await?;
    match failed {
        None => Ok(ExitCode::SUCCESS),
        // Whoever started it starts it again; then detection goes on from its last commit.
        Some(reason) => anyhow::bail!("detection has ended: {reason}"),
    }
}

async fn reload(app: &App) {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell_systemd(&[NotifyState::Reloading, now]);
    }
    if let Err(error) = app.reload().await {
        tracing::error!("the configuration stays as it was:\n{error}");
    }
    tell_systemd(&[NotifyState::Ready]);
}

/// Without systemd there is nobody to tell.
fn tell_systemd(state: &[NotifyState<'_>]) {
    drop(sd_notify::notify(state));
}
