//! `lookup`: a document that gives events further fields out of a list, by a field that they have.

use std::sync::Arc;

use super::list::{Cells, List};
use super::read::{self, Context, Entries};
use super::report::Report;
use super::yaml::{Content, Place, Yaml};
use crate::enrich::Table;
use crate::event::Format;

/// The keys of the document.
pub(super) const KEYS: [&str; 6] = ["lookup", "match", "as", "columns", "title", "description"];
/// Most fields that are looked up together.
const INPUTS_MAX: usize = 4;
/// Names that stand for something else in every event.
const TAKEN: [&str; 9] =
    ["geo", "self", "details", "source", "forge", "category", "tier", "received_at", "position"];

/// A field and the column it is looked up in, with its place.
type Input<'l> = (String, &'l Cells, Place);

/// Reads one document. Nothing after a mistake, which is reported.
pub(super) fn lookup(entries: Entries<'_>, place: Place, context: &mut Context<'_>) -> Option<Arc<Table>> {
    let errors = context.report.errors();
    read::only(entries, &KEYS, "a lookup", context.report);
    let list = list(entries, context);
    let name = name(entries, place, context.report);
    let written = read::value(entries, "match");
    if written.is_none() && !read::is_mistyped(entries, &["match"]) {
        let help = "say by which field, as `match: {author_name: username}`";
        read::missing("match", "this lookup", place, context.report).help(help);
    }
    let (list_name, list) = list?;
    let inputs = inputs(written?, (&list_name, list), context.report);
    let inputs = inputs.filter(|_| context.report.errors() == errors)?;
    let columns = columns(entries, (&list_name, list), &inputs, context.report)?;
    let name = name?;
    shadows(&name, &columns, entries, context.report);
    let keys: Vec<Cells> = inputs.iter().map(|(_, cells, _)| Arc::clone(cells)).collect();
    let fields = inputs.into_iter().map(|(field, ..)| field).collect();
    let (table, repeated) = Table::new(&name, fields, &keys, columns);
    if let Some(repeated) = repeated {
        let value = repeated.value;
        let message = match repeated.rows {
            1 => format!("`{list_name}` has a second row for `{value}`, which does not count"),
            rows => format!("`{list_name}` has {rows} rows for values that it had before, such as `{value}`"),
        };
        let place = read::value(entries, "lookup").map_or(place, |node| node.place);
        context.report.warning("repeated-row", place, message).help("of several rows the first one counts");
    }
    (context.report.errors() == errors).then(|| Arc::new(table))
}

/// The name of a list, and the list.
fn list<'l>(entries: Entries<'_>, context: &mut Context<'l>) -> Option<(String, &'l List)> {
    let node = read::value(entries, "lookup")?;
    let name = read::name(node, "`lookup`", context.report)?;
    match context.lists.get(&name) {
        Ok(list) if list.columns().next().is_none() => {
            let message = format!("the list `{name}` has no columns");
            let help = format!("make a `{name}.csv` of it, whose first line names the columns");
            context.report.error("unknown-column", node.place, message).help(help);
            None
        }
        Ok(list) => Some((name, list)),
        Err(unknown) => {
            context.report.error("unknown-list", node.place, unknown.message()).help(unknown.help());
            None
        }
    }
}

fn name(entries: Entries<'_>, place: Place, report: &mut Report) -> Option<String> {
    let Some(node) = read::value(entries, "as") else {
        if !read::is_mistyped(entries, &["as"]) {
            let help = "say what its fields begin with, as `as: author` for `author.team`";
            read::missing("as", "this lookup", place, report).help(help);
        }
        return None;
    };
    let name = read::name(node, "`as`", report)?;
    let is_word = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    if !is_word {
        let message = format!("`{name}` cannot begin a field's name");
        report.error("bad-value", node.place, message).help("use letters, digits, `_` and `-`");
        return None;
    }
    let is_field = Format::ALL.iter().flat_map(|format| format.mappings()).any(|known| known.field == name);
    if is_field || TAKEN.contains(&name.as_str()) {
        let message = format!("`{name}` is already something in every event");
        report.error("bad-value", node.place, message).help("choose another name, such as `author`");
        return None;
    }
    Some(name)
}

/// `{field: column}`, or names that field and column share.
fn inputs<'l>(node: &Yaml, (name, list): (&str, &'l List), report: &mut Report) -> Option<Vec<Input<'l>>> {
    let mut pairs: Vec<(String, String, Place)> = Vec::new();
    match &node.content {
        Content::Map(entries) => {
            for (key, value) in entries {
                pairs.push((key.text.clone(), read::name(value, "a column", report)?, value.place));
            }
        }
        Content::List(_) | Content::Scalar(_) => {
            for item in read::items(node) {
                let both = read::name(item, "`match`", report)?;
                pairs.push((both.clone(), both, item.place));
            }
        }
    }
    if pairs.is_empty() || pairs.len() > INPUTS_MAX {
        let message = format!("`match` needs one to {INPUTS_MAX} fields");
        report.error("bad-value", node.place, message).help("write `match: {author_name: username}`");
        return None;
    }
    let mut inputs = Vec::with_capacity(pairs.len());
    for (field, column, place) in pairs {
        match list.column(&column) {
            Some(cells) => inputs.push((field, cells, place)),
            None => unknown_column(name, &column, (list, place), report),
        }
    }
    Some(inputs)
}

fn unknown_column(name: &str, column: &str, (list, place): (&List, Place), report: &mut Report) {
    let message = format!("the list `{name}` has no column `{column}`");
    report.error("unknown-column", place, message).suggest(column, list.columns());
}

/// Those that are named, or all that are not looked up in.
fn columns(
    entries: Entries<'_>,
    (name, list): (&str, &List),
    inputs: &[Input<'_>],
    report: &mut Report,
) -> Option<Vec<(String, Cells)>> {
    let errors = report.errors();
    let is_key = |cells: &Cells| inputs.iter().any(|(_, key, _)| Arc::ptr_eq(key, cells));
    let mut found: Vec<(String, Cells)> = Vec::new();
    match read::value(entries, "columns") {
        Some(node) => {
            for item in read::items(node) {
                let Some(column) = read::name(item, "a column", report) else { continue };
                match list.column(&column) {
                    Some(cells) => found.push((column, Arc::clone(cells))),
                    None => unknown_column(name, &column, (list, item.place), report),
                }
            }
        }
        None => {
            let all = list.columns().filter_map(|column| Some((column, list.column(column)?)));
            let others = all.filter(|(_, cells)| !is_key(cells));
            found.extend(others.map(|(column, cells)| (column.to_owned(), Arc::clone(cells))));
        }
    }
    if found.is_empty() && report.errors() == errors {
        let place = read::value(entries, "lookup").map_or(Place::FILE, |node| node.place);
        let message = format!("the list `{name}` has no other column than those that are looked up");
        report.error("unknown-column", place, message).help("add the columns that events shall get");
    }
    (report.errors() == errors).then_some(found)
}

/// A field that events of some forge have under that name is no longer seen.
fn shadows(name: &str, columns: &[(String, Cells)], entries: Entries<'_>, report: &mut Report) {
    let place = read::value(entries, "as").map_or(Place::FILE, |node| node.place);
    for (column, _) in columns {
        let field = format!("{name}.{column}");
        let has = |format: &&Format| format.mappings().iter().any(|known| known.paths.contains(&&*field));
        if let Some(format) = Format::ALL.iter().find(has) {
            let message = format!("`{field}` hides a field of that name in events of {}", format.name());
            let help = "choose another name under `as`, or leave the column out with `columns`";
            report.warning("shadowed-field", place, message).help(help);
        }
    }
}

/// The lookups that stand together: each name once, none over another's fields. One report for each file.
pub(super) fn settle(found: Vec<(usize, Arc<Table>, Place)>, reports: &mut [Report]) -> Vec<Arc<Table>> {
    let mut kept: Vec<(Arc<Table>, String)> = Vec::new();
    let names: Vec<String> = found.iter().map(|(_, table, _)| format!("{}.", table.name())).collect();
    for (file, table, place) in found {
        let Some(report) = reports.get_mut(file) else { continue };
        if let Some((other, at)) = kept.iter().find(|(other, _)| other.name() == table.name()) {
            let message = format!("there is already a lookup `{}` ({at})", other.name());
            report.error("duplicate-id", place, message).help("give one of them another name under `as`");
            continue;
        }
        let over = |input: &&String| names.iter().any(|name| input.starts_with(name));
        if let Some(input) = table.inputs().iter().find(over) {
            let message =
                format!("`{input}` is itself looked up; a lookup is over fields of the event, or `geo.*`");
            let help = "put the column into the other list, or join the two lists";
            report.error("unsupported", place, message).help(help);
            continue;
        }
        let at = format!("{}:{}", report.path(), place.line);
        kept.push((table, at));
    }
    kept.into_iter().map(|(table, _)| table).collect()
}

#[cfg(test)]
mod tests {
    use super::super::list::Lists;
    use super::super::{Loaded, RuleFile, load};

    fn read(text: &str) -> Loaded {
        let mut lists = Lists::new();
        let people = "username,team,role,name\nann,red,dev,Ann A\nbob,blue,ops,\nANN,green,dev,x\n";
        lists.add_file("people.csv", people).unwrap();
        lists.add_file("vip.txt", "ann\n").unwrap();
        lists.add_file("one.csv", "username\nann\n").unwrap();
        load(&[RuleFile { path: "a.yml".into(), text: text.to_owned() }], &lists)
    }

    fn told(text: &str) -> Vec<String> {
        let shown = |d: crate::rule::Diagnostic| {
            format!("{}:{}+{} {}: {}", d.line, d.column, d.width, d.message, d.help.unwrap_or_default())
        };
        read(text).diagnostics.into_iter().map(shown).collect()
    }

    #[test]
    fn a_lookup_gives_the_other_columns() {
        let loaded =
            read("lookup: people\nmatch: {author_name: username}\nas: person\ncolumns: [role, team]\n");
        let [table] = loaded.lookups.as_slice() else { panic!("{:?}", loaded.diagnostics) };
        assert_eq!((table.name(), table.inputs()), ("person", &["author_name".to_owned()][..]));
        assert_eq!(table.columns().collect::<Vec<_>>(), ["role", "team"]);
        let row = table.row(["Ann"].into_iter(), &mut String::new()).unwrap();
        assert_eq!(row.cell(1), Some("red"));
        let loaded = read("lookup: people\nmatch: username\nas: person\n");
        assert_eq!(loaded.lookups[0].columns().collect::<Vec<_>>(), ["team", "role", "name"]);
        assert_eq!(loaded.lookups[0].inputs(), ["username"]);
        assert!(loaded.rules.is_empty());
    }

    #[test]
    fn what_may_surprise_is_told() {
        let found = told("lookup: people\nmatch: {author_name: username}\nas: author\n");
        assert_eq!(
            found,
            [
                "1:9+6 `people` has a second row for `ANN`, which does not count: of several rows the first one counts",
                "3:5+6 `author.name` hides a field of that name in events of bitbucket: choose another name under \
                 `as`, or leave the column out with `columns`"
            ]
        );
    }

    #[test]
    fn mistakes_are_told_at_their_place() {
        for (text, expected) in [
            ("lookup: peple\nmatch: a\nas: p", "1:9+5 there is no list `peple`: did you mean `people`?"),
            ("lookup: vip\nmatch: a\nas: p", "1:9+3 the list `vip` has no columns: make a `vip.csv`"),
            ("lookup: one\nmatch: {a: username}\nas: p", "1:9+3 the list `one` has no other column"),
            ("lookup: people\nas: p", "1:1+1 this lookup has no `match`: say by which field"),
            (
                "lookup: people\nmatch: {author_name: usrname}\nas: p",
                "2:22+7 the list `people` has no column `usrname`: did you mean `username`?",
            ),
            (
                "lookup: people\nmatch: author_name\nas: p",
                "2:8+11 the list `people` has no column `author_name`",
            ),
            ("lookup: people\nmatch: []\nas: p", "2:8+1 `match` needs one to 4 fields"),
            ("lookup: people\nmatch: username", "1:1+1 this lookup has no `as`"),
            ("lookup: people\nmatch: username\nas: author_id", "3:5+9 `author_id` is already something"),
            ("lookup: people\nmatch: username\nas: geo", "3:5+3 `geo` is already something"),
            ("lookup: people\nmatch: username\nas: a.b", "3:5+3 `a.b` cannot begin a field's name"),
            (
                "lookup: people\nmatch: username\nas: p\ncolumns: [taem]",
                "4:11+4 the list `people` has no column `taem`: did you mean `team`?",
            ),
            ("lookup: people\nmatch: username\nas: p\nlevel: high", "4:1+5 unknown key `level` in a lookup"),
            ("lookup: people\nmatch: username\nas: p\ndetection: {}", "4:1+9 a document is one of"),
        ] {
            let found = told(text);
            assert!(found.iter().any(|told| told.starts_with(expected)), "{text}:\n{found:#?}");
        }
        let twice = "lookup: people\nmatch: username\nas: p\n---\nlookup: people\nmatch: username\nas: p\n";
        assert!(
            told(twice).iter().any(|told| told.starts_with("5:1+1 there is already a lookup `p` (a.yml:1)"))
        );
    }
}
