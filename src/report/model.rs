//! A report as it is shown: sections, each a table.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Period, SectionKind, Zone};
use crate::time::Timestamp;

/// One value of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// As it came: whoever shows it escapes it.
    Text(String),
    /// A count.
    Number(u64),
    /// A moment; shown in the report's time zone.
    Time(Timestamp),
    /// So many of so many, of which there is at least one: a percentage for people, a fraction for programs.
    Share(u64, u64),
}

impl Cell {
    /// For tables of people.
    #[must_use]
    pub fn minute(&self, zone: &Zone) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Time(time) => zone.minute(*time),
            Self::Share(part, whole) => format!("{:.0} %", share(*part, *whole) * 100.0),
        }
    }

    /// For programs.
    #[must_use]
    pub fn exact(&self, zone: &Zone) -> String {
        match self {
            Self::Time(time) => zone.rfc3339(*time),
            Self::Share(part, whole) => format!("{:.3}", share(*part, *whole)),
            other => other.minute(zone),
        }
    }

    /// What its text takes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(_) | Self::Time(_) | Self::Share(..) => 0,
        }
    }

    fn json(&self, zone: &Zone) -> Value {
        match self {
            Self::Number(number) => (*number).into(),
            Self::Share(part, whole) => share(*part, *whole).into(),
            other => other.exact(zone).into(),
        }
    }
}

/// Counts are far below what a real number holds exactly.
#[expect(clippy::cast_precision_loss, reason = "there are no 2^53 alerts")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<Timestamp> for Cell {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Column {
    /// In CSV and JSON.
    pub key: &'static str,
    /// For people.
    pub heading: &'static str,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What it is about.
    pub kind: SectionKind,
    /// How many there were, shown or not.
    pub count: u64,
    /// How many there were in the period before.
    pub before: u64,
    /// A second number, where one is not enough: of sign-ins, how many failed; and the same of the period before.
    pub part: Option<(u64, u64)>,
    /// In the order of [`SectionKind::columns`].
    pub rows: Vec<Vec<Cell>>,
    /// Rows beyond the bound of [`super::ROWS_KEPT`], which are only counted.
    pub left_out: u64,
}

impl Section {
    /// The cell of a row in the column of that key.
    pub(super) fn cell<'a>(&self, row: &'a [Cell], key: &str) -> Option<&'a Cell> {
        let at = self.kind.columns().iter().position(|column| column.key == key)?;
        row.get(at)
    }
}

/// What happened in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its name in the configuration, if it has one.
    pub name: Option<String>,
    /// What it is about.
    pub period: Period,
    /// When it was made.
    pub made_at: Timestamp,
    /// Which events it is about; all if empty.
    pub query: String,
    /// How many events came of that time, whatever they are, and how many of the period before; none where they were not
    /// counted.
    pub events: Option<(u64, u64)>,
    /// What its readers must know beside the tables.
    pub notes: Vec<String>,
    /// In the order of [`SectionKind::ALL`].
    pub sections: Vec<Section>,
}

impl Report {
    /// Whether nothing happened that it tells of.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sections.iter().all(|section| section.count == 0 && section.rows.is_empty())
    }

    /// As JSON: times in the report's zone, a row as an object.
    #[must_use]
    pub fn json(&self) -> Map<String, Value> {
        let zone = self.period.zone();
        let mut json = Map::new();
        let mut put = |key: &str, value: Value| drop(json.insert(key.to_owned(), value));
        put("name", self.name.clone().into());
        put("every", self.period.every().name().into());
        put("period", self.period.key().into());
        put("title", self.period.to_string().into());
        put("from", zone.rfc3339(self.period.start()).into());
        put("to", zone.rfc3339(self.period.end()).into());
        put("time_zone", zone.name().into());
        put("made_at", zone.rfc3339(self.made_at).into());
        put("query", self.query.clone().into());
        put("events", self.events.map(|(now, _)| now).into());
        put("events_before", self.events.map(|(_, before)| before).into());
        put("notes", self.notes.clone().into());
        put("sections", self.sections.iter().map(|section| section.json(zone)).collect());
        json
    }
}

impl Section {
    fn json(&self, zone: &Zone) -> Value {
        let columns = self.kind.columns();
        let row = |row: &Vec<Cell>| -> Value {
            let pairs = columns.iter().zip(row);
            pairs.map(|(column, cell)| (column.key.to_owned(), cell.json(zone))).collect::<Map<_, _>>().into()
        };
        let mut json = Map::new();
        let mut put = |key: &str, value: Value| drop(json.insert(key.to_owned(), value));
        put("section", self.kind.name().into());
        put("heading", self.kind.heading().into());
        put("count", self.count.into());
        put("before", self.before.into());
        if let Some((failed, before)) = self.part {
            put("failed", failed.into());
            put("failed_before", before.into());
        }
        put("left_out", self.left_out.into());
        put("rows", self.rows.iter().map(row).collect());
        json.into()
    }
}
