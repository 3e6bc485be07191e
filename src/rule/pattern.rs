//! Texts with wildcards: Sigma's escapes, and the simplest test that says the same.

use super::ast::{Glob, Op};

/// A text with wildcards, in pieces: no two literals and no two `*` stand side by side.
pub(super) type Pattern = Vec<Glob>;

/// Reads Sigma's notation: `*` and `?` are wildcards; `\*`, `\?` and `\\` are the characters themselves; any
/// other backslash is literal (Sigma specification 2.1, "Escaping").
pub(super) fn parse(text: &str) -> Pattern {
    let mut pattern = Pattern::new();
    let mut literal = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => literal.push(chars.next_if(|next| matches!(next, '*' | '?' | '\\')).unwrap_or('\\')),
            '*' | '?' => {
                push(&mut pattern, Glob::Literal(std::mem::take(&mut literal)));
                push(&mut pattern, if c == '*' { Glob::Many } else { Glob::One });
            }
            _ => literal.push(c),
        }
    }
    push(&mut pattern, Glob::Literal(literal));
    pattern
}

/// Appends a piece, joining it with its neighbour where both say one thing.
pub(super) fn push(pattern: &mut Pattern, piece: Glob) {
    match (pattern.last_mut(), piece) {
        (_, Glob::Literal(text)) if text.is_empty() => {}
        (Some(Glob::Literal(before)), Glob::Literal(text)) => before.push_str(&text),
        (Some(Glob::Many), Glob::Many) => {}
        (_, piece) => pattern.push(piece),
    }
}

/// The pattern with `*` before and after it as asked.
pub(super) fn wrap(pattern: Pattern, before: bool, after: bool) -> Pattern {
    let mut wrapped = Pattern::new();
    if before {
        wrapped.push(Glob::Many);
    }
    for piece in pattern {
        push(&mut wrapped, piece);
    }
    if after {
        push(&mut wrapped, Glob::Many);
    }
    wrapped
}

/// The text, if there are no wildcards.
pub(super) fn as_literal(pattern: &[Glob]) -> Option<&str> {
    match pattern {
        [] => Some(""),
        [Glob::Literal(text)] => Some(text),
        _ => None,
    }
}

/// The simplest test that says the same.
pub(super) fn lower(pattern: Pattern) -> Op {
    match pattern.as_slice() {
        [] => Op::Exact(String::new()),
        [Glob::Literal(text)] => Op::Exact(text.clone()),
        [Glob::Many, Glob::Literal(text), Glob::Many] => Op::Contains(text.clone()),
        [Glob::Literal(text), Glob::Many] => Op::StartsWith(text.clone()),
        [Glob::Many, Glob::Literal(text)] => Op::EndsWith(text.clone()),
        _ => Op::Wildcard(pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(op: &Op) -> String {
        match op {
            Op::Exact(text) => format!("={text}"),
            Op::Contains(text) => format!("~{text}"),
            Op::StartsWith(text) => format!("^{text}"),
            Op::EndsWith(text) => format!("${text}"),
            Op::Wildcard(pieces) => pieces
                .iter()
                .map(|piece| match piece {
                    Glob::Literal(text) => format!("<{text}>"),
                    Glob::One => "?".to_owned(),
                    Glob::Many => "*".to_owned(),
                })
                .collect(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn wildcards_and_escapes_mean_what_sigma_says() {
        for (text, expected) in [
            ("", "="),
            ("abc", "=abc"),
            ("abc*", "^abc"),
            ("*abc", "$abc"),
            ("*abc*", "~abc"),
            ("**abc***", "~abc"),
            ("*", "*"),
            ("**", "*"),
            ("?", "?"),
            ("a*b", "<a>*<b>"),
            ("a?b*", "<a>?<b>*"),
            (r"a\*", "=a*"),
            (r"a\?b", "=a?b"),
            (r"a\\*", r"^a\"),
            (r"a\\\*", r"=a\*"),
            (r"a\\\\b", r"=a\\b"),
            (r"\\\\*", r"^\\"),
            (r"C:\Windows\x", r"=C:\Windows\x"),
            (r"C:\\Windows", r"=C:\Windows"),
            (r"ends\", r"=ends\"),
            (r"\\\\\*\\IPC$", r"=\\*\IPC$"),
        ] {
            assert_eq!(show(&lower(parse(text))), expected, "{text}");
        }
    }

    #[test]
    fn wrapping_adds_no_wildcard_twice() {
        assert_eq!(show(&lower(wrap(parse("*a"), true, true))), "~a");
        assert_eq!(show(&lower(wrap(parse(""), true, true))), "*");
        assert_eq!(show(&lower(wrap(parse("a"), false, true))), "^a");
    }
}
