//! Reading a mail far enough to show it: unfolded headers, the HTML part, its two transfer encodings.
//!
//! Sources: RFC 5322 (headers), RFC 2045 and 2046 (encodings, parts), RFC 2047 (encoded words). Only what
//! mail programs commonly write; anything else is shown as it stands.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Parts within parts deeper than this are not looked at.
const DEPTH_MAX: usize = 8;

/// One mail or part: its headers, unfolded, with lower-case names; and its body as it stands.
#[derive(Debug)]
pub(super) struct Part<'a> {
    headers: Vec<(String, String)>,
    body: &'a [u8],
}

impl<'a> Part<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Self {
        let mut headers: Vec<(String, String)> = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (line, after) = rest.split_at(end);
            rest = after;
            let line = String::from_utf8_lossy(line);
            let text = line.trim_end();
            match (text.is_empty(), text.starts_with([' ', '\t']), headers.last_mut()) {
                (true, ..) => break,
                (_, true, Some((_, value))) => {
                    value.push(' ');
                    value.push_str(text.trim_start());
                }
                _ => {
                    let (name, value) = text.split_once(':').unwrap_or((text, ""));
                    headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                }
            }
        }
        Self { headers, body: rest }
    }

    /// A header's value with its encoded words decoded; empty if there is none.
    pub(super) fn header(&self, name: &str) -> String {
        decode_words(self.raw_header(name))
    }

    fn raw_header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// The first part of this type (`text/html`), decoded.
    pub(super) fn text(&self, content_type: &str) -> Option<String> {
        self.text_at(content_type, 0)
    }

    fn text_at(&self, wanted: &str, depth: usize) -> Option<String> {
        let kind = self.raw_header("content-type");
        let own = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        if own.starts_with("multipart/") && depth < DEPTH_MAX {
            let boundary = format!("--{}", parameter(kind, "boundary")?);
            return parts(self.body, boundary.as_bytes())
                .into_iter()
                .find_map(|part| Part::parse(part).text_at(wanted, depth + 1));
        }
        let own = if own.is_empty() { "text/plain" } else { &own };
        (own == wanted).then(|| String::from_utf8_lossy(&self.decoded()).into_owned())
    }

    fn decoded(&self) -> Vec<u8> {
        match self.raw_header("content-transfer-encoding").to_ascii_lowercase().as_str() {
            "base64" => {
                let packed: Vec<u8> =
                    self.body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
                STANDARD.decode(&packed).unwrap_or(packed)
            }
            "quoted-printable" => decode_quoted(self.body, false),
            _ => self.body.to_vec(),
        }
    }
}

/// The value of `name=value` or `name="value"` after the first semicolon.
fn parameter(header: &str, name: &str) -> Option<String> {
    let found = header.split(';').skip(1).filter_map(|pair| pair.split_once('='));
    let (_, value) = found.into_iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"').to_owned())
}

/// What stands between the boundary's lines; the text before the first is no part.
fn parts<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut start = None;
    let mut at = 0;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(boundary) {
            if let Some(start) = start {
                parts.push(&body[start..at]);
            }
            start = Some(at + line.len());
        }
        at += line.len();
    }
    parts
}

/// `=XX` is a byte and `=` at a line's end joins two lines; in headers `_` is a space. What is no code stays.
fn decode_quoted(text: &[u8], in_header: bool) -> Vec<u8> {
    let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'=', [b'\r', b'\n', tail @ ..] | [b'\n', tail @ ..]) => rest = tail,
            (b'=', [high, low, tail @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = tail;
                }
                _ => out.push(byte),
            },
            (b'_', _) if in_header => out.push(b' '),
            _ => out.push(byte),
        }
    }
    out
}

/// `=?utf-8?b?…?=` and `=?utf-8?q?…?=`; the blank between two of them goes.
fn decode_words(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let Some((word, tail)) = word(&rest[start + 2..]) else { break };
        let before = &rest[..start];
        if !(after_word && before.trim().is_empty()) {
            out.push_str(before);
        }
        out.push_str(&word);
        rest = tail;
        after_word = true;
    }
    out.push_str(rest);
    out
}

fn word(text: &str) -> Option<(String, &str)> {
    let (_charset, rest) = text.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (body, tail) = rest.split_once("?=")?;
    let bytes = match encoding {
        "b" | "B" => STANDARD.decode(body).ok()?,
        "q" | "Q" => decode_quoted(body.as_bytes(), true),
        _ => return None,
    };
    Some((String::from_utf8_lossy(&bytes).into_owned(), tail))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_html_part_is_found_and_decoded() {
        let mail = b"Subject: =?utf-8?b?w4RyZ2Vy?= =?utf-8?q?_im_B=C3=BCro?=\r\nContent-Type: multipart/alternative;\r\n boundary=\"x1\"\r\n\r\npreamble\r\n--x1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain\r\n--x1\r\nContent-Type: multipart/related; boundary=y2\r\n\r\n--y2\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p>B=C3=BCro =3D far=\r\n away</p>\r\n--y2--\r\n--x1--\r\n";
        let part = Part::parse(mail);
        assert_eq!(part.header("subject"), "\u{c4}rger im B\u{fc}ro");
        assert_eq!(part.text("text/html").unwrap(), "<p>B\u{fc}ro = far away</p>\r\n");
        assert_eq!(part.text("text/plain").unwrap(), "plain\r\n");
        assert_eq!(part.text("image/png"), None);
    }

    #[test]
    fn base64_spans_lines() {
        let mail = b"Content-Type: text/html\nContent-Transfer-Encoding: base64\n\nPGI+aGVs\r\nbG88L2I+\r\n";
        assert_eq!(Part::parse(mail).text("text/html").unwrap(), "<b>hello</b>");
    }

    proptest! {
        #[test]
        fn no_bytes_upset_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..600), text in "(=|\\?|[a-q]|=\\?utf-8\\?q\\?){0,20}") {
            let part = Part::parse(&bytes);
            let _ = (part.text("text/html"), part.header("subject"), decode_words(&text));
            let nested = [b"Content-Type: multipart/mixed; boundary=b\n\n--b\n".as_slice(), &bytes, b"\n--b--"].concat();
            let _ = Part::parse(&nested).text("text/html");
        }
    }
}
