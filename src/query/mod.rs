//! The search language over canonical events, and the forms in which found events are shown.
//!
//! ```text
//! author_id:7 event_type:project_destroyed created_at:>=2026-01-01 "text"
//! ```
//!
//! | written | finds events |
//! |---|---|
//! | `a b`, `a AND b` | that both find |
//! | `a OR b` | that one of them finds; binds less than AND |
//! | `-a`, `NOT a`, `( … )` | as everywhere |
//! | `word`, `"some words"`, `some_words` | with this word, these words next to each other, in any value |
//! | `wor*`, `*or*` | with a word that begins so, that has this inside; `*` stands for letters and digits |
//! | `field:value`, `field:"a value"` | where the field has this value |
//! | `field:rel*se`, `field:*` | where it looks like this; where it has any value |
//! | `field:>5` `>=` `<` `<=`, `field:5..9`, `field:5..`, `field:..9` | where it lies there; both ends count |
//! | `created_at:2026-01-31`, `2026-01`, `2026` | in this day, month, year (UTC) |
//! | `created_at:-7d`, `-7d..-1d`, `today`, `yesterday`, `now` | relative to now; `-7d` alone: since then |
//! | `ip_address:10.0.0.0/8` | whose address lies in the network |
//!
//! Free text is looked for as whole words, runs of letters and digits, in the texts and numbers that the sender sent,
//! and not in what Watchfire works out (`tier`, `created_at`, `geo`, …).
//!
//! Case never counts. A field is a canonical or an original one, with dots into objects; of an array any element
//! will do; numbers compare by their text, so `author_id:7` finds 7 and "7". A backslash takes the meaning from the
//! next character.

mod ast;
mod error;
mod matching;
mod moment;
mod parser;
mod plan;
mod words;
pub mod format;
#[cfg(test)]
mod tests;

pub use ast::Query;
pub(crate) use ast::{
    Cmp, NOT_FREE_TEXT, Node, Operand, OperandKind, Pattern, Term, Test, fields, fold, fold_into,
};
pub use error::QueryError;
pub(crate) use matching::{any_at, each_text, test_holds, text};
pub use plan::Sieve;
pub(crate) use words::{Phrase, WordPattern, Words, fits};
