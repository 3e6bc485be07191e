//! Every modifier of Sigma 2.1 through the whole engine: what it finds, and what it must not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::sigma_story::{first_diagnostic, matches, rule_with};

/// For each row an entry of a selection, and values of `f` that it finds, and that it does not.
fn table(rows: &[(&str, &[Value], &[Value])]) {
    for (entry, found, missed) in rows {
        for (values, is_hit) in [(found, true), (missed, false)] {
            for value in *values {
                let event = json!({"f": value, "g": "Abc", "h": "b"});
                assert_eq!(matches(entry, event), is_hit, "{entry} on {value}");
            }
        }
    }
}

#[test]
fn parts_of_texts() {
    table(&[
        ("f|contains: Bc", &[json!("abcd"), json!("BC"), json!(["x", "bc"])], &[json!("b c"), json!(null)]),
        ("f|startswith: ab", &[json!("Abc"), json!("ab")], &[json!("xab"), json!("")]),
        ("f|endswith: bc", &[json!("aBC")], &[json!("bcd")]),
        ("f|contains: 'a*c'", &[json!("xaYYcz")], &[json!("ca")]),
        ("f|startswith: 'a?c'", &[json!("abcd"), json!("aßc")], &[json!("ac")]),
        (r"f|contains: 'a\*c'", &[json!("xa*cz")], &[json!("abc")]),
        (r"f|endswith: '\'", &[json!("C:\\")], &[json!("C:")]),
        ("f|contains: ''", &[json!(""), json!("x"), json!(0)], &[json!(null)]),
    ]);
}

#[test]
fn all_and_lists() {
    table(&[
        ("f|contains: [ab, cd]", &[json!("xab"), json!("cd")], &[json!("ac")]),
        ("f|contains|all: [ab, cd]", &[json!("cdab"), json!(["ab", "cd"])], &[json!("ab"), json!("cd")]),
        ("f|all|startswith: [a, ab]", &[json!("abc")], &[json!("ac")]),
        ("f|re|all: ['^a', 'z$']", &[json!("az")], &[json!("ab")]),
        ("f|all: ['a*', '*z']", &[json!("abz")], &[json!("bz")]),
    ]);
    assert_eq!(first_diagnostic(&rule_with("f|contains|all: a")).unwrap().code, "all-of-one");
}

#[test]
fn exists() {
    table(&[
        ("f|exists: true", &[json!(""), json!(0), json!({}), json!([1]), json!(null)], &[]),
        ("e|exists: false", &[json!(1)], &[]),
        ("f|exists: false", &[], &[json!(""), json!(null)]),
    ]);
}

#[test]
fn cased() {
    table(&[
        ("f|cased: Abc", &[json!("Abc")], &[json!("abc"), json!("ABC")]),
        ("f|contains|cased: B", &[json!("aBc")], &[json!("abc")]),
        ("f|cased|startswith: [X, Ä]", &[json!("Xy"), json!("Ärger")], &[json!("xy"), json!("ärger")]),
        ("f|cased: 'A*C'", &[json!("AbC")], &[json!("abc")]),
        ("f|fieldref|cased: g", &[json!("Abc")], &[json!("abc")]),
        ("f|re|cased: A", &[json!("A")], &[json!("a")]),
    ]);
}

#[test]
fn neq() {
    table(&[
        ("f|neq: a", &[json!("b"), json!(null), json!(1), json!([])], &[json!("A"), json!(["b", "a"])]),
        ("f|neq: [1, 2]", &[json!(3), json!("3")], &[json!(1), json!("2"), json!(2.0)]),
        ("f|contains|neq: b", &[json!("acd")], &[json!("abc")]),
        ("f|neq|re: '^a'", &[json!("ba")], &[json!("ab")]),
        ("f|cidr|neq: 10.0.0.0/8", &[json!("192.0.2.1"), json!("host")], &[json!("10.1.1.1")]),
        ("f|fieldref|neq: g", &[json!("abd")], &[json!("ABC")]),
        (
            "f|hour|neq: 9",
            &[json!("2026-01-05T10:00:00Z"), json!("no time")],
            &[json!("2026-01-05T09:59:59Z")],
        ),
        ("f|neq: null", &[json!("a"), json!("")], &[json!(null)]),
        ("f|neq: ''", &[json!("a"), json!(null)], &[json!("")]),
        ("e|neq: x", &[json!(1)], &[]),
    ]);
}

#[test]
fn windash() {
    table(&[
        ("f|windash: '-h'", &["-h", "/h", "–h", "—h", "―H"].map(Value::from), &[json!("h"), json!("--h")]),
        ("f|windash|contains: ' /add'", &[json!("net -add x"), json!("net —add x")], &[json!("net add")]),
        ("f|contains|windash|all: [' -a', ' -b']", &[json!("x /a —b"), json!("x -b -a")], &[json!("x -a")]),
        // A path keeps its slashes, except the first one of a word.
        ("f|windash: 'usr/bin'", &[json!("usr/bin")], &[json!("usr-bin")]),
    ]);
}

#[test]
fn regular_expressions_and_their_flags() {
    table(&[
        ("f|re: 'a.c'", &[json!("xabcx"), json!(["no", "abc"])], &[json!("ABC"), json!("a\nc")]),
        ("f|re|i: 'a.c'", &[json!("ABC")], &[json!("a\nc")]),
        ("f|re|s: 'a.c'", &[json!("a\nc")], &[json!("A\nC")]),
        ("f|re|m: '^b$'", &[json!("a\nb\nc")], &[json!("a\nB\nc")]),
        ("f|re|i|m|s: '^b.c$'", &[json!("a\nB\nC")], &[json!("bc")]),
        ("f|re: '^[0-9]{2,3}$'", &[json!(42), json!("123")], &[json!(1), json!("1234")]),
        ("f|re: '^[^a-c]+$'", &[json!("xyz")], &[json!("xaz"), json!("")]),
        ("f|re: '(ab|cd)+?'", &[json!("cdab")], &[json!("ac")]),
        ("f|re: '^$'", &[json!("")], &[json!(" "), json!(null)]),
    ]);
}

#[test]
fn encodings() {
    let encode = |bytes: &[u8]| Value::from(STANDARD.encode(bytes));
    let little = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let marked = |text: &str| [vec![0xFF, 0xFE], little(text)].concat();
    let inside: Vec<Value> =
        ["", "x", "xy", "xyz"].map(|before| encode(format!("{before}/bin/bash -i").as_bytes())).to_vec();
    let wide: Vec<Value> =
        ["", "x", "xy"].map(|before| encode(&little(&format!("{before}ping -n")))).to_vec();
    table(&[
        ("f|base64: 'foo bar'", &[encode(b"foo bar")], &[json!("foo bar"), encode(b"foo bar!")]),
        ("f|base64offset|contains: /bin/bash", &inside, &[encode(b"/bin/zsh"), json!("/bin/bash")]),
        ("f|wide|base64offset|contains: ping", &wide, &[encode(b"ping"), encode(&big("ping"))]),
        ("f|utf16le|base64: ping", &[encode(&little("ping"))], &[encode(&big("ping"))]),
        ("f|utf16be|base64: ping", &[encode(&big("ping"))], &[encode(&little("ping"))]),
        ("f|utf16|base64: ping", &[encode(&marked("ping"))], &[encode(&little("ping"))]),
        ("f|wide|base64: 'é😀'", &[encode(&little("é😀"))], &[encode("é😀".as_bytes())]),
        ("f|windash|base64: '-f'", &[encode(b"-f"), encode("—f".as_bytes())], &[encode(b"f")]),
        ("f|cased|base64: ab", &[json!("YWI=")], &[json!("ywi=")]),
    ]);
}

#[test]
fn numbers() {
    table(&[
        (
            "f|lt: 10",
            &[json!(9), json!("9.5"), json!(-1e9)],
            &[json!(10), json!("a"), json!(null), json!(false)],
        ),
        ("f|lte: 10", &[json!(10), json!(10.0)], &[json!(10.001)]),
        ("f|gt: -1.5", &[json!(-1), json!(0)], &[json!(-1.5), json!(-2)]),
        ("f|gte: 0x10", &[json!(16)], &[json!(15), json!("0x10")]),
        ("f|gte: [5, 100]", &[json!(5), json!([1, 7])], &[json!(4)]),
        ("f|gte: 5\nf|lt: 10", &[json!(5), json!(9)], &[json!(4), json!(10)]),
    ]);
}

#[test]
fn parts_of_times() {
    table(&[
        ("f|minute: 59", &[json!("2026-01-05T09:59:59Z")], &[json!("2026-01-05T09:00:59Z"), json!("59")]),
        ("f|hour: [22, 23]", &[json!("2026-01-05T22:00:00Z")], &[json!("2026-01-05T21:59:59Z")]),
        ("f|hour|gte: 22", &[json!("2026-01-05T23:00:00Z")], &[json!("2026-01-05T21:59:59.999Z")]),
        ("f|hour|lt: 6", &[json!("2026-01-05T05:59:00+00:00")], &[json!("2026-01-05T06:00:00Z")]),
        ("f|day: 31", &[json!("2026-01-31")], &[json!("2026-02-01T00:30:00+00:00")]),
        // The same moment is still January in UTC.
        ("f|day: 31", &[json!("2026-02-01T00:30:00+01:00")], &[]),
        (
            "f|week: 53",
            &[json!("2020-12-31"), json!("2021-01-03")],
            &[json!("2021-01-04"), json!("2020-12-27")],
        ),
        ("f|week: 1", &[json!("2024-12-30")], &[json!("2024-12-29")]),
        ("f|month|lte: 2", &[json!("2026-02-28")], &[json!("2026-03-01")]),
        ("f|year: 2026", &[json!("2026-06-01"), json!(1_780_000_000)], &[json!("2025-12-31T23:59:59Z")]),
    ]);
}

#[test]
fn networks() {
    table(&[
        ("f|cidr: 192.168.0.0/16", &[json!("192.168.255.255")], &[json!("192.169.0.0"), json!("::1")]),
        (
            "f|cidr: ['10.0.0.0/8', '2001:db8::/32']",
            &[json!("2001:DB8::7"), json!("10.0.0.1")],
            &[json!("11.0.0.1")],
        ),
        ("f|cidr: '::/0'", &[json!("::1")], &[json!("host")]),
        ("f|cidr|expand: '%nets%'", &[json!("10.7.7.7"), json!("fd12::1")], &[json!("192.0.2.1")]),
    ]);
}

#[test]
fn lists_are_expanded_also_inside_other_text() {
    table(&[
        ("f|expand: '%vip%'", &[json!("ALICE"), json!("svc-7")], &[json!("bob"), json!("%vip%")]),
        ("f|expand: 'user:%vip%!'", &[json!("user:alice!"), json!("user:svc-x!")], &[json!("alice")]),
        ("f|expand|contains: '%vip%'", &[json!("is alice here")], &[json!("bob")]),
        ("f|expand: '%vip%/%vip%'", &[json!("alice/svc-1"), json!("svc-2/alice")], &[json!("alice")]),
        ("f|neq|expand: '%vip%'", &[json!("bob")], &[json!("alice")]),
        ("f|gte|expand: '%limits%'", &[json!(5)], &[json!(4)]),
        ("f: '%vip%'", &[json!("%vip%")], &[json!("alice")]),
    ]);
    assert_eq!(first_diagnostic(&rule_with("f|expand: '%nobody%'")).unwrap().code, "unknown-list");
}

#[test]
fn references_to_other_fields() {
    table(&[
        ("f|fieldref: g", &[json!("aBC"), json!(["x", "abc"])], &[json!("ab"), json!(null)]),
        ("f|fieldref|contains: h", &[json!("xBx")], &[json!("ac")]),
        ("f|fieldref|startswith: h", &[json!("bac")], &[json!("abc")]),
        ("f|fieldref|endswith: h", &[json!("ab")], &[json!("ba")]),
        ("f|contains|fieldref|neq: h", &[json!("ac"), json!(null)], &[json!("abc")]),
        ("f|fieldref: [g, h]", &[json!("abc"), json!("B")], &[json!("x")]),
        ("f|fieldref|all|contains: [g, h]", &[json!("xabcx")], &[json!("b")]),
    ]);
}

#[test]
fn keywords() {
    let rule = |words: &str| {
        format!("title: T\nlogsource: {{product: generic}}\ndetection:\n  s: {words}\n  condition: s\n")
    };
    let hits = |words: &str| {
        let events =
            [json!({"a": "The Secret"}), json!({"b": {"c": ["x", "pass word"]}}), json!({"secret": 1})];
        let events: Vec<Value> = events.into_iter().map(|event| super::sigma_story::at(0, event)).collect();
        let told = super::sigma_story::story(&rule(words), &events);
        told.findings.iter().map(|finding| finding.position).collect::<Vec<_>>()
    };
    assert_eq!(hits("[secret, 'pass*']"), [1, 2]);
    assert_eq!(hits("secret"), [1]);
    assert_eq!(hits("{'|all': [the, secret]}"), [1]);
    assert_eq!(hits("{'|re': '^x$'}"), [2]);
    assert_eq!(hits("[nothing, {a: '*secret'}]"), [1]);
}
