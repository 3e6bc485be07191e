//! What can go wrong with a script, said with its line in the rule file.

use std::sync::Arc;

use rhai::{EvalAltResult, ParseError, ParseErrorType, Position};

use super::Limits;

/// A script that does not compile, went over a limit, or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}line {line}, column {column}: {message}", file.as_deref().map(|file| format!("{file}, ")).unwrap_or_default())]
pub struct ScriptError {
    /// Which of the three it is.
    pub kind: ScriptErrorKind,
    /// The file the script stands in, where it is not the rule's own.
    pub file: Option<Arc<str>>,
    /// In the file the script stands in, from 1.
    pub line: u32,
    /// From 1, in characters; 1 where only the line is known.
    pub column: u32,
    /// How many characters from there are meant; at least 1.
    pub width: u32,
    /// What is wrong, at most `MESSAGE_MAX` characters: a script can throw text of any length.
    pub message: String,
    /// What was probably meant.
    pub help: Option<String>,
}

/// The sort of a [`ScriptError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptErrorKind {
    /// It does not compile, or calls a helper by a misspelt name.
    Syntax,
    /// It went over one of the [`Limits`].
    Limit,
    /// It threw, called what does not exist, or gave back what is no answer.
    Failed,
}

/// How many characters a message keeps.
const MESSAGE_MAX: usize = 300;

/// Where a compiled text begins in its file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The file's line on which line 1 of the compiled text stands; 0 if the compiled text has one more
    /// line in front.
    pub first_line: u32,
    /// The line of the compiled text to show for an error without a place; from 1. The interpreter does not
    /// say where a limit was passed.
    pub entry: u16,
    /// How many columns of the file stand before each line of the compiled text.
    pub indent: u32,
}

impl Place {
    fn locate(self, position: Position) -> (u32, u32) {
        let position = if position.is_none() { Position::new(self.entry.max(1), 1) } else { position };
        let line = position.line().and_then(|line| u32::try_from(line).ok()).unwrap_or(1);
        let column = position.position().and_then(|column| u32::try_from(column).ok()).unwrap_or(1);
        (
            self.first_line.saturating_add(line).saturating_sub(1).max(1),
            column.max(1).saturating_add(self.indent),
        )
    }

    pub(super) fn error(self, kind: ScriptErrorKind, position: Position, message: &str) -> ScriptError {
        let (line, column) = self.locate(position);
        let message = message.chars().take(MESSAGE_MAX).collect();
        ScriptError { kind, file: None, line, column, width: 1, message, help: None }
    }

    pub(super) fn syntax(self, error: &ParseError) -> ScriptError {
        let message = match error.err_type() {
            ParseErrorType::VariableUndefined(name) => {
                format!("there is no variable `{name}` here; functions and closures see only their own")
            }
            other => other.to_string(),
        };
        self.error(ScriptErrorKind::Syntax, error.position(), &message)
    }

    /// The innermost position counts: that is where the mistake is, not where its function was called.
    pub(super) fn failed(self, mut error: EvalAltResult, limits: &Limits) -> ScriptError {
        let mut position = error.position();
        while let EvalAltResult::ErrorInFunctionCall(_, _, inner, _) = error {
            error = *inner;
            if !error.position().is_none() {
                position = error.position();
            }
        }
        error.clear_position();
        let (kind, message) = describe(&error, limits);
        self.error(kind, position, &message)
    }
}

/// That the script would take too long.
pub(super) fn over(limits: &Limits) -> String {
    format!("stopped after {} steps, or as much work in helpers", limits.operations)
}

fn describe(error: &EvalAltResult, limits: &Limits) -> (ScriptErrorKind, String) {
    use ScriptErrorKind::{Failed, Limit};
    match error {
        EvalAltResult::ErrorTerminated(..) => (Limit, over(limits)),
        EvalAltResult::ErrorStackOverflow(..) => {
            (Limit, format!("functions call each other more than {} levels deep", limits.call_levels))
        }
        EvalAltResult::ErrorTooManyVariables(..) => {
            (Limit, format!("more than {} variables", limits.variables))
        }
        EvalAltResult::ErrorDataTooLarge(what, ..) => {
            (Limit, format!("{} is over the limit", what.to_lowercase()))
        }
        EvalAltResult::ErrorRuntime(value, ..) => (Failed, super::nested::show(value)),
        EvalAltResult::ErrorFunctionNotFound(signature, ..) => {
            (Failed, format!("there is no function {signature}"))
        }
        other => (Failed, other.to_string()),
    }
}
