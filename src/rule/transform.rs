//! The modifiers that change a value before it is compared: dashes and encodings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::ast::Glob;
use super::pattern::{self, Pattern};

/// What `windash` takes for a dash, and puts in its place: hyphen, slash, en dash, em dash, horizontal bar.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];
/// More dashes than this in one value would give more than 625 variants.
pub(super) const DASHES_MAX: usize = 4;

/// A change of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transform {
    /// Every way to write the dash before an option.
    Windash,
    /// UTF-16, little endian, then what follows.
    Utf16Le,
    /// UTF-16, big endian, then what follows.
    Utf16Be,
    /// UTF-16, little endian after a byte order mark, then what follows.
    Utf16,
    /// Base64 of the whole value.
    Base64,
    /// Base64 of the value at each of the three offsets it may have inside a longer text.
    Base64Offset,
}

/// Why a value cannot be changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TransformError {
    /// Wildcards have no encoding.
    Wildcard,
    /// The variants would be too many.
    TooManyDashes(usize),
}

/// All variants of a value after these changes, from left to right.
pub(super) fn apply(transforms: &[Transform], value: Pattern) -> Result<Vec<Pattern>, TransformError> {
    let mut variants = vec![value];
    let mut bytes: Option<Vec<Vec<u8>>> = None;
    for transform in transforms {
        match transform {
            Transform::Windash => variants = each(&variants, windash)?,
            Transform::Utf16Le | Transform::Utf16Be | Transform::Utf16 => {
                bytes = Some(literals(&variants)?.map(|text| utf16(*transform, text)).collect());
            }
            Transform::Base64 | Transform::Base64Offset => {
                let input = match bytes.take() {
                    Some(bytes) => bytes,
                    None => literals(&variants)?.map(|text| text.as_bytes().to_vec()).collect(),
                };
                let encode = if *transform == Transform::Base64 { base64 } else { base64_offsets };
                variants = input.iter().flat_map(|bytes| encode(bytes)).map(literal).collect();
            }
        }
    }
    Ok(variants)
}

fn each(
    variants: &[Pattern],
    change: impl Fn(&Pattern) -> Result<Vec<Pattern>, TransformError>,
) -> Result<Vec<Pattern>, TransformError> {
    let mut all = Vec::new();
    for variant in variants {
        all.extend(change(variant)?);
    }
    Ok(all)
}

fn literals(variants: &[Pattern]) -> Result<impl Iterator<Item = &str>, TransformError> {
    let texts: Option<Vec<&str>> = variants.iter().map(|variant| pattern::as_literal(variant)).collect();
    texts.map(Vec::into_iter).ok_or(TransformError::Wildcard)
}

fn literal(text: String) -> Pattern {
    let mut pattern = Pattern::new();
    pattern::push(&mut pattern, Glob::Literal(text));
    pattern
}

/// A dash counts if a word starts right after it and none ends right before it.
fn windash(value: &Pattern) -> Result<Vec<Pattern>, TransformError> {
    let dashes = value.iter().map(|piece| dash_places(piece).len()).sum();
    if dashes > DASHES_MAX {
        return Err(TransformError::TooManyDashes(dashes));
    }
    let mut variants = vec![Pattern::new()];
    for piece in value {
        let choices = match piece {
            Glob::Literal(text) => {
                dash_variants(text, &dash_places(piece)).into_iter().map(Glob::Literal).collect()
            }
            Glob::One | Glob::Many => vec![piece.clone()],
        };
        variants = variants
            .iter()
            .flat_map(|start| {
                choices.iter().map(move |choice| {
                    let mut longer = start.clone();
                    pattern::push(&mut longer, choice.clone());
                    longer
                })
            })
            .collect();
    }
    Ok(variants)
}

/// Byte offsets of the dashes that count in a piece.
fn dash_places(piece: &Glob) -> Vec<usize> {
    let Glob::Literal(text) = piece else { return Vec::new() };
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut before = None;
    let mut places = Vec::new();
    for (offset, c) in text.char_indices() {
        let after = text.get(offset + c.len_utf8()..).and_then(|rest| rest.chars().next());
        if DASHES.contains(&c) && !before.is_some_and(is_word) && after.is_some_and(is_word) {
            places.push(offset);
        }
        before = Some(c);
    }
    places
}

fn dash_variants(text: &str, places: &[usize]) -> Vec<String> {
    let mut variants = vec![String::new()];
    let mut from = 0;
    for place in places {
        let between = text.get(from..*place).unwrap_or_default();
        variants = variants
            .iter()
            .flat_map(|start| DASHES.iter().map(move |dash| format!("{start}{between}{dash}")))
            .collect();
        from = place + text.get(*place..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
    }
    let rest = text.get(from..).unwrap_or_default();
    for variant in &mut variants {
        variant.push_str(rest);
    }
    variants
}

fn utf16(transform: Transform, text: &str) -> Vec<u8> {
    let units = text.encode_utf16();
    match transform {
        Transform::Utf16Be => units.flat_map(u16::to_be_bytes).collect(),
        Transform::Utf16 => [0xFF, 0xFE].into_iter().chain(units.flat_map(u16::to_le_bytes)).collect(),
        _ => units.flat_map(u16::to_le_bytes).collect(),
    }
}

fn base64(bytes: &[u8]) -> Vec<String> {
    vec![STANDARD.encode(bytes)]
}

/// The characters that depend on the value alone, at each offset modulo three: those at the edges, which
/// also hold bits of what stands before and after, are cut off.
fn base64_offsets(bytes: &[u8]) -> Vec<String> {
    const FIRST: [usize; 3] = [0, 2, 3];
    const CUT: [usize; 3] = [0, 3, 2];
    FIRST
        .iter()
        .enumerate()
        .map(|(offset, first)| {
            let mut shifted = vec![b' '; offset];
            shifted.extend_from_slice(bytes);
            let encoded = STANDARD.encode(&shifted);
            let end = encoded.len() - CUT[shifted.len() % 3];
            encoded.get(*first..end).unwrap_or_default().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(transforms: &[Transform], text: &str) -> Vec<String> {
        let variants = apply(transforms, pattern::parse(text)).unwrap();
        variants.iter().map(|variant| pattern::as_literal(variant).unwrap().to_owned()).collect()
    }

    #[test]
    fn encodings_agree_with_the_specification_s_examples() {
        assert_eq!(run(&[Transform::Base64], "foobar"), ["Zm9vYmFy"]);
        assert_eq!(run(&[Transform::Base64Offset], "http://"), ["aHR0cDovL", "h0dHA6Ly", "odHRwOi8v"]);
        assert_eq!(run(&[Transform::Utf16Le, Transform::Base64], "ping"), ["cABpAG4AZwA="]);
        assert_eq!(run(&[Transform::Utf16Be, Transform::Base64], "ping"), ["AHAAaQBuAGc="]);
        assert_eq!(run(&[Transform::Utf16, Transform::Base64], "ping"), ["//5wAGkAbgBnAA=="]);
        assert_eq!(apply(&[Transform::Base64], pattern::parse("a*")), Err(TransformError::Wildcard));
    }

    #[test]
    fn every_offset_is_found_inside_a_longer_text() {
        for length in 4..12 {
            let value: String = "Watchfire-rule".chars().take(length).collect();
            let offsets = run(&[Transform::Base64Offset], &value);
            for before in ["", "x", "xy"] {
                let whole = STANDARD.encode(format!("{before}{value}zz"));
                assert!(offsets.iter().any(|part| whole.contains(part.as_str())), "{before}{value}");
            }
        }
    }

    #[test]
    fn dashes_vary_only_before_a_word() {
        assert_eq!(run(&[Transform::Windash], "a-b"), ["a-b"]);
        assert_eq!(
            run(&[Transform::Windash], " -f"),
            [" -f", " /f", " \u{2013}f", " \u{2014}f", " \u{2015}f"]
        );
        assert_eq!(run(&[Transform::Windash], "\u{2014}f\u{2013}"), run(&[Transform::Windash], "-f\u{2013}"));
        assert_eq!(run(&[Transform::Windash], "-a -b").len(), 25);
        assert_eq!(run(&[Transform::Windash], "-a -b")[6], "/a /b");
        let many = pattern::parse("-a -b -c -d -e");
        assert_eq!(apply(&[Transform::Windash], many), Err(TransformError::TooManyDashes(5)));
        let mixed = apply(&[Transform::Windash], pattern::parse("x*-a")).unwrap();
        assert_eq!(mixed[1], [Glob::Literal("x".into()), Glob::Many, Glob::Literal("/a".into())]);
    }
}
