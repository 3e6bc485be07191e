//! The command line: one file per command. Prints, and answers an exit code.

mod alerts;
mod backtest;
mod check;
mod completions;
mod data;
mod demo;
mod diagnostics;
mod draft;
mod explain;
mod gaps;
mod generate;
mod history;
mod import;
mod ledger;
mod outbox;
mod past;
mod program;
mod recent;
mod reference;
mod rejected;
mod report;
mod rules;
mod say;
mod schema;
mod search;
mod serve;
mod table;
mod terminal;
mod test;
#[cfg(test)]
mod testing;
mod verify;

pub use program::main;

use program::Usage;
use say::{has_color, print, say};
