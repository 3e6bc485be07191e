//! Lists that `expand` and scripts look things up in.

use std::collections::BTreeMap;

use super::report::Report;
use super::yaml::{Content, ScalarKind};

/// Most values in a list.
const VALUES_MAX: usize = 1_000_000;

/// Named lists of texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lists {
    by_name: BTreeMap<String, Vec<String>>,
}

/// How a list file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListFormat {
    /// One value a line; blank lines and lines starting with `#` do not count.
    Text,
    /// The first column. The first row is a header if it starts with `#`, or if the caller says so.
    Csv {
        /// Whether the first row is no value.
        has_header: bool,
    },
    /// One YAML list of scalars.
    Yaml,
}

/// Why a list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The file's ending says nothing about its format.
    #[error("`{0}` is no list: its name must end in .txt, .csv, .yaml or .yml")]
    Ending(String),
    /// Two files have the same name before the ending.
    #[error("there are two lists called `{0}`")]
    Duplicate(String),
    /// Not a table.
    #[error("line {line}: not valid CSV: {reason}")]
    Csv {
        /// From 1; 0 if unknown.
        line: u64,
        /// In the CSV reader's words.
        reason: String,
    },
    /// Not a YAML list of scalars.
    #[error("line {line}: {reason}")]
    Yaml {
        /// From 1; 0 for the file as a whole.
        line: u32,
        /// What is wrong.
        reason: String,
    },
    /// More values than are read.
    #[error("more than {VALUES_MAX} values")]
    TooLong,
}

impl ListFormat {
    /// The format a file name's ending says.
    #[must_use]
    pub fn of(file_name: &str) -> Option<Self> {
        match file_name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "txt" => Some(Self::Text),
            "csv" => Some(Self::Csv { has_header: false }),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }

    /// The values of a file's text, in its order.
    pub fn parse(self, text: &str) -> Result<Vec<String>, ListError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let values = match self {
            Self::Text => text
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(str::to_owned)
                .collect(),
            Self::Csv { has_header } => parse_csv(text, has_header)?,
            Self::Yaml => parse_yaml(text)?,
        };
        if values.len() > VALUES_MAX { Err(ListError::TooLong) } else { Ok(values) }
    }
}

impl Lists {
    /// No lists.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a list.
    pub fn insert(&mut self, name: impl Into<String>, values: Vec<String>) {
        self.by_name.insert(name.into(), values);
    }

    /// Adds the list of a file, called as the file is without folder and ending (`break_glass.txt`).
    pub fn add_file(&mut self, path: &str, text: &str) -> Result<(), ListError> {
        let file_name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let ending = || ListError::Ending(file_name.to_owned());
        let format = ListFormat::of(file_name).ok_or_else(ending)?;
        let name = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
        if self.by_name.contains_key(name) {
            return Err(ListError::Duplicate(name.to_owned()));
        }
        self.insert(name, format.parse(text)?);
        Ok(())
    }

    /// The values of a list.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[String]> {
        self.by_name.get(name).map(Vec::as_slice)
    }

    /// The names of all lists, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

fn parse_csv(text: &str, has_header: bool) -> Result<Vec<String>, ListError> {
    let skip = usize::from(has_header || text.starts_with('#'));
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut values = Vec::new();
    for record in reader.records().skip(skip) {
        let record = record.map_err(|error| ListError::Csv {
            line: error.position().map_or(0, csv::Position::line),
            reason: error.to_string(),
        })?;
        values.extend(record.get(0).filter(|value| !value.is_empty()).map(str::to_owned));
    }
    Ok(values)
}

fn parse_yaml(text: &str) -> Result<Vec<String>, ListError> {
    let mut report = Report::new("".into());
    let mut documents = super::yaml::parse(text, &mut report);
    if let Some(first) = report.into_diagnostics().into_iter().next() {
        return Err(ListError::Yaml { line: first.line, reason: first.message });
    }
    let Some(document) = documents.pop() else { return Ok(Vec::new()) };
    let fault = |line, reason: &str| Err(ListError::Yaml { line, reason: reason.to_owned() });
    let Content::List(items) = document.root.content else {
        return fault(document.root.place.line, "a list file must be one YAML list");
    };
    if !documents.is_empty() {
        return fault(document.root.place.line, "a list file must be one YAML document");
    }
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        match item.content {
            Content::Scalar(scalar) if scalar.kind != ScalarKind::Null => values.push(scalar.text),
            _ => return fault(item.place.line, "each item of a list must be a text or a number"),
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_gives_its_values() {
        let text = "# who may\nalice\n\n  bob \n#carol\n";
        assert_eq!(ListFormat::Text.parse(text).unwrap(), ["alice", "bob"]);
        let csv = "name,why\nalice,\"a, b\"\nbob\n,x\n";
        assert_eq!(ListFormat::Csv { has_header: true }.parse(csv).unwrap(), ["alice", "bob"]);
        let csv = "#name,why\n\"al,ice\",x\n";
        assert_eq!(ListFormat::Csv { has_header: false }.parse(csv).unwrap(), ["al,ice"]);
        assert_eq!(ListFormat::Yaml.parse("- alice\n- 7\n- '08'\n").unwrap(), ["alice", "7", "08"]);
        assert_eq!(ListFormat::Yaml.parse("").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_line() {
        assert!(matches!(ListFormat::Yaml.parse("a: 1"), Err(ListError::Yaml { line: 1, .. })));
        assert!(matches!(ListFormat::Yaml.parse("- a\n- [b]"), Err(ListError::Yaml { line: 2, .. })));
        assert!(matches!(ListFormat::Yaml.parse("- a\n- [b"), Err(ListError::Yaml { .. })));
        let mut lists = Lists::new();
        lists.add_file("lists/vip.txt", "a").unwrap();
        assert_eq!(lists.add_file("other/vip.csv", "b"), Err(ListError::Duplicate("vip".into())));
        assert_eq!(lists.add_file("vip.md", "b"), Err(ListError::Ending("vip.md".into())));
        assert_eq!(lists.names().collect::<Vec<_>>(), ["vip"]);
        assert_eq!(lists.get("vip"), Some(&["a".to_owned()][..]));
    }
}
