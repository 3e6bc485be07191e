//! `watchfire backup` and `watchfire restore`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::data::DataDir;
use crate::backup::{self, Listing};
use crate::clock::Clock;

/// Options of `watchfire backup`.
#[derive(Debug, Args)]
#[command(after_help = "\
The copy is a folder of its own: the log, the control store, and a list of its files with their digests, which is \
written last. Sealed segments are linked, not copied, where both folders are on one file system. It holds the key with \
which segments are sealed, so keep it as safe as the data folder.

Example:
  watchfire backup /backups/watchfire-2026-11-22 --data-dir /var/lib/watchfire")]
pub struct BackupArgs {
    /// A new folder
    #[arg(value_name = "DIR")]
    target: PathBuf,
    #[command(flatten)]
    data: DataDir,
    /// Make nothing: check a backup that is there
    #[arg(long)]
    check: bool,
}

/// Options of `watchfire restore`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every file is compared with the backup's list before anything is written, and again afterwards. Then start the daemon \
on the new folder: it goes on from where the backup ends.

Example:
  watchfire restore /backups/watchfire-2026-11-22 /var/lib/watchfire")]
pub struct RestoreArgs {
    /// A folder that `watchfire backup` made
    #[arg(value_name = "BACKUP")]
    backup: PathBuf,
    /// The new data folder; it must not have anything in it
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Runs `watchfire backup`.
pub fn run(args: &BackupArgs) -> anyhow::Result<ExitCode> {
    if args.check {
        let listing = backup::check(&args.target)?;
        super::print(&format!("{} is whole: {}\n", args.target.display(), summary(&listing)))?;
        return Ok(ExitCode::SUCCESS);
    }
    let listing = backup::make(args.data.path(), &args.target, Clock::system().now())?;
    super::print(&format!("{}: {}\n", args.target.display(), summary(&listing)))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `watchfire restore`.
pub fn restore(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let listing = backup::restore(&args.backup, &args.dir)?;
    super::print(&format!("{}: {}\n", args.dir.display(), summary(&listing)))?;
    Ok(ExitCode::SUCCESS)
}

fn summary(listing: &Listing) -> String {
    let bytes: u64 = listing.files.iter().map(|file| file.bytes).sum();
    let (files, position, made_at) = (listing.files.len(), listing.position, &listing.made_at);
    format!(
        "{files} files, {bytes} bytes, {position} entries of the log, made {made_at}\nhead {}",
        listing.head
    )
}
