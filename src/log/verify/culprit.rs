//! Which entry of a block was changed. The chain only tells that one of them was: it is kept after blocks, not after
//! entries. But other things are kept of each entry, and whoever changed one rarely minded them all.

use bytes::Bytes;

use super::terms::dedupe_key;
use crate::event::{Entry, Position};
use crate::log::LogError;
use crate::log::block::Block;
use crate::log::decoder::Decoder;
use crate::log::row::{MARK_BYTES, Row, Rows, mark};
use crate::time::Timestamp;

/// What is kept of one entry beside itself.
pub(super) trait Traces {
    /// What was kept of the digests of the block's entries, one after the other.
    fn marks(&self) -> &[u8];

    /// Whether an event has the time that was kept for the entry with this place in the block.
    fn has_time(&self, place: usize, time: Option<Timestamp>) -> bool;

    /// Whether the key of duplicates of the block's event with this number was kept.
    fn has_key(&self, event: usize, key: u128) -> bool;
}

/// The damage of a block whose chain does not hold, narrowed down to the first entry that contradicts what is kept of
/// it; else all of the block. A key counts only where most of the others fit: another version made others.
pub(super) fn damage(
    (first, last): (Position, Position),
    plain: &Bytes,
    traces: &dyn Traces,
    reason: &str,
) -> LogError {
    let (marks, mut decoder) = (traces.marks().as_chunks::<MARK_BYTES>().0, Decoder::default());
    let (mut events, mut strangers) = (0, Vec::new());
    for (place, row) in Rows::new(plain, (first, last)).enumerate() {
        let Ok((position, row, encoded)) = row else { break };
        if marks.get(place).is_none_or(|kept| kept != mark(&row.digest(encoded))) {
            return named(position, reason, "its digest is not the one that was kept of it");
        }
        let time = match row {
            Row::Event { time, .. } => Some(Timestamp(time)),
            Row::Tick { .. } | Row::Deleted { .. } => None,
        };
        if !traces.has_time(place, time) {
            return named(position, reason, "its time is not the one that was kept of it");
        }
        if let Some(Entry::Event(event)) = decoder.entry(position, &row, plain) {
            if !traces.has_key(events, dedupe_key(&event)) {
                strangers.push(position);
            }
            events += 1;
        }
    }
    match strangers.first() {
        Some(position) if strangers.len() * 2 < events => {
            named(*position, reason, "its key of duplicates is not the one that was kept of it")
        }
        _ => LogError::Corrupt { first, last, reason: reason.to_owned() },
    }
}

fn named(position: Position, reason: &str, how: &str) -> LogError {
    let reason = format!("{reason}; of its block this entry is the first of which that can be told: {how}");
    LogError::Corrupt { first: position, last: position, reason }
}

/// Rows of a block; where one cannot be decoded, the error names the positions from there on.
pub(super) fn rows<'a>(
    plain: &'a [u8],
    positions: (Position, Position),
) -> impl Iterator<Item = Result<(Position, Row<'a>, &'a [u8]), LogError>> {
    let mut next = positions.0;
    Rows::new(plain, positions).map(move |row| {
        let position = next.min(positions.1);
        next += 1;
        row.map_err(|error| match error {
            LogError::Corrupt { last, reason, .. } => LogError::Corrupt { first: position, last, reason },
            other => other,
        })
    })
}

/// What the hot end keeps: the keys in order, and no times of single entries.
pub(super) struct HotTraces<'a>(pub(super) &'a Block);

impl Traces for HotTraces<'_> {
    fn marks(&self) -> &[u8] {
        &self.0.marks
    }

    fn has_time(&self, _: usize, _: Option<Timestamp>) -> bool {
        true
    }

    fn has_key(&self, event: usize, key: u128) -> bool {
        self.0.keys.as_chunks::<16>().0.get(event).is_some_and(|kept| u128::from_le_bytes(*kept) == key)
    }
}

/// What a segment keeps: the times in order, and the keys of all its events, sorted.
pub(super) struct SealedTraces<'a> {
    pub(super) marks: &'a [u8],
    /// None where they cannot be read.
    pub(super) times: Option<Vec<Option<Timestamp>>>,
    pub(super) has_key: &'a dyn Fn(u128) -> bool,
}

impl Traces for SealedTraces<'_> {
    fn marks(&self) -> &[u8] {
        self.marks
    }

    fn has_time(&self, place: usize, time: Option<Timestamp>) -> bool {
        self.times.as_ref().and_then(|times| times.get(place)).is_none_or(|kept| *kept == time)
    }

    fn has_key(&self, _: usize, key: u128) -> bool {
        (self.has_key)(key)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::decode::decode;
    use crate::event::Format;
    use crate::log::segment::{Manifest, digest};
    use crate::log::signing::SigningKey;
    use crate::log::testing::SealedLog;
    use crate::log::{Hex, NewEvent, Reader, VerifyOptions, hot};
    use crate::time::Span;

    const NOW: Timestamp = Timestamp(1_772_452_800_000);

    /// Forty events; `change` says what the event with the number 17 says otherwise.
    fn log(change: &str) -> SealedLog {
        let event = |number: i64| {
            let time = NOW.minus(Span::seconds(100 - number));
            let author = if number == 17 && change == "author" { 2 } else { 1 };
            let time = if number == 17 && change == "time" { time.plus(Span::millis(5)) } else { time };
            let name = if number == 17 && change == "details" { "x" } else { "y" };
            let raw = format!(
                r#"{{"id":"e{number}","created_at":"{time}","event_type":"user_created","author_id":{author},"entity_id":1,"details":{{"n":"{name}"}}}}"#
            );
            let decoded = decode(Format::Gitlab, &"gitlab".into(), raw.into(), None, NOW).unwrap();
            NewEvent { event: decoded.event, dedupe: decoded.dedupe }
        };
        let mut log = SealedLog::new(NOW);
        log.append_new((0..40).map(event).collect());
        log
    }

    /// Puts the entries of one log in place of another one's, in a file of each; all else stays.
    fn exchange(of: &Path, with: &Path) {
        let other = rusqlite::Connection::open(with).unwrap();
        let sql = "SELECT bytes FROM block ORDER BY first LIMIT 1";
        let bytes: Vec<u8> = other.query_row(sql, [], |row| row.get(0)).unwrap();
        std::fs::set_permissions(of, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let own = rusqlite::Connection::open(of).unwrap();
        own.execute("UPDATE block SET bytes = ?1 WHERE first = 1", [bytes]).unwrap();
    }

    fn damaged(dir: &Path) -> (Position, Position) {
        let error = Reader::open(dir).unwrap().verify().unwrap_err();
        assert!(error.to_string().contains("chain of hashes"), "{error}");
        let LogError::Corrupt { first, last, .. } = error else { panic!("{error}") };
        (first, last)
    }

    #[test]
    fn a_changed_entry_is_named_where_something_else_is_kept_of_it() {
        for (change, hot_damage, sealed_damage) in
            [("author", (18, 18), (18, 18)), ("time", (18, 18), (18, 18)), ("details", (18, 18), (18, 18))]
        {
            let (own, other) = (log(""), log(change));
            exchange(&hot::path(own.path()), &hot::path(other.path()));
            assert_eq!(damaged(own.path()), hot_damage, "{change}");
            let (mut own, mut other) = (log(""), log(change));
            own.seal();
            other.seal();
            exchange(&own.segments()[0], &other.segments()[0]);
            assert_eq!(damaged(own.path()), sealed_damage, "{change}");
        }
    }

    #[test]
    fn a_segment_signed_anew_with_the_old_chain_in_its_table_is_found_by_recomputing() {
        let (mut own, mut other) = (log(""), log("details"));
        own.seal();
        other.seal();
        let kept = Reader::open(own.path()).unwrap().checkpoint(NOW, None).unwrap();
        let path = own.segments().remove(0);
        exchange(&path, &other.segments()[0]);
        let manifest = path.with_extension("json");
        let old = Manifest::read(&manifest, (1, 41)).unwrap();
        let (bytes, digest) = digest(&std::fs::File::open(&path).unwrap()).unwrap();
        let key = SigningKey::load(own.path()).unwrap();
        std::fs::write(&manifest, Manifest { bytes, digest: Hex(digest), ..old }.signed(&key).text())
            .unwrap();
        let mut reader = Reader::open(own.path()).unwrap();
        // Everything fits everything else, the checkpoint included; only the entries do not.
        reader.verify_with(&VerifyOptions::default()).unwrap();
        reader.agrees_with(&kept, None).unwrap();
        assert_eq!(damaged(own.path()), (18, 18));
        let verdict = crate::proof::prove(own.path(), &VerifyOptions::default(), &[kept]).unwrap();
        assert!(
            verdict.log.is_err() && !verdict.is_intact(),
            "a checkpoint asks for a deep check: {verdict:?}"
        );
    }
}
