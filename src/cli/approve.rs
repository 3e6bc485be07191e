//! `watchfire approve`: a person's word on a response that waits for it.

use std::process::ExitCode;

use clap::Args;

use super::author;
use super::data::DataDir;
use super::responses::find;
use crate::store::{Decided, Decision};

/// Options of `watchfire approve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Who asked for a response cannot approve it, and where two people are needed, they are two.

Examples:
  watchfire responses list --waiting
  watchfire approve 3f9a…
  watchfire approve 3f9a… --refuse")]
pub struct ApproveArgs {
    #[command(flatten)]
    data: DataDir,
    /// The response's id, or the beginning of it
    id: String,
    /// It shall not be done
    #[arg(long)]
    refuse: bool,
}

/// Approves or refuses.
pub fn run(args: &ApproveArgs) -> anyhow::Result<ExitCode> {
    let store = args.data.store_to_write()?;
    let response = find(&store, &args.id)?;
    let decision = if args.refuse { Decision::Refuse } else { Decision::Approve };
    let deed = author::deed("watchfire approve", format!("response {}, {decision:?}", response.id));
    let told = match store.response_decide(&response.id, decision, None, &deed)? {
        Decided::Allowed => "approved: the daemon does it within a minute".to_owned(),
        Decided::Wants(more) => format!("approved: {more} more must approve it"),
        Decided::Declined => "refused: it is not done".to_owned(),
    };
    super::say(&format!("{} {}: {told}", response.verb, response.who.as_deref().unwrap_or("?")));
    Ok(ExitCode::SUCCESS)
}
