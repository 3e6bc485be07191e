//! Reading sources and rules as text: no parser, just enough to leave out comments, texts and tests.

use std::fs;
use std::io;
use std::path::Path;

/// All files below a folder, sorted; none if there is no such folder.
pub fn files(folder: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop().filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Every module named after `crate::`, also inside braces.
pub fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (start, marker) in code.match_indices("crate::") {
        let line = code[..start].matches('\n').count() + 1;
        let rest = &code[start + marker.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push((line, word(rest)));
            continue;
        };
        let mut depth = 0_u32;
        for part in group.split_inclusive([',', '{', '}']) {
            if depth == 0 {
                found.push((line, word(part.trim_start())));
            }
            match part.chars().last() {
                Some('{') => depth += 1,
                Some('}') if depth == 0 => break,
                Some('}') => depth -= 1,
                _ => {}
            }
        }
    }
    found
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Whether the word stands there by itself, not as a part of a longer one.
pub fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(start, _)| {
        let after = line[start + word.len()..].chars().next();
        !is_part(line[..start].chars().last()) && (word.ends_with(':') || !is_part(after))
    })
}

/// First line, name and number of lines with code of every function that has a body.
pub fn functions(code: &str) -> Vec<(usize, String, usize)> {
    let mut found = Vec::new();
    for (start, marker) in code.match_indices("fn ") {
        let is_word = !code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let name = word(&code[start + marker.len()..]);
        if !is_word || name.is_empty() {
            continue;
        }
        let rest = &code[start..];
        let Some(opening) = rest.find(['{', ';']).filter(|at| rest[*at..].starts_with('{')) else { continue };
        let mut depth = 0_i32;
        let closing = rest[opening..].char_indices().find(|(_, c)| {
            depth += i32::from(*c == '{') - i32::from(*c == '}');
            depth == 0
        });
        let end = closing.map_or(rest.len(), |(at, _)| opening + at);
        let length = rest[..end].lines().filter(|line| !line.trim().is_empty()).count();
        found.push((code[..start].matches('\n').count() + 1, name, length));
    }
    found
}

/// What stands behind `event_type:` in a rule: one name, a list in brackets, or a list on the lines below.
pub fn event_types(text: &str) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    let mut in_list = false;
    for (index, line) in text.lines().enumerate() {
        let mut add = |name: &str| {
            let name = name.trim();
            if !name.is_empty() {
                names.push((index + 1, name.to_owned()));
            }
        };
        if let Some((_, rest)) = line.split_once("event_type: ") {
            let list = rest.strip_prefix('[').and_then(|list| list.split(']').next());
            list.unwrap_or_else(|| rest.split([',', '}', ' ']).next().unwrap_or_default())
                .split(',')
                .for_each(&mut add);
            in_list = false;
        } else if line.trim_end().ends_with("event_type:") {
            in_list = true;
        } else if in_list && line.trim_start().starts_with("- ") {
            add(line.trim_start().trim_start_matches("- "));
        } else {
            in_list = false;
        }
    }
    names
}

/// The files that a `#[cfg(test)] mod name;` in this one names.
pub fn test_files(path: &str, text: &str) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let names = lines
        .windows(2)
        .filter(|pair| pair[0] == "#[cfg(test)]")
        .filter_map(|pair| pair[1].trim_start_matches("pub(crate) ").strip_prefix("mod ")?.strip_suffix(';'));
    names.map(|name| format!("{folder}/{name}.rs")).collect()
}

/// Blanks out modules that are compiled for tests only, up to the brace at their own indentation.
pub fn blank_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            out.push_str(line);
            out.push('\n');
            continue;
        }
        let indentation = &line[..line.len() - line.trim_start().len()];
        out.push('\n');
        for inside in lines.by_ref() {
            out.push('\n');
            if inside.ends_with(';')
                && inside.starts_with(indentation)
                && !inside[indentation.len()..].starts_with(' ')
            {
                break;
            }
            if inside == format!("{indentation}}}") {
                break;
            }
        }
    }
    out
}

/// Blanks out comments and texts, keeping lines and columns, so that words in them do not count.
pub fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let length = token(&bytes[at..], out.last().copied().unwrap_or(b' '));
        let is_code = length == 1;
        out.extend(
            bytes[at..at + length].iter().map(|byte| if is_code || *byte == b'\n' { *byte } else { b' ' }),
        );
        at += length;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The length of the comment, text or character that begins here; 1 for anything else.
fn token(rest: &[u8], before: u8) -> usize {
    let until = |end: &[u8], from: usize| {
        rest[from..]
            .windows(end.len())
            .position(|found| found == end)
            .map_or(rest.len(), |found| from + found + end.len())
    };
    match rest {
        [b'/', b'/', ..] => until(b"\n", 2) - usize::from(rest.contains(&b'\n')),
        [b'/', b'*', ..] => until(b"*/", 2),
        [b'r', b'"' | b'#', ..] if !before.is_ascii_alphanumeric() || before == b'b' => {
            let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
            if rest.get(1 + hashes) != Some(&b'"') {
                return 1;
            }
            let end: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
            until(&end, 2 + hashes)
        }
        [b'"', ..] => {
            let mut at = 1;
            while at < rest.len() && rest[at] != b'"' {
                at += if rest[at] == b'\\' { 2 } else { 1 };
            }
            (at + 1).min(rest.len())
        }
        [b'\'', b'\\', ..] => until(b"'", 3),
        [b'\'', _, b'\'', ..] => 3,
        _ => 1,
    }
}
