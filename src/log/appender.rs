//! The writing end without its thread: what one commit does.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::block::{self, Block, Builder, GENESIS, Head};
use super::recent::Recent;
use super::{LogError, LogOptions, NewEvent, Receipt, fault, hot};
use crate::clock::Clock;
use crate::event::Position;
use crate::time::Timestamp;

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
    /// The latest arrival ever seen.
    received_max: Timestamp,
    recent: Recent,
    compressor: zstd::bulk::Compressor<'static>,
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
            received_max: Timestamp::MIN,
            compressor,
        };
        appender.reopen()?;
        Ok(appender)
    }

    /// The last durable entry.
    pub(super) const fn position(&self) -> Position {
        self.position
    }

    /// Stores all of it in one transaction and syncs, or nothing: one receipt for each piece of work.
    pub(super) fn commit(&mut self, work: &[Work]) -> Result<Vec<Receipt>, LogError> {
        if self.connection.is_none() {
            self.reopen()?;
        }
        self.expire(work);
        let stored = self.stage(work).and_then(|staged| {
            self.write(&staged.blocks)?;
            Ok(staged)
        });
        match stored {
            Ok(staged) => {
                self.position = staged.position;
                self.head = staged.head;
                self.recent.keep(self.received_max);
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

    /// Opens the database. If it ends elsewhere than believed (a commit whose outcome was not known, or the
    /// first opening), the recent keys are read from it.
    fn reopen(&mut self) -> Result<(), LogError> {
        let connection = hot::open_to_write(&self.dir)?;
        let failed = |error: rusqlite::Error| LogError::database(&hot::path(&self.dir), &error);
        let end = connection
            .query_row("SELECT last, head FROM block ORDER BY first DESC LIMIT 1", [], |row| {
                Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, Head>(1)?))
            })
            .optional()
            .map_err(failed)?;
        let (position, head) = end.unwrap_or((0, GENESIS));
        if position != self.position {
            self.recent = Recent::new(self.options.dedupe_max);
            for (received_max, keys) in self.recent_keys(&connection).map_err(failed)?.iter().rev() {
                for key in keys.as_chunks::<16>().0 {
                    self.recent.insert(u128::from_le_bytes(*key));
                }
                self.recent.keep(*received_max);
                self.received_max = self.received_max.max(*received_max);
            }
        }
        (self.position, self.head) = (position, head);
        self.connection = Some(connection);
        Ok(())
    }

    /// The keys of recent blocks, newest block first, until the horizon or the limit is reached.
    fn recent_keys(&self, connection: &Connection) -> rusqlite::Result<Vec<(Timestamp, Vec<u8>)>> {
        let mut statement =
            connection.prepare("SELECT received_max, keys FROM block WHERE kinds > 1 ORDER BY first DESC")?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        let (mut count, mut newest) = (0, Timestamp::MIN);
        while let Some(row) = rows.next()? {
            let received_max = Timestamp(row.get(0)?);
            newest = newest.max(received_max);
            if count >= self.options.dedupe_max || received_max < self.horizon(newest) {
                break;
            }
            let keys: Vec<u8> = row.get(1)?;
            count += keys.len() / 16;
            found.push((received_max, keys));
        }
        Ok(found)
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
        self.recent.expire(horizon);
    }

    /// Encodes what is new into blocks.
    fn stage(&mut self, work: &[Work]) -> Result<Staged, LogError> {
        let mut builder = Builder::new(&mut self.compressor, self.position, self.head);
        let mut receipts = Vec::with_capacity(work.len());
        for piece in work {
            let before = builder.position();
            let mut duplicates = 0;
            match piece {
                Work::Batch(batch) => {
                    for new in batch {
                        if self.recent.insert(new.dedupe) {
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
            "INSERT INTO block (first, last, time_min, time_max, received_max, kinds, head, keys, bytes) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
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
                block.keys,
                block.bytes,
            ])?;
        }
    }
    fault::point("log.before_commit");
    transaction.commit()?;
    fault::point("log.after_commit");
    Ok(())
}
