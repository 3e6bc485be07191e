//! Sources that are read, rather than posted to.

use tokio_util::sync::CancellationToken;

use super::SourceError;
use super::config::{Input, Source};
use super::file::FileSource;
use super::intake::{Context, Intake};
use super::poll::Poller;
use super::stdin::StdinSource;

/// Reads one source until it ends or is told to stop. Sources that are posted to have nothing to read.
pub async fn run(source: Source, context: Context, shutdown: CancellationToken) -> Result<(), SourceError> {
    let intake = Intake::new(&source, &context);
    match &source.input {
        Input::Gitlab { .. } | Input::Http { .. } => Ok(()),
        Input::Api(polled) => Poller::new((**polled).clone(), intake, &context).run(shutdown).await,
        Input::File(path) => FileSource::new(path, intake, &context).run(shutdown).await,
        Input::Stdin => StdinSource::new(intake, &context).run(tokio::io::stdin(), shutdown).await,
    }
}
