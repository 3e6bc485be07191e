//! x
use std::process::ExitCode;
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {}
pub fn run(_: &SchemaArgs) -> anyhow::Result<ExitCode> { Ok(ExitCode::SUCCESS) }
