//! Signed links by which people decide from a message: each is for one response, one decision and one recipient, until one
//! time, and serves once.
//!
//! A link's text is `response/decision/expiry/recipient`, in base64 for URLs, a full stop, and BLAKE3 of it keyed with a
//! key that only this data folder has. Whoever cannot sign cannot change any of it; that it serves once the store sees to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::store::{Decision, Store, StoreError};
use crate::time::Timestamp;

/// Where the store keeps the key.
const KEY: &str = "respond/link-key";
/// No link is longer.
const TEXT_MAX: usize = 2_000;

/// Makes links and knows its own again.
#[derive(Clone)]
pub struct Signer([u8; 32]);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

/// What a link is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The response.
    pub response: String,
    /// What is decided.
    pub decision: Decision,
    /// Until when.
    pub until: Timestamp,
    /// The action whose message it was in.
    pub recipient: String,
}

impl Signer {
    /// With the key of this store, which is made where there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(store: &Store) -> Result<Self, StoreError> {
        if let Some(key) = store.checkpoint(KEY)?.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
            return Ok(Self(key));
        }
        let key: [u8; 32] = rand::random();
        store.set_checkpoint(KEY, &key)?;
        Ok(Self(key))
    }

    /// The link's last part.
    #[must_use]
    pub fn sign(&self, link: &Link) -> String {
        let decision = if link.decision == Decision::Approve { 'a' } else { 'r' };
        let text = format!("{}/{decision}/{}/{}", link.response, link.until.0, link.recipient);
        let mac = blake3::keyed_hash(&self.0, text.as_bytes());
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(mac.as_bytes()))
    }

    /// What a link is for, if it was made here.
    #[must_use]
    pub fn read(&self, token: &str) -> Option<Link> {
        if token.len() > TEXT_MAX {
            return None;
        }
        let (text, mac) = token.split_once('.')?;
        let text = URL_SAFE_NO_PAD.decode(text).ok()?;
        let mac: [u8; 32] = URL_SAFE_NO_PAD.decode(mac).ok()?.try_into().ok()?;
        // Compares in constant time.
        if blake3::keyed_hash(&self.0, &text) != blake3::Hash::from_bytes(mac) {
            return None;
        }
        let text = String::from_utf8(text).ok()?;
        let mut parts = text.splitn(4, '/');
        let response = parts.next()?.to_owned();
        let decision = if parts.next()? == "a" { Decision::Approve } else { Decision::Refuse };
        let until = Timestamp(parts.next()?.parse().ok()?);
        Some(Link { response, decision, until, recipient: parts.next()?.to_owned() })
    }

    /// By which the store knows that it was used; from it the link cannot be made.
    #[must_use]
    pub fn hash(token: &str) -> String {
        blake3::hash(token.as_bytes()).to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn link() -> Link {
        Link {
            response: "0123abcd".into(),
            decision: Decision::Approve,
            until: Timestamp(1_769_850_000_000),
            recipient: "mail/sec ops".into(),
        }
    }

    #[test]
    fn only_its_own_links_are_known_again() {
        let signer = Signer([7; 32]);
        for decision in [Decision::Approve, Decision::Refuse] {
            let link = Link { decision, ..link() };
            assert_eq!(signer.read(&signer.sign(&link)), Some(link));
        }
        assert_eq!(Signer([8; 32]).read(&signer.sign(&link())), None, "another folder's");
        for wrong in ["", ".", "a.b", &"a".repeat(9000)] {
            assert_eq!(signer.read(wrong), None);
        }
    }

    #[test]
    fn the_key_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let signed = Signer::of(&store).unwrap().sign(&link());
        assert_eq!(Signer::of(&store).unwrap().read(&signed), Some(link()));
    }

    proptest! {
        #[test]
        fn a_changed_link_is_none(at in 0_usize..200, byte in 33_u8..127) {
            let signer = Signer([7; 32]);
            let signed = signer.sign(&link());
            let mut changed = signed.clone().into_bytes();
            let at = at % changed.len();
            changed[at] = byte;
            let changed = String::from_utf8(changed).unwrap();
            prop_assume!(changed != signed);
            prop_assert_eq!(signer.read(&changed), None);
        }
    }
}
