//! The interpreter behind bars: no clock, no random, no I/O, no `eval`, no modules, and a limit on everything.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rhai::packages::{Package, StandardPackage};
use rhai::{AST, Dynamic, Engine, EvalAltResult, EvalContext, Module, OptimizationLevel, Position, Scope};

use super::code::Code;
use super::error::{Place, over};
use super::meter::Answer;
use super::{
    Limits, ListTable, ScriptError, ScriptErrorKind, helpers, meter, needs, nested, state, text, value,
    window,
};

/// An interpreter for predicates and rule scripts. It holds nothing of any run: share one between threads,
/// and make a new one when a list changes. What one cage compiled runs in every other.
pub struct Cage {
    engine: Engine,
    limits: Limits,
    /// The names of all functions there are.
    names: BTreeSet<String>,
    /// Tells this cage from others, for what is kept of runs in it.
    identity: Arc<()>,
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
        state::register(&mut engine);
        window::register(&mut engine, limits.array_items);
        text::register(&mut engine, limits.string_bytes);
        helpers::register(&mut engine, lists, &limits);
        forbid_waiting(&mut engine);
        let names = engine.collect_fn_metadata(None, |known| Some(known.metadata.name.to_string()), true);
        let names = names.into_iter().chain(KEYWORDS.map(str::to_owned)).collect();
        Self { engine, limits, names, identity: Arc::default() }
    }

    /// The limits of each run.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) fn compile(&self, source: &str, place: Place) -> Result<AST, ScriptError> {
        let ast = self.engine.compile(source).map_err(|error| place.syntax(&error))?;
        Ok(with_properties(&ast))
    }

    /// Functions are looked up when they are called; one that does not exist should not wait for an event.
    pub(super) fn check_calls(&self, ast: &AST, place: Place) -> Result<(), ScriptError> {
        let own: Vec<&str> = ast.iter_functions().map(|function| function.name).collect();
        let is_known =
            |name: &str| own.contains(&name) || self.names.contains(name) || name.starts_with("anon$");
        let unknown = needs::calls(ast).into_iter().find(|(name, _)| !is_known(name));
        let Some((name, position)) = unknown else { return Ok(()) };
        let message = format!("there is no function `{name}`");
        let known = own.into_iter().chain(self.names.iter().map(String::as_str));
        let error = place.error(ScriptErrorKind::Syntax, position, &message);
        let width = u32::try_from(name.chars().count()).unwrap_or(1);
        Err(ScriptError {
            width,
            help: nearest(&name, known).map(|near| format!("did you mean `{near}`?")),
            ..error
        })
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
    pub(super) fn call<const N: usize>(
        &self,
        code: &Code,
        name: &str,
        mut arguments: [Dynamic; N],
        place: Place,
    ) -> Result<Dynamic, ScriptError> {
        meter::start(&self.limits);
        let mut caches = code.take(&self.identity);
        // The interpreter is other people's code in a process that must go on. Nothing outlives the call but
        // the arguments, which the caller gives up when it fails, and the caches, which are given up here.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut scope = Scope::new();
            let mut global = self.engine.new_global_runtime_state();
            global.lib.push(code.ast.shared_lib().clone());
            let mut context = EvalContext::new(&self.engine, &mut global, &mut caches, &mut scope, None);
            let result = context.call_fn_raw(name, false, false, &mut arguments.each_mut());
            result.or_else(|error| match *error {
                EvalAltResult::Exit(value, _) => Ok(value),
                error => Err(error),
            })
        }));
        if outcome.is_ok() {
            code.keep(&self.identity, caches);
        }
        match outcome {
            // A built-in function such as `sort` may swallow the error of its callback.
            Ok(Ok(_)) if meter::is_exceeded() => {
                Err(place.error(ScriptErrorKind::Limit, Position::NONE, &over(&self.limits)))
            }
            Ok(result) => result.map_err(|error| place.failed(error, &self.limits)),
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
    // Two levels are the way in: see `Cage::call`.
    engine.set_max_call_levels(limits.call_levels + 2);
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

/// A script with the properties that it names in its own library, where the interpreter looks first.
fn with_properties(ast: &AST) -> AST {
    let mut library = Module::clone(ast.shared_lib());
    for name in needs::properties(ast).iter().filter(|name| *name != "tag") {
        value::add_property(&mut library, name);
        state::add_property(&mut library, name);
    }
    AST::new(ast.statements().iter().cloned(), library)
}

/// Rhai's core package brings `sleep`; what is registered by hand goes before the packages.
fn forbid_waiting(engine: &mut Engine) {
    const MESSAGE: &str = "a script cannot wait";
    engine.register_fn("sleep", |_: i64| -> Answer<()> { Err(MESSAGE.into()) });
    engine.register_fn("sleep", |_: f64| -> Answer<()> { Err(MESSAGE.into()) });
}

/// Functions that the interpreter knows by itself.
const KEYWORDS: [&str; 8] = ["Fn", "call", "is_def_fn", "is_def_var", "print", "debug", "type_of", "this"];

/// The name that was probably meant: a slip or two away, and not if most of the word would have to change.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).clamp(1, 2);
    let far = |known: &str| strsim::damerau_levenshtein(known, name);
    let near = known.map(|known| (far(known), known)).filter(|(distance, _)| *distance <= allowed);
    near.min().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::script::{EventValue, Program, ScriptState, Window};

    /// Values of every type a script can have, and the odd ones of each.
    const VALUES: [&str; 34] = [
        "()",
        "true",
        "0",
        "-1",
        "3",
        "63",
        "9223372036854775807",
        "-9223372036854775808",
        "0.5",
        "0.0 / 0.0",
        "1.0 / 0.0",
        "-1e308",
        "\"\"",
        "\"aé😀\"",
        "\"2026-01-31T08:00:00Z\"",
        "\"10.0.0.0/8\"",
        "\"(\"",
        "'x'",
        "'😀'",
        "[]",
        "[1, \"a\", (), [2.5]]",
        "[3, 1, 2]",
        "#{}",
        "#{a: 1, b: [()]}",
        "1..3",
        "3..1",
        "-5..=9223372036854775807",
        "9223372036854775807..-9223372036854775808",
        "Fn(\"own\")",
        "|x| x",
        "event",
        "state",
        "window",
        "blob(3, 1)",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// Every function there is, with any arguments: it may fail, but never by a panic.
        #[test]
        fn no_function_panics(calls in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::collection::vec(prop::sample::select(&VALUES[..]), 0..5), any::<bool>()),
            40,
        )) {
            let cage = Cage::new(Arc::default());
            let names: Vec<&String> = cage.names.iter().filter(|name| !name.contains('$')).collect();
            for (name, values, is_method) in calls {
                let name = names[name.index(names.len())];
                let lets: String =
                    values.iter().enumerate().map(|(n, value)| format!("let v{n} = {value};\n")).collect();
                let arguments: Vec<String> = (0..values.len()).map(|n| format!("v{n}")).collect();
                let call = match (is_method, arguments.split_first()) {
                    (true, Some((first, rest))) => format!("{first}.{name}({})", rest.join(", ")),
                    _ => format!("{name}({})", arguments.join(", ")),
                };
                let source =
                    format!("fn own(x) {{ x }}\nfn on_event(event, state, window) {{\n{lets} {call}; () }}");
                let Ok(program) = Program::compile(&cage, &source, 1) else { continue };
                let (mut state, mut window) = (ScriptState::default(), Window::default());
                if let Err(error) = program.run(&cage, &EventValue::default(), &mut state, &mut window) {
                    prop_assert!(!error.message.contains("interpreter fail"), "{}: {}", source, error);
                }
            }
        }
    }
}
