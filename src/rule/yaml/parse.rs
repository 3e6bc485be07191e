//! From the parser's events to the tree, with limits.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use serde_yaml::granit_parser::{self, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::scalar::kind_of;
use super::{Content, Document, Key, Place, Scalar, ScalarKind, Yaml};
use crate::rule::report::Report;

/// Longest file, in bytes.
const TEXT_MAX: usize = 1024 * 1024;
/// Most documents in a file.
const DOCUMENTS_MAX: usize = 1000;
/// Most nodes in a file, counting what aliases repeat.
const NODES_MAX: usize = 200_000;
/// Deepest nesting, counting what aliases repeat.
const DEPTH_MAX: usize = 64;

/// The documents of a file that are YAML at all, without the empty ones. After a syntax error it goes on with
/// the next document.
pub(in crate::rule) fn parse(text: &str, report: &mut Report) -> Vec<Document> {
    if text.len() > TEXT_MAX {
        let message = format!("the file has {} bytes; at most {TEXT_MAX} are read", text.len());
        report.error("yaml-limit", Place::FILE, message).help("split it into several files");
        return Vec::new();
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(place) = lone_return(text) {
        let message =
            "a carriage return without a line feed: YAML begins a new line here, and editors do not";
        report
            .error("yaml-syntax", place, message)
            .help("save the file with line feeds at the ends of lines");
        return Vec::new();
    }
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    options.block_nesting_limit = DEPTH_MAX;
    options.flow_nesting_limit = DEPTH_MAX;
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { report, builder: Builder::default(), documents: Vec::new(), nodes: 0 };
    loop {
        match parser.next_event() {
            None => break,
            Some(Ok((event, span))) => {
                if !reader.take(event, span) {
                    break;
                }
            }
            Some(Err(error)) => {
                reader.syntax_error(&error);
                if !matches!(parser.proceed_next_document(), Ok(true)) {
                    break;
                }
            }
        }
    }
    reader.documents
}

/// Where the file has a `\r` that is not part of `\r\n`. Behind it lines would be counted in two ways.
fn lone_return(text: &str) -> Option<Place> {
    let is_lone = |at: &usize| text.as_bytes().get(at + 1) != Some(&b'\n');
    let at = text.match_indices('\r').map(|(at, _)| at).find(is_lone)?;
    let before = text.get(..at)?;
    let last = before.rsplit_once('\n').map_or(before, |(_, last)| last);
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let line = small(before.matches('\n').count() + 1);
    Some(Place { line, column: small(last.chars().count() + 1), width: 1, file: 0 })
}

struct Reader<'r> {
    report: &'r mut Report,
    builder: Builder,
    documents: Vec<Document>,
    nodes: usize,
}

/// One document in the making.
#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    root: Option<Yaml>,
    anchors: FxHashMap<usize, Anchor>,
    /// Set by a mistake that makes the document unusable.
    is_broken: bool,
}

struct Anchor {
    node: Yaml,
    size: usize,
    depth: usize,
}

/// A collection in the making.
struct Frame {
    place: Place,
    anchor: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Yaml>),
    Map { entries: Vec<(Key, Yaml)>, lines: FxHashMap<String, u32>, key: Option<Key> },
}

impl Reader<'_> {
    /// False when a limit is exceeded and reading must stop.
    fn take(&mut self, event: Event<'_>, span: Span) -> bool {
        let place = place_of(span);
        match event {
            Event::DocumentStart(..) => {
                self.builder = Builder::default();
                if self.documents.len() >= DOCUMENTS_MAX {
                    let message = format!("more than {DOCUMENTS_MAX} documents in one file");
                    self.report.error("yaml-limit", place, message).help("split it into several files");
                    return false;
                }
            }
            Event::DocumentEnd => self.finish_document(),
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(text, style, tag.as_deref(), span);
                self.add(node, anchor);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), place);
                self.open(Frame { place, anchor, inside: Inside::List(Vec::new()) });
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), place);
                let inside = Inside::Map { entries: Vec::new(), lines: FxHashMap::default(), key: None };
                self.open(Frame { place, anchor, inside });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => self.alias(id, place),
            _ => {}
        }
        self.within_limits(place)
    }

    fn within_limits(&mut self, place: Place) -> bool {
        if self.nodes > NODES_MAX {
            let message = format!("more than {NODES_MAX} values in one file, counting what aliases repeat");
            self.report.error("yaml-limit", place, message);
            return false;
        }
        true
    }

    fn finish_document(&mut self) {
        let builder = std::mem::take(&mut self.builder);
        match builder.root {
            Some(root) if !builder.is_broken && !root.is_null() => self.documents.push(Document { root }),
            _ => {}
        }
    }

    fn scalar(&mut self, text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Yaml {
        let place = place_of(span);
        let is_empty = span.is_empty();
        let text = if style == ScalarStyle::Plain && is_empty { String::new() } else { text.into_owned() };
        let is_string_tag = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
        if !is_string_tag {
            self.refuse_tag(tag, place);
        }
        let plain = style == ScalarStyle::Plain && !is_string_tag;
        let kind = if plain { kind_of(&text) } else { ScalarKind::Str };
        let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        let column = match style {
            ScalarStyle::Plain if length == place.width => Some(place.column),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted if length + 2 == place.width => {
                Some(place.column + 1)
            }
            _ => None,
        };
        Yaml { content: Content::Scalar(Scalar { text, kind, column }), place }
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, place: Place) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            self.builder.is_broken = true;
            let message = format!("the YAML tag `{}` has no meaning here", tag.original());
            self.report.error("yaml-tag", place, message).help("leave it out");
        }
    }

    fn open(&mut self, frame: Frame) {
        self.builder.stack.push(frame);
    }

    fn close(&mut self) {
        let Some(frame) = self.builder.stack.pop() else { return };
        let content = match frame.inside {
            Inside::List(items) => Content::List(items),
            Inside::Map { entries, .. } => Content::Map(self.merged(entries)),
        };
        self.add(Yaml { content, place: frame.place }, frame.anchor);
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, node: Yaml, anchor: usize) {
        self.nodes += 1;
        if anchor != 0 {
            let (size, depth) = node.measure();
            self.builder.anchors.insert(anchor, Anchor { node: node.clone(), size, depth });
        }
        match self.builder.stack.last_mut().map(|frame| &mut frame.inside) {
            None => self.builder.root = Some(node),
            Some(Inside::List(items)) => items.push(node),
            Some(Inside::Map { entries, lines, key }) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    let (new, fault) = as_key(node, lines);
                    *key = Some(new);
                    self.report_key(fault);
                }
            },
        }
    }

    fn report_key(&mut self, fault: Option<KeyFault>) {
        let Some(fault) = fault else { return };
        self.builder.is_broken = true;
        match fault {
            KeyFault::NotText(place) => {
                self.report.error("yaml-key", place, "a key must be a text");
            }
            KeyFault::Twice { key, place, first } => {
                let message = format!("the key `{key}` stands twice in this map, first on line {first}");
                self.report.error("duplicate-key", place, message).help("remove one, or join their values");
            }
        }
    }

    fn alias(&mut self, id: usize, place: Place) {
        let Some(anchor) = self.builder.anchors.get(&id) else {
            self.report.error("yaml-syntax", place, "this alias refers to a value that is not finished");
            self.add_nothing(place);
            return;
        };
        self.nodes += anchor.size;
        if self.nodes > NODES_MAX {
            return;
        }
        if self.builder.stack.len() + anchor.depth > DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX}, counting what aliases repeat");
            self.report.error("yaml-limit", place, message);
            self.add_nothing(place);
            return;
        }
        let node = Yaml { content: anchor.node.content.clone(), place };
        self.add(node, 0);
    }

    /// Stands in for a value that cannot be used, so that what follows is still read in step.
    fn add_nothing(&mut self, place: Place) {
        self.builder.is_broken = true;
        let scalar = Scalar { text: String::new(), kind: ScalarKind::Null, column: None };
        self.add(Yaml { content: Content::Scalar(scalar), place }, 0);
    }

    /// YAML 1.1's merge key: the entries of the maps under `<<` that are not there already.
    fn merged(&mut self, entries: Vec<(Key, Yaml)>) -> Vec<(Key, Yaml)> {
        if entries.iter().all(|(key, _)| key.text != "<<") {
            return entries;
        }
        let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key.text == "<<");
        let maps = merges.into_iter().flat_map(|(_, value)| match value.content {
            Content::List(items) => items,
            Content::Map(_) | Content::Scalar(_) => vec![value],
        });
        for map in maps {
            let Content::Map(more) = map.content else {
                self.builder.is_broken = true;
                self.report.error("yaml-key", map.place, "`<<` needs a map, or a list of maps");
                continue;
            };
            for (key, value) in more {
                if own.iter().all(|(known, _)| known.text != key.text) {
                    own.push((key, value));
                }
            }
        }
        own
    }

    fn syntax_error(&mut self, error: &ScanError) {
        let marker = error.marker();
        let line = u32::try_from(marker.line()).unwrap_or(u32::MAX);
        let column = u32::try_from(marker.col()).unwrap_or(u32::MAX).saturating_add(1);
        let message = format!("not valid YAML: {}", error.info());
        let help = help_for(&message);
        self.report.error("yaml-syntax", Place { line, column, width: 1, file: 0 }, message).maybe_help(help);
        self.builder = Builder::default();
    }
}

enum KeyFault {
    NotText(Place),
    Twice { key: String, place: Place, first: u32 },
}

fn as_key(node: Yaml, lines: &mut FxHashMap<String, u32>) -> (Key, Option<KeyFault>) {
    let place = node.place;
    let Content::Scalar(scalar) = node.content else {
        return (Key { text: String::new(), place }, Some(KeyFault::NotText(place)));
    };
    let key = Key { text: scalar.text, place };
    let fault = if scalar.kind == ScalarKind::Null && key.text.is_empty() {
        Some(KeyFault::NotText(place))
    } else if let Some(first) = lines.insert(key.text.clone(), place.line).filter(|_| key.text != "<<") {
        Some(KeyFault::Twice { key: key.text.clone(), place, first })
    } else {
        None
    };
    (key, fault)
}

fn help_for(message: &str) -> Option<String> {
    let help = if message.contains("tab") {
        "indent with spaces; YAML forbids tabs there"
    } else if message.contains("simple key expected") || message.contains("did not find expected key") {
        "a key needs a `:` and a space after it, and the same indentation as its neighbours"
    } else if message.contains("quote") {
        "close the quote; inside single quotes, write a single quote twice"
    } else if message.contains("anchor") {
        "a value that starts with `*` or `&` must be quoted"
    } else if message.contains("unexpected character") {
        "quote values that start with a special character"
    } else if message.contains("recursion") || message.contains("nest") {
        return Some(format!("at most {DEPTH_MAX} levels are read"));
    } else {
        return None;
    };
    Some(help.to_owned())
}

/// Lines are counted from 1 by the parser, columns from 0. A stretch over several lines is cut to one character.
fn place_of(span: Span) -> Place {
    let (start, end) = (span.start, span.end);
    let width = if start.line() == end.line() { end.col().saturating_sub(start.col()).max(1) } else { 1 };
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let column = small(start.col()).saturating_add(1);
    Place { line: small(start.line()), column, width: small(width), file: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Document>, Vec<String>) {
        let mut report = Report::new("a.yml".into());
        let documents = parse(text, &mut report);
        let lines =
            report.into_diagnostics().into_iter().map(|d| format!("{}:{} {}", d.line, d.column, d.code));
        (documents, lines.collect())
    }

    fn dump(node: &Yaml) -> String {
        let at = format!("@{}:{}+{}", node.place.line, node.place.column, node.place.width);
        match &node.content {
            Content::Map(entries) => {
                let inner: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{}={}", key.text, dump(value))).collect();
                format!("{{{}}}", inner.join(" "))
            }
            Content::List(items) => format!("[{}]", items.iter().map(dump).collect::<Vec<_>>().join(" ")),
            Content::Scalar(scalar) => format!("{:?}({:?}){at}", scalar.kind, scalar.text),
        }
    }

    #[test]
    fn every_node_knows_its_place_and_its_text() {
        let (documents, faults) =
            read("# c\na: 1.0\n---\nb:\n  - '10'\n  - 0123\nc: {d: yes, e: }\nf: |\n  x\n");
        assert_eq!(faults, Vec::<String>::new());
        let shown: Vec<String> = documents.iter().map(|document| dump(&document.root)).collect();
        assert_eq!(shown[0], "{a=Float(\"1.0\")@2:4+3}");
        assert_eq!(
            shown[1],
            "{b=[Str(\"10\")@5:5+4 Int(\"0123\")@6:5+4] c={d=Str(\"yes\")@7:8+3 e=Null(\"\")@7:14+1} \
             f=Str(\"x\\n\")@9:3+1}"
        );
    }

    #[test]
    fn a_carriage_return_is_only_half_an_end_of_a_line() {
        assert_eq!(read("a: 1\r\nb: 2\r\n").1, Vec::<String>::new());
        assert_eq!(read("a: 1\r\nb:\rc: 3\n").1, ["2:3 yaml-syntax"]);
        assert_eq!(read("a: 1\r").1, ["1:5 yaml-syntax"]);
    }

    #[test]
    fn a_syntax_error_costs_only_its_document() {
        let (documents, faults) = read("a: 1\n---\nb: [1, 2\n---\nc: 3\n");
        assert_eq!(documents.len(), 2);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].ends_with("yaml-syntax"));
    }

    #[test]
    fn duplicate_keys_and_odd_keys_are_refused() {
        let (documents, faults) = read("a: 1\nb: 2\na: 3\n---\n? [x]\n: 1\n---\n!odd x\n");
        assert!(documents.is_empty());
        assert_eq!(faults, ["3:1 duplicate-key", "5:3 yaml-key", "8:6 yaml-tag"]);
    }

    #[test]
    fn aliases_and_merge_keys_work_and_bombs_do_not() {
        let (documents, faults) = read("a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}\n");
        assert!(faults.is_empty());
        assert!(dump(&documents[0].root).contains("b={k=Int(\"3\")@2:16+1 l=Int(\"2\")@1:17+1}"));

        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..20 {
            let before = level - 1;
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", "));
        }
        let (documents, faults) = read(&bomb);
        assert!(documents.is_empty());
        assert_eq!(faults.len(), 1);
        assert!(faults[0].ends_with("yaml-limit"));

        let mut deep = "a0: &a0 x\n".to_owned();
        for level in 1..200 {
            deep += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
        }
        assert!(read(&deep).1[0].ends_with("yaml-limit"));
        assert!(read(&("[".repeat(5000))).1[0].contains("yaml-syntax"));
        assert!(read(&"a: b\n---\n".repeat(2000)).1[0].ends_with("yaml-limit"));
        assert!(read(&" ".repeat(2 * 1024 * 1024)).1[0].ends_with("yaml-limit"));
    }
}
