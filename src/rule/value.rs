//! The tests a field's values stand for.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::ast::{Node, Op, Test, TimePart};
use super::modifier::{self, Affix, Chain, Join, Mode};
use super::pattern::{self, Pattern};
use super::read::{Context, integer_of, number_of};
use super::report::Report;
use super::transform::{self, DASHES_MAX, TransformError};
use super::yaml::{Content, Key, Scalar, ScalarKind, Yaml};

/// Largest compiled regular expression, in bytes; what compiles it later must allow as much.
pub const REGEX_SIZE_MAX: usize = 4 * 1024 * 1024;
/// Most tests one field may stand for after `expand` and `windash`.
const TESTS_MAX: usize = 100_000;

/// One entry of a selection: `field|modifiers: values`. Nothing after a mistake, which is reported.
pub(super) fn field_test(key: &Key, value: &Yaml, context: &mut Context<'_>) -> Option<Node> {
    let (field, chain) = modifier::parse(key, context.report)?;
    let scalars = scalars(key, value, &chain, context.report)?;
    let mut nodes = Vec::with_capacity(scalars.len());
    let mut is_whole = true;
    for (node, scalar) in scalars {
        match tests(field.as_deref(), &chain, (node, scalar), context) {
            Some(test) => nodes.push(test),
            None => is_whole = false,
        }
    }
    is_whole.then(|| match chain.join {
        Join::Any => any(nodes),
        Join::All => all(nodes),
        Join::None => Node::Not(Box::new(any(nodes))),
    })
}

/// A value without a field: a part of any value of the event.
pub(super) fn keyword(node: &Yaml, scalar: &Scalar, context: &mut Context<'_>) -> Option<Node> {
    tests(None, &Chain::default(), (node, scalar), context)
}

/// The conjunction, without a shell around a single part.
pub(super) fn all(mut nodes: Vec<Node>) -> Node {
    match nodes.pop() {
        Some(only) if nodes.is_empty() => only,
        last => Node::And(nodes.into_iter().chain(last).collect()),
    }
}

/// The disjunction, without a shell around a single part.
pub(super) fn any(mut nodes: Vec<Node>) -> Node {
    match nodes.pop() {
        Some(only) if nodes.is_empty() => only,
        last => Node::Or(nodes.into_iter().chain(last).collect()),
    }
}

fn scalars<'a>(
    key: &Key,
    value: &'a Yaml,
    chain: &Chain,
    report: &mut Report,
) -> Option<Vec<(&'a Yaml, &'a Scalar)>> {
    let items: Vec<&Yaml> = match &value.content {
        Content::List(items) if chain.mode == Mode::Exists => {
            let place = items.first().map_or(key.place, |item| item.place);
            report.error("bad-value", place, "`exists` takes one value, true or false");
            return None;
        }
        Content::List(items) => items.iter().collect(),
        Content::Scalar(_) | Content::Map(_) => vec![value],
    };
    if items.is_empty() {
        let message = format!("`{}` has an empty list, which nothing can match", key.text);
        report.error("bad-value", key.place, message).help("give a value, or leave the field out");
        return None;
    }
    if chain.join == Join::All && items.len() == 1 {
        let message = "`all` has only one value to join";
        report.warning("all-of-one", key.place, message).help("leave `all` out, or give a list");
    }
    let found: Vec<_> = items.iter().filter_map(|item| Some((*item, item.scalar()?))).collect();
    if found.len() < items.len() {
        let odd = items.iter().find(|item| item.scalar().is_none()).map_or(value, |item| item);
        let message = format!("`{}` needs a value or a list of values, not {}", key.text, odd.describe());
        let help = "write nested fields with dots, as `details.custom_message.action`";
        report.error("wrong-type", odd.place, message).help(help);
        return None;
    }
    Some(found)
}

/// All tests one value stands for, joined.
fn tests(
    field: Option<&str>,
    chain: &Chain,
    (node, scalar): (&Yaml, &Scalar),
    context: &mut Context<'_>,
) -> Option<Node> {
    let ops = if chain.expand && scalar.kind == ScalarKind::Str {
        let mut ops = Vec::new();
        for text in expand(node, &scalar.text, context)? {
            let kind =
                if matches!(chain.mode, Mode::Number(_)) { ScalarKind::Float } else { ScalarKind::Str };
            let expanded = Scalar { text, kind, column: None };
            ops.extend(operations(field, chain, (node, &expanded), context.report)?);
            if ops.len() > TESTS_MAX {
                break;
            }
        }
        ops
    } else {
        operations(field, chain, (node, scalar), context.report)?
    };
    if ops.len() > TESTS_MAX {
        let message = format!("this value stands for more than {TESTS_MAX} tests");
        context.report.error("too-many-values", node.place, message).help("use a shorter list");
        return None;
    }
    let test = |op| Node::Test(Test { field: field.map(str::to_owned), op, cased: chain.cased });
    Some(any(ops.into_iter().map(test).collect()))
}

fn operations(
    field: Option<&str>,
    chain: &Chain,
    (node, scalar): (&Yaml, &Scalar),
    report: &mut Report,
) -> Option<Vec<Op>> {
    let op = match &chain.mode {
        Mode::Text => return text_operations(field, chain, (node, scalar), report),
        Mode::Regex(flags) => regex(flags, node, scalar, report),
        Mode::Cidr => cidr(node, scalar, report),
        Mode::Number(cmp) => number(node, scalar, report).map(|number| Op::Number(*cmp, number)),
        Mode::FieldRef => field_ref(chain, node, scalar, report),
        Mode::Exists => super::read::boolean(node, "`exists`", report).map(Op::Exists),
        Mode::Time(part, cmp) => {
            time_number(*part, node, scalar, report).map(|number| Op::TimePart(*part, *cmp, number))
        }
    };
    op.map(|op| vec![op])
}

fn text_operations(
    field: Option<&str>,
    chain: &Chain,
    (node, scalar): (&Yaml, &Scalar),
    report: &mut Report,
) -> Option<Vec<Op>> {
    if scalar.kind == ScalarKind::Null {
        return null_operation(field, chain, node, report).map(|op| vec![op]);
    }
    let mut variants = match transform::apply(&chain.transforms, plain_pattern(scalar)) {
        Ok(variants) => variants,
        Err(error) => {
            report_transform(&error, node, report);
            return None;
        }
    };
    if chain.affix.is_none() && chain.transforms.is_empty() {
        variants.extend(shortest(scalar));
    }
    let (before, after) = match chain.affix {
        None if field.is_none() => (true, true),
        None => (false, false),
        Some(Affix::Contains) => (true, true),
        Some(Affix::StartsWith) => (false, true),
        Some(Affix::EndsWith) => (true, false),
    };
    let wrapped = variants.into_iter().map(|variant| pattern::wrap(variant, before, after));
    Some(wrapped.map(pattern::lower).collect())
}

fn null_operation(field: Option<&str>, chain: &Chain, node: &Yaml, report: &mut Report) -> Option<Op> {
    if field.is_none() || chain.affix.is_some() || !chain.transforms.is_empty() {
        let message = "nothing is written here: null can only be compared with a whole field";
        report.error("bad-value", node.place, message).help("write '' for the empty text");
        return None;
    }
    Some(Op::Null)
}

/// Numbers and booleans have no wildcards and are compared by their JSON text.
fn plain_pattern(scalar: &Scalar) -> Pattern {
    let text = match scalar.kind {
        ScalarKind::Str => return pattern::parse(&scalar.text),
        ScalarKind::Bool => scalar.text.to_lowercase(),
        ScalarKind::Int if scalar.text.starts_with("0x") || scalar.text.starts_with("0o") => {
            integer_of(&scalar.text).map_or_else(|| scalar.text.clone(), |number| number.to_string())
        }
        ScalarKind::Int | ScalarKind::Float | ScalarKind::Null => scalar.text.clone(),
    };
    pattern::wrap(vec![super::ast::Glob::Literal(text)], false, false)
}

/// The text by which events carry a number with a fraction, where the rule writes it otherwise: `1` for `1.0`.
fn shortest(scalar: &Scalar) -> Option<Pattern> {
    let number = number_of(&scalar.text).filter(|_| scalar.kind == ScalarKind::Float)?;
    let text = serde_json::Number::from_f64(number)?.to_string();
    let text = text.strip_suffix(".0").unwrap_or(&text);
    (text != scalar.text).then(|| vec![super::ast::Glob::Literal(text.to_owned())])
}

fn report_transform(error: &TransformError, node: &Yaml, report: &mut Report) {
    match error {
        TransformError::Wildcard => {
            let message = "a value with wildcards cannot be encoded";
            report
                .error("bad-value", node.place, message)
                .help("write `\\*` for the character, or leave it out");
        }
        TransformError::TooManyDashes(dashes) => {
            let message =
                format!("`windash` would multiply {dashes} dashes; at most {DASHES_MAX} are allowed");
            report.error("too-many-values", node.place, message).help("split the value, or use `re`");
        }
    }
}

fn regex(flags: &str, node: &Yaml, scalar: &Scalar, report: &mut Report) -> Option<Op> {
    if scalar.kind == ScalarKind::Null {
        report.error("bad-value", node.place, "a regular expression is missing here");
        return None;
    }
    let built = regex::RegexBuilder::new(&scalar.text)
        .case_insensitive(flags.contains('i'))
        .multi_line(flags.contains('m'))
        .dot_matches_new_line(flags.contains('s'))
        .size_limit(REGEX_SIZE_MAX)
        .build();
    if let Err(error) = built {
        report_regex(&error, node, report);
        return None;
    }
    let prefix = if flags.is_empty() { String::new() } else { format!("(?{flags})") };
    Some(Op::Regex(format!("{prefix}{}", scalar.text)))
}

fn report_regex(error: &regex::Error, node: &Yaml, report: &mut Report) {
    let shown = error.to_string();
    let reason = shown.rsplit("error: ").next().unwrap_or(&shown).trim();
    let (message, help) = match error {
        regex::Error::CompiledTooBig(_) => {
            ("this regular expression is too large".to_owned(), "repeat fewer times, or split it")
        }
        _ if reason.contains("look-around") => (
            "look-around (`(?=`, `(?!`, `(?<=`, `(?<!`) is not supported in regular expressions".to_owned(),
            "use a second selection with `not` in the condition",
        ),
        _ if reason.contains("backreference") => (
            "backreferences are not supported in regular expressions".to_owned(),
            "compare two fields with `fieldref`, or use `script`",
        ),
        _ => (
            format!("not a valid regular expression: {reason}"),
            "write `\\` before a character that is meant literally",
        ),
    };
    let place = caret(&shown).map_or(node.place, |(offset, width)| node.part(offset, width));
    report.error("bad-regex", place, message).help(help);
}

/// Where the regex crate's message points to, if the pattern is shown on one line: it indents by four.
fn caret(shown: &str) -> Option<(usize, usize)> {
    let line = shown.lines().nth(2)?;
    let offset = line.find('^')?;
    let is_only_carets = line.trim().chars().all(|c| c == '^');
    is_only_carets.then(|| (offset.saturating_sub(4), line.trim().len()))
}

fn cidr(node: &Yaml, scalar: &Scalar, report: &mut Report) -> Option<Op> {
    let text = scalar.text.trim();
    let host = || IpAddr::from_str(text).ok().map(IpNet::from);
    let network = IpNet::from_str(text).ok().map(|network| network.trunc()).or_else(host);
    if network.is_none() {
        let message = format!("`{text}` is not a network");
        let help = "expected an address with a prefix, as 10.0.0.0/8 or fd00::/8, or one address";
        report.error("bad-value", node.place, message).help(help);
    }
    network.map(Op::Cidr)
}

fn number(node: &Yaml, scalar: &Scalar, report: &mut Report) -> Option<f64> {
    let is_number = matches!(scalar.kind, ScalarKind::Int | ScalarKind::Float);
    let number = is_number.then(|| number_of(&scalar.text)).flatten();
    if number.is_none() {
        let message = format!("a number is needed here, not `{}`", scalar.text);
        let help = "write the number without quotes";
        let help = number_of(&scalar.text).map(|_| help.to_owned());
        report.error("bad-value", node.place, message).maybe_help(help);
    }
    number
}

fn field_ref(chain: &Chain, node: &Yaml, scalar: &Scalar, report: &mut Report) -> Option<Op> {
    if scalar.kind == ScalarKind::Null || scalar.text.trim().is_empty() {
        report.error("bad-value", node.place, "`fieldref` needs the name of another field");
        return None;
    }
    Some(Op::FieldRef(scalar.text.clone(), Affix::ref_kind(chain.affix)))
}

fn time_number(part: TimePart, node: &Yaml, scalar: &Scalar, report: &mut Report) -> Option<f64> {
    let number = number(node, scalar, report)?;
    let (low, high) = match part {
        TimePart::Minute => (0.0, 59.0),
        TimePart::Hour => (0.0, 23.0),
        TimePart::Day => (1.0, 31.0),
        TimePart::Week => (1.0, 53.0),
        TimePart::Month => (1.0, 12.0),
        TimePart::Year => (0.0, 9999.0),
    };
    if !(low..=high).contains(&number) || number.fract() != 0.0 {
        let message = format!("`{}` can never be: whole numbers from {low} to {high} can", scalar.text);
        report.error("bad-value", node.place, message);
        return None;
    }
    Some(number)
}

/// Every text that `%name%` placeholders make of this one. Entries of lists are read as if written in the
/// rule, wildcards included.
fn expand(node: &Yaml, text: &str, context: &mut Context<'_>) -> Option<Vec<String>> {
    let mut variants = vec![String::new()];
    let mut rest = text;
    let mut found = false;
    while let Some((before, name, after)) = placeholder(rest) {
        found = true;
        let values = match context.lists.values(name) {
            Ok(values) => values,
            Err(unknown) => {
                let offset = text.chars().count() - rest.chars().count() + before.chars().count();
                let place = node.part(offset, name.chars().count() + 2);
                context.report.error("unknown-list", place, unknown.message()).help(unknown.help());
                return None;
            }
        };
        if variants.len().saturating_mul(values.len()) > TESTS_MAX {
            let message = format!("these lists stand for more than {TESTS_MAX} values");
            context.report.error("too-many-values", node.place, message).help("use a shorter list");
            return None;
        }
        variants = variants
            .iter()
            .flat_map(|start| values.iter().map(move |value| format!("{start}{before}{value}")))
            .collect();
        rest = after;
    }
    if !found {
        let message = "`expand` finds no `%name%` in this value";
        context.report.warning("nothing-to-expand", node.place, message).help("write it as '%name%'");
    }
    for variant in &mut variants {
        variant.push_str(rest);
    }
    Some(variants)
}

/// The text before the next placeholder, its name, and the text after it.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c));
    text.match_indices('%').find_map(|(at, _)| {
        let (name, after) = text.get(at + 1..)?.split_once('%')?;
        is_name(name).then_some((text.get(..at)?, name, after))
    })
}

#[cfg(test)]
mod tests {
    use super::super::list::Lists;
    use super::super::yaml;
    use super::*;

    /// The tests of the one entry of a map, or the first diagnostic.
    fn check(entry: &str) -> String {
        let mut lists = Lists::new();
        lists.insert("vip", vec!["alice".into(), "svc-*".into()]);
        lists.insert("nets", vec!["10.0.0.0/8".into()]);
        lists.insert("empty", Vec::new());
        let mut report = Report::new("a.yml".into());
        let documents = yaml::parse(entry, &mut report);
        let (key, value) = &documents[0].root.entries().unwrap()[0];
        let scripts = crate::rule::script_link::Scripts::default();
        let node =
            field_test(key, value, &mut Context { report: &mut report, lists: &lists, scripts: &scripts });
        match (report.into_diagnostics().first(), node) {
            (Some(first), None) => {
                format!("{}:{}+{} {}", first.line, first.column, first.width, first.message)
            }
            (None, Some(node)) => show(&node),
            (Some(first), Some(node)) => format!("{} (warning: {})", show(&node), first.code),
            (None, None) => panic!("neither a node nor a diagnostic"),
        }
    }

    fn show(node: &Node) -> String {
        let join = |nodes: &[Node], word| nodes.iter().map(show).collect::<Vec<_>>().join(word);
        match node {
            Node::And(nodes) => format!("({})", join(nodes, " and ")),
            Node::Or(nodes) => format!("({})", join(nodes, " or ")),
            Node::Not(inner) => format!("not {}", show(inner)),
            Node::Script(script) => format!("script {}", script.source),
            Node::Test(test) => {
                let cased = if test.cased { "!" } else { "" };
                format!("{}{cased} {:?}", test.field.as_deref().unwrap_or("_"), test.op)
            }
        }
    }

    #[test]
    fn values_become_the_tests_they_say() {
        for (entry, expected) in [
            ("f: abc", r#"f Exact("abc")"#),
            ("f: 'a*'", r#"f StartsWith("a")"#),
            (
                "f: [a, 7, true, 1.5]",
                r#"(f Exact("a") or f Exact("7") or f Exact("true") or f Exact("1.5"))"#,
            ),
            ("f: True", r#"f Exact("true")"#),
            ("f: 1.0", r#"(f Exact("1.0") or f Exact("1"))"#),
            ("f|neq: 1.50", r#"not (f Exact("1.50") or f Exact("1.5"))"#),
            ("f|contains: 1.0", r#"f Contains("1.0")"#),
            ("f: '1.0'", r#"f Exact("1.0")"#),
            ("f: 0x10", r#"f Exact("16")"#),
            ("f: 0123", r#"f Exact("0123")"#),
            ("f:", "f Null"),
            ("f: null", "f Null"),
            ("f: ''", r#"f Exact("")"#),
            ("f: [a, null]", r#"(f Exact("a") or f Null)"#),
            ("f|contains: 10", r#"f Contains("10")"#),
            ("f|contains|all: [a, b]", r#"(f Contains("a") and f Contains("b"))"#),
            ("f|all: [a*, '*b']", r#"(f StartsWith("a") and f EndsWith("b"))"#),
            ("f|neq: [a, b]", r#"not (f Exact("a") or f Exact("b"))"#),
            ("f|neq: null", "not f Null"),
            ("f|cased: Abc", r#"f! Exact("Abc")"#),
            ("f|startswith: 'a*b'", r#"f Wildcard([Literal("a"), Many, Literal("b"), Many])"#),
            ("f|re: '^a+$'", r#"f Regex("^a+$")"#),
            ("f|re|i|s: 'a.b'", r#"f Regex("(?is)a.b")"#),
            ("f|cidr: 10.1.2.3/8", "f Cidr(10.0.0.0/8)"),
            ("f|cidr: [10.0.0.1, '::1']", "(f Cidr(10.0.0.1/32) or f Cidr(::1/128))"),
            ("f|gte: 10", "f Number(Gte, 10.0)"),
            ("f|lt: -1.5", "f Number(Lt, -1.5)"),
            ("f|exists: false", "f Exists(false)"),
            ("f|fieldref: g.h", r#"f FieldRef("g.h", Equals)"#),
            ("f|fieldref|endswith: g", r#"f FieldRef("g", EndsWith)"#),
            ("f|fieldref|neq: g", r#"not f FieldRef("g", Equals)"#),
            ("f|hour: [22, 23]", "(f TimePart(Hour, Eq, 22.0) or f TimePart(Hour, Eq, 23.0))"),
            ("f|hour|gte: 22", "f TimePart(Hour, Gte, 22.0)"),
            ("f|week: 53", "f TimePart(Week, Eq, 53.0)"),
            ("f|expand: '%vip%'", r#"(f Exact("alice") or f StartsWith("svc-"))"#),
            (
                "f|expand|contains: 'x%vip%y'",
                r#"(f Contains("xalicey") or f Wildcard([Many, Literal("xsvc-"), Many, Literal("y"), Many]))"#,
            ),
            ("f|expand|cidr: '%nets%'", "f Cidr(10.0.0.0/8)"),
            ("f|expand: '%empty%'", "()"),
            ("f: '%vip%'", r#"f Exact("%vip%")"#),
            ("f|expand: 100", r#"f Exact("100")"#),
            ("f|expand: x", r#"f Exact("x") (warning: nothing-to-expand)"#),
            ("f|wide|base64: ping", r#"f Exact("cABpAG4AZwA=")"#),
            ("'|all': [a, b]", r#"(_ Contains("a") and _ Contains("b"))"#),
            ("'|re': a", r#"_ Regex("a")"#),
        ] {
            assert_eq!(check(entry), expected, "{entry}");
        }
    }

    #[test]
    fn values_that_do_not_fit_are_refused_at_their_place() {
        for (entry, expected) in [
            ("f: []", "1:1+1 `f` has an empty list"),
            ("f: {a: 1}", "1:4+1 `f` needs a value or a list of values, not a map"),
            ("f: [a, [b]]", "1:8+1 `f` needs a value or a list of values, not a list"),
            ("f|contains: null", "1:13+4 nothing is written here"),
            ("f|re: 'a(?=b)'", "1:9+3 look-around"),
            (r"f|re: '(a)\1'", "1:11+2 backreferences"),
            ("f|re: 'a('", "1:9+1 not a valid regular expression: unclosed group"),
            ("f|re: '(.{1000}){1000}'", "1:7+17 this regular expression is too large"),
            ("f|cidr: 10.0.0.0/33", "1:9+11 `10.0.0.0/33` is not a network"),
            ("f|cidr: '10.*'", "1:9+6 `10.*` is not a network"),
            ("f|gte: '10'", "1:8+4 a number is needed here"),
            ("f|exists: maybe", "1:11+5 `exists` must be true or false"),
            ("f|exists: [true]", "1:12+4 `exists` takes one value"),
            ("f|hour: 24", "1:9+2 `24` can never be"),
            ("f|fieldref:", "1:11+1 `fieldref` needs the name"),
            ("f|base64: 'a*'", "1:11+4 a value with wildcards"),
            ("f|windash: '-a -b -c -d -e'", "1:12+16 `windash` would multiply 5 dashes"),
            ("f|expand: 'x%vap%'", "1:13+5 there is no list `vap`"),
        ] {
            let message = check(entry);
            assert!(message.starts_with(expected), "{entry}: {message}");
        }
    }

    #[test]
    fn placeholders_are_found_among_other_percent_signs() {
        assert_eq!(placeholder("100% of %vip%!"), Some(("100% of ", "vip", "!")));
        assert_eq!(placeholder("%a%%b%"), Some(("", "a", "%b%")));
        assert_eq!(placeholder("%20 %%"), None);
    }
}
