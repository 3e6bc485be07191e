//! Secrets: named in the configuration, read from the environment or a file, never shown.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::unit::{BuildContext, Lookup};

/// The longest secret file that is read.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// A value that is only shown to the receiver it is for. Not comparable: who compares takes care of the time it takes.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Keeps `text` from being shown.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The value itself, for the wire.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// `text` with every secret in it put out of sight. Very short secrets are left, or nothing would be legible.
#[must_use]
pub fn redact(text: &str, secrets: &[Secret]) -> String {
    secrets
        .iter()
        .map(Secret::expose)
        .filter(|secret| secret.len() >= 4)
        .fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
}

/// Where a secret is kept: `{env: NAME}` or `{file: PATH}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file; relative paths are relative to the configuration file. Line ends at its end do not count.
    File(PathBuf),
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is missing or empty.
    #[error("the environment variable {0} is not set, or is empty: set it or change `env:`")]
    NotSet(String),
    /// The file cannot be read.
    #[error("the secret file {path} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The file holds nothing.
    #[error("the secret file {0} is empty")]
    Empty(String),
}

impl SecretRef {
    /// Reads the secret. `env` looks up an environment variable, `base` is the configuration's folder.
    ///
    /// # Errors
    /// When the variable or file is missing, empty, too long (64 KiB) or no text.
    pub fn resolve(&self, env: Lookup<'_>, base: &Path) -> Result<Secret, SecretError> {
        match self {
            Self::Env(name) => env(name)
                .filter(|value| !value.is_empty())
                .map(Secret::new)
                .ok_or_else(|| SecretError::NotSet(name.clone())),
            Self::File(path) => read_file(&base.join(path)),
        }
    }
}

fn read_file(path: &Path) -> Result<Secret, SecretError> {
    use std::io::Read;
    let shown = path.display().to_string();
    let unreadable = |reason: String| SecretError::Unreadable { path: shown.clone(), reason };
    let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    let count = read.map_err(|error| unreadable(error.to_string()))?;
    if count as u64 > FILE_BYTES_MAX {
        return Err(unreadable("it is longer than 64 KiB".to_owned()));
    }
    let value = text.trim_end_matches(['\r', '\n']);
    if value.is_empty() { Err(SecretError::Empty(shown)) } else { Ok(Secret::new(value)) }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

struct SecretVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = SecretRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{env: NAME} or {file: PATH}; a secret is never written into the configuration itself")
    }

    /// The text itself is not quoted: it is the secret.
    fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretRef, E> {
        Err(E::custom(format_args!("expected {}", &self as &dyn de::Expected)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretRef, A::Error> {
        const KEYS: &[&str] = &["env", "file"];
        let key = map.next_key::<String>()?.ok_or_else(|| de::Error::custom("expected `env` or `file`"))?;
        let found = match key.as_str() {
            "env" => SecretRef::Env(map.next_value()?),
            "file" => SecretRef::File(map.next_value::<String>()?.into()),
            other => return Err(de::Error::unknown_field(other, KEYS)),
        };
        match map.next_key::<String>()? {
            Some(_) => Err(de::Error::custom("expected either `env` or `file`, and nothing else")),
            None => Ok(found),
        }
    }
}

/// A text in the configuration that may be a secret: `value`, `{env: NAME}` or `{file: PATH}`.
#[derive(Clone, PartialEq, Eq)]
pub enum TextOrSecret {
    /// Written out.
    Text(String),
    /// Kept elsewhere.
    Secret(SecretRef),
}

impl fmt::Debug for TextOrSecret {
    /// A written-out text may hold a token, so it is not shown either.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::Secret(reference) => reference.fmt(f),
        }
    }
}

impl TextOrSecret {
    /// The text, read from its place if it is kept elsewhere.
    ///
    /// # Errors
    /// As [`SecretRef::resolve`].
    pub fn resolve(&self, context: &BuildContext<'_>) -> Result<Secret, SecretError> {
        match self {
            Self::Text(text) => Ok(Secret::new(text.as_str())),
            Self::Secret(reference) => reference.resolve(context.env, context.base),
        }
    }
}

impl<'de> Deserialize<'de> for TextOrSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = TextOrSecret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, {env: NAME} or {file: PATH}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<TextOrSecret, E> {
                Ok(TextOrSecret::Text(text.to_owned()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<TextOrSecret, E> {
                Ok(TextOrSecret::Text(number.to_string()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<TextOrSecret, E> {
                Ok(TextOrSecret::Text(number.to_string()))
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<TextOrSecret, E> {
                Ok(TextOrSecret::Text(value.to_string()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextOrSecret, A::Error> {
                SecretVisitor.visit_map(map).map(TextOrSecret::Secret)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_itself_to_nobody() {
        let secret = Secret::new("glpat-hunter2");
        assert!(!format!("{secret:?} {secret}").contains("hunter2"));
        assert_eq!(secret.expose(), "glpat-hunter2");
        assert_eq!(redact("bad token glpat-hunter2!", &[secret]), "bad token …!");
        assert!(!format!("{:?}", TextOrSecret::Text("hunter2".into())).contains("hunter2"));
    }

    #[test]
    fn secrets_come_from_the_environment_or_a_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "abc def\r\n").unwrap();
        std::fs::write(dir.path().join("empty"), "\n").unwrap();
        let env = |name: &str| (name == "TOKEN").then(|| "from env".to_owned());
        let read = |yaml: &str| {
            let found: SecretRef = serde_yaml::from_str(yaml).map_err(|error| error.to_string())?;
            found.resolve(&env, dir.path()).map_err(|error| error.to_string())
        };
        assert_eq!(read("{env: TOKEN}").unwrap().expose(), "from env");
        assert_eq!(read("{file: token}").unwrap().expose(), "abc def");
        for (yaml, part) in [
            ("{env: OTHER}", "OTHER is not set"),
            ("{file: nowhere}", "nowhere cannot be read"),
            ("{file: empty}", "is empty"),
            ("{evn: TOKEN}", "unknown field `evn`"),
            ("{env: A, file: B}", "nothing else"),
            ("hunter2", "env: NAME"),
        ] {
            let error = read(yaml).unwrap_err();
            assert!(error.contains(part), "{yaml}: {error}");
        }
    }
}
