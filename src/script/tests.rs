//! The cage from outside: what rules do, and what hostile scripts try.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::event::{Event, Format};
use crate::time::{Span, Timestamp};

fn cage() -> Cage {
    Cage::new(Arc::default())
}

/// An event that came as this JSON; its format has no canonical names of its own.
pub(super) fn event(value: &Value) -> EventValue {
    event_at(value, Timestamp(1000), 1)
}

fn event_at(value: &Value, time: Timestamp, position: u64) -> EventValue {
    let event = Event {
        position,
        received_at: time,
        time,
        source: "test".into(),
        forge: "test".into(),
        format: Format::Generic,
        type_hint: None,
        raw: value.to_string().into(),
    };
    EventValue::new(&event, &Arc::default())
}

/// The window of a script over these events, a second apart.
pub(super) fn window_of(program: &Program, events: &[EventValue]) -> Window {
    let mut window = Window::default();
    for (position, event) in (1..).zip(events) {
        let time = Timestamp(i64::try_from(position).unwrap() * 1000);
        program.look_at(&mut window, event, (time, position), Span::hours(1));
    }
    window
}

/// Evaluates an expression over a GitLab-like event.
fn holds(expression: &str) -> Result<bool, ScriptError> {
    let event = event(&json!({
        "id": 1, "author_id": -3, "author_name": "ada", "entity_path": null, "ratio": 0.5, "flag": true,
        "details": {"custom_message": "plain text", "from": "Guest", "to": "Owner", "labels": ["a", "b"]},
        "event_type": "member_updated", "odd.name": 5,
    }));
    let cage = cage();
    Predicate::compile(&cage, expression, (1, 1))?.eval(&cage, &event)
}

/// Runs a script once over an empty state and a window of the event alone.
fn run(source: &str) -> Result<Option<ScriptFinding>, ScriptError> {
    run_in(&cage(), source)
}

fn run_in(cage: &Cage, source: &str) -> Result<Option<ScriptFinding>, ScriptError> {
    let program = Program::compile(cage, source, 1)?;
    let event = event(&json!({"id": 1, "author_id": 7, "details": {"a": {"b": 1}}}));
    let mut window = window_of(&program, std::slice::from_ref(&event));
    program.run(cage, &event, &mut ScriptState::default(), &mut window)
}

/// The state that a body leaves behind.
pub(super) fn state_of(body: &str) -> ScriptState {
    let cage = cage();
    let source = format!("fn on_event(event, state, window) {{ {body} }}");
    let program = Program::compile(&cage, &source, 1).unwrap();
    let mut state = ScriptState::default();
    program.run(&cage, &EventValue::default(), &mut state, &mut Window::default()).unwrap();
    state
}

/// Runs a body of `on_event`.
fn run_body(body: &str) -> Result<Option<ScriptFinding>, ScriptError> {
    run(&format!("fn on_event(event, state, window) {{\n{body}\n}}"))
}

fn reason(body: &str) -> String {
    run_body(body).unwrap_or_else(|error| panic!("{body}: {error}")).unwrap().reason
}

const FAILURES: &str = r#"fn on_event(event, state, window) {      // event: read-only; state: this key's map, kept across restarts; window: count(), distinct("f"), sum("f"), first(), last(), events()
    state.failed = if event.event_type == "login_failed_with_standard_authentication" { state.failed + 1 } else { 0 };
    if state.failed >= 5 { #{ reason: `${state.failed} failures`, score: 40 } } else { () }
}
"#;

#[test]
fn the_example_of_the_language_runs_word_for_word() {
    let cage = cage();
    let program = Program::compile(&cage, FAILURES, 1).unwrap();
    let failed = event(&json!({"event_type": "login_failed_with_standard_authentication"}));
    let other = event(&json!({"event_type": "user_created"}));
    let (mut state, mut window) = (ScriptState::default(), Window::default());
    for round in 1..=7 {
        let finding = program.run(&cage, &failed, &mut state, &mut window).unwrap();
        assert_eq!(state.json(), format!("{{\"failed\":{round}}}"));
        let reason = format!("{round} failures");
        let expected = (round >= 5).then_some(ScriptFinding { reason, score: Some(40.0), value: None });
        assert_eq!(finding, expected, "round {round}");
    }
    assert_eq!(program.run(&cage, &other, &mut state, &mut window), Ok(None));
    assert_eq!(state.json(), "{\"failed\":0}");
}

#[test]
fn predicates_read_the_event() {
    for (expression, expected) in [
        ("event.author_id == -3", true),
        ("level(event.details.to) > level(event.details.from)", true),
        ("event.missing == ()", true),
        ("event.entity_path == ()", true),
        ("event.a.b.c.d == ()", true),
        ("event.details.custom_message.action == ()", true),
        ("event.details.custom_message.action == \"git-upload-pack\"", false),
        ("event.id.x == () && event.ratio.x == () && event.flag.x == ()", true),
        ("event.details.labels.x == ()", true),
        ("event.missing >= 5 || event.missing < 5", false),
        ("event.missing == \"x\"", false),
        ("event[\"odd.name\"] == 5", true),
        ("event.missing.contains(\"x\")", false),
        ("event.author_name.contains(\"d\")", true),
        ("event.author_name.to_upper() == \"ADA\"", true),
        ("\"b\" in event.details.labels", true),
        ("\"from\" in event.details && !(\"x\" in event.details)", true),
        ("event.details.labels.len() == 2 && event.details.labels[1] == \"b\"", true),
        ("event.tag == ()", true),
        ("event.details == ()", false),
        ("event.details != () && event.details == event.details", true),
        ("event.ratio + 1 == 1.5", true),
        ("()", false),
        ("if event.flag { event.id == 1 } else { false }", true),
        ("event.details.labels.some(|label| label == \"a\")", true),
    ] {
        assert_eq!(holds(expression), Ok(expected), "{expression}");
    }
}

#[test]
fn mistakes_are_found_when_compiling_with_their_place() {
    for (source, line, column, message) in [
        ("event.id ==", 10, 12, "incomplete"),
        ("true &&\n  evnt.id == 1", 11, 3, "evnt"),
        ("let x = 1; x == 1", 10, 1, "Unexpected"),
        ("", 10, 1, "empty"),
        ("eval(\"true\")", 10, 1, "eval"),
        ("while true {}", 10, 1, ""),
    ] {
        let error = Predicate::compile(&cage(), source, (10, 1)).unwrap_err();
        assert_eq!((error.line, error.column), (line, column), "{source}: {error}");
        assert!(error.message.contains(message), "{source}: {error}");
    }
    for (source, line, message) in [
        ("fn other() { 1 }", 20, "needs `fn on_event(event, state, window)"),
        ("\nfn on_event(event) { 1 }", 21, "takes three parameters (event, state, window), here it has 1"),
        ("let x = 1;\nfn on_event(a, b, c) { 1 }", 21, "top level"),
        ("fn on_event(a, b, c) {\n  d\n}", 21, "d"),
        ("fn on_event(a, b, c) {\n  let n = 5;\n  [1].filter(|x| x > n)\n}", 22, "closure"),
        ("import \"x\";", 20, ""),
        ("fn on_event(a, b, c) {\n  lowr(a.b) == 1\n}", 21, "did you mean `lower`"),
    ] {
        let error = Program::compile(&cage(), source, 20).unwrap_err();
        assert_eq!(error.line, line, "{source}: {error}");
        let text = format!("{error} {}", error.help.as_deref().unwrap_or_default());
        assert!(text.contains(message), "{source}: {text}");
        assert_eq!(error.kind, ScriptErrorKind::Syntax);
    }
}

#[test]
fn a_text_that_looks_like_a_capture_is_none() {
    assert_eq!(holds("event.author_name == \"Share([\" || \"\\\"Share(\" == \"\\\"Share(\""), Ok(true));
    assert!(run("fn Share(x) { x } fn on_event(e, s, w) { Share(1); () }").is_ok());
}

#[test]
fn errors_show_the_innermost_line() {
    let source =
        "fn helper(x) {\n  throw \"no \" + x;\n}\nfn on_event(event, state, window) {\n  helper(1)\n}";
    let error = Program::compile(&cage(), source, 100).map(|_| run(source).unwrap_err()).unwrap();
    assert_eq!((error.line, error.kind), (2, ScriptErrorKind::Failed));
    assert_eq!(error.message, "no 1");
    let error = holds("true &&\n  event.id.nonsense(1)").unwrap_err();
    assert_eq!(error.line, 2);
    assert!(error.message.contains("no function `nonsense`"), "{error}");
    let error = holds("event.author_name").unwrap_err();
    assert_eq!(error.to_string(), "line 1, column 1: the script must give true or false, not string");
}

#[test]
fn answers_of_a_rule_script() {
    let finding =
        |reason: &str, score, value| Some(ScriptFinding { reason: reason.to_owned(), score, value });
    assert_eq!(run_body("true"), Ok(finding("", None, None)));
    assert_eq!(run_body("false"), Ok(None));
    assert_eq!(run_body("\"why\""), Ok(finding("why", None, None)));
    assert_eq!(run_body("#{value: 2, score: 1.5}"), Ok(finding("", Some(1.5), Some(2.0))));
    assert_eq!(run_body("return #{reason: `${event.author_id}`};"), Ok(finding("7", None, None)));
    for (body, message) in [
        ("42", "must give (), true or false"),
        ("#{reson: 1}", "no `reson`"),
        ("#{score: \"high\"}", "score must be a number, not `high`"),
        ("#{score: 0.0 / 0.0}", "score must be a number"),
    ] {
        let error = run_body(body).unwrap_err();
        assert!(error.message.contains(message), "{error}");
        assert_eq!(error.line, 1);
    }
}

#[test]
fn state_is_a_map_that_lasts() {
    for (body, expected) in [
        ("state.n += 2; state.n -= 1; `${state.n}`", "1"),
        ("state.list = []; state.list.push(3); state.list.push(4); `${state.list}`", "[3, 4]"),
        ("state.by = #{}; state.by[\"x\"] = 1; state.by.y = 2; `${state.by.x + state.by.y}`", "3"),
        ("state.by = #{a: #{}}; state.by.a.b = 5; `${state.by.a.b}`", "5"),
        (
            "state.a = 1; state.remove(\"a\"); `${state.len()} ${\"a\" in state} ${state.is_empty()}`",
            "0 false true",
        ),
        ("state.b = 1; state.a = 2; `${state.keys()}`", "[\"a\", \"b\"]"),
        ("state.e = event; `${state.e.details.a.b}`", "1"),
        ("state.tag = 7; state.tag += 1; `${state.tag}`", "8"),
        ("set(state); `${state.set}`", "9"),
    ] {
        let source =
            format!("fn set(state) {{ state.set = 9; }} fn on_event(event, state, window) {{ {body} }}");
        assert_eq!(run(&source).unwrap().unwrap().reason, expected, "{body}");
    }
}

#[test]
fn state_is_the_same_with_and_without_a_restart() {
    let source = "fn on_event(event, state, window) {
        if state.seen == () { state.seen = [event, 1.0, 'x', (), #{a: ()}]; state.gone = (); return; }
        state.seen.push(type_of(state.seen[0]) + type_of(state.seen[1]) + type_of(state.seen[2]));
        `${state.seen[0].details.a.b} ${state.contains(\"gone\")} ${state.seen.len()}`
    }";
    let cage = cage();
    let program = Program::compile(&cage, source, 1).unwrap();
    let event = event(&json!({"id": 1, "details": {"a": {"b": 1}}}));
    let mut state = ScriptState::default();
    program.run(&cage, &event, &mut state, &mut Window::default()).unwrap();
    let saved = serde_json::to_string(&state).unwrap();
    let bytes = postcard::to_stdvec(&state).unwrap();
    let mut restored: ScriptState = serde_json::from_str(&saved).unwrap();
    assert_eq!(postcard::from_bytes::<ScriptState>(&bytes).unwrap(), restored);
    let live = program.run(&cage, &event, &mut state, &mut Window::default());
    assert_eq!(live, program.run(&cage, &event, &mut restored, &mut Window::default()));
    assert_eq!(state, restored);
    assert_eq!(live.unwrap().unwrap().reason, "1 false 6");
}

#[test]
fn an_error_leaves_the_state_as_it_was() {
    let cage = cage();
    let mut state = state_of("state.n = 1;");
    for body in [
        "state.n = 2; throw \"x\"",
        "state.n = 2; loop {}",
        "state.n = 2; 42",
        "state.n = 2; state.big = [1, 2]; loop { state.big += state.big; if state.big.len() > 8000 { return; } }",
        "state.n = 2; state.f = Fn(\"x\");",
        "state.n = 2; state.nan = 0.0 / 0.0;",
        "state.n = 2; state.me = state;",
        "state.n = 2; state.deep = []; let a = []; for i in 0..40 { a = [a]; } state.deep = a;",
    ] {
        let source = format!("fn on_event(event, state, window) {{ {body} }}");
        let program = Program::compile(&cage, &source, 1).unwrap();
        let event = event(&json!({"id": 1}));
        let error = program.run(&cage, &event, &mut state, &mut Window::default());
        assert!(error.is_err(), "{body}: {error:?}");
        assert_eq!(state.json(), "{\"n\":1}", "{body}");
        let good = Program::compile(&cage, "fn on_event(e, s, w) { s.n == 1 }", 1).unwrap();
        assert!(good.run(&cage, &event, &mut state, &mut Window::default()).unwrap().is_some());
    }
}

#[test]
fn windows_answer_questions() {
    let events: Vec<_> = [json!(1), json!("2"), json!(2.5), json!("x"), json!(null), json!(1)]
        .into_iter()
        .enumerate()
        .map(|(n, size)| event(&json!({"n": n, "size": size, "details": {"who": n % 2}})))
        .collect();
    let cage = cage();
    for (expression, expected) in [
        ("window.count()", "6"),
        ("window.distinct(\"size\")", "4"),
        ("window.distinct(\"details.who\")", "2"),
        ("window.distinct(\"nothing\")", "0"),
        ("window.sum(\"size\")", "6.5"),
        ("window.sum(\"n\")", "15"),
        ("window.first().n", "0"),
        ("window.last().n", "5"),
        ("window.events().filter(|e| e.details.who == 1).len()", "3"),
        ("window.events()[1].size", "2"),
    ] {
        let source = format!("fn on_event(event, state, window) {{ `${{{expression}}}` }}");
        let program = Program::compile(&cage, &source, 1).unwrap();
        let mut window = window_of(&program, &events);
        let found = program.run(&cage, &events[5], &mut ScriptState::default(), &mut window).unwrap();
        assert_eq!(found.unwrap().reason, expected, "{expression}");
    }
    assert_eq!(reason("`${type_of(window.events())} ${window.first().author_id}`"), "array 7");
}

#[test]
fn equality_is_that_of_the_language() {
    for body in [
        "[1, 2.0, \"a\", 'b', (), true] == [1.0, 2, \"a\", \"b\", (), true]",
        "[1] != [2] && [1] != [1, 2] && [[1]] == [[1]] && [()] != [false]",
        "#{a: 1} == #{a: 1.0} && #{a: 1} != #{b: 1} && #{a: 1} != #{a: 2}",
        "2 in [1, 2] && !(3 in [1, 2]) && [1, \"x\"].contains(\"x\")",
        "[5, 6].index_of(6) == 1 && [5].index_of(7) == -1",
        "let a = [1, 1, 2, 2, 1]; a.dedup(); a == [1, 2, 1]",
        "window.events().contains(event) && [event] == [window.last()]",
    ] {
        assert!(run_body(body).unwrap().is_some(), "{body}");
    }
}

#[test]
fn events_cannot_be_changed() {
    for body in ["event.id = 2;", "event.details.a = 2;", "event.details.a.b += 2;", "event[\"x\"] = 1;"] {
        let changed = run_body(&format!("{body} event.id == 1 && event.details.a.b == 1 && event.x == ()"));
        assert!(changed.is_err(), "{body}: {changed:?}");
    }
}

/// Bodies that must each end in an error that names a line, and leave the cage usable.
const HOSTILE: &[&str] = &[
    "loop {}",
    "while true { let x = 1; }",
    "for i in 0..1000000000 { state.i = i; }",
    "for i in range(0, 1000000000000, 1) { state.i = i; }",
    "let s = \"x\"; loop { s += s; }",
    "let s = \"x\"; loop { s = s + s; }",
    "let s = \"\"; s.pad(1000000000, 'x');",
    "let a = [1]; loop { a += a; }",
    "let a = [1]; loop { a.push(a); }",
    "let a = []; a.pad(1000000000, 0);",
    "let a = []; loop { a = [a]; }",
    "let a = []; loop { a = [a, a]; }",
    "let m = #{}; let i = 0; loop { m[`k${i}`] = i; i += 1; }",
    "let m = #{}; loop { m = #{a: m, b: m}; }",
    "let b = blob(1000000000, 1);",
    "let i = 0; loop { state[`k${i}`] = i; i += 1; }",
    "state.s = \"x\"; loop { state.s += state.s; }",
    "eval(\"1\")",
    "import \"x\" as y;",
    "print(\"x\"); throw \"x\";",
    "let f = |x| f.call(x); f.call(1)",
    "let n = 1; let f = || n += 1; f.call()",
    "let f = Fn(\"on_event\"); f.call(event, state, window)",
    "let f = Fn(\"on_event\"); loop { f = f.curry(f); }",
    "let f = Fn(\"on_event\"); loop { f = curry(f, f); }",
    "Fn(\"eval\").call(\"1 + 1\")",
    "call(Fn(\"curry\"), Fn(\"a\"), 1)",
    "on_event(event, state, window)",
    "fn f() {} ",
    "throw #{a: 1}",
    "let x = 9223372036854775807; x + 1",
    "1 / 0",
    "let a = [1, 2]; a[5]",
    "\"abc\"[9]",
    "(\"a\")[1..9223372036854775807 - 9223372036854775807 - 9223372036854775807 - 1]; 1 / 0",
    "let x = 5; x[0..=9223372036854775807]; 1 / 0",
    "sleep(10)",
    "timestamp()",
    "rand()",
    "matches(\"a\", \"(?:a{500}){500}\")",
    "loop { matches(\"aaaaaaaaaaaaaaaaaaaa\", \"(a|aa)+$\") }",
    "loop { window.events(); }",
    "loop { window.distinct(\"id\") }",
    "Fn(\"sleep\").call(1)",
    "sleep(0.1)",
    "let s = state; state.a = [s];",
    "let a = []; for i in 0..950 { a.push(i); } let b = a; loop { a == b; }",
    "let a = []; for i in 0..950 { a.push(i); } loop { state.a = a; }",
    "let a = []; a.pad(900, 0); a.map(|x| { let b = []; b.pad(900, 0); b.map(|y| { for i in 0..4000 { y += 1; } y }) }); 1 / 0",
    "[2, 1].sort(|a, b| { loop {} });",
    "try { loop {} } catch { return; }",
    "loop { try { loop {} } catch {} }",
    "private fn x() {}",
    "this.x = 1",
    "exit(42)",
    "let a = []; for i in 0..950 { a = [a]; } a == a; 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } let b = `${a}`; 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } a.contains(a); 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } let b = a; b.push(a); 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } [a].index_of(a); 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } debug(a); 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } let m = #{a: a}; m == m; 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } f(a); 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } type_of(a); 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } a.sort(); 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } a.dedup(); 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } state.a = a; 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } [[a], [a]].dedup(); 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } a.to_debug(); 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } a.to_json(); 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } let b = a + a; 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } [a].map(|x| x); 1 / 0",
    "let a = []; for i in 0..300 { a = [a]; } throw a; 1 / 0",
    "let m = #{}; for i in 0..450 { m = #{a: m}; } m == m; `${m}`; 1 / 0",
    "let m = #{}; for i in 0..450 { m = #{a: m}; } m.to_json(); 1 / 0",
    "let a = []; for i in 0..480 { a = [[#{a: a}]]; } let b = a; `${a == b}`; 1 / 0",
    "let s = \"\"; s.pad(9000, '('); matches(\"x\", s)",
];

#[test]
fn hostile_scripts_are_stopped() {
    let cage = Cage::with_limits(Arc::default(), Limits { operations: 8_000, ..Limits::default() });
    let wide = format!("let x = {};", vec!["1"; 20_000].join(" + "));
    let deep = format!("let x = {}1{};", "(".repeat(5_000), ")".repeat(5_000));
    let blocks = format!("{}{}", "if true {".repeat(5_000), "}".repeat(5_000));
    let arrays = format!("let x = {}{};", "[".repeat(5_000), "]".repeat(5_000));
    let long = format!("let x = \"{}\";", "x".repeat(100_000));
    let nots = format!("let x = {}true;", "!".repeat(5_000));
    let dots = format!("let x = event{};", ".a".repeat(5_000));
    let many: String = (0..200).map(|n| format!("let v{n} = {n};")).collect();
    let event = event(&json!({"id": 1}));
    let built = [wide, deep, blocks, arrays, long, nots, dots, many];
    for body in HOSTILE.iter().copied().chain(built.iter().map(String::as_str)) {
        let shown: String = body.chars().take(60).collect();
        let source = format!("// line 1\nfn on_event(event, state, window) {{\n{body}\n}}");
        let error = match Program::compile(&cage, &source, 1) {
            Err(error) => error,
            Ok(program) => {
                let run = || program.run(&cage, &event, &mut ScriptState::default(), &mut Window::default());
                let Err(error) = run() else { panic!("{shown}: not stopped") };
                assert_eq!(run(), Err(error.clone()), "{shown}: the same input, another end");
                error
            }
        };
        assert!((2..=4).contains(&error.line) && error.column >= 1, "{shown}: {error}");
    }
    let good = run_in(&cage, "fn on_event(event, state, window) { true }");
    assert_eq!(good.map(|finding| finding.is_some()), Ok(true));
}

#[test]
fn recursion_as_deep_as_allowed_fits_the_stack() {
    let nested = |levels: usize| {
        let mut text = "f(n + 1)".to_owned();
        for _ in 0..levels {
            text = format!("(1 + if true {{ {text} }} else {{ 0 }})");
        }
        format!("fn f(n) {{ {text} }} fn on_event(event, state, window) {{ f(1); }}")
    };
    let deepest = (1..).take_while(|levels| Program::compile(&cage(), &nested(*levels), 1).is_ok()).last();
    let source = nested(deepest.unwrap());
    // The stack that a thread has by default.
    let threads = std::thread::Builder::new().stack_size(2 << 20).spawn(move || run(&source));
    let error = threads.unwrap().join().unwrap().unwrap_err();
    assert_eq!(error.kind, ScriptErrorKind::Limit, "{error}");
}

#[test]
fn recursion_through_built_in_functions_ends_too() {
    for call in ["[1].map(Fn(\"f\"))", "[1].some(|x| f(x))", "Fn(\"f\").call(x)"] {
        let source = format!(
            "fn f(x) {{ let a = [3, 4]; {call}; }} fn g(x, y) {{ f(x); 1 }} fn on_event(e, s, w) {{ f(1); }}"
        );
        let error = run(&source).expect_err(call);
        assert_eq!(error.kind, ScriptErrorKind::Limit, "{call}: {error}");
    }
}

#[test]
fn ordinary_nesting_is_allowed() {
    let or = vec!["event.id == 5"; 40].join(" || ");
    let sum = vec!["1"; 40].join(" + ");
    let text = vec!["\"a\""; 40].join(" + ");
    let loops =
        "for a in 0..1 { if a == 0 { for b in 0..1 { if b == 0 { let x = [#{c: (1 + 2) * 3}]; } } } }";
    for body in [
        format!("{or};"),
        format!("let x = {sum};"),
        format!("let x = {text};"),
        loops.to_owned(),
        "let x = ((((((((1 + 1))))))));".to_owned(),
    ] {
        assert_eq!(run_body(&body), Ok(None), "{body}");
    }
}

#[test]
fn too_much_text_is_refused() {
    let source = format!("true // {}", "x".repeat(70_000));
    let error = Predicate::compile(&cage(), &source, (3, 1)).unwrap_err();
    assert_eq!((error.kind, error.line), (ScriptErrorKind::Limit, 3));
}

#[test]
fn the_same_input_gives_the_same_output() {
    let source = "fn on_event(event, state, window) {
        let keys = #{}; for e in window.events() { keys[`${e.id % 7}`] += e.id; }
        state.log += [`${keys}`, window.distinct(\"id\"), hour_of(event.created_at)];
        if state.log == () { state.log = []; }
        `${state.log} ${keys.keys()}`
    }";
    let source = source.replace("state.log += [", "if state.log == () { state.log = []; } state.log += [");
    let trace = || {
        let cage = cage();
        let program = Program::compile(&cage, &source, 1).unwrap();
        let mut state = ScriptState::default();
        let mut events = Vec::new();
        let mut out = Vec::new();
        for id in 0..40 {
            let event = event(&json!({"id": id, "created_at": format!("2026-01-31T{:02}:00:00Z", id % 24)}));
            events.push(event.clone());
            let mut window = window_of(&program, &events);
            out.push((program.run(&cage, &event, &mut state, &mut window), state.json()));
        }
        out
    };
    let first = trace();
    assert!(first.iter().all(|(outcome, _)| outcome.is_ok()), "{first:?}");
    assert_eq!(first, trace());
}

#[test]
fn one_cage_serves_many_threads() {
    let cage = Arc::new(cage());
    let predicate =
        Predicate::compile(&cage, "matches(event.author_name, \"^ad\") && event.id > 0", (1, 1)).unwrap();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (cage, predicate) = (Arc::clone(&cage), predicate.clone());
            std::thread::spawn(move || {
                let event = event(&json!({"author_name": "ada", "id": 1}));
                (0..200).all(|_| predicate.eval(&cage, &event) == Ok(true))
            })
        })
        .collect();
    assert!(workers.into_iter().all(|worker| worker.join().unwrap()));
}

#[test]
fn what_is_kept_of_runs_is_of_that_cage() {
    let cage = |member: &str| {
        let lists = [("vip".to_owned(), Arc::from([member.to_owned()]))];
        Cage::new(Arc::new(ListTable::shared(lists)))
    };
    let (of_ann, of_bob) = (cage("ann"), cage("bob"));
    let predicate = Predicate::compile(&of_ann, "in_list(\"vip\", event.name)", (1, 1)).unwrap();
    let ann = event(&json!({"name": "ann"}));
    for _ in 0..5 {
        assert_eq!(predicate.eval(&of_ann, &ann), Ok(true));
        assert_eq!(predicate.eval(&of_bob, &ann), Ok(false));
    }
}

#[test]
fn a_call_means_the_same_however_often_it_was_made() {
    // The types of the arguments change from run to run, and so does the function that is meant.
    let cage = cage();
    let source = "fn f(x) { x } fn on_event(event, state, window) { `${f(event.x) + event.y}` }";
    let program = Program::compile(&cage, source, 1).unwrap();
    let values = [json!(1), json!("a"), json!(null), json!(0.5), json!([1]), json!({"a": 1}), json!(true)];
    let run = |program: &Program, x: &Value, y: &Value| {
        let event = event(&json!({"x": x, "y": y}));
        let mut window = window_of(program, std::slice::from_ref(&event));
        program.run(&cage, &event, &mut ScriptState::default(), &mut window)
    };
    for _ in 0..4 {
        for (x, y) in values.iter().flat_map(|x| values.iter().map(move |y| (x, y))) {
            let fresh = Program::compile(&cage, source, 1).unwrap();
            assert_eq!(run(&program, x, y), run(&fresh, x, y), "{x} + {y}");
        }
    }
}
