//! The loop of one forwarder: read, send, remember; wait when there is nothing, or when the receiver is away.

use std::fmt;
use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::deliver::{BuildContext, DeliveryError, delay_forever, with_wish};
use crate::event::{Catalogue, Position};
use crate::log::{LogError, Reader, fault};
use crate::store::{Store, StoreError};
use crate::time::Span;

use super::batch::{Batch, BatchLimits, EventFilter, fill};
use super::config::{ForwardConfig, ForwardError};
use super::file::{FileMark, FileOutput};
use super::http::HttpOutput;
use super::status::ForwardStatus;
use super::stream::{Lines, StreamLine};

/// Entries read from the log at once.
const ENTRIES_MAX: usize = 1_000;
/// How far the position may move in memory only, over entries that are not forwarded.
const UNSAVED_MAX: u64 = 10_000;
/// How long to wait after a refusal that waiting cannot mend by itself.
const REFUSED_REST: Span = Span::minutes(5);
/// How long a request under way may take to end after a shutdown is asked for.
const DRAIN_MAX: Span = Span::seconds(10);
/// A file's batch.
const FILE_BATCH: BatchLimits = BatchLimits { events: ENTRIES_MAX, bytes: 8 << 20 };

/// A forwarder, ready to run.
pub struct Forwarder {
    name: String,
    output: Output,
    limits: BatchLimits,
    filter: Option<EventFilter>,
    catalogue: Arc<Catalogue>,
    clock: Clock,
    status: Arc<ForwardStatus>,
    lines: Lines,
}

enum Output {
    Http(HttpOutput),
    File(FileConfig, Option<FileOutput>),
}

struct FileConfig {
    path: std::path::PathBuf,
    rotate: super::Rotate,
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Forwarder({})", self.name)
    }
}

impl Forwarder {
    /// Builds a forwarder; `filter` is its compiled `condition`.
    ///
    /// # Errors
    /// When a secret is missing or a setting makes no sense.
    pub fn build(
        config: &ForwardConfig,
        filter: Option<EventFilter>,
        catalogue: Arc<Catalogue>,
        clock: Clock,
        context: &BuildContext<'_>,
    ) -> Result<Self, ForwardError> {
        let name = config.name().to_owned();
        let setting = |problem| ForwardError::Setting { name: name.clone(), problem };
        if name.is_empty() {
            return Err(setting("the name is empty"));
        }
        let (output, limits) = match config {
            ForwardConfig::Http(http) => {
                if http.batch == 0 {
                    return Err(setting("batch: must be at least 1"));
                }
                let output = HttpOutput::build(http, context)
                    .map_err(|problem| ForwardError::Connection { name: name.clone(), problem })?;
                let bytes = usize::try_from(http.max_bytes.0).unwrap_or(usize::MAX);
                (Output::Http(output), BatchLimits { events: http.batch, bytes })
            }
            ForwardConfig::File(file) => {
                let settings = FileConfig { path: context.base.join(&file.path), rotate: file.rotate };
                (Output::File(settings, None), FILE_BATCH)
            }
        };
        let (status, lines) = (Arc::default(), Lines::default());
        Ok(Self { name, output, limits, filter, catalogue, clock, status, lines })
    }

    /// The same with lines of Watchfire's own between the events: checkpoints, each of them at least once.
    #[must_use]
    pub fn with_lines(self, lines: watch::Receiver<Option<StreamLine>>) -> Self {
        Self { lines: Lines::of(lines), ..self }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How far it is.
    #[must_use]
    pub fn status(&self) -> Arc<ForwardStatus> {
        Arc::clone(&self.status)
    }
}

/// What stopped one round.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error("the log cannot be read: {0}")]
    Log(#[from] LogError),
    #[error("the position cannot be kept: {0}")]
    Store(#[from] StoreError),
    #[error(transparent)]
    File(#[from] ForwardError),
    #[error("{0}")]
    Delivery(DeliveryError, u16),
}

/// Where a running forwarder is.
struct Place {
    position: Position,
    /// What the store knows; behind `position` by at most [`UNSAVED_MAX`].
    saved: Position,
}

/// Forwards until `shutdown`. `watch` tells the log's position; the own one is kept in `store` under
/// `forward/NAME`. Without one it begins at the beginning of the log.
pub async fn run(
    mut forwarder: Forwarder,
    mut reader: Reader,
    mut watch: watch::Receiver<Position>,
    store: Store,
    shutdown: CancellationToken,
) {
    let clock = forwarder.clock.clone();
    let mut place = None;
    let mut failures = 0;
    loop {
        forwarder.status.log_at(*watch.borrow_and_update());
        let result = tokio::select! {
            result = round(&mut forwarder, &mut reader, &mut place, &store) => result,
            () = asked_to_hurry(&shutdown, &clock) => break,
        };
        let rest = match result {
            Ok(true) => {
                failures = 0;
                if shutdown.is_cancelled() {
                    break;
                }
                continue;
            }
            Ok(false) => {
                failures = 0;
                tokio::select! {
                    changed = watch.changed() => if changed.is_err() { break },
                    () = forwarder.lines.changed() => {}
                    () = shutdown.cancelled() => break,
                }
                continue;
            }
            Err(error) => {
                failures += 1;
                rest_after(&mut forwarder, &error, failures)
            }
        };
        tokio::select! {
            () = clock.sleep(rest) => {}
            () = shutdown.cancelled() => break,
        }
    }
}

/// Ends a while after a shutdown is asked for: what was sent until then is sent again after the next start.
async fn asked_to_hurry(shutdown: &CancellationToken, clock: &Clock) {
    shutdown.cancelled().await;
    clock.sleep(DRAIN_MAX).await;
}

/// One batch; false if there is nothing to read.
async fn round(
    forwarder: &mut Forwarder,
    reader: &mut Reader,
    place: &mut Option<Place>,
    store: &Store,
) -> Result<bool, RoundError> {
    if place.is_none() {
        *place = Some(begin(forwarder, store)?);
    }
    let Some(place) = place.as_mut() else { return Ok(false) };
    if let Some(line) = {
        let Forwarder { name, lines, .. } = &mut *forwarder;
        beside(|| lines.pending(name, store))?
    } {
        let batch = line.batch(place.position);
        let bytes = send(forwarder, &batch, place.position, store).await?;
        let kept = checkpoint(forwarder);
        let Forwarder { name, lines, .. } = &mut *forwarder;
        beside(|| {
            store.set_checkpoint(&kept, &bytes)?;
            lines.arrived(name, &line, store)
        })?;
        place.saved = place.position;
        return Ok(true);
    }
    let batch = beside(|| {
        let entries = reader.read_after(place.position, ENTRIES_MAX.min(forwarder.limits.events))?;
        Ok::<_, LogError>(fill(&entries, forwarder.filter.as_ref(), &forwarder.catalogue, forwarder.limits))
    })?;
    if batch.upto == 0 {
        return Ok(false);
    }
    let save = if batch.events > 0 {
        Some(send(forwarder, &batch, place.position, store).await?)
    } else {
        let is_far = batch.upto.saturating_sub(place.saved) >= UNSAVED_MAX;
        is_far.then(|| checkpoint_bytes(forwarder, batch.upto))
    };
    place.position = batch.upto;
    if let Some(bytes) = save {
        fault::point("forward.arrived");
        beside(|| store.set_checkpoint(&checkpoint(forwarder), &bytes))?;
        fault::point("forward.position_kept");
        place.saved = batch.upto;
    }
    forwarder.status.arrived(place.position, batch.events);
    Ok(true)
}

/// Finds the own position; for a file, also brings the file back to where it stood then.
fn begin(forwarder: &mut Forwarder, store: &Store) -> Result<Place, RoundError> {
    let bytes = beside(|| store.checkpoint(&checkpoint(forwarder)))?.unwrap_or_default();
    let mark = match &mut forwarder.output {
        Output::Http(_) => FileMark { position: position_of(&bytes).unwrap_or_default(), length: 0 },
        Output::File(config, file) => {
            // Without a mark the file is somebody else's, or the data folder was lost: what it holds stays.
            let unknown = FileMark { position: 0, length: u64::MAX };
            let mark = FileMark::from_bytes(&bytes).unwrap_or(unknown);
            let opened = beside(|| FileOutput::open(&config.path, config.rotate, mark));
            *file =
                Some(opened.map_err(|error| ForwardError::File {
                    path: config.path.display().to_string(),
                    error,
                })?);
            mark
        }
    };
    forwarder.status.arrived(mark.position, 0);
    Ok(Place { position: mark.position, saved: mark.position })
}

/// Sends or appends, and says what to keep in the store for it.
async fn send(
    forwarder: &mut Forwarder,
    batch: &Batch,
    before: Position,
    store: &Store,
) -> Result<Vec<u8>, RoundError> {
    let name = checkpoint(forwarder);
    match &mut forwarder.output {
        Output::Http(http) => {
            fault::point("forward.before_request");
            let sent = http.send(batch, forwarder.clock.now()).await;
            sent.map_err(|(error, status)| RoundError::Delivery(error, status))?;
        }
        Output::File(_, Some(file)) => beside(|| append(file, batch, before, &name, store))?,
        Output::File(_, None) => {}
    }
    Ok(checkpoint_bytes(forwarder, batch.upto))
}

fn append(
    file: &mut FileOutput,
    batch: &Batch,
    before: Position,
    name: &str,
    store: &Store,
) -> Result<(), RoundError> {
    let failed = |path: String, error| ForwardError::File { path, error };
    if file.is_full() {
        file.rotate().map_err(|error| failed(file.path(), error))?;
        fault::point("forward.file_rotated");
    }
    if file.length() == 0 {
        // The mark must know of an empty file before the first line is in it, or a crash would double the line.
        store.set_checkpoint(name, &FileMark { position: before, length: 0 }.to_bytes())?;
        fault::point("forward.empty_file_kept");
    }
    file.append(&batch.bytes).map_err(|error| failed(file.path(), error))?;
    Ok(())
}

fn checkpoint(forwarder: &Forwarder) -> String {
    format!("forward/{}", forwarder.name)
}

fn checkpoint_bytes(forwarder: &Forwarder, position: Position) -> Vec<u8> {
    match &forwarder.output {
        Output::Http(_) => position.to_le_bytes().to_vec(),
        Output::File(_, file) => {
            let length = file.as_ref().map_or(0, FileOutput::length);
            FileMark { position, length }.to_bytes().to_vec()
        }
    }
}

fn position_of(bytes: &[u8]) -> Option<Position> {
    bytes.get(..8)?.try_into().ok().map(Position::from_le_bytes)
}

/// How long to leave the receiver alone. Never for ever: nothing is skipped.
fn rest_after(forwarder: &mut Forwarder, error: &RoundError, failures: u32) -> Span {
    let own = delay_forever(failures, rand::random());
    let (name, lag) = (forwarder.name.as_str(), forwarder.status.lag());
    let rest = match error {
        RoundError::Delivery(_, 413) if forwarder.limits.events > 1 => {
            forwarder.limits.events /= 2;
            tracing::warn!(
                forwarder = name,
                events = forwarder.limits.events,
                "the batch is too long: {error}"
            );
            own
        }
        RoundError::Delivery(DeliveryError::Permanent { .. }, _) => {
            let rest = with_wish(own, Some(REFUSED_REST));
            tracing::error!(forwarder = name, lag, rest = %rest, "the receiver refuses, nothing is forwarded: {error}");
            rest
        }
        RoundError::Delivery(DeliveryError::Retryable { after, .. }, _) => {
            tracing::warn!(forwarder = name, lag, "forwarding failed: {error}");
            with_wish(own, *after)
        }
        RoundError::Log(_) | RoundError::Store(_) | RoundError::File(_) => {
            tracing::error!(forwarder = name, lag, "forwarding failed: {error}");
            own
        }
    };
    forwarder.status.failed(error.to_string());
    rest
}

/// Runs what blocks without holding up other tasks, where the runtime has threads for that.
fn beside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}
