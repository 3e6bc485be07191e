//! The key that signs: `DIR/key` (64 hexadecimal digits, for its owner only), and `DIR/key.pub` for everybody.

use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::hex::Hex;
use super::{LogError, durable};

/// What stands before the public key in its file.
const PREFIX: &str = "watchfire-ed25519 ";

/// A public key of Ed25519, as in `DIR/key.pub` and in every signed thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub(super) Hex<32>);

/// Makes signatures.
pub(super) struct SigningKey(Ed25519KeyPair);

/// Where the secret key is.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("key")
}

/// Where the public key is.
pub(super) fn public_path(dir: &Path) -> PathBuf {
    dir.join("key.pub")
}

impl SigningKey {
    /// The key of this data folder.
    pub(super) fn load(dir: &Path) -> Result<Self, LogError> {
        let path = path(dir);
        let bytes = std::fs::read(&path).map_err(LogError::file(&path))?;
        let text = str::from_utf8(&bytes).unwrap_or_default();
        let seed = text.strip_suffix('\n').and_then(Hex::<32>::parse);
        let seed = seed.ok_or_else(|| LogError::broken(&path, "this is no key: 64 hexadecimal digits"))?;
        Self::from_seed(&seed, &path)
    }

    /// The key of this data folder; made where there is none, or the public half written again where only that is
    /// missing.
    pub(super) fn load_or_make(dir: &Path) -> Result<Self, LogError> {
        let path = path(dir);
        if !path.try_exists().map_err(LogError::file(&path))? {
            let mut seed = [0; 32];
            let random = SystemRandom::new().fill(&mut seed);
            random.map_err(|_| LogError::broken(&path, "the system gives no random numbers"))?;
            durable::write(&path, format!("{}\n", Hex(seed)).as_bytes())?;
        }
        let key = Self::load(dir)?;
        let public = public_path(dir);
        if !public.try_exists().map_err(LogError::file(&public))? {
            durable::write(&public, format!("{}\n", key.public()).as_bytes())?;
        }
        Ok(key)
    }

    fn from_seed(seed: &Hex<32>, path: &Path) -> Result<Self, LogError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed.0);
        pair.map(Self).map_err(|error| LogError::broken(path, format!("this is no key: {error}")))
    }

    /// The half that everybody may know.
    pub(super) fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(Hex(bytes))
    }

    /// Signs.
    pub(super) fn sign(&self, message: &[u8]) -> Hex<64> {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.0.sign(message).as_ref());
        Hex(bytes)
    }
}

impl PublicKey {
    /// Reads the text that [`Display`](std::fmt::Display) writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Hex::parse(text.strip_prefix(PREFIX)?).map(Self)
    }

    /// Where it is in a data folder.
    #[must_use]
    pub fn path(dir: &Path) -> PathBuf {
        public_path(dir)
    }

    /// The public key in a file; its text must be exactly what was written.
    pub fn read(path: &Path) -> Result<Self, LogError> {
        let bytes = std::fs::read(path).map_err(LogError::file(path))?;
        let text = str::from_utf8(&bytes).unwrap_or_default();
        let key = text.strip_suffix('\n').and_then(Self::parse);
        key.ok_or_else(|| {
            LogError::broken(path, format!("this is no public key: `{PREFIX}` and 64 hexadecimal digits"))
        })
    }

    /// Whether the holder of the secret half has signed this.
    pub(super) fn has_signed(&self, message: &[u8], signature: &Hex<64>) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0.0).verify(message, &signature.0).is_ok()
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::load_or_make(dir.path()).unwrap();
        let mode = std::fs::metadata(path(dir.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::remove_file(public_path(dir.path())).unwrap();
        let again = SigningKey::load_or_make(dir.path()).unwrap();
        assert_eq!(again.public(), key.public());
        let public = PublicKey::read(&public_path(dir.path())).unwrap();
        assert_eq!(public, key.public());
        let signature = again.sign(b"text");
        assert!(public.has_signed(b"text", &signature) && !public.has_signed(b"other", &signature));
        assert!(!format!("{key:?}").contains(std::fs::read_to_string(path(dir.path())).unwrap().trim()));
    }
}
