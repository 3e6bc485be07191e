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
    #[serde(default)]
    pub content_type: Option<Value>,
    #[serde(default)]
    pub headers: Option<Value>,
    #[serde(default)]
    pub ca: Option<Value>,
    #[serde(default)]
    pub timeout: Option<Value>,
    pub url: String,
    pub secret: Option<Value>,
    pub template: Option<String>,
}
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gitlab {
    #[serde(default)]
    pub user: Option<Value>,
    #[serde(default)]
    pub ca: Option<Value>,
    #[serde(default)]
    pub timeout: Option<Value>,
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
    #[serde(default)]
    pub content_type: Option<Value>,
    #[serde(default)]
    pub expect: Option<Value>,
    #[serde(default)]
    pub kind: Option<Value>,
    #[serde(default)]
    pub dry_run: Option<Value>,
    #[serde(default)]
    pub never: Option<Value>,
    #[serde(default)]
    pub at_most: Option<Value>,
    #[serde(default)]
    pub user: Option<Value>,
    #[serde(default)]
    pub undo: Option<Value>,
    #[serde(default)]
    pub ca: Option<Value>,
    #[serde(default)]
    pub timeout: Option<Value>,
    pub method: String,
    pub url: String,
    pub headers: Option<Value>,
    pub body: Option<String>,
}
