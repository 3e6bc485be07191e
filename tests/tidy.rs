//! Keeps the house in order: who may import whom, words that do not belong in the core, lengths, and that every
//! shipped rule is tested. Reads the sources as text, with the standard library alone, in well under a second.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

#[path = "tidy/text.rs"]
mod text;

use text::{blank, blank_tests, event_types, files, functions, has_word, imports, test_files};

/// The pure part, in the order of `src/lib.rs`. What comes after it there is an edge.
const CORE_LAST: &str = "route";

/// Which other edges an edge may import, beside the core, `clock`, `telemetry` and `pipeline`. `config` composes everybody's
/// sections; `daemon`, `demo` and `cli` put the parts together and may import whatever stands before them.
const EDGES: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("telemetry", &[]),
    ("pipeline", &[]),
    ("log", &[]),
    ("search", &["log"]),
    ("store", &["log"]),
    ("reporting", &["log", "search", "store"]),
    ("backup", &["log", "store"]),
    ("proof", &["log", "store"]),
    ("tuning", &["log", "store"]),
    ("deliver", &["log", "store"]),
    ("respond", &["deliver", "log", "store"]),
    ("action", &["deliver", "respond", "store"]),
    ("forward", &["deliver", "log", "store"]),
    ("source", &["deliver", "log", "store"]),
    ("api", &["deliver", "respond", "log", "proof", "search", "store", "reporting", "source", "tuning"]),
    ("config", &["*"]),
    ("daemon", &["*"]),
    ("demo", &["*"]),
    ("cli", &["*"]),
];

/// Imports that point the wrong way all the same, and why.
const BACKWARDS: &[(&str, &str, &str)] = &[
    ("deliver", "action", "the worker runs the actions, which use its client, its secrets and its errors"),
    ("deliver", "respond", "the worker runs the responses, likewise"),
];

/// The core knows no time of day, no file, no network, no thread and no chance; addresses as values are fine.
const CORE_FORBIDDEN: &[&str] = &[
    "SystemTime",
    "Instant",
    "tokio",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "rand::",
    "thread_rng",
    "reqwest",
    "rusqlite",
    "axum",
    "lettre",
];

/// Who may do what others may not: (words, files or folders that may, what the others use).
const RESERVED: &[(&[&str], &[&str], &str)] = &[
    (
        &["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now"],
        &["src/clock.rs"],
        "take `now` as an argument, or a `Clock`",
    ),
    (
        &["env::var", "env::vars", "env::var_os"],
        // A proxy that the environment names is read where the library reads it that is to use it.
        &["src/config/", "src/cli/", "src/log/fault.rs", "src/deliver/egress.rs"],
        "let the configuration read it",
    ),
    (&["process::exit"], &[], "return an `ExitCode` from `main`"),
    (
        &["thread::sleep"],
        &[],
        "wait for what you wait for: a channel, a notification, a clock that a test sets",
    ),
];

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// Exceptions: (file, name of the check, why). One that is no longer needed is itself an error.
const EXCUSED: &[(&str, &str, &str)] =
    &[("src/rule/ast.rs", "file length", "the whole language on one page; half of it is its description")];

/// One source file, as the checks see it.
struct Source {
    /// From the package's folder, with `/`.
    path: String,
    text: String,
    /// The same lines with comments, texts and test modules blanked out.
    code: String,
}

impl Source {
    /// The module of the crate it belongs to: `event` for `src/event/format.rs`, `time` for `src/time.rs`.
    fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or_default();
        inside.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// The lines that have code, with their numbers.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
            .filter(|(_, line)| !line.trim().is_empty())
    }
}

#[derive(Default)]
struct Problems {
    found: Vec<String>,
    used: BTreeSet<(String, &'static str)>,
}

impl Problems {
    fn add(&mut self, path: &str, check: &'static str, message: &str) {
        if EXCUSED.iter().any(|(file, name, _)| *file == path && *name == check) {
            self.used.insert((path.to_owned(), check));
        } else {
            self.found.push(format!("{path}{message}"));
        }
    }
}

#[test]
fn the_sources_are_in_order() -> io::Result<()> {
    let sources = sources()?;
    assert!(
        sources.len() > 20,
        "only {} source files found: is the test run in the package's folder?",
        sources.len()
    );
    let mut problems = Problems::default();
    let order = module_order(&sources);
    for source in &sources {
        check_imports(source, &order, &mut problems);
        check_words(source, &order, &mut problems);
        check_lengths(source, &mut problems);
        check_form(source, &mut problems);
    }
    check_declared(&sources, &mut problems);
    for (file, check, _) in EXCUSED {
        if !problems.used.contains(&((*file).to_owned(), *check)) {
            problems.found.push(format!(
                "{file}: no longer needs to be excused from `{check}`; take it out of EXCUSED"
            ));
        }
    }
    assert!(problems.found.is_empty(), "\n{}\n", problems.found.join("\n"));
    Ok(())
}

#[test]
fn nothing_is_left_to_do() -> io::Result<()> {
    // Written in pieces, so that this file does not find itself.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ig", "nore"), concat!("/wo", "rk/")];
    let mut found = Vec::new();
    for folder in ["src", "tests", "rules", "examples", ".ci"] {
        for path in files(Path::new(folder))? {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            for (index, line) in text.lines().enumerate() {
                for word in words.iter().filter(|word| line.contains(**word)) {
                    found.push(format!(
                        "{path}:{}: `{word}`: finish it, or write it down as an issue",
                        index + 1
                    ));
                }
            }
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
    Ok(())
}

#[test]
fn every_shipped_rule_is_tested_and_watches_events_that_exist() -> io::Result<()> {
    let catalogue = fs::read_to_string("src/event/catalogue.csv")?;
    let known: BTreeSet<&str> = catalogue.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    let mut found = Vec::new();
    let rules = files(Path::new("rules/gitlab"))?;
    assert!(rules.len() >= 15, "only {} rules in rules/gitlab", rules.len());
    for path in rules.iter().chain(&files(Path::new("rules/gitlab-optional"))?) {
        let text = fs::read_to_string(path)?;
        let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if !text.lines().any(|line| line == format!("id: gitlab-{stem}")) {
            found.push(format!("{path}: its id must be `gitlab-{stem}`, after the file's name"));
        }
        for key in
            ["title", "status", "level", "description", "references", "tags", "falsepositives", "logsource"]
        {
            if !text.lines().any(|line| line.starts_with(&format!("{key}:"))) {
                found.push(format!("{path}: has no `{key}`; an administrator needs it"));
            }
        }
        let expected = |wanted: fn(&str) -> bool| {
            text.lines()
                .filter_map(|line| line.trim_start().strip_prefix("alerts:"))
                .any(|rest| wanted(rest.trim()))
        };
        if !expected(|rest| rest != "[]") {
            found.push(format!("{path}: no test in which it fires"));
        }
        if !expected(|rest| rest == "[]") {
            found.push(format!("{path}: no test in which it stays quiet (`alerts: []`)"));
        }
        for (line, name) in event_types(&text).into_iter().filter(|(_, name)| !known.contains(name.as_str()))
        {
            found.push(format!("{path}:{line}: `{name}` is not in src/event/catalogue.csv"));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
    Ok(())
}

fn check_imports(source: &Source, order: &[String], problems: &mut Problems) {
    let module = source.module();
    let place = |name: &str| order.iter().position(|known| known == name);
    let (Some(own), Some(core_last)) = (place(module), place(CORE_LAST)) else { return };
    for (line, imported) in imports(&source.code) {
        let Some(other) = place(&imported) else { continue };
        let allowed = EDGES.iter().find(|(name, _)| *name == module).map_or(&[][..], |(_, allowed)| *allowed);
        let is_common = other <= core_last || imported == "clock" || imported == "telemetry";
        let is_listed = own > core_last && (allowed.contains(&"*") || allowed.contains(&imported.as_str()));
        let is_backwards = BACKWARDS.iter().any(|(from, to, _)| *from == module && *to == imported);
        if other == own || is_backwards || (other < own && (is_common || is_listed)) {
            continue;
        }
        let why = if other > own {
            format!("`{imported}` stands after `{module}` in src/lib.rs, and imports point back to the core")
        } else {
            format!(
                "`{module}` may not import the edge `{imported}`; let `daemon` bring them together, or add it to EDGES"
            )
        };
        problems.add(&source.path, "imports", &format!(":{line}: {why}"));
    }
}

fn check_words(source: &Source, order: &[String], problems: &mut Problems) {
    let place = |name: &str| order.iter().position(|known| known == name);
    let is_core = place(source.module()).is_some_and(|own| place(CORE_LAST).is_some_and(|last| own <= last));
    for (number, line) in source.lines() {
        for word in CORE_FORBIDDEN.iter().filter(|word| is_core && has_word(line, word)) {
            let message =
                format!(":{number}: `{word}`: the core has no clock, no I/O, no thread and no chance");
            problems.add(&source.path, "core words", &message);
        }
        for (words, who, instead) in RESERVED {
            let may = who
                .iter()
                .any(|who| source.path == *who || (who.ends_with('/') && source.path.starts_with(who)));
            for word in words.iter().filter(|word| !may && has_word(line, word)) {
                let message = format!(":{number}: `{word}` is not for this file: {instead}");
                problems.add(&source.path, "reserved words", &message);
            }
        }
    }
}

fn check_lengths(source: &Source, problems: &mut Problems) {
    let lines: Vec<&str> = source.text.lines().collect();
    let begins_tests = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].ends_with('{');
    let length = lines.windows(2).position(begins_tests).unwrap_or(lines.len());
    if length > FILE_LINES_MAX {
        let message = format!(": {length} lines without tests, at most {FILE_LINES_MAX}: split it");
        problems.add(&source.path, "file length", &message);
    }
    for (line, name, length) in functions(&source.code) {
        if length > FUNCTION_LINES_MAX {
            let message =
                format!(":{line}: `{name}` has {length} lines of code, at most {FUNCTION_LINES_MAX}");
            problems.add(&source.path, "function length", &message);
        }
    }
}

fn check_form(source: &Source, problems: &mut Problems) {
    if !source.text.starts_with("//!") {
        problems.add(&source.path, "first line", ":1: begins with a `//!` line that says what the file is");
    }
    if !source.path.ends_with("/mod.rs") {
        return;
    }
    for (number, line) in source.lines() {
        if ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn ", "async fn ", "pub async fn "]
            .iter()
            .any(|start| line.starts_with(start))
        {
            let message = format!(
                ":{number}: a function in `mod.rs`: it holds the docs, `mod`, `pub use` and small types"
            );
            problems.add(&source.path, "mod.rs", &message);
        }
    }
}

/// A file that no `mod` names is never compiled.
fn check_declared(sources: &[Source], problems: &mut Problems) {
    for source in sources {
        let (folder, file) = source.path.rsplit_once('/').unwrap_or_default();
        let (parent, name) = match file {
            "lib.rs" | "main.rs" => continue,
            "mod.rs" => folder.rsplit_once('/').unwrap_or_default(),
            _ => (folder, file.trim_end_matches(".rs")),
        };
        let parents = [format!("{parent}/mod.rs"), format!("{parent}/lib.rs"), format!("{parent}.rs")];
        let declares = |text: &str| {
            text.lines().any(|line| {
                line.trim_start()
                    .trim_start_matches("pub ")
                    .trim_start_matches("pub(crate) ")
                    .trim_start_matches("pub(super) ")
                    .starts_with(&format!("mod {name};"))
            })
        };
        if !sources.iter().any(|known| parents.contains(&known.path) && declares(&known.text)) {
            problems.add(
                &source.path,
                "declared",
                &format!(": no `mod {name};` names it, so it is not compiled"),
            );
        }
    }
}

/// The modules of `src/lib.rs`, in its order.
fn module_order(sources: &[Source]) -> Vec<String> {
    let root = sources.iter().find(|source| source.path == "src/lib.rs");
    let names =
        root.into_iter().flat_map(|root| root.text.lines()).filter_map(|line| line.strip_prefix("pub mod "));
    names.map(|name| name.trim_end_matches(';').to_owned()).collect()
}

fn sources() -> io::Result<Vec<Source>> {
    let mut texts = BTreeMap::new();
    for path in files(Path::new("src"))?.into_iter().filter(|path| path.ends_with(".rs")) {
        texts.insert(path.clone(), fs::read_to_string(&path)?);
    }
    let only_tests: BTreeSet<String> = texts.iter().flat_map(|(path, text)| test_files(path, text)).collect();
    let is_test = |path: &str| {
        let folder = |test: &String| path.starts_with(&format!("{}/", test.trim_end_matches(".rs")));
        path.ends_with("/tests.rs")
            || path.contains("/tests/")
            || only_tests.contains(path)
            || only_tests.iter().any(folder)
    };
    let texts = texts.into_iter().filter(|(path, _)| !is_test(path));
    Ok(texts.map(|(path, text)| Source { code: blank_tests(&blank(&text)), path, text }).collect())
}
