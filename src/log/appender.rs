//! The writing end without its thread: what one commit does.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior, params};
use rustc_hash::FxHashSet;

use super::archive::Archive;
use super::block::{self, Block, Builder};
use super::recent::{Recent, cut};
use super::row::{GENESIS, Head};
use super::{LogError, LogOptions, NewEvent, Receipt, fault, forget, hot};
use crate::clock::Clock;
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// Senders' clocks are ahead of ours by so much at most: an event that arrived before a moment is dated before this later
/// one.
const DATED_AHEAD: Span = Span::minutes(5);

/// What one caller wants appended.
#[derive(Debug)]
pub(super) enum Work {
    Batch(Vec<NewEvent>),
    Tick(Timestamp),
}

/// Owns the writing connection, the end of the chain and the recent keys.
pub(super) struct Appender {
    dir: PathBuf,
    options: LogOptions,
    clock: Clock,
    /// None after an error: the next commit opens it anew and finds out what was really stored.
    connection: Option<Connection>,
    position: Position,
    head: Head,
    /// The last entry that the hot end has no more.
    base: Position,
    /// The latest arrival ever seen.
    received_max: Timestamp,
    recent: Recent,
    /// Up to this arrival, keys may be forgotten that the archive has: usually the horizon, but a clock that was ahead
    /// for a while has moved that on.
    forgotten: Timestamp,
    archive: Archive,
    compressor: zstd::bulk::Compressor<'static>,
    /// Bytes of blocks of the last commit.
    written: usize,
}

/// What a commit would store.
struct Staged {
    blocks: Vec<Block>,
    receipts: Vec<Receipt>,
    position: Position,
    head: Head,
}

impl Appender {
    /// Opens or makes the database and reads where it ends and which keys are recent.
    pub(super) fn open(dir: &Path, options: LogOptions, clock: Clock) -> Result<Self, LogError> {
        let compressor = block::compressor().map_err(|error| LogError::Database(error.to_string()))?;
        let mut appender = Self {
            dir: dir.to_owned(),
            recent: Recent::new(options.dedupe_max),
            options,
            clock,
            connection: None,
            position: 0,
            head: GENESIS,
            base: 0,
            archive: Archive::new(dir),
            received_max: Timestamp::MIN,
            forgotten: Timestamp::MIN,
            compressor,
            written: 0,
        };
        appender.reopen()?;
        Ok(appender)
    }

    /// The last durable entry.
    pub(super) const fn position(&self) -> Position {
        self.position
    }

    /// How many bytes of blocks the last commit stored.
    pub(super) const fn written(&self) -> usize {
        self.written
    }

    /// Stores all of it in one transaction and syncs, or nothing: one receipt for each piece of work.
    pub(super) fn commit(&mut self, work: &[Work]) -> Result<Vec<Receipt>, LogError> {
        if self.connection.is_none() {
            self.reopen()?;
        }
        self.expire(work);
        self.written = 0;
        let stored = self.stage(work).and_then(|staged| {
            self.write(&staged.blocks)?;
            self.written = staged.blocks.iter().map(|block| block.bytes.len() + block.keys.len()).sum();
            Ok(staged)
        });
        match stored {
            Ok(staged) => {
                self.position = staged.position;
                self.head = staged.head;
                self.recent.keep(self.received_max, self.position);
                self.note_forgotten();
                Ok(staged.receipts)
            }
            Err(error) => {
                self.recent.undo();
                self.connection = None;
                Err(error)
            }
        }
    }

    /// Makes the disk full for this connection.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: i64) {
        self.connection.as_ref().unwrap().pragma_update(None, "max_page_count", pages).unwrap();
    }

    /// Removes blocks that a sealed segment has, up to `upto`, in one small transaction; true if some are left. It is
    /// not synced: what a crash brings back is removed again.
    pub(super) fn forget(&mut self, upto: Position) -> Result<bool, LogError> {
        if self.connection.is_none() {
            self.reopen()?;
        }
        let path = hot::path(&self.dir);
        let Some(connection) = self.connection.as_mut() else { return Ok(false) };
        let forgotten = forget::some(connection, upto);
        let (base, is_more) = match forgotten {
            Ok(forgotten) => forgotten,
            Err(error) => {
                self.connection = None;
                return Err(LogError::database(&path, &error));
            }
        };
        self.base = self.base.max(base);
        // Before any key of what was removed is forgotten.
        if !self.archive.has(self.base) {
            self.archive.refresh(self.base)?;
        }
        Ok(is_more)
    }

    /// Opens the database. If it ends elsewhere than believed (a commit whose outcome was not known, or the
    /// first opening), the recent keys are read from it.
    fn reopen(&mut self) -> Result<(), LogError> {
        let connection = hot::open_to_write(&self.dir)?;
        let failed = |error: rusqlite::Error| LogError::database(&hot::path(&self.dir), &error);
        let (position, head) = hot::end(&connection).map_err(failed)?;
        (self.base, _) = hot::base(&connection).map_err(failed)?;
        if position != self.position {
            self.recent = Recent::new(self.options.dedupe_max);
            let blocks = self.recent_keys(&connection).map_err(failed)?;
            for (last, received_max, keys) in blocks.iter().rev() {
                for key in keys.as_chunks::<16>().0 {
                    self.recent.insert(u128::from_le_bytes(*key));
                }
                self.recent.keep(*received_max, *last);
                self.received_max = self.received_max.max(*received_max);
            }
            self.sealed_keys()?;
        }
        (self.position, self.head) = (position, head);
        self.connection = Some(connection);
        Ok(())
    }

    /// The keys of the hot end, newest block first, until the limit is reached.
    fn recent_keys(&self, connection: &Connection) -> rusqlite::Result<Vec<(Position, Timestamp, Vec<u8>)>> {
        let mut statement = connection
            .prepare("SELECT last, received_max, keys FROM block WHERE kinds > 1 ORDER BY first DESC")?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        let mut count = 0;
        while count < self.options.dedupe_max
            && let Some(row) = rows.next()?
        {
            let keys: Vec<u8> = row.get(2)?;
            count += keys.len() / 16;
            found.push((row.get::<_, i64>(0)?.cast_unsigned(), Timestamp(row.get(1)?), keys));
        }
        Ok(found)
    }

    /// Then the keys of sealed segments, newest first, until the horizon or the limit is reached.
    fn sealed_keys(&mut self) -> Result<(), LogError> {
        self.archive.refresh(self.base)?;
        self.forgotten = Timestamp::MIN;
        let (now, mut is_over) = (self.clock.now(), false);
        for listed in self.archive.newest_first() {
            let Some((_, received_max)) = listed.info.received else { continue };
            self.received_max = self.received_max.max(received_max);
            is_over = is_over || received_max < self.horizon(self.received_max);
            if !is_over {
                match self.archive.keys(&listed) {
                    Ok(keys) => is_over = !self.recent.insert_sealed(received_max, keys.to_vec()),
                    Err(error) => self.archive.tell(listed.positions(), &error),
                }
            }
            if is_over {
                self.forgotten = self.forgotten.max(received_max.min(now));
            }
        }
        self.archive.unload();
        Ok(())
    }

    /// An arrival from a clock that is years ahead counts as one of today.
    fn note_forgotten(&mut self) {
        self.forgotten = self.forgotten.max(self.recent.take_forgotten().min(self.clock.now()));
    }

    /// Keys of events that arrived before this are forgotten. Counted from the clock or from the latest
    /// arrival, whichever is earlier: a replayed past keeps its horizon, and one wrong clock does not end it.
    fn horizon(&self, newest: Timestamp) -> Timestamp {
        self.clock.now().min(newest).minus(self.options.dedupe_horizon)
    }

    fn expire(&mut self, work: &[Work]) {
        for piece in work {
            if let Work::Batch(batch) = piece {
                let arrived = batch.iter().map(|new| new.event.received_at).max();
                self.received_max = self.received_max.max(arrived.unwrap_or(Timestamp::MIN));
            }
        }
        let horizon = self.horizon(self.received_max);
        self.recent.expire(horizon, self.base);
        self.note_forgotten();
    }

    /// The keys of events from before the horizon that sealed segments have: imports, gaps that are filled. Also of
    /// later ones, as far as a clock that was ahead has made their keys forgotten. Events of today cost one comparison.
    fn stored_long_ago(&mut self, work: &[Work]) -> FxHashSet<u64> {
        let horizon = self.horizon(self.received_max).max(self.forgotten).plus(DATED_AHEAD);
        let batches = work.iter().filter_map(|piece| match piece {
            Work::Batch(batch) => Some(batch),
            Work::Tick(_) => None,
        });
        let old: Vec<(Timestamp, u64)> = batches
            .flatten()
            .filter(|new| new.event.time < horizon && !self.recent.has(new.dedupe))
            .map(|new| (new.event.time, cut(new.dedupe)))
            .collect();
        if old.is_empty() { FxHashSet::default() } else { self.archive.known(&old, self.base) }
    }

    /// Encodes what is new into blocks.
    fn stage(&mut self, work: &[Work]) -> Result<Staged, LogError> {
        let stored = self.stored_long_ago(work);
        let mut builder = Builder::new(&mut self.compressor, self.position, self.head);
        let mut receipts = Vec::with_capacity(work.len());
        for piece in work {
            let before = builder.position();
            let mut duplicates = 0;
            match piece {
                Work::Batch(batch) => {
                    for new in batch {
                        let is_old = !stored.is_empty() && stored.contains(&cut(new.dedupe));
                        if !is_old && self.recent.insert(new.dedupe) {
                            builder.event(new)?;
                        } else {
                            duplicates += 1;
                        }
                    }
                }
                Work::Tick(at) => builder.tick(*at)?,
            }
            let last = builder.position();
            receipts.push(Receipt { stored: last - before, duplicates, last });
        }
        let position = builder.position();
        let (blocks, head) = builder.finish()?;
        Ok(Staged { blocks, receipts, position, head })
    }

    fn write(&mut self, blocks: &[Block]) -> Result<(), LogError> {
        let path = hot::path(&self.dir);
        let Some(connection) = self.connection.as_mut().filter(|_| !blocks.is_empty()) else {
            return Ok(());
        };
        insert(connection, blocks).map_err(|error| LogError::database(&path, &error))
    }
}

fn insert(connection: &mut Connection, blocks: &[Block]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut statement = transaction.prepare_cached(
            "INSERT INTO block (first, last, time_min, time_max, received_max, kinds, head, sum, keys, marks, \
                                bytes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        for block in blocks {
            statement.execute(params![
                block.first.cast_signed(),
                block.last.cast_signed(),
                block.time_min.0,
                block.time_max.0,
                block.received_max.0,
                block.kinds,
                block.head,
                block.sum(),
                block.keys,
                block.marks,
                block.bytes,
            ])?;
        }
    }
    fault::point("log.before_commit");
    transaction.commit()?;
    fault::point("log.after_commit");
    Ok(())
}
