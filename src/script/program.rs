//! A `.rhai` rule: a file with `fn on_event(event, state, window)`.

use rhai::{AST, Dynamic, ImmutableString, Map, Position};

use super::code::Code;
use super::error::Place;
use super::needs::Needs;
use super::predicate::short;
use super::{Cage, EventValue, ScriptError, ScriptErrorKind, ScriptState, Window};
use crate::event::Position as LogPosition;
use crate::time::{Span, Timestamp};

/// A compiled rule script.
#[derive(Debug, Clone)]
pub struct Program {
    code: Code,
    place: Place,
    /// What the script asks of the events in its window.
    needs: Needs,
    /// Whether it mentions its window at all.
    uses_window: bool,
}

/// What a rule script found.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptFinding {
    /// Why, for people; empty when the script only said `true`.
    pub reason: String,
    /// How much the finding weighs, where the script says so.
    pub score: Option<f64>,
    /// What was measured, where the script says so.
    pub value: Option<f64>,
}

const NAME: &str = "on_event";
const PARAMETERS: usize = 3;
/// How many characters of a reason are kept.
const REASON_MAX: usize = 1000;

impl Program {
    /// Compiles a script whose text begins on this line of its file.
    ///
    /// # Errors
    ///
    /// It is too long, no Rhai, has no `fn on_event` with three parameters, or statements outside functions.
    pub fn compile(cage: &Cage, source: &str, first_line: u32) -> Result<Self, ScriptError> {
        let mut place = Place { first_line, entry: likely_entry_line(source), indent: 0 };
        cage.check_size(source, place)?;
        let ast = cage.compile(source, place)?;
        place.entry = entry_line(&ast);
        let wrong = |message: &str| Err(place.error(ScriptErrorKind::Syntax, Position::NONE, message));
        let arities: Vec<usize> =
            ast.iter_functions().filter(|function| function.name == NAME).map(|f| f.params.len()).collect();
        if arities.is_empty() {
            return wrong("a rule script needs `fn on_event(event, state, window) { … }`");
        }
        if !arities.contains(&PARAMETERS) {
            let message = format!(
                "`on_event` takes three parameters (event, state, window), here it has {}",
                arities.first().copied().unwrap_or_default()
            );
            return wrong(&message);
        }
        if !ast.statements().is_empty() {
            return wrong("only functions may stand at the top level; statements there would never run");
        }
        cage.check_calls(&ast, place)?;
        let (needs, uses_window) = match window_name(&ast) {
            Some(name) => Needs::of(&ast, &name),
            None => (Needs::Events, true),
        };
        let program = Self { code: Code::new(ast), place, needs, uses_window };
        // Functions are looked up when they are called; one that is called in a wrong way on every path should
        // not wait for an event.
        let nothing = EventValue::default();
        match program.run(cage, &nothing, &mut ScriptState::default(), &mut Window::default()) {
            Err(error) if error.kind == ScriptErrorKind::Syntax => Err(error),
            _ => Ok(program),
        }
    }

    /// Puts an event at the end of a key's window, in the form that the script needs, and forgets what is
    /// `within` or more before the newest. Answers whether there were too many and the oldest had to go.
    pub fn look_at(
        &self,
        window: &mut Window,
        event: &EventValue,
        at: (Timestamp, LogPosition),
        within: Span,
    ) -> bool {
        window.push(&self.needs, event, at, within)
    }

    /// Runs the script for one event of one key, the last one of the window. `state` changes only if the run
    /// succeeds.
    ///
    /// # Errors
    ///
    /// The script went over a limit, failed, gave back what is no answer, or left a state that cannot be kept.
    pub fn run(
        &self,
        cage: &Cage,
        event: &EventValue,
        state: &mut ScriptState,
        window: &mut Window,
    ) -> Result<Option<ScriptFinding>, ScriptError> {
        let memory = state.open(cage.limits());
        let past = self.uses_window.then(|| window.open(&self.needs, event));
        let shown = past.clone().map_or(Dynamic::UNIT, Dynamic::from);
        let arguments = [Dynamic::from(event.0.clone()), Dynamic::from(memory.clone()), shown];
        let result = cage.call(&self.code, NAME, arguments, self.place);
        let finding = result.and_then(|result| self.finding(&result));
        state.close(&memory, finding.is_ok());
        if let Some(past) = past {
            window.close(&past);
        }
        finding
    }

    fn error(&self, kind: ScriptErrorKind, message: &str) -> ScriptError {
        self.place.error(kind, Position::NONE, message)
    }

    fn finding(&self, result: &Dynamic) -> Result<Option<ScriptFinding>, ScriptError> {
        let of = |reason: &str| ScriptFinding {
            reason: reason.chars().take(REASON_MAX).collect(),
            score: None,
            value: None,
        };
        if result.is_unit() {
            return Ok(None);
        }
        if let Ok(flag) = result.as_bool() {
            return Ok(flag.then(|| of("")));
        }
        if let Some(reason) = result.read_lock::<ImmutableString>() {
            return Ok(Some(of(&reason)));
        }
        let Some(map) = result.read_lock::<Map>() else {
            let message = format!(
                "`on_event` must give (), true or false, a reason, or #{{reason, score, value}}, not {}",
                short(result.type_name())
            );
            return Err(self.error(ScriptErrorKind::Failed, &message));
        };
        if let Some(key) = map.keys().find(|key| !["reason", "score", "value"].contains(&key.as_str())) {
            let message = format!("a finding has reason, score and value, but no `{key}`");
            return Err(self.error(ScriptErrorKind::Failed, &message));
        }
        let reason = map.get("reason").filter(|reason| !reason.is_unit()).map(super::nested::show);
        let mut finding = of(&reason.unwrap_or_default());
        finding.score = self.number(&map, "score")?;
        finding.value = self.number(&map, "value")?;
        Ok(Some(finding))
    }

    fn number(&self, map: &Map, name: &str) -> Result<Option<f64>, ScriptError> {
        let Some(value) = map.get(name).filter(|value| !value.is_unit()) else { return Ok(None) };
        let number = value.as_float().ok().or_else(|| value.as_int().ok().map(|whole| whole as f64));
        let message = || format!("the finding's {name} must be a number, not `{value}`");
        let finite = number.filter(|number| number.is_finite());
        finite.map(Some).ok_or_else(|| self.error(ScriptErrorKind::Failed, &message()))
    }
}

/// The name that `on_event` gives to its window.
fn window_name(ast: &AST) -> Option<String> {
    let mut functions = ast.iter_functions();
    let entry = functions.find(|function| function.name == NAME && function.params.len() == PARAMETERS);
    entry.and_then(|entry| entry.params.last().map(|name| (*name).to_owned()))
}

/// The line on which the body of `on_event` begins.
fn entry_line(ast: &AST) -> u16 {
    let entries = ast.iter_fn_def().filter(|function| function.name == NAME);
    let entry = entries.max_by_key(|entry| entry.params.len() == PARAMETERS);
    let line = entry.and_then(|entry| entry.body.start_position().line());
    line.and_then(|line| u16::try_from(line).ok()).unwrap_or(1)
}

/// The same of a text that was not compiled.
fn likely_entry_line(source: &str) -> u16 {
    let line = source.lines().position(|line| line.trim_start().starts_with("fn on_event"));
    line.and_then(|line| u16::try_from(line + 1).ok()).unwrap_or(1)
}
