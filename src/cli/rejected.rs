//! `watchfire rejected`: request bodies that could not be read as events.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::data::DataDir;
use super::{table, terminal};
use crate::store::Rejected;

/// Options of `watchfire rejected`.
#[derive(Debug, Args)]
#[command(after_help = "\
GitLab neither sends an event again nor reads why it was refused, so what cannot be read is kept. Once the reason is \
gone, have the running daemon read it again:
  curl -X POST -H 'Authorization: Bearer TOKEN' http://ADDRESS/api/v1/rejected/ID/replay

Examples:
  watchfire rejected --data-dir /var/lib/watchfire
  watchfire rejected --data-dir /var/lib/watchfire show 17")]
pub struct RejectedArgs {
    #[command(flatten)]
    data: DataDir,
    /// How many are listed, the newest first
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    #[command(subcommand)]
    command: Option<RejectedCommand>,
}

#[derive(Debug, Subcommand)]
enum RejectedCommand {
    /// List them, newest first
    List,
    /// Print one body as it came, its reason on standard error
    Show {
        /// Its number in the list
        id: i64,
    },
}

/// Lists them, or shows one.
pub fn run(args: &RejectedArgs) -> anyhow::Result<ExitCode> {
    let store = args.data.store()?;
    match args.command {
        None | Some(RejectedCommand::List) => {
            let rejected = store.rejected(None, args.limit.max(1))?;
            if rejected.is_empty() {
                super::say("nothing was rejected");
            } else {
                super::print(&table(&rejected))?;
            }
        }
        Some(RejectedCommand::Show { id }) => {
            let Some(found) = store.rejected_get(id)? else {
                super::say(&format!("watchfire: there is no rejected body {id}"));
                return Ok(ExitCode::FAILURE);
            };
            super::say(&about(&found));
            let mut output = std::io::stdout().lock();
            output.write_all(&found.rejected.body)?;
            output.write_all(b"\n")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn about(found: &Rejected) -> String {
    let rejected = &found.rejected;
    let mut text = format!(
        "source    {}\nreceived  {}\nreason    {}",
        rejected.source,
        rejected.received_at,
        terminal::clean(&rejected.reason)
    );
    if let Some(hint) = &rejected.type_hint {
        text.push_str(&format!("\ntype      {}", terminal::clean(hint)));
    }
    if let Some(at) = found.replayed_at {
        text.push_str(&format!("\nreplayed  {at}"));
    }
    text
}

fn table(rejected: &[Rejected]) -> String {
    let row = |found: &Rejected| {
        vec![
            found.id.to_string(),
            found.rejected.received_at.to_string(),
            found.rejected.source.clone(),
            found.size.to_string(),
            if found.replayed_at.is_some() { "yes" } else { "no" }.to_owned(),
            found.rejected.reason.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = rejected.iter().map(row).collect();
    let heading = ["ID", "RECEIVED", "SOURCE", "BYTES", "REPLAYED", "REASON"];
    table::table(&heading, &rows, &[0, 1, 3, 4], terminal::width())
}
