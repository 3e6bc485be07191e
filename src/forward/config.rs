//! The `forward` of the configuration: one shape per `type`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use crate::deliver::{ByteSize, ConfigError, SecretRef, TIMEOUT, TextOrSecret, Variants, span, tagged};
use crate::time::Span;

/// One forwarder as written in the configuration.
#[derive(Debug, Clone)]
pub enum ForwardConfig {
    /// `type: http`.
    Http(HttpForward),
    /// `type: file`.
    File(FileForward),
}

/// Batches of NDJSON to a URL.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpForward {
    /// Names its position; never reuse it for another receiver.
    pub name: String,
    /// Where to.
    pub url: TextOrSecret,
    /// Sent as `Authorization: Bearer …`.
    #[serde(default)]
    pub token: Option<SecretRef>,
    /// Sent along.
    #[serde(default)]
    pub headers: BTreeMap<String, TextOrSecret>,
    /// Events in one request, at most.
    #[serde(default = "batch")]
    pub batch: usize,
    /// Bytes in one request, at most; a single longer event goes alone.
    #[serde(default = "max_bytes")]
    pub max_bytes: ByteSize,
    /// A Sigma detection; only events that match are forwarded. Absent: all.
    #[serde(default)]
    pub condition: Option<serde_json::Value>,
    /// A PEM file with further root certificates.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// For each request.
    #[serde(default = "timeout", deserialize_with = "span")]
    pub timeout: Span,
}

/// NDJSON appended to a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileForward {
    /// Names its position.
    pub name: String,
    /// The file; nobody else may write to it.
    pub path: PathBuf,
    /// When to begin a new file.
    #[serde(default)]
    pub rotate: Rotate,
    /// As for `http`.
    #[serde(default)]
    pub condition: Option<serde_json::Value>,
}

/// When a file is put aside as `PATH.1`, and how many of those are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// Once it is so long; a batch is never split over two files.
    #[serde(default = "rotate_size")]
    pub size: ByteSize,
    /// So many older files, besides the one being written.
    #[serde(default = "rotate_keep")]
    pub keep: u32,
}

impl Default for Rotate {
    fn default() -> Self {
        Self { size: rotate_size(), keep: rotate_keep() }
    }
}

const fn batch() -> usize {
    500
}

const fn max_bytes() -> ByteSize {
    ByteSize(4 << 20)
}

const fn rotate_size() -> ByteSize {
    ByteSize(100 << 20)
}

const fn rotate_keep() -> u32 {
    10
}

const fn timeout() -> Span {
    TIMEOUT
}

impl ForwardConfig {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Http(http) => &http.name,
            Self::File(file) => &file.name,
        }
    }

    /// The Sigma detection that selects events, if any; the caller compiles it.
    #[must_use]
    pub fn condition(&self) -> Option<&serde_json::Value> {
        match self {
            Self::Http(http) => http.condition.as_ref(),
            Self::File(file) => file.condition.as_ref(),
        }
    }
}

impl Variants for ForwardConfig {
    const NAMES: &'static [&'static str] = &["http", "file"];

    fn read<'de, D: Deserializer<'de>>(kind: &str, rest: D) -> Result<Self, D::Error> {
        match kind {
            "http" => Deserialize::deserialize(rest).map(Self::Http),
            _ => Deserialize::deserialize(rest).map(Self::File),
        }
    }
}

impl<'de> Deserialize<'de> for ForwardConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        tagged(deserializer)
    }
}

/// Why a forwarder cannot be set up or go on.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// Secret, URL, header or certificate.
    #[error("forward `{name}`: {problem}")]
    Connection {
        /// The forwarder's name.
        name: String,
        /// What is wrong.
        problem: ConfigError,
    },
    /// Settings that make no sense.
    #[error("forward `{name}`: {problem}")]
    Setting {
        /// The forwarder's name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The file cannot be written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_mistakes() {
        let read = |yaml: &str| serde_yaml::from_str::<ForwardConfig>(yaml);
        match read("{name: siem, type: http, url: 'https://x', condition: {a: {b: 1}, condition: a}}")
            .unwrap()
        {
            ForwardConfig::Http(http) => {
                assert_eq!((http.batch, http.max_bytes), (500, ByteSize(4 << 20)));
                assert_eq!(http.condition.unwrap()["a"]["b"], 1);
            }
            other => panic!("{other:?}"),
        }
        match read("{name: a, type: file, path: x, rotate: {size: 1MiB}, condition: null}").unwrap() {
            ForwardConfig::File(file) => {
                assert_eq!(file.rotate, Rotate { size: ByteSize(1 << 20), keep: 10 });
                assert_eq!(file.condition, None);
            }
            other => panic!("{other:?}"),
        }
        let error = read("name: a\ntype: file\npath: x\nrotate: {sise: 1}\n").unwrap_err();
        assert!(error.to_string().contains("sise"), "{error}");
        assert_eq!(error.location().map(|at| at.line()), Some(4));
    }
}
