//! Tokens of the API: who may do what, until when.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{Deed, Store, StoreError, audit};
use crate::time::Timestamp;

/// What a token allows. Each role may do all that those before it may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees what was concluded and on what evidence: alerts, deliveries, rules, the ledger.
    Viewer,
    /// Searches the events themselves too, and sees rejected bodies.
    Analyst,
    /// Redrives deliveries and replays rejected bodies too.
    Responder,
    /// Makes and revokes tokens and legal holds, and reads the audit log too.
    Admin,
}

impl Role {
    /// From the least to the most.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Analyst, Self::Responder, Self::Admin];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Responder => "responder",
            Self::Admin => "admin",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    const fn code(self) -> i64 {
        match self {
            Self::Viewer => 0,
            Self::Analyst => 1,
            Self::Responder => 2,
            Self::Admin => 3,
        }
    }
}

/// The hash of a token's secret part, with what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHash {
    /// Drawn for this token.
    pub salt: [u8; 16],
    /// Argon2id over the secret.
    pub hash: [u8; 32],
    /// Its memory in KiB.
    pub memory: u32,
    /// Its passes over that memory.
    pub passes: u32,
}

/// A token as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// The token's public part.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// By which its secret is known.
    pub hash: TokenHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// From when on it is refused; none: never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// Since when it is refused.
    pub revoked_at: Option<Timestamp>,
}

impl TokenRow {
    /// Whether it opens anything at this time.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// At most so many tokens that are not revoked.
pub const TOKENS_MAX: usize = 1_000;
/// So many revoked ones are kept to be looked at, the newest.
const REVOKED_KEPT: i64 = 1_000;
/// `last_used_at` is written again after so long.
const USED_EVERY_MS: i64 = 60_000;

const COLUMNS: &str = "SELECT id, name, role, salt, hash, memory, passes, created_at, created_by, expires_at, \
                       last_used_at, revoked_at FROM token";

impl Store {
    /// Keeps a new token. [`StoreError::Conflict`] if the name is taken by one that is not revoked, or if there
    /// are [`TOKENS_MAX`] already.
    pub fn token_add(&self, token: &TokenRow, deed: &Deed) -> Result<(), StoreError> {
        self.write(|transaction| {
            let sql = "SELECT count(*), coalesce(sum(name = ?1), 0) FROM token WHERE revoked_at IS NULL";
            let (count, same): (i64, i64) = transaction
                .prepare_cached(sql)?
                .query_row([&token.name], |row| Ok((row.get(0)?, row.get(1)?)))?;
            if same > 0 {
                let what =
                    format!("there is a token `{}` already: revoke it, or take another name", token.name);
                return Err(StoreError::Conflict { what });
            }
            if usize::try_from(count).is_ok_and(|count| count >= TOKENS_MAX) {
                let what = format!("there are {TOKENS_MAX} tokens already: revoke those that nobody uses");
                return Err(StoreError::Conflict { what });
            }
            insert(transaction, token)?;
            audit::record(transaction, deed, "done")?;
            Ok(())
        })
    }

    /// The token with this id, revoked or not.
    pub fn token(&self, id: &str) -> Result<Option<TokenRow>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!("{COLUMNS} WHERE id = ?1"))?;
            statement.query_row([id], columns).optional()?.map(parse).transpose()
        })
    }

    /// All tokens, the newest first, those that are revoked too.
    pub fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached(&format!("{COLUMNS} ORDER BY created_at DESC, id"))?;
            let rows = statement.query_map([], columns)?;
            rows.map(|row| parse(row?)).collect()
        })
    }

    /// Refuses a token from now on; false if there is none of that id that was not revoked yet.
    pub fn token_revoke(&self, id: &str, deed: &Deed) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let sql = "UPDATE token SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
            if transaction.prepare_cached(sql)?.execute(params![id, deed.at.0])? == 0 {
                return Ok(false);
            }
            let sql = "DELETE FROM token WHERE revoked_at IS NOT NULL AND id NOT IN \
                       (SELECT id FROM token WHERE revoked_at IS NOT NULL ORDER BY revoked_at DESC LIMIT ?1)";
            transaction.prepare_cached(sql)?.execute([REVOKED_KEPT])?;
            audit::record(transaction, deed, "done")?;
            Ok(true)
        })
    }

    /// Notes that a token was used, at most once a minute.
    pub fn token_used(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        self.write(|transaction| {
            let sql = "UPDATE token SET last_used_at = ?2 \
                       WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at <= ?3)";
            transaction.prepare_cached(sql)?.execute(params![id, at.0, at.0 - USED_EVERY_MS])?;
            Ok(())
        })
    }
}

fn insert(transaction: &Transaction<'_>, token: &TokenRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO token (id, name, role, salt, hash, memory, passes, created_at, created_by, expires_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    transaction.prepare_cached(sql)?.execute(params![
        token.id,
        token.name,
        token.role.code(),
        token.hash.salt,
        token.hash.hash,
        token.hash.memory,
        token.hash.passes,
        token.created_at.0,
        token.created_by,
        token.expires_at.map(|at| at.0),
    ])?;
    Ok(())
}

/// A row whose role is not read yet.
fn columns(row: &Row<'_>) -> rusqlite::Result<(TokenRow, i64)> {
    let time = |index| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(index)?.map(Timestamp));
    let hash = TokenHash { salt: row.get(3)?, hash: row.get(4)?, memory: row.get(5)?, passes: row.get(6)? };
    let token = TokenRow {
        id: row.get(0)?,
        name: row.get(1)?,
        role: Role::Viewer,
        hash,
        created_at: Timestamp(row.get(7)?),
        created_by: row.get(8)?,
        expires_at: time(9)?,
        last_used_at: time(10)?,
        revoked_at: time(11)?,
    };
    Ok((token, row.get(2)?))
}

fn parse((mut token, code): (TokenRow, i64)) -> Result<TokenRow, StoreError> {
    token.role = Role::ALL.into_iter().find(|role| role.code() == code).ok_or_else(|| {
        StoreError::corrupt(format!("token {}", token.id), format!("it has the unknown role {code}"))
    })?;
    Ok(token)
}

#[cfg(test)]
mod tests;
