//! `watchfire verify`: whether the log still is what was written.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::data::DataDir;

/// Options of `watchfire verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every entry of the log goes into a chain of BLAKE3 hashes. This computes the chain anew and compares it with what was \
written: a changed, removed or inserted event breaks it. Keep the printed head elsewhere; the same head later for the \
same number of entries means that nothing before it was touched.

Example:
  watchfire verify --data-dir /var/lib/watchfire")]
pub struct VerifyArgs {
    #[command(flatten)]
    data: DataDir,
}

/// Exit code 1 when the chain is broken.
pub fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let verified = args.data.reader()?.verify()?;
    let mut head = String::new();
    for byte in verified.head {
        write!(head, "{byte:02x}")?;
    }
    super::print(&format!("{} entries, the chain holds\nhead {head}\n", verified.entries))?;
    Ok(ExitCode::SUCCESS)
}
