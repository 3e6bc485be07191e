//! YAML with a place for every node: a serde value would lose where things stand and how they were written.

mod node;
mod parse;
mod scalar;

pub(super) use node::{Content, Document, Key, Place, Scalar, ScalarKind, Yaml};
pub(super) use parse::parse;
