//! What a token is made of: `wf_ID_SECRET`, the id 6 bytes and the secret 32 random bytes, in hex.
//!
//! The secret is as long as a key, so nobody guesses it; Argon2id on top makes even a stolen hash of a token that was
//! not drawn well useless. Its cost is chosen so that a check takes 5 to 10 ms.

use argon2::{Algorithm, Argon2, Params, Version};
use ring::rand::{SecureRandom as _, SystemRandom};
use subtle::ConstantTimeEq as _;

use crate::log::Hex;
use crate::store::{Role, TokenHash, TokenRow};
use crate::time::Timestamp;

const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;
const MEMORY_KIB: u32 = 4_096;
const PASSES: u32 = 3;
/// What a stored hash may cost at most: a database that was tampered with shall not keep the machine busy.
const MEMORY_KIB_MAX: u32 = 65_536;
const PASSES_MAX: u32 = 10;
const NAME_MAX: usize = 64;

/// Why no token can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name is not one.
    #[error(
        "a token's name has 1 to {NAME_MAX} letters, digits, blanks and `. _ - @ /`, and begins with a letter or digit"
    )]
    Name,
    /// The system has no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// Argon2 failed.
    #[error("the token cannot be hashed: {0}")]
    Hash(String),
}

/// A token that was just made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What is kept of it.
    pub row: TokenRow,
    /// The token itself: shown once.
    pub text: String,
}

/// Whether a token can have this name.
pub fn check_name(name: &str) -> Result<(), KeyError> {
    let is_allowed = |c: char| c.is_alphanumeric() || " ._-@/".contains(c);
    let is_name = name.chars().next().is_some_and(char::is_alphanumeric)
        && name.chars().all(is_allowed)
        && name.chars().count() <= NAME_MAX
        && !name.ends_with(' ');
    if is_name { Ok(()) } else { Err(KeyError::Name) }
}

impl NewToken {
    /// Draws a token. Takes some milliseconds.
    pub fn make(
        name: &str,
        role: Role,
        (created_at, created_by): (Timestamp, String),
        expires_at: Option<Timestamp>,
    ) -> Result<Self, KeyError> {
        check_name(name)?;
        let random = SystemRandom::new();
        let (mut id, mut secret, mut salt) = ([0; ID_BYTES], [0; SECRET_BYTES], [0; 16]);
        for bytes in [&mut id[..], &mut secret, &mut salt] {
            random.fill(bytes).map_err(|_| KeyError::Random)?;
        }
        let (memory, passes) = (MEMORY_KIB, PASSES);
        let hash = TokenHash { salt, hash: hashed(&secret, &salt, memory, passes)?, memory, passes };
        let id = Hex(id).to_string();
        let text = token_text(&id, &Hex(secret).to_string());
        let row = TokenRow {
            id,
            name: name.to_owned(),
            role,
            hash,
            created_at,
            created_by,
            expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        Ok(Self { row, text })
    }
}

/// A token as it is sent; with a secret of `…` as it is shown.
#[must_use]
pub fn token_text(id: &str, secret: &str) -> String {
    format!("wf_{id}_{secret}")
}

/// The id and the secret of a token's text.
pub(super) fn parts(text: &[u8]) -> Option<(&str, [u8; SECRET_BYTES])> {
    let (id, secret) = std::str::from_utf8(text).ok()?.strip_prefix("wf_")?.split_once('_')?;
    Hex::<ID_BYTES>::parse(id)?;
    Some((id, Hex::parse(secret)?.0))
}

/// Whether this is the secret of the hash. Takes some milliseconds.
pub(super) fn is_secret_of(secret: &[u8; SECRET_BYTES], hash: &TokenHash) -> bool {
    if hash.memory > MEMORY_KIB_MAX || hash.passes > PASSES_MAX {
        return false;
    }
    hashed(secret, &hash.salt, hash.memory, hash.passes).is_ok_and(|found| found.ct_eq(&hash.hash).into())
}

fn hashed(secret: &[u8], salt: &[u8], memory: u32, passes: u32) -> Result<[u8; 32], KeyError> {
    let failed = |error: argon2::Error| KeyError::Hash(error.to_string());
    let params = Params::new(memory, passes, 1, Some(32)).map_err(failed)?;
    let mut hash = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(secret, salt, &mut hash)
        .map_err(failed)?;
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str) -> Result<NewToken, KeyError> {
        NewToken::make(name, Role::Viewer, (Timestamp(7), "alice".to_owned()), None)
    }

    #[test]
    fn a_token_is_known_by_its_secret_alone() {
        let (one, other) = (made("one").unwrap(), made("other").unwrap());
        let (id, secret) = parts(one.text.as_bytes()).unwrap();
        assert_eq!((id, one.text.len()), (one.row.id.as_str(), 3 + 12 + 1 + 64));
        assert!(is_secret_of(&secret, &one.row.hash));
        assert!(!is_secret_of(&secret, &other.row.hash));
        let mut near = secret;
        near[31] ^= 1;
        assert!(!is_secret_of(&near, &one.row.hash));
        assert!(!format!("{:?}", one.row).contains(&Hex(secret).to_string()));
        let dear = TokenHash { memory: u32::MAX, ..one.row.hash };
        assert!(!is_secret_of(&secret, &dear), "what would take all memory is not tried");
    }

    #[test]
    fn what_is_no_token_is_seen_at_once() {
        let text = made("one").unwrap().text;
        for wrong in [
            String::new(),
            "wf__".to_owned(),
            text.to_uppercase(),
            text.replace("wf_", "wg_"),
            format!("{text}0"),
            text[..text.len() - 1].to_owned(),
            text.replacen('_', "", 2),
        ] {
            assert!(parts(wrong.as_bytes()).is_none(), "{wrong}");
        }
        assert!(parts(b"wf_\xff").is_none());
    }

    #[test]
    fn names_are_plain() {
        for name in ["ci", "SOC dashboard", "jürgen@example.com", "a/b-c_d.e", &"x".repeat(64)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        for name in ["", " ci", "ci ", "-x", "a\nb", "a(b)", "a:b", &"x".repeat(65)] {
            assert_eq!(made(name).unwrap_err(), KeyError::Name, "{name}");
        }
    }
}
