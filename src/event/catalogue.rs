//! The catalogue of event types: category, tier and renamed names, from the data file `catalogue.csv`; and with
//! it all else that is known of events beyond their bytes.

use rustc_hash::FxHashMap;

use super::Format;
use crate::enrich::Enrichment;

/// What an event type can do, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Irreversible change or deletion.
    Destructive,
    /// Settings and roles.
    Permission,
    /// Keys and tokens used or made.
    Secret,
    /// Data copied or exported.
    Exfiltration,
    /// Everyday work.
    Routine,
}

impl Tier {
    /// Every tier, the gravest first.
    pub const ALL: [Self; 5] =
        [Self::Destructive, Self::Permission, Self::Secret, Self::Exfiltration, Self::Routine];

    /// The word in events and rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Destructive => "destructive",
            Self::Permission => "permission",
            Self::Secret => "secret",
            Self::Exfiltration => "exfiltration",
            Self::Routine => "routine",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }
}

/// One known event type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventType {
    /// Its current name.
    pub name: String,
    /// The forge's own category.
    pub category: String,
    /// What it can do.
    pub tier: Tier,
    /// Whether the forge keeps it in its database, so that it has a lasting id and can be fetched again.
    pub is_stored_by_forge: bool,
    /// In the forge's words.
    pub description: String,
}

/// All known event types of GitLab, by name and by former name; and what events are enriched with.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    types: Vec<EventType>,
    /// By current and by former name.
    by_name: FxHashMap<String, usize>,
    aliases: FxHashMap<String, String>,
    enrichment: Enrichment,
}

const TYPES: &str = include_str!("catalogue.csv");
const ALIASES: &str = include_str!("aliases.csv");

impl Catalogue {
    /// The catalogue that ships with the program. A line of the data files that does not parse is left out;
    /// a test keeps them whole.
    #[must_use]
    pub fn built_in() -> Self {
        let types: Vec<EventType> = records(TYPES).filter_map(|row| parse_type(&row)).collect();
        let mut by_name: FxHashMap<String, usize> =
            types.iter().enumerate().map(|(index, known)| (known.name.clone(), index)).collect();
        let aliases: FxHashMap<String, String> = records(ALIASES)
            .filter_map(|row| Some((row.get(0)?.to_owned(), row.get(1)?.to_owned())))
            .collect();
        for (old, new) in &aliases {
            if let Some(index) = by_name.get(new).copied() {
                by_name.insert(old.clone(), index);
            }
        }
        Self { types, by_name, aliases, enrichment: Enrichment::default() }
    }

    /// BLAKE3 over the data that ships with the program: what was derived from events by other data may differ.
    #[must_use]
    pub fn digest() -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for data in [TYPES, ALIASES] {
            hasher.update(&(data.len() as u64).to_le_bytes()).update(data.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// The same event types, with this enrichment.
    #[must_use]
    pub fn with(&self, enrichment: Enrichment) -> Self {
        Self { enrichment, ..self.clone() }
    }

    /// What events are enriched with.
    #[must_use]
    pub const fn enrichment(&self) -> &Enrichment {
        &self.enrichment
    }

    /// The type of that name, or the one that was once called so. Only GitLab's types are listed.
    #[must_use]
    pub fn get(&self, format: Format, name: &str) -> Option<&EventType> {
        if format != Format::Gitlab {
            return None;
        }
        self.types.get(*self.by_name.get(name)?)
    }

    /// All types, in the order of the data file.
    #[must_use]
    pub fn types(&self) -> &[EventType] {
        &self.types
    }

    /// Former names and what they are called now.
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aliases.iter().map(|(old, new)| (old.as_str(), new.as_str()))
    }
}

fn records(text: &str) -> impl Iterator<Item = csv::StringRecord> {
    csv::Reader::from_reader(text.as_bytes()).into_records().filter_map(Result::ok)
}

/// Columns: name, category, tier, saved_to_database, description.
fn parse_type(row: &csv::StringRecord) -> Option<EventType> {
    Some(EventType {
        name: row.get(0)?.to_owned(),
        category: row.get(1)?.to_owned(),
        tier: Tier::named(row.get(2)?)?,
        is_stored_by_forge: row.get(3)? == "true",
        description: row.get(4)?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_data_files_is_read() {
        let catalogue = Catalogue::built_in();
        assert_eq!(catalogue.types().len(), 449);
        assert_eq!(catalogue.types().len(), TYPES.lines().count() - 1);
        for (old, new) in catalogue.aliases() {
            let known = catalogue.get(Format::Gitlab, old).map(|known| known.name.as_str());
            assert_eq!(known, Some(new), "{old} points to the unknown {new}, or is itself a current name");
        }
    }
}
