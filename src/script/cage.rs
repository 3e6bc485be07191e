//! The interpreter behind bars: no clock, no random, no I/O, no `eval`, no modules, and a limit on everything.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rhai::packages::{Package, StandardPackage};
use rhai::{AST, CallFnOptions, Dynamic, Engine, FuncArgs, OptimizationLevel, Position, Scope};

use super::error::{Place, over};
use super::meter::Answer;
use super::{Limits, ListTable, ScriptError, ScriptErrorKind, helpers, meter, nested, state, value, window};

/// An interpreter for predicates and rule scripts. It holds nothing of any run: share one between threads,
/// and make a new one when a list changes. What one cage compiled runs in every other.
pub struct Cage {
    engine: Engine,
    limits: Limits,
}

impl Cage {
    /// A cage with the default limits whose scripts can look values up in `lists`.
    #[must_use]
    pub fn new(lists: Arc<ListTable>) -> Self {
        Self::with_limits(lists, Limits::default())
    }

    /// A cage with other limits.
    #[must_use]
    pub fn with_limits(lists: Arc<ListTable>, limits: Limits) -> Self {
        // Without an interner of strings: it is a lock that all threads would share.
        let mut engine = Engine::new_raw();
        StandardPackage::new().register_into_engine(&mut engine);
        restrict(&mut engine, &limits);
        nested::register(&mut engine);
        value::register(&mut engine);
        state::register(&mut engine, limits.map_entries);
        window::register(&mut engine, limits.array_items);
        helpers::register(&mut engine, lists, &limits);
        forbid_waiting(&mut engine);
        Self { engine, limits }
    }

    /// The limits of each run.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn compile(&self, source: &str, place: Place) -> Result<AST, ScriptError> {
        let ast = self.engine.compile(source).map_err(|error| place.syntax(&error))?;
        if captures(&ast) {
            let message =
                "a closure uses a variable from outside; pass it as an argument, or use a `for` loop";
            return Err(place.error(ScriptErrorKind::Syntax, capture_position(source), message));
        }
        Ok(ast)
    }

    pub(super) fn check_size(&self, source: &str, place: Place) -> Result<(), ScriptError> {
        if source.len() <= self.limits.source_bytes {
            return Ok(());
        }
        let message = format!("a script may have at most {} bytes", self.limits.source_bytes);
        Err(place.error(ScriptErrorKind::Limit, Position::NONE, &message))
    }

    pub(super) fn check_expression(&self, source: &str, place: Place) -> Result<(), ScriptError> {
        let mut scope = Scope::new();
        scope.push("event", ());
        let parsed = self.engine.compile_expression_with_scope(&scope, source);
        parsed.map(|_| ()).map_err(|error| place.syntax(&error))
    }

    /// Calls a function of a compiled script.
    pub(super) fn call(
        &self,
        ast: &AST,
        name: &str,
        arguments: impl FuncArgs,
        place: Place,
    ) -> Result<Dynamic, ScriptError> {
        let options = CallFnOptions::new().eval_ast(false);
        meter::start(&self.limits);
        // The interpreter is other people's code in a process that must go on. Nothing outlives the call but
        // the arguments, which the caller gives up when it fails.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut scope = Scope::new();
            self.engine.call_fn_with_options::<Dynamic>(options, &mut scope, ast, name, arguments)
        }));
        match outcome {
            // A built-in function such as `sort` may swallow the error of its callback.
            Ok(Ok(_)) if meter::is_exceeded() => {
                Err(place.error(ScriptErrorKind::Limit, Position::NONE, &over(&self.limits)))
            }
            Ok(result) => result.map_err(|error| place.failed(*error, &self.limits)),
            Err(_) => {
                let message = "the script made the interpreter fail";
                Err(place.error(ScriptErrorKind::Failed, Position::NONE, message))
            }
        }
    }
}

impl fmt::Debug for Cage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cage").field("limits", &self.limits).finish_non_exhaustive()
    }
}

fn restrict(engine: &mut Engine, limits: &Limits) {
    engine.on_progress(|_| meter::step());
    engine.set_max_call_levels(limits.call_levels);
    engine.set_max_expr_depths(limits.expression_depth, limits.expression_depth);
    engine.set_max_string_size(limits.string_bytes);
    engine.set_max_array_size(limits.array_items);
    engine.set_max_map_size(limits.map_entries);
    engine.set_max_variables(limits.variables);
    engine.set_max_functions(limits.functions);
    engine.set_strict_variables(true);
    engine.set_fail_on_invalid_map_property(false);
    engine.set_optimization_level(OptimizationLevel::Simple);
    engine.on_print(|_| {});
    engine.on_debug(|_, _, _| {});
    // `curry` could nest functions without end, which no limit of the interpreter counts and which would
    // overflow the stack when they are dropped.
    for symbol in ["eval", "curry"] {
        engine.disable_symbol(symbol);
    }
}

/// Rhai's core package brings `sleep`; what is registered by hand goes before the packages.
fn forbid_waiting(engine: &mut Engine) {
    const MESSAGE: &str = "a script cannot wait";
    engine.register_fn("sleep", |_: i64| -> Answer<()> { Err(MESSAGE.into()) });
    engine.register_fn("sleep", |_: f64| -> Answer<()> { Err(MESSAGE.into()) });
}

/// Whether a closure takes in a variable around it. The interpreter shares such a variable between the two:
/// it could be locked twice or form a ring that is never freed. The syntax tree is private, so this looks for
/// its `Share` statement in the printed tree, outside quoted text.
fn captures(ast: &AST) -> bool {
    let printed = format!("{ast:?}");
    let mut rest = printed.as_str();
    while let Some(at) = rest.find(['"', 'S']) {
        rest = &rest[at..];
        if rest.starts_with("Share([") {
            return true;
        }
        let skip = if rest.starts_with('"') { quoted_length(rest) } else { 1 };
        rest = rest.get(skip..).unwrap_or_default();
    }
    false
}

/// The length of the debug-printed text at the beginning of `printed`, quotes included.
fn quoted_length(printed: &str) -> usize {
    let mut is_escaped = false;
    let end = printed.char_indices().skip(1).find(|(_, letter)| {
        let is_end = *letter == '"' && !is_escaped;
        is_escaped = *letter == '\\' && !is_escaped;
        is_end
    });
    end.map_or(printed.len(), |(at, _)| at + 1)
}

/// The first line with a closure: the printed tree does not tell which one it was.
fn capture_position(source: &str) -> Position {
    let line = source.lines().position(|line| line.contains('|')).unwrap_or(0);
    u16::try_from(line + 1).map_or(Position::NONE, |line| Position::new(line, 1))
}
