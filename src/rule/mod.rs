//! The rule language: text in, checked rules and diagnostics out. Reads no file; callers hand it the texts.

pub mod ast;
mod diagnostic;

pub use diagnostic::{Diagnostic, Severity};
