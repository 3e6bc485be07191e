//! A lookup table: what a list says of an author, a project, an address, by a field of the event.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::tuple;

/// What a list says of a value.
#[derive(Debug)]
pub struct Table {
    /// What its fields begin with.
    name: Box<str>,
    /// The fields of the event that are looked up.
    inputs: Vec<String>,
    /// The columns and their cells, one per row.
    columns: Vec<(String, Arc<[String]>)>,
    /// Row numbers by folded key.
    rows: FxHashMap<Box<str>, u32>,
    hash: [u8; 32],
}

/// The row of one value.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    table: &'a Table,
    number: usize,
}

/// A value that several rows are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    /// The value as the second row writes it.
    pub value: String,
    /// How many rows beside the first one, over all values.
    pub rows: usize,
}

impl Table {
    /// A table called `name`. `keys` are the columns that the fields `inputs` are looked up in, one for each;
    /// `columns` those that it gives. All have one cell per row. A row with an empty key is passed over; of
    /// several rows for one key the first one counts, which is told.
    #[must_use]
    pub fn new(
        name: &str,
        inputs: Vec<String>,
        keys: &[Arc<[String]>],
        columns: Vec<(String, Arc<[String]>)>,
    ) -> (Self, Option<Repeated>) {
        let count = keys.iter().map(|cells| cells.len()).min().unwrap_or(0);
        let mut rows = FxHashMap::default();
        rows.reserve(count);
        let mut hasher = blake3::Hasher::new();
        let mut note = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        note(name);
        inputs.iter().for_each(|input| note(input));
        columns.iter().for_each(|(column, _)| note(column));
        let mut repeated: Option<Repeated> = None;
        for row in 0..count {
            let cells = || keys.iter().filter_map(|cells| cells.get(row)).map(String::as_str);
            if cells().any(str::is_empty) {
                continue;
            }
            let mut key = String::new();
            key_into(cells(), &mut key);
            note(&key);
            for (_, cells) in &columns {
                note(cells.get(row).map_or("", String::as_str));
            }
            let number = u32::try_from(row).unwrap_or(u32::MAX);
            if rows.contains_key(&*key) {
                let value = || cells().collect::<Vec<_>>().join(", ");
                repeated.get_or_insert_with(|| Repeated { value: value(), rows: 0 }).rows += 1;
            } else {
                rows.insert(key.into_boxed_str(), number);
            }
        }
        let hash = *hasher.finalize().as_bytes();
        (Self { name: name.into(), inputs, columns, rows, hash }, repeated)
    }

    /// What its fields begin with.
    #[must_use]
    pub const fn name(&self) -> &str {
        &self.name
    }

    /// The fields of the event that are looked up.
    #[must_use]
    pub fn inputs(&self) -> &[String] {
        &self.inputs
    }

    /// The names of its columns: of its fields, without what they begin with.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// The row for these values of its inputs, in their order; `key` is room for what is looked up.
    #[must_use]
    pub fn row<'a, 'v>(&'a self, values: impl Iterator<Item = &'v str>, key: &mut String) -> Option<Row<'a>> {
        key.clear();
        key_into(values, key);
        let number = *self.rows.get(key.as_str())? as usize;
        Some(Row { table: self, number })
    }

    /// Changes whenever its content does.
    #[must_use]
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

impl<'a> Row<'a> {
    /// The cell of a column, by its place among [`Table::columns`]; an empty one is none.
    #[must_use]
    pub fn cell(self, column: usize) -> Option<&'a str> {
        let (_, cells) = self.table.columns.get(column)?;
        cells.get(self.number).map(String::as_str).filter(|cell| !cell.is_empty())
    }
}

fn key_into<'v>(values: impl Iterator<Item = &'v str>, key: &mut String) {
    for (index, value) in values.enumerate() {
        if index > 0 {
            tuple::add("", key);
        }
        fold_into(&tuple::escaped(value), key);
    }
}

/// Appends a text in the form in which it compares without regard to case, as values of rules do: each character's
/// lower case, and one form for both Greek sigmas.
pub fn fold_into(text: &str, folded: &mut String) {
    if text.is_ascii() {
        folded.extend(text.bytes().map(|byte| char::from(byte.to_ascii_lowercase())));
    } else {
        folded.extend(text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cells(texts: &[&str]) -> Arc<[String]> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_first_row_counts_and_empty_cells_are_none() {
        let names = cells(&["Ann", "", "bob", "ANN", "ann"]);
        let team = cells(&["red", "x", "", "blue", "green"]);
        let inputs = vec!["author_name".to_owned()];
        let (table, repeated) = Table::new("author", inputs, &[names], vec![("team".to_owned(), team)]);
        let mut key = String::new();
        let mut team = |name: &str| table.row([name].into_iter(), &mut key).map(|row| row.cell(0));
        assert_eq!(team("aNN"), Some(Some("red")));
        assert_eq!(team("Bob"), Some(None));
        assert_eq!((team(""), team("carol")), (None, None));
        assert_eq!(repeated, Some(Repeated { value: "ANN".to_owned(), rows: 2 }));
    }

    #[test]
    fn a_key_of_several_fields_needs_them_all() {
        let (table, _) = Table::new(
            "a",
            vec!["x".to_owned(), "y".to_owned()],
            &[cells(&["1", "1"]), cells(&["2", "3"])],
            vec![("z".to_owned(), cells(&["p", "q"]))],
        );
        let mut key = String::new();
        assert_eq!(table.row(["1", "3"].into_iter(), &mut key).and_then(|row| row.cell(0)), Some("q"));
        assert!(table.row(["1"].into_iter(), &mut key).is_none());
    }

    proptest! {
        #[test]
        fn text_folds_as_it_does_in_rules(text in "\\PC{0,20}") {
            let mut folded = String::new();
            fold_into(&text, &mut folded);
            prop_assert_eq!(folded, crate::matcher::fold(&text));
        }
    }
}
