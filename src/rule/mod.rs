//! The rule language: text in, checked rules and diagnostics out. Reads no file; callers hand it the texts.
//!
//! In reading order: [`load()`] splits files into documents (`yaml`), each document becomes a rule or a filter
//! (`document`, `header`, `detection`, `behavior`, `correlation`, `filter`, `example`), and what refers to other
//! files is resolved last (`resolve`, `chain`, `link`). Every mistake is collected in a `Report`; a document with an error is
//! left out, the others stay.

pub mod ast;
mod diagnostic;
mod report;
mod suggest;
mod yaml;
mod read;
mod list;
mod pattern;
mod transform;
mod modifier;
mod value;
mod selection;
mod condition;
mod detection;
mod behavior;
mod sequence;
mod criteria;
mod correlation;
mod filter;
mod expression;
mod example;
mod header;
mod lookup;
mod script_file;
mod script_link;
mod vars;
mod import;
mod document;
mod chain;
mod link;
mod resolve;
mod load;
mod render;
mod lint;
#[cfg(test)]
pub(crate) mod vocabulary;
#[cfg(test)]
mod tests;

pub use behavior::keys as behavior_keys;
pub use behavior::{COMPARISONS, GROUP, KINDS, KindEntry, OPTIONS, OptionEntry, Shape};
pub use condition::print as print_condition;
pub use diagnostic::{Diagnostic, Severity};
pub use filter::fits;
pub use import::{imported_path, imports};
pub use lint::{lint, lint_filter, locate};
pub use list::{Cells, List, ListError, ListFormat, Lists, UnknownList};
pub use load::{Loaded, RuleFile, load};
pub use render::render;
pub use suggest::closest;
pub use value::REGEX_SIZE_MAX;
