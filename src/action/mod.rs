//! Temporary; replaced on merge.
#![allow(clippy::all, clippy::allow_attributes, missing_docs)]
use serde_json::Value;
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ActionConfig {
    Email(Email),
    Webhook(Webhook),
    Gitlab(Gitlab),
    Http(Http),
}
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    pub smtp: Value,
    pub from: String,
    pub to: Vec<String>,
}
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    pub url: String,
    pub secret: Option<Value>,
    pub template: Option<String>,
}
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gitlab {
    pub url: String,
    pub token: Value,
    #[serde(rename = "do")]
    pub operation: String,
    pub dry_run: Option<bool>,
    pub never: Option<Vec<Value>>,
    pub at_most: Option<Value>,
}
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub method: String,
    pub url: String,
    pub headers: Option<Value>,
    pub body: Option<String>,
}
