//! The configuration file: composed of the sections that each folder owns, strict, and precise about mistakes.

mod check;
mod checkpoints;
mod document;
mod enrichment;
mod error;
mod incidents;
mod limits;
mod log;
mod schedules;
mod load;
mod retention;
mod routes;
mod suggest;
mod tree;
mod units;

pub use checkpoints::CheckpointsConfig;
pub use error::{ConfigError, Invalid};
pub use limits::Limits;
pub use load::{Config, load, load_without_secrets};
pub use log::LogConfig;
pub use units::{Address, Length, Size, UnitError};

pub use crate::route::Route;

/// Looks an environment variable up; handed in, so that tests need no environment.
pub type Env<'a> = dyn Fn(&str) -> Option<String> + Send + Sync + 'a;
