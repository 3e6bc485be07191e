//! Temporary; replaced on merge.
#![allow(clippy::all, clippy::allow_attributes, missing_docs)]
use serde_json::Value;
#[derive(Debug, Clone, serde::Deserialize)]
pub struct ForwardConfig {
    pub name: String,
    #[serde(flatten)]
    pub rest: Value,
}
