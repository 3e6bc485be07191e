//! Events that JSON's grammar allows and no tree can hold: half a surrogate pair, a number beyond all numbers, nesting
//! without end. Whoever sends one must neither vanish from the rules nor be judged in one place and not in another, so
//! the odd part is replaced, in as many bytes, and the rest is read as it is.

/// Deepest nesting that is read; `serde_json` stops at 127.
const DEPTH_MAX: usize = 100;

/// The same event with everything in it that cannot be read replaced, byte for byte, so that places stay true: half a
/// surrogate pair by U+FFFD, a number too large by 1e308, what is nested too deep by 0. None if there is no such thing.
pub(super) fn mended(raw: &str) -> Option<String> {
    let mut bytes = raw.as_bytes().to_vec();
    let (mut at, mut depth) = (0, 0);
    while let Some(byte) = bytes.get(at).copied() {
        at = match byte {
            b'"' => string(&mut bytes, at),
            b'{' | b'[' if depth >= DEPTH_MAX => too_deep(&mut bytes, at),
            b'{' | b'[' => {
                depth += 1;
                at + 1
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            b'-' | b'0'..=b'9' => number(&mut bytes, at),
            _ => at + 1,
        };
    }
    String::from_utf8(bytes).ok().filter(|mended| mended != raw)
}

/// From the quote at `at` to behind the closing one.
fn string(bytes: &mut [u8], mut at: usize) -> usize {
    at += 1;
    loop {
        match bytes.get(at) {
            None => return at,
            Some(b'"') => return at + 1,
            Some(b'\\') => match unit(bytes, at) {
                Some(0xD800..=0xDBFF) if matches!(unit(bytes, at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
                Some(0xD800..=0xDFFF) => {
                    replace(bytes, at + 2..at + 6, b"fffd");
                    at += 6;
                }
                _ => at += 2,
            },
            Some(_) => at += 1,
        }
    }
}

/// The UTF-16 unit of a `\uXXXX` at `at`.
fn unit(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u").filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// From the first digit at `at` to behind the number. The capital E keeps the text from being taken for the original's.
fn number(bytes: &mut [u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let end = at + rest.iter().take_while(|byte| is_part(byte)).count();
    let text = bytes.get(at..end).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
    match text.parse::<f64>() {
        Ok(number) if number == f64::INFINITY => replace(bytes, at..end, b"1E308"),
        Ok(number) if number == f64::NEG_INFINITY => replace(bytes, at..end, b"-1E308"),
        _ => {}
    }
    end
}

/// From the opening bracket at `at` to behind the closing one.
fn too_deep(bytes: &mut [u8], at: usize) -> usize {
    let (mut end, mut depth) = (at, 0_usize);
    while let Some(byte) = bytes.get(end).copied() {
        match byte {
            b'"' => {
                end = string(bytes, end);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        end += 1;
        if depth == 0 {
            break;
        }
    }
    replace(bytes, at..end, b"0");
    end
}

/// Puts a text into a place that is at least as long, and blanks behind it.
fn replace(bytes: &mut [u8], place: std::ops::Range<usize>, text: &[u8]) {
    let padded = text.iter().copied().chain(std::iter::repeat(b' '));
    for (byte, new) in bytes.get_mut(place).unwrap_or_default().iter_mut().zip(padded) {
        *byte = new;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_cannot_be_read_is_replaced() {
        for (raw, expected) in [
            (r#"{"a":"\ud83d;"}"#, Some(r#"{"a":"\ufffd;"}"#)),
            (r#"{"a":"\ude00\ud83d\ude00\\ud83d"}"#, Some(r#"{"a":"\ufffd\ud83d\ude00\\ud83d"}"#)),
            (r#"{"\ud83d":"\ud83d\ud83d\ude00"}"#, Some(r#"{"\ufffd":"\ufffd\ud83d\ude00"}"#)),
            (r#"{"a":1e999,"b":-12345e9999 }"#, Some(r#"{"a":1E308,"b":-1E308      }"#)),
            (r#"{"a":"1e999","b":1e-999,"c":[1.5]}"#, None),
            (r#"{"a":"\ud83d\ude00"}"#, None),
            ("{", None),
            (r#"{"a":"\ud8"#, None),
        ] {
            assert_eq!(mended(raw).as_deref(), expected, "{raw}");
        }
        let deep = format!("{{\"a\":{}\"ä]\"{},\"b\":1}}", "[".repeat(500), "]".repeat(500));
        let mended = mended(&deep).unwrap();
        assert_eq!(mended.len(), deep.len());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&mended).unwrap()["b"], 1);
    }

    proptest! {
        #[test]
        fn it_stays_as_long_and_is_mended_once(raw in "[\\[\\]{}\",:0-9eE+.ud8cf\\\\ä-]{0,60}") {
            if let Some(once) = mended(&raw) {
                prop_assert_eq!(once.len(), raw.len());
                prop_assert_eq!(mended(&once), None);
            }
        }
    }
}
