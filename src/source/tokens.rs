//! Who may post.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};

use crate::deliver::Secret;

/// The tokens a source accepts. Only their hashes are kept, all of one length, so that the time a comparison takes
/// tells nothing about a token, not even how long it is.
#[derive(Clone, Default)]
pub struct Tokens(Vec<blake3::Hash>);

impl Tokens {
    /// Any of these opens the door; with none it stays shut.
    #[must_use]
    pub fn new(secrets: &[Secret]) -> Self {
        Self(secrets.iter().map(|secret| blake3::hash(secret.expose().as_bytes())).collect())
    }

    /// Whether `given` is one of them. Every token is compared, whichever matches.
    #[must_use]
    pub fn admit(&self, given: &[u8]) -> bool {
        let given = blake3::hash(given);
        let found = self
            .0
            .iter()
            .fold(Choice::from(0), |found, token| found | token.as_bytes().ct_eq(given.as_bytes()));
        found.into()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

/// The token of an `Authorization: Bearer …` header; the scheme in any case (RFC 9110, section 11.1).
#[must_use]
pub fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = header.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;
    use crate::deliver::SecretRef;

    pub(crate) fn tokens(values: &[&str]) -> Tokens {
        let reference: SecretRef = serde_json::from_str(r#"{"env":"T"}"#).unwrap();
        let secret = |value: &&str| reference.resolve(&|_| Some((*value).to_owned()), Path::new("")).unwrap();
        Tokens::new(&values.iter().map(secret).collect::<Vec<_>>())
    }

    #[test]
    fn only_a_whole_token_is_admitted() {
        let both = tokens(&["first-token", "second-token"]);
        assert!(both.admit(b"first-token") && both.admit(b"second-token"));
        for wrong in ["", "first", "first-token ", "FIRST-TOKEN", "first-tokensecond-token"] {
            assert!(!both.admit(wrong.as_bytes()), "{wrong}");
        }
        assert!(!Tokens::default().admit(b""));
    }

    #[test]
    fn the_scheme_is_read_in_any_case() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bEARER  abc "), Some(&b"abc"[..]));
        for other in [&b"Basic abc"[..], b"Bearer", b"", b"abc"] {
            assert_eq!(bearer(other), None);
        }
    }
}
