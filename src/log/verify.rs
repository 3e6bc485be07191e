//! Checking the chain: whether the log still is what was written.

use rusqlite::Row;

use super::block::{Decoder, GENESIS, Head};
use super::{LogError, Reader};
use crate::event::Position;

/// A log whose chain holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many entries were checked.
    pub entries: u64,
    /// The chain after the last of them: equal for equal logs.
    pub head: [u8; 32],
}

/// What a block's table row claims.
struct Claim {
    first: Position,
    last: Position,
    head: Head,
}

impl Reader {
    /// Recomputes the chain from the first entry. [`LogError::Corrupt`] names the positions of the first
    /// block that was changed, or of the gap where one is missing.
    pub fn verify(&mut self) -> Result<Verified, LogError> {
        let mut verified = Verified { entries: 0, head: GENESIS };
        let mut decoder = Decoder::default();
        let Some((connection, path)) = self.database()? else { return Ok(verified) };
        let failed = |error: rusqlite::Error| LogError::database(&path, &error);
        let mut statement = connection
            .prepare("SELECT first, last, head, bytes FROM block ORDER BY first")
            .map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let claim = claim(row).map_err(failed)?;
            let stored = row.get_ref(3).and_then(|value| Ok(value.as_blob()?)).map_err(failed)?;
            verified = step(verified, &claim, stored, &mut decoder)?;
        }
        Ok(verified)
    }
}

fn claim(row: &Row<'_>) -> rusqlite::Result<Claim> {
    Ok(Claim {
        first: row.get::<_, i64>(0)?.cast_unsigned(),
        last: row.get::<_, i64>(1)?.cast_unsigned(),
        head: row.get(2)?,
    })
}

fn step(before: Verified, claim: &Claim, stored: &[u8], decoder: &mut Decoder) -> Result<Verified, LogError> {
    let expected = before.entries + 1;
    if claim.first != expected {
        let (first, last) = (expected.min(claim.first), expected.max(claim.first).saturating_sub(1));
        return Err(LogError::Corrupt { first, last, reason: "entries are missing".to_owned() });
    }
    let positions = (claim.first, claim.last);
    let head = decoder.follow(before.head, positions, stored)?;
    if head != claim.head {
        let reason = "the chain of hashes does not hold: it was changed after it was written".to_owned();
        return Err(LogError::Corrupt { first: claim.first, last: claim.last, reason });
    }
    Ok(Verified { entries: claim.last, head })
}
