//! Has checkpoints leave the house: signs where the logs stand, now and then, and hands that to those who keep it.
//!
//! The line is in the folder's own file before anybody is told. That somebody is to be told, and that it was done, is one
//! transaction; so a crash tells of another checkpoint, or of the same one again, but never of none.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::alert::AlertId;
use crate::clock::Clock;
use crate::encode::checkpoint_event;
use crate::forward::StreamLine;
use crate::log::{Checkpoint, Log, LogError, fault};
use crate::store::{DeliveryKind, OutboxRow, Store, StoreError, checkpoint_name};
use crate::time::{Span, Timestamp};

/// Under this name it is kept which checkpoint was handed out last.
const NOTE: &str = "daemon/checkpoint";
/// Never longer without a look: the clock may be set meanwhile.
const LOOK: Span = Span::minutes(1);

/// All that is needed.
pub(super) struct Witness {
    pub(super) log: Log,
    pub(super) store: Store,
    pub(super) clock: Clock,
    /// At least so often.
    pub(super) every: Span,
    /// The actions that are told.
    pub(super) actions: Vec<String>,
    /// For the forwarders that are told.
    pub(super) stream: watch::Sender<Option<StreamLine>>,
    /// Wakes the deliveries.
    pub(super) wake: Arc<Notify>,
}

/// The checkpoint that was handed out last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    at: Timestamp,
    position: u64,
    audit_rows: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
enum WitnessError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Signs and hands out until it is to stop.
pub(super) async fn witness(witness: Witness, stop: CancellationToken) {
    let (clock, witness) = (witness.clock.clone(), Arc::new(witness));
    let mut is_failing = false;
    loop {
        let own = Arc::clone(&witness);
        let looked = tokio::task::spawn_blocking(move || own.look()).await;
        let wait = match looked {
            Ok(Ok(wait)) => {
                is_failing = false;
                wait
            }
            Ok(Err(error)) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::error!(%error, "no checkpoint can be signed; it is tried again and again");
                }
                LOOK
            }
            Err(error) => {
                tracing::error!(%error, "signing a checkpoint ended early");
                LOOK
            }
        };
        tokio::select! {
            () = clock.sleep(wait.min(LOOK)) => {}
            () = stop.cancelled() => return,
        }
    }
}

impl Witness {
    /// Signs if it is time to; how long to wait then.
    fn look(&self) -> Result<Span, WitnessError> {
        let now = self.clock.now();
        let last = self.store.checkpoint(NOTE)?.and_then(|bytes| serde_json::from_slice::<Last>(&bytes).ok());
        self.tell_forwarders(last)?;
        if let Some(last) = last {
            let age = now.since(last.at);
            // A clock that was set back makes nobody wait.
            if age >= Span(0) && age < self.every {
                return Ok(Span(self.every.0 - age.0));
            }
            let rows = self.store.audit_mark()?.rows;
            if (self.log.position(), Some(rows)) == (last.position, last.audit_rows) {
                return Ok(LOOK);
            }
        }
        let checkpoint = self.log.keep_checkpoint(now)?;
        fault::point("checkpoint.in_its_file");
        let last = Last { at: now, position: checkpoint.position, audit_rows: checkpoint.audit_rows };
        let rows: Vec<OutboxRow> = self.actions.iter().map(|action| delivery(&checkpoint, action)).collect();
        // Numbers: nothing in it can fail to be written.
        let note = serde_json::to_vec(&last).unwrap_or_default();
        self.store.note_with_deliveries(NOTE, &note, &rows)?;
        fault::point("checkpoint.handed_on");
        if !rows.is_empty() {
            self.wake.notify_one();
        }
        self.tell_forwarders(Some(last))?;
        tracing::debug!(position = checkpoint.position, "signed a checkpoint");
        Ok(self.every)
    }

    /// Shows the last checkpoint to the forwarders, which know by themselves whether they have it.
    fn tell_forwarders(&self, last: Option<Last>) -> Result<(), WitnessError> {
        let Some(last) = last.filter(|_| self.stream.receiver_count() > 0) else { return Ok(()) };
        if self.stream.borrow().as_ref().is_some_and(|shown| shown.at == last.at) {
            return Ok(());
        }
        let line = self.log.reader()?.kept_checkpoint(last.position, last.at)?;
        if let Some(line) = line {
            let text = checkpoint_event(&line, last.at).into();
            self.stream.send_replace(Some(StreamLine { at: last.at, text }));
        }
        Ok(())
    }
}

fn delivery(checkpoint: &Checkpoint, action: &str) -> OutboxRow {
    let at = Timestamp(checkpoint.at);
    let about = (AlertId(checkpoint_name(checkpoint.position, at)), action);
    OutboxRow::owed(DeliveryKind::Notify, about, &format!("{}\n{action}", checkpoint.line()), at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LogOptions, find_checkpoints};
    use crate::store::Deed;

    #[tokio::test]
    async fn it_signs_when_there_is_something_new_and_time_has_passed() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(Timestamp(1_772_452_800_000));
        let log = Log::open(dir.path(), LogOptions::default(), clock.clone()).unwrap();
        let store = Store::open(dir.path()).unwrap();
        let audited = store.clone();
        log.audited_by(Box::new(move || audited.audit_mark().ok()));
        let (stream, mut shown) = watch::channel(None);
        let witness = Witness {
            log: log.clone(),
            store: store.clone(),
            clock: clock.clone(),
            every: Span::hours(1),
            actions: vec!["mail".to_owned(), "hook".to_owned()],
            stream,
            wake: Arc::new(Notify::new()),
        };
        let count = || crate::log::own_checkpoints(dir.path()).unwrap().len();
        assert_eq!(witness.look().unwrap(), Span::hours(1));
        assert_eq!((count(), store.outbox_list(None, 0).unwrap().len()), (1, 2));
        log.tick(clock.now()).await.unwrap();
        clock.set(clock.now().plus(Span::minutes(59)));
        assert_eq!(witness.look().unwrap(), Span::minutes(1));
        assert_eq!(count(), 1, "it is not yet time");
        clock.set(clock.now().plus(Span::minutes(1)));
        witness.look().unwrap();
        assert_eq!(count(), 2);
        clock.set(clock.now().plus(Span::hours(3)));
        witness.look().unwrap();
        assert_eq!(count(), 2, "nothing is new");
        store.record(&Deed::new(clock.now(), "soc", "deed"), "done").unwrap();
        witness.look().unwrap();
        assert_eq!(count(), 3, "the audit log is");
        // The clock is set back: it does not wait for the old time to come again.
        log.tick(clock.now()).await.unwrap();
        clock.set(clock.now().minus(Span::days(1)));
        witness.look().unwrap();
        assert_eq!(count(), 4);
        let line = shown.borrow_and_update().clone().unwrap();
        let own = crate::log::own_checkpoints(dir.path()).unwrap();
        assert_eq!(find_checkpoints(&line.text).unwrap(), own[3..]);
        assert_eq!(own[3].audit_rows, Some(1));
        let ids: std::collections::BTreeSet<String> =
            store.outbox_list(None, 0).unwrap().into_iter().map(|row| row.id).collect();
        assert_eq!(ids.len(), 8);
    }
}
