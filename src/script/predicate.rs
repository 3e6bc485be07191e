//! `script:` beside the fields of a selection: one expression over one event.

use rhai::{Dynamic, Position};

use super::code::Code;
use super::error::Place;
use super::{Cage, EventValue, ScriptError, ScriptErrorKind};

/// A compiled expression over `event`.
#[derive(Debug, Clone)]
pub struct Predicate {
    code: Code,
    place: Place,
}

/// The function that the expression becomes the body of.
const NAME: &str = "holds";

impl Predicate {
    /// Compiles an expression whose text begins on this line of its file, its lines in this column.
    ///
    /// # Errors
    ///
    /// The text is empty, too long, no expression, or uses another variable than `event`.
    pub fn compile(cage: &Cage, source: &str, (line, column): (u32, u32)) -> Result<Self, ScriptError> {
        let indent = column.saturating_sub(1);
        let place = Place { first_line: line, entry: 1, indent };
        cage.check_size(source, place)?;
        if source.trim().is_empty() {
            let message = "the script is empty; write an expression such as `event.author_id == 7`";
            return Err(place.error(ScriptErrorKind::Syntax, Position::NONE, message));
        }
        // A function body takes statements too, so the text must first stand as an expression by itself.
        cage.check_expression(source, place)?;
        let place = Place { first_line: line.saturating_sub(1), entry: 2, indent };
        let ast = cage.compile(&format!("fn {NAME}(event) {{\n{source}\n}}"), place)?;
        cage.check_calls(&ast, place)?;
        let predicate = Self { code: Code::new(ast), place };
        // One that is called in a wrong way should not wait for an event either.
        match predicate.eval(cage, &EventValue::default()) {
            Err(error) if error.kind == ScriptErrorKind::Syntax => Err(error),
            _ => Ok(predicate),
        }
    }

    /// Whether the expression holds for an event.
    ///
    /// # Errors
    ///
    /// It went over a limit, failed, or gave neither true nor false; `()` counts as false.
    pub fn eval(&self, cage: &Cage, event: &EventValue) -> Result<bool, ScriptError> {
        let result = cage.call(&self.code, NAME, [Dynamic::from(event.0.clone())], self.place)?;
        if result.is_unit() {
            return Ok(false);
        }
        result.as_bool().map_err(|kind| {
            let message = format!("the script must give true or false, not {}", short(kind));
            self.place.error(ScriptErrorKind::Failed, Position::new(2, 1), &message)
        })
    }
}

/// A type's name without its path.
pub(super) fn short(kind: &str) -> &str {
    kind.rsplit("::").next().unwrap_or(kind)
}
