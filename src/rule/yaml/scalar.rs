//! The types of plain scalars: YAML 1.2.2 section 10.3.2, the core schema.

use super::ScalarKind;

/// The type of a plain scalar's text.
pub(super) fn kind_of(text: &str) -> ScalarKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => ScalarKind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => ScalarKind::Bool,
        _ if is_int(text) => ScalarKind::Int,
        _ if is_float(text) => ScalarKind::Float,
        _ => ScalarKind::Str,
    }
}

fn is_int(text: &str) -> bool {
    let digits = |text: &str, radix: u32| !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
    if let Some(hex) = text.strip_prefix("0x") {
        return digits(hex, 16);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal, 8);
    }
    digits(text.strip_prefix(['-', '+']).unwrap_or(text), 10)
}

fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let starts = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let known = unsigned.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    starts && known && unsigned.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_have_the_types_of_the_core_schema() {
        for (text, kind) in [
            ("", ScalarKind::Null),
            ("~", ScalarKind::Null),
            ("null", ScalarKind::Null),
            ("True", ScalarKind::Bool),
            ("yes", ScalarKind::Str),
            ("0123", ScalarKind::Int),
            ("-7", ScalarKind::Int),
            ("0x1F", ScalarKind::Int),
            ("0o17", ScalarKind::Int),
            ("0x", ScalarKind::Str),
            ("1.0", ScalarKind::Float),
            ("1e3", ScalarKind::Float),
            (".5", ScalarKind::Float),
            (".inf", ScalarKind::Float),
            ("10.0.0.1", ScalarKind::Str),
            ("inf", ScalarKind::Str),
            ("2026-01-05", ScalarKind::Str),
            ("10m", ScalarKind::Str),
            ("-", ScalarKind::Str),
            (".", ScalarKind::Str),
        ] {
            assert_eq!(kind_of(text), kind, "{text}");
        }
    }
}
