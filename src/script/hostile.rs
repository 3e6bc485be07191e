//! Scripts that try to break out, and what becomes of each.
//!
//! Every row must end as it says, in the same way twice, with a line number where it fails, and must leave the
//! cage usable and the state as it was.

use super::tests::{event, state_of, window_of};
use super::*;
use serde_json::json;
use std::sync::Arc;

/// How a hostile body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It does not compile.
    Refused,
    /// It goes over a limit.
    Over,
    /// It throws.
    Throws,
    /// It does no harm and finds nothing.
    Harmless,
}
use End::{Harmless, Over, Refused, Throws};

const ROWS: &[(&str, End)] = &[
    // Loops.
    ("loop {}", Over),
    ("while true {}", Over),
    ("do {} while true;", Over),
    ("do {} until false;", Over),
    ("for i in 0..9223372036854775807 {} ()", Harmless),
    ("for i in range(0, 1000000000000, 1) {}", Over),
    ("for i in range(0, 10, 0) {}", Throws),
    ("for i in 0..=9223372036854775807 { continue; }", Over),
    ("for c in \"x\" { loop {} }", Over),
    ("[1].map(|x| { loop {} });", Over),
    ("[1].filter(|x| { loop {} });", Over),
    ("[1, 2].reduce(|a, b| { loop {} });", Over),
    ("[2, 1].sort(|a, b| { loop {} });", Over),
    ("[1].for_each(|| { loop {} });", Over),
    ("#{a: 1}.filter(|k, v| { loop {} });", Over),
    ("try { loop {} } catch { return; }", Over),
    ("loop { try { loop {} } catch {} }", Over),
    ("try { throw 1; } catch (e) { loop { e += 1; } }", Over),
    ("[3, 1, 2].sort(|a, b| { a.x(); 0 });", Refused),
    ("let x = 5; while x > 0 { x += 1; x -= 1; }", Over),
    ("switch 1 { 1 => loop {} }", Over),
    // A comparison that contradicts itself must not make the sort fail.
    (
        "let a = []; for i in 0..50 { a.push(i); } a.sort(|x, y| -1); a.sort(|x, y| 1); a.sort(|x, y| true); ()",
        Harmless,
    ),
    // Recursion.
    ("on_event(event, state, window)", Over),
    ("ping(1)", Over),
    ("let f = |x| f.call(x); f.call(1)", Refused),
    ("Fn(\"on_event\").call(event, state, window)", Over),
    ("call(Fn(\"on_event\"), event, state, window)", Over),
    ("[1].map(Fn(\"ping\"));", Over),
    ("this.on_event(1)", Throws),
    // Text.
    ("let s = \"x\"; loop { s += s; }", Over),
    ("let s = \"x\"; loop { s = s + s; }", Over),
    ("let s = \"x\"; loop { s = `${s}${s}`; }", Over),
    ("let s = \"x\"; s.pad(1000000000, 'x');", Over),
    ("let s = \"x\"; s.pad(9223372036854775807, \"xy\");", Over),
    ("let s = \"x\"; for i in 0..14 { s += s; } loop { s.replace(\"x\", \"xxxxxxxxxxxxxxxxx\"); }", Over),
    ("let s = \"x\"; for i in 0..14 { s += s; } s.split(\"\");", Over),
    ("let s = \"x\"; for i in 0..14 { s += s; } s.split(); ()", Harmless),
    ("let s = \"x\"; for i in 0..14 { s += s; } s.to_chars();", Over),
    ("let s = \"x\"; for i in 0..14 { s += s; } s.to_blob();", Over),
    ("let s = \"x\"; for i in 0..15 { s += s; } loop { s.to_upper(); }", Over),
    ("let s = \"x\"; for i in 0..15 { s += s; } loop { upper(s); }", Over),
    ("let s = \"x\"; for i in 0..15 { s += s; } loop { s.index_of(\"xy\"); }", Over),
    ("let s = \"x\"; for i in 0..15 { s += s; } loop { s == s; }", Over),
    ("let s = \"x\"; for i in 0..15 { s += s; } loop { let t = s; t.crop(1); }", Over),
    ("let s = \"x\"; for i in 0..15 { s += s; } loop { s.sub_string(1..9223372036854775807); }", Over),
    ("let s = \"x\"; for i in 0..15 { s += s; } loop { let t = s; t.remove(\"x\"); }", Over),
    ("let s = \"x\"; for i in 0..15 { s += s; } loop { let t = s; t += \"y\"; }", Over),
    ("let s = \"x\"; for i in 0..15 { s += s; } let a = []; loop { a.push(s); }", Over),
    (
        "let s = \"x\"; for i in 0..15 { s += s; } let m = #{}; let i = 0; loop { m[`${i}`] = s; i += 1; }",
        Over,
    ),
    ("let s = \"x\"; for i in 0..15 { s += s; } loop { s.len(); s.crop(1); }", Over),
    ("\"abc\"[9]", Throws),
    ("\"abc\"[-9]", Throws),
    ("\"abc\".sub_string(-9223372036854775808, 9223372036854775807); ()", Harmless),
    ("\"abc\".crop(9223372036854775807, -9223372036854775808); ()", Harmless),
    ("\"abc\".truncate(-1); ()", Harmless),
    ("\"\\u0000\\U0010ffff\".to_upper(); ()", Harmless),
    ("\"\\u{d800}\"", Refused),
    // Arrays and maps.
    ("let a = [1]; loop { a += a; }", Over),
    ("let a = [1]; loop { a.push(a); }", Over),
    ("let a = [1]; loop { a.append(a); }", Over),
    ("let a = [1]; loop { a.insert(0, a); }", Over),
    ("let a = []; a.pad(1000000000, 0);", Over),
    ("let a = []; loop { a = [a]; }", Over),
    ("let a = []; loop { a = [a, a]; }", Over),
    ("let m = #{}; let i = 0; loop { m[`k${i}`] = i; i += 1; }", Over),
    ("let m = #{}; loop { m = #{a: m, b: m}; }", Over),
    ("let m = #{a: 1}; loop { m += #{b: m}; }", Over),
    ("let m = #{}; loop { m.mixin(#{a: m}); }", Over),
    ("blob(1000000000, 1)", Over),
    ("let b = blob(10, 1); loop { b += b; }", Over),
    ("collect(0..100000000)", Refused),
    ("let a = [1, 2]; a[5]", Throws),
    ("let a = [1, 2]; a[-5]", Throws),
    ("[1, 2].splice(-9223372036854775808, 9223372036854775807, []); ()", Harmless),
    (
        "[1, 2].extract(9223372036854775807); [1].drain(-9223372036854775808, 5); [1].retain(5, 9223372036854775807); ()",
        Harmless,
    ),
    ("[1, 2].chop(-9223372036854775808); [1, 2].truncate(-9223372036854775808); ()", Harmless),
    ("[1, 2].remove(-9223372036854775808); [1, 2].insert(-9223372036854775808, 1); ()", Harmless),
    ("[1, \"a\", ()].sort(); ()", Throws),
    ("let a = []; for i in 0..950 { a.push(i); } let b = a; loop { a == b; }", Over),
    ("let a = []; for i in 0..950 { a.push(i); } loop { a.contains(-1); }", Over),
    ("let a = []; for i in 0..950 { a.push(i); } loop { `${a}`; }", Over),
    ("let a = []; for i in 0..950 { a.push(i); } loop { a.sort(); }", Over),
    ("let a = []; for i in 0..950 { a.push(i); } loop { a.reverse(); a.dedup(); }", Over),
    ("let a = []; for i in 0..950 { a.push(i); } loop { let b = a; b.push(1); }", Over),
    ("let a = []; for i in 0..950 { a = [a]; } a == a; ()", Harmless),
    (
        "let a = []; for i in 0..300 { a = [a]; } let b = `${a}`; a.contains(a); a.sort(); a.dedup(); [a].index_of(a); ()",
        Harmless,
    ),
    ("let a = []; for i in 0..300 { a = [a]; } throw a", Throws),
    ("let m = #{}; for i in 0..450 { m = #{a: m}; } m == m; `${m}`; m.to_json(); ()", Harmless),
    ("let a = []; for i in 0..480 { a = [[#{a: a}]]; } let b = a; `${a == b}`; ()", Harmless),
    // State.
    ("let i = 0; loop { state[`k${i}`] = i; i += 1; }", Over),
    ("state.s = \"x\"; loop { state.s += state.s; }", Over),
    ("state.a = []; loop { state.a.push(1); }", Over),
    ("let s = state; state.a = [s];", Throws),
    ("state.me = state;", Throws),
    ("state.w = window;", Throws),
    ("state.f = Fn(\"x\");", Throws),
    ("state.f = |x| x;", Throws),
    ("state.r = 1..2;", Throws),
    ("state.b = blob(3, 1);", Throws),
    ("state.nan = 0.0 / 0.0;", Throws),
    ("state.inf = [1.0 / 0.0];", Throws),
    ("let a = []; for i in 0..40 { a = [a]; } state.a = a;", Throws),
    ("let a = []; for i in 0..950 { a.push(i); } loop { state.a = a; }", Over),
    ("let i = 0; loop { state[`k${i}`] = i; state.remove(`k${i}`); i += 1; }", Over),
    (
        "let k = \"x\"; for i in 0..13 { k += k; } let i = 0; loop { state[`${k}${i}`] = 1; state.clear(); i += 1; }",
        Over,
    ),
    ("state.e = event; state.e.details.a.b = 5; state.clear(); ()", Harmless),
    // Answers.
    ("state", Throws),
    ("window", Throws),
    ("event", Throws),
    ("Fn(\"x\")", Throws),
    ("42", Throws),
    ("[1]", Throws),
    ("#{score: 0.0 / 0.0}", Throws),
    ("#{score: 1.0 / 0.0}", Throws),
    ("#{value: \"x\"}", Throws),
    ("#{reasons: \"x\"}", Throws),
    // Numbers.
    ("let x = 9223372036854775807; x + 1", Throws),
    ("let x = -9223372036854775808; -x", Throws),
    ("let x = -9223372036854775808; x.abs()", Throws),
    ("let x = -9223372036854775808; x / -1", Throws),
    ("let x = -9223372036854775808; x % -1", Throws),
    ("2 ** 64", Throws),
    ("2 ** -1", Throws),
    ("1 << 9223372036854775807; ()", Harmless),
    ("1 >> -9223372036854775808; ()", Harmless),
    ("1 / 0", Throws),
    ("1 % 0", Throws),
    ("1.0 / 0.0; 0.0 % 0.0; (0.0 / 0.0) == (0.0 / 0.0); ()", Harmless),
    ("(0.0 / 0.0).to_int(); ()", Harmless),
    ("1e300.to_int()", Throws),
    ("parse_int(\"99999999999999999999\")", Throws),
    ("parse_int(\"1\", 99)", Throws),
    ("parse_float(\"x\")", Throws),
    ("99999999999999999999", Throws),
    ("1e999; ()", Harmless),
    ("let x = 5; x[0..=9223372036854775807]; ()", Harmless),
    ("let x = 5; x[-1]; ()", Harmless),
    ("let x = 5; x[64]", Throws),
    ("(1.5).round(); 1.5.to_string(); 1e-320.to_string(); ()", Harmless),
    // Ways out.
    ("eval(\"1\")", Refused),
    ("Fn(\"eval\").call(\"1 + 1\")", Throws),
    ("import \"x\" as y;", Refused),
    ("export x;", Refused),
    ("sleep(10)", Throws),
    ("Fn(\"sleep\").call(1)", Throws),
    ("timestamp()", Refused),
    ("rand()", Refused),
    ("open_file(\"/etc/passwd\")", Refused),
    ("print(\"x\"); debug(\"x\"); ()", Harmless),
    ("exit(42)", Throws),
    ("let f = Fn(\"ping\"); f.curry(1)", Refused),
    ("call(Fn(\"curry\"), Fn(\"a\"), 1)", Throws),
    ("is_shared(event)", Refused),
    ("type_of(state); is_def_fn(\"on_event\", 3); is_def_var(\"event\"); ()", Harmless),
    ("let n = 1; let f = || n += 1; f.call()", Refused),
    ("event.id = 2", Throws),
    ("event[\"x\"] = 1", Throws),
    ("event.details.a.b += 2", Throws),
    ("window.x = 1", Throws),
    ("this.x = 1", Throws),
    ("event = 5; state = 6; window = 7; ()", Harmless),
    ("global::x", Refused),
    ("__x__()", Refused),
    ("set_tag(event, 1)", Harmless),
    // Odd throws.
    ("throw", Throws),
    ("throw ()", Throws),
    ("throw #{a: [1, ()]}", Throws),
    ("throw state", Throws),
    ("throw event", Throws),
    ("throw |x| x", Throws),
    ("let s = \"x\"; for i in 0..15 { s += s; } throw s", Throws),
    ("throw \"a\\nb\\u0000\\u001b[31m\"", Throws),
    // Helpers.
    ("matches(\"a\", \"(?:a{500}){500}\")", Throws),
    ("matches(\"a\", \"(\")", Throws),
    ("loop { matches(\"aaaaaaaaaaaaaaaaaaaa\", \"(a|aa)+$\"); }", Over),
    ("let s = \"\"; s.pad(9000, '('); matches(\"x\", s)", Throws),
    ("let i = 0; loop { matches(\"x\", `${i}`); i += 1; }", Over),
    ("cidr(\"1.1.1.1\", \"x\")", Throws),
    ("in_list(\"x\", 1)", Throws),
    ("let s = \"\"; s.pad(9000, '['); parse_json(s); ()", Harmless),
    ("let s = \"[\"; for i in 0..5000 { s += \"1,\"; } s += \"1]\"; parse_json(s); ()", Over),
    ("loop { window.events(); }", Over),
    ("loop { window.distinct(\"id\"); }", Over),
    ("window.distinct(1)", Throws),
    ("window.average(\"id\")", Refused),
    ("lower()", Throws),
    ("loop { entropy(\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"); }", Over),
    ("loop { event.keys(); }", Over),
    ("loop { event.details == event.details; }", Over),
    // Things that only look wrong.
    ("fn f() {}", Refused),
    ("private fn x() {}", Refused),
    ("/* /* */", Refused),
    ("\"", Refused),
    ("`${`${1}`}`; ()", Harmless),
    ("`${", Refused),
    ("}", Refused),
    ("let event = #{}; event.id = 1; ()", Harmless),
];

#[test]
fn hostile_scripts_end_as_they_must() {
    let limits = Limits { operations: 20_000, helper_work: 50_000, ..Limits::default() };
    let cage = Cage::with_limits(Arc::default(), limits);
    let event = event(&json!({"id": 1, "details": {"a": {"b": 1}}}));
    let good = Program::compile(&cage, "fn on_event(e, s, w) { s.n == 1 }", 1).unwrap();
    let mut wrong = Vec::new();
    for (body, end) in ROWS {
        let source = format!(
            "fn ping(n) {{ pong(n) }} fn pong(n) {{ ping(n) }}\nfn on_event(event, state, window) {{\n{body}\n}}"
        );
        let mut state = state_of("state.n = 1;");
        let program = Program::compile(&cage, &source, 1);
        let outcome = program.and_then(|program| {
            let run = |state: &mut ScriptState| {
                let mut window = window_of(&program, std::slice::from_ref(&event));
                program.run(&cage, &event, state, &mut window)
            };
            let outcome = run(&mut state.clone());
            assert_eq!(run(&mut state), outcome, "{body}: the same input, another end");
            outcome
        });
        let found = match &outcome {
            Err(error) if error.kind == ScriptErrorKind::Syntax => Refused,
            Err(error) if error.kind == ScriptErrorKind::Limit => Over,
            Err(_) => Throws,
            Ok(None) => Harmless,
            Ok(Some(found)) => {
                wrong.push(format!("{body} found {found:?}"));
                continue;
            }
        };
        if found != *end {
            wrong.push(format!("{body}: {found:?} ({outcome:?})"));
        }
        if let Err(error) = &outcome {
            if !(2..=4).contains(&error.line) || error.column == 0 {
                wrong.push(format!("{body}: no place: {error}"));
            }
            assert!(error.message.chars().count() <= 300, "{body}");
            let mut window = window_of(&good, std::slice::from_ref(&event));
            let kept = good.run(&cage, &event, &mut state, &mut window);
            assert!(kept.unwrap().is_some(), "{body}: the state changed");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Texts that are hostile to the parser.
#[test]
fn hostile_texts_do_not_compile_or_do_no_harm() {
    let cage = Cage::new(Arc::default());
    let nested = |open: &str, middle: &str, close: &str| {
        format!("let x = {}{middle}{};", open.repeat(5_000), close.repeat(5_000))
    };
    for body in [
        format!("let x = {};", vec!["1"; 20_000].join(" + ")),
        nested("(", "1", ")"),
        nested("[", "", "]"),
        nested("#{a:", "1", "}"),
        nested("!", "true", ""),
        nested("-", "1", ""),
        nested("f(", "1", ")"),
        nested("|x| ", "1", ""),
        nested("if true {", "1", "}"),
        nested("switch 1 { 1 => ", "1", "}"),
        nested("/*", "", ""),
        nested("`${", "1", "}`"),
        format!("{}{}", "if true {".repeat(5_000), "}".repeat(5_000)),
        format!("{}{}", "while true {".repeat(5_000), "}".repeat(5_000)),
        format!("{}1", "if false {} else ".repeat(3_000)),
        format!("let x = event{};", ".a".repeat(20_000)),
        format!("let x = event{};", "[1]".repeat(10_000)),
        format!("let x = event{};", ".a()".repeat(10_000)),
        format!("let x = {};", vec!["event.a"; 5_000].join(" ?? ")),
        format!("let x = {};", vec!["true"; 8_000].join(" && ")),
        format!("let x = \"{}\";", "x".repeat(100_000)),
        format!("let x = \"{}\";", "\\u{1f600}".repeat(5_000)),
        (0..100).map(|n| format!("fn f{n}() {{}}")).collect::<String>(),
        "\u{0}\u{feff}\u{202e}\u{200b}".to_owned(),
        "é.ä(ö)".to_owned(),
    ] {
        let source = format!("fn on_event(event, state, window) {{\n{body}\n}}");
        let shown: String = body.chars().take(40).collect();
        let error = Program::compile(&cage, &source, 1).expect_err(&shown);
        assert!(error.line <= 3 && error.message.chars().count() <= 300, "{shown}: {error}");
    }
}
