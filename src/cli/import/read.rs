//! Files of the past, event by event: JSON in all the ways in which it is exported, CSV, either packed with gzip.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use anyhow::{Context, bail};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::source::{Piece, SplitError, split};

/// One event's bytes, or why there is none at this line.
pub(super) struct Found {
    /// From 1.
    pub line: usize,
    pub bytes: Result<Bytes, String>,
}

/// The events of one file.
pub(super) enum Events {
    /// One JSON object a line.
    Lines { input: Box<dyn BufRead>, line: usize },
    /// The elements of an array, or one object over several lines.
    Pieces(std::vec::IntoIter<Piece>),
    /// Each row becomes an object with the headings as names.
    Rows { rows: Box<csv::Reader<Box<dyn BufRead>>>, headings: csv::StringRecord },
}

/// A longer line is no event.
const LINE_MAX: u64 = 32 << 20;
/// An array is read as a whole; a larger one had better be one object a line.
const WHOLE_MAX: u64 = 1 << 30;

/// The headings by which a CSV export is known.
const TELLING_HEADINGS: [&str; 2] = ["Author ID", "Entity ID"];

/// Opens a file, `-` for standard input; packed or not shows in its first bytes.
pub(super) fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    let mut input: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            bail!("{} is a folder; name the files in it", path.display());
        }
        Box::new(BufReader::with_capacity(1 << 18, file))
    };
    if input.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        let packed = flate2::bufread::MultiGzDecoder::new(input);
        input = Box::new(BufReader::with_capacity(1 << 18, packed));
    }
    Ok(input)
}

impl Events {
    /// Finds out how the events stand in there; `is_csv` if that is known.
    pub(super) fn new(mut input: Box<dyn BufRead>, is_csv: bool) -> anyhow::Result<Self> {
        if input.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
            input.consume(3);
        }
        let line = skip_blank(&mut *input)?;
        let first = input.fill_buf()?.first().copied();
        match first {
            _ if is_csv => Self::rows(input),
            None => Ok(Self::Pieces(Vec::new().into_iter())),
            Some(b'[') => Self::whole(input, line),
            Some(b'{') => Self::objects(input, line),
            Some(_) => Self::rows(input),
        }
    }

    fn rows(input: Box<dyn BufRead>) -> anyhow::Result<Self> {
        let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(input);
        let headings = rows.headers().context("reading the headings")?.clone();
        let missing = TELLING_HEADINGS.into_iter().find(|name| !headings.iter().any(|known| known == *name));
        if let Some(missing) = missing {
            bail!(
                "neither JSON nor GitLab's CSV export: it does not begin with `[` or `{{`, and its first line has no \
                 heading `{missing}`"
            );
        }
        Ok(Self::Rows { rows: Box::new(rows), headings })
    }

    /// Lines, unless the first object does not end on its line.
    fn objects(mut input: Box<dyn BufRead>, line: usize) -> anyhow::Result<Self> {
        let mut first = Vec::new();
        (&mut *input).take(LINE_MAX).read_until(b'\n', &mut first)?;
        let is_one = serde_json::from_slice::<serde::de::IgnoredAny>(&first).is_ok();
        let again: Box<dyn BufRead> = Box::new(Cursor::new(first).chain(input));
        if is_one { Ok(Self::Lines { input: again, line }) } else { Self::whole(again, line) }
    }

    fn whole(input: Box<dyn BufRead>, lines_before: usize) -> anyhow::Result<Self> {
        let mut bytes = Vec::new();
        input.take(WHOLE_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > WHOLE_MAX {
            bail!(
                "a JSON array or object of more than 1 GiB; write one event a line: `jq -c '.[]' FILE > FILE.ndjson`"
            );
        }
        let mut pieces = match split(&bytes.into(), usize::MAX) {
            Ok(pieces) => pieces,
            Err(SplitError::Bad(bad)) => bail!("line {}: {}", bad.line + lines_before, bad.reason),
            Err(SplitError::TooMany) => bail!("too many events"),
        };
        pieces.iter_mut().for_each(|piece| piece.line += lines_before);
        Ok(Self::Pieces(pieces.into_iter()))
    }

    /// The next event; none at the end.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Found>> {
        match self {
            Self::Lines { input, line } => next_line(&mut **input, line),
            Self::Pieces(pieces) => {
                Ok(pieces.next().map(|piece| Found { line: piece.line, bytes: Ok(piece.bytes) }))
            }
            Self::Rows { rows, headings } => next_row(rows, headings),
        }
    }
}

/// Skips white space; how many lines.
fn skip_blank(input: &mut dyn BufRead) -> io::Result<usize> {
    let mut lines = 0;
    loop {
        let buffer = input.fill_buf()?;
        let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        lines += memchr::memchr_iter(b'\n', buffer.get(..blank).unwrap_or_default()).count();
        let is_over = blank < buffer.len() || buffer.is_empty();
        input.consume(blank);
        if is_over {
            return Ok(lines);
        }
    }
}

fn next_line(input: &mut dyn BufRead, line: &mut usize) -> anyhow::Result<Option<Found>> {
    loop {
        let mut bytes = Vec::new();
        if (&mut *input).take(LINE_MAX).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        *line += 1;
        if bytes.len() as u64 >= LINE_MAX && bytes.last() != Some(&b'\n') {
            skip_line(input)?;
            let reason = "the line is longer than 32 MiB".to_owned();
            return Ok(Some(Found { line: *line, bytes: Err(reason) }));
        }
        let trimmed = bytes.trim_ascii();
        if !trimmed.is_empty() {
            return Ok(Some(Found { line: *line, bytes: Ok(Bytes::copy_from_slice(trimmed)) }));
        }
    }
}

fn skip_line(input: &mut dyn BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let end = memchr::memchr(b'\n', buffer).map(|at| at + 1);
        let (count, is_over) = (end.unwrap_or(buffer.len()), end.is_some() || buffer.is_empty());
        input.consume(count);
        if is_over {
            return Ok(());
        }
    }
}

fn next_row(
    rows: &mut csv::Reader<Box<dyn BufRead>>,
    headings: &csv::StringRecord,
) -> anyhow::Result<Option<Found>> {
    let mut row = csv::StringRecord::new();
    let line = usize::try_from(rows.position().line()).unwrap_or(0);
    match rows.read_record(&mut row) {
        Ok(false) => Ok(None),
        Ok(true) => {
            let line = row.position().map_or(line, |at| usize::try_from(at.line()).unwrap_or(line));
            if row.len() != headings.len() {
                let reason = format!("{} values under {} headings", row.len(), headings.len());
                return Ok(Some(Found { line, bytes: Err(reason) }));
            }
            let text = |value: &str| Value::from(value);
            let object: Map<String, Value> =
                headings.iter().zip(&row).map(|(name, value)| (name.to_owned(), text(value))).collect();
            Ok(Some(Found { line, bytes: Ok(serde_json::to_vec(&object)?.into()) }))
        }
        Err(error) if matches!(error.kind(), csv::ErrorKind::Io(_)) => Err(error.into()),
        Err(error) => Ok(Some(Found { line, bytes: Err(error.to_string()) })),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(text: &[u8]) -> anyhow::Result<Vec<(usize, String)>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("export");
        std::fs::write(&path, text).unwrap();
        let mut events = Events::new(open(&path)?, false)?;
        let mut found = Vec::new();
        while let Some(one) = events.next()? {
            let text = match one.bytes {
                Ok(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                Err(reason) => format!("! {reason}"),
            };
            found.push((one.line, text));
        }
        Ok(found)
    }

    fn owned(expected: &[(usize, &str)]) -> Vec<(usize, String)> {
        expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
    }

    #[test]
    fn json_is_read_as_it_comes() {
        for (text, expected) in [
            ("", &[][..]),
            (" \n\n", &[]),
            (
                "{\"a\":1}\n\n {\"b\":2}\r\nnonsense\n{\"c\":3}",
                &[(1, "{\"a\":1}"), (3, "{\"b\":2}"), (4, "nonsense"), (5, "{\"c\":3}")],
            ),
            ("\n[\n {\"a\":1},\n {\"b\":\n2}]\n", &[(3, "{\"a\":1}"), (4, "{\"b\":\n2}")]),
            ("\u{feff}[]", &[]),
            ("{\n \"a\": 1\n}\n", &[(1, "{\n \"a\": 1\n}")]),
        ] {
            assert_eq!(read(text.as_bytes()).unwrap(), owned(expected), "{text:?}");
        }
        let error = read(b"\n[{\"a\":1},\n oops]").unwrap_err().to_string();
        assert!(error.starts_with("line 3: the body is no JSON array"), "{error}");
    }

    #[test]
    fn packed_files_are_unpacked() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"{\"a\":1}\n{\"b\":2}\n").unwrap();
        assert_eq!(read(&encoder.finish().unwrap()).unwrap(), owned(&[(1, "{\"a\":1}"), (2, "{\"b\":2}")]));
    }

    #[test]
    fn rows_become_objects_with_the_headings_as_names() {
        let text = "\u{feff}ID,Author ID,Author Name,Entity ID,Action\n1,7,\"Doe, \"\"J\"\"\",5,\"a\nb\"\n2,8\n3,9,x,5,y\n";
        let expected = [
            (2, r#"{"ID":"1","Author ID":"7","Author Name":"Doe, \"J\"","Entity ID":"5","Action":"a\nb"}"#),
            (4, "! 2 values under 5 headings"),
            (5, r#"{"ID":"3","Author ID":"9","Author Name":"x","Entity ID":"5","Action":"y"}"#),
        ];
        let found = read(text.as_bytes()).unwrap();
        for ((line, text), (expected_line, expected)) in found.iter().zip(&expected) {
            assert_eq!(line, expected_line);
            match serde_json::from_str::<Value>(expected) {
                Ok(object) => assert_eq!(serde_json::from_str::<Value>(text).unwrap(), object),
                Err(_) => assert_eq!(text, expected),
            }
        }
        assert_eq!(found.len(), expected.len());
        let error = read(b"a,b\n1,2\n").unwrap_err().to_string();
        assert!(error.contains("no heading `Author ID`"), "{error}");
    }
}
