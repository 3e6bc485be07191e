//! Lists that `expand`, lookups and scripts look things up in. A list with named columns is a table.

mod parse;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::suggest;

/// Most rows of a list.
pub(super) const ROWS_MAX: usize = 1_000_000;
/// Most columns of a list.
pub(super) const COLUMNS_MAX: usize = 64;
/// Longest value, in bytes.
pub(super) const CELL_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of values in all lists together.
const TOTAL_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A column's values, one per row; empty where a row has none.
pub type Cells = Arc<[String]>;

/// One list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// At least one; the only one of a plain list has no name.
    columns: Vec<(String, Cells)>,
}

/// Named lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lists {
    by_name: BTreeMap<String, List>,
    bytes: usize,
}

/// How a list file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListFormat {
    /// One value a line; blank lines and lines starting with `#` do not count.
    Text,
    /// The first row names the columns (a `#` before the first name does not count); lines starting with `#` after
    /// it do not count, nor do blank ones. RFC 4180.
    Csv,
    /// One YAML list of scalars, or of maps, whose keys are the columns.
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
    /// The content is not what the ending says.
    #[error("line {line}: {reason}")]
    Content {
        /// From 1; 0 for the file as a whole.
        line: u64,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// More rows than are read.
    #[error("more than {ROWS_MAX} entries")]
    TooLong,
    /// More bytes than all lists may have.
    #[error("all lists together have more than {} MiB", TOTAL_BYTES_MAX / 1024 / 1024)]
    TooMuch,
}

/// Why a name stands for no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnknownList {
    /// There is no such list; the one that may have been meant.
    List(String, Option<String>),
    /// The list has no such column; the columns it has.
    Column(String, String, Vec<String>),
}

impl ListFormat {
    /// The format a file name's ending says.
    #[must_use]
    pub fn of(file_name: &str) -> Option<Self> {
        match file_name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "txt" => Some(Self::Text),
            "csv" => Some(Self::Csv),
            "yaml" | "yml" => Some(Self::Yaml),
            _ => None,
        }
    }

    /// Reads a file's text.
    pub fn parse(self, text: &str) -> Result<List, ListError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match self {
            Self::Text => parse::text(text),
            Self::Csv => parse::csv(text),
            Self::Yaml => parse::yaml(text),
        }
    }
}

impl List {
    /// A list without columns.
    #[must_use]
    pub fn plain(values: Vec<String>) -> Self {
        Self { columns: vec![(String::new(), values.into())] }
    }

    pub(super) const fn table(columns: Vec<(String, Cells)>) -> Self {
        Self { columns }
    }

    /// Its values that are not empty: those of its first column.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        filled(self.columns.first().map(|(_, cells)| cells))
    }

    /// The names of its columns; none for a plain list.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str()).filter(|name| !name.is_empty())
    }

    /// The cells of a column.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Cells> {
        let mut columns = self.columns.iter().filter(|(known, _)| !known.is_empty());
        columns.find(|(known, _)| known == name).map(|(_, cells)| cells)
    }

    fn bytes(&self) -> usize {
        let cells = |cells: &Cells| cells.iter().map(|cell| cell.len() + size_of::<String>()).sum::<usize>();
        self.columns.iter().map(|(_, found)| cells(found)).sum()
    }
}

fn filled(cells: Option<&Cells>) -> impl Iterator<Item = &str> {
    cells.into_iter().flat_map(|cells| cells.iter()).map(String::as_str).filter(|cell| !cell.is_empty())
}

impl Lists {
    /// No lists.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a list of plain values.
    pub fn insert(&mut self, name: impl Into<String>, values: Vec<String>) {
        self.by_name.insert(name.into(), List::plain(values));
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
        let list = format.parse(text)?;
        let bytes = self.bytes + list.bytes();
        if bytes > TOTAL_BYTES_MAX {
            return Err(ListError::TooMuch);
        }
        self.bytes = bytes;
        self.by_name.insert(name.to_owned(), list);
        Ok(())
    }

    /// A list.
    pub fn get(&self, name: &str) -> Result<&List, UnknownList> {
        self.by_name.get(name).ok_or_else(|| {
            let near = suggest::closest(name, self.names()).map(str::to_owned);
            UnknownList::List(name.to_owned(), near)
        })
    }

    /// The values that a name stands for: `people` its list, `people.team` a column of it. A list whose own name
    /// has a dot comes first. Empty values are passed over.
    pub fn values(&self, name: &str) -> Result<Vec<&str>, UnknownList> {
        match (self.by_name.get(name), name.rsplit_once('.')) {
            (Some(list), _) => Ok(list.values().collect()),
            (None, Some((list, column))) => {
                let found = self.get(list)?;
                match found.column(column) {
                    Some(cells) => Ok(filled(Some(cells)).collect()),
                    None => {
                        let known = found.columns().map(str::to_owned).collect();
                        Err(UnknownList::Column(list.to_owned(), column.to_owned(), known))
                    }
                }
            }
            (None, None) => self.get(name).map(|list| list.values().collect()),
        }
    }

    /// The names of all lists, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Every name that stands for values, with those: each list, and each column as `list.column`.
    pub fn all(&self) -> impl Iterator<Item = (String, Cells)> {
        self.by_name.iter().flat_map(|(name, list)| {
            let first = list.columns.first().map(|(_, cells)| (name.clone(), Arc::clone(cells)));
            let columns = list.columns.iter().filter(|(column, _)| !column.is_empty());
            let columns = columns.map(move |(column, cells)| (format!("{name}.{column}"), Arc::clone(cells)));
            first.into_iter().chain(columns)
        })
    }
}

impl UnknownList {
    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::List(name, _) => format!("there is no list `{name}`"),
            Self::Column(list, column, known) if known.is_empty() => {
                format!("the list `{list}` has no columns, so there is no `{column}` in it")
            }
            Self::Column(list, column, _) => format!("the list `{list}` has no column `{column}`"),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::List(_, Some(near)) => format!("did you mean `{near}`?"),
            Self::List(name, None) => {
                format!("put the values into `{name}.txt` in the lists folder, one a line")
            }
            Self::Column(list, _, known) if known.is_empty() => {
                format!("make a `{list}.csv` of it, whose first line names the columns")
            }
            Self::Column(_, column, known) => {
                suggest::help(column, known.iter().map(String::as_str)).unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests;
