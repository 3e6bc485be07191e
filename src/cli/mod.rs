//! The command line: one file per command. Prints, and answers an exit code.

mod alert_change;
mod alerts;
mod audit;
mod author;
mod backtest;
mod backup;
mod check;
mod completions;
mod coverage;
mod data;
mod demo;
mod diagnostics;
mod draft;
mod explain;
mod export;
mod found;
mod gaps;
mod generate;
mod history;
mod hold;
mod import;
mod incidents;
mod ledger;
mod openapi;
mod outbox;
mod past;
mod periodic;
mod program;
mod quality;
mod recent;
mod reference;
mod rejected;
mod report;
mod retention;
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
mod token;
mod trace;
mod verify;

pub use program::main;

use program::Usage;
use say::{has_color, print, say};
