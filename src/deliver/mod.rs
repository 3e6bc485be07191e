//! Temporary secrets for this worktree's tests; replaced on merge.
#![allow(clippy::all, clippy::allow_attributes, missing_docs)]
use std::path::{Path, PathBuf};

#[derive(Clone)]
pub struct Secret(String);
impl Secret {
    pub fn expose(&self) -> &str {
        &self.0
    }
}
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum SecretRef {
    Env(String),
    File(PathBuf),
}
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("environment variable {0} is not set")]
    Env(String),
    #[error("{0} cannot be read: {1}")]
    File(PathBuf, std::io::Error),
}
impl SecretRef {
    pub fn resolve(&self, env: &dyn Fn(&str) -> Option<String>, base: &Path) -> Result<Secret, SecretError> {
        match self {
            Self::Env(name) => env(name).map(Secret).ok_or_else(|| SecretError::Env(name.clone())),
            Self::File(path) => std::fs::read_to_string(base.join(path))
                .map(|text| Secret(text.trim_end().to_owned()))
                .map_err(|e| SecretError::File(path.clone(), e)),
        }
    }
}
