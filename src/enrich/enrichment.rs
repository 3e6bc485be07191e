//! All that events are enriched with.

use std::sync::Arc;

use super::geo::{Geo, GeoField};
use super::own::Own;
use super::table::Table;
use crate::tuple;

/// The field that says whether Watchfire did it itself.
const SELF: &str = "self";

/// All that events are enriched with. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Enrichment {
    geo: Option<Arc<Geo>>,
    own: Option<Arc<Own>>,
    tables: Vec<Arc<Table>>,
}

/// A field that is worked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Of the address.
    Geo(GeoField),
    /// Whether the author is one of Watchfire's own accounts.
    Own,
    /// A column of a table: the numbers of both.
    Cell(usize, usize),
}

impl Enrichment {
    /// From its parts. Of two tables of one name the first one answers; the rule parser lets no second one through.
    #[must_use]
    pub const fn new(geo: Option<Arc<Geo>>, own: Option<Arc<Own>>, tables: Vec<Arc<Table>>) -> Self {
        Self { geo, own, tables }
    }

    /// The same with other tables.
    #[must_use]
    pub fn with_tables(&self, tables: Vec<Arc<Table>>) -> Self {
        Self { tables, ..self.clone() }
    }

    /// The GeoIP databases.
    #[must_use]
    pub const fn geo(&self) -> Option<&Arc<Geo>> {
        self.geo.as_ref()
    }

    /// Watchfire's own accounts.
    #[must_use]
    pub const fn own(&self) -> Option<&Arc<Own>> {
        self.own.as_ref()
    }

    /// The lookup tables.
    #[must_use]
    pub fn tables(&self) -> &[Arc<Table>] {
        &self.tables
    }

    /// Whether a field is worked out, and how. Without a database `geo.*` are fields like any other, and so is
    /// `self` without an account.
    #[must_use]
    pub fn wanted(&self, field: &str) -> Option<Wanted> {
        if field == SELF {
            return self.own.as_ref().map(|_| Wanted::Own);
        }
        let (name, column) = field.split_once('.')?;
        if name == "geo" && self.geo.is_some() {
            return GeoField::named(field).map(Wanted::Geo);
        }
        let (number, table) = self.tables.iter().enumerate().find(|(_, table)| table.name() == name)?;
        let column = table.columns().position(|known| known == column)?;
        Some(Wanted::Cell(number, column))
    }

    /// Whether something is laid over the event's own property of this name: for who reads properties one by one.
    #[must_use]
    pub fn lays_over(&self, name: &str) -> bool {
        let outer = name.split('.').next().unwrap_or(name);
        (outer == SELF && self.own.is_some())
            || (outer == "geo" && self.geo.is_some())
            || self.tables.iter().any(|table| table.name() == outer)
    }

    /// What of this a rule may depend on, as far as its printed form tells: changes when one of those parts does.
    #[must_use]
    pub fn fingerprint(&self, meaning: &str) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        let tables: Vec<&Arc<Table>> =
            self.tables.iter().filter(|table| meaning.contains(table.name())).collect();
        let reads_geo = |table: &&Arc<Table>| table.inputs().iter().any(|input| input.starts_with("geo."));
        if let Some(geo) = &self.geo
            && (meaning.contains("geo") || tables.iter().any(reads_geo))
        {
            hasher.update(geo.hash());
        }
        if let Some(own) = &self.own
            && meaning.contains(SELF)
        {
            hasher.update(tuple::value(own.sorted()).as_bytes());
        }
        for table in tables {
            hasher.update(table.hash());
        }
        let mut fingerprint = [0; 16];
        hasher.finalize_xof().fill(&mut fingerprint);
        fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{enrichment, people};
    use super::*;

    #[test]
    fn only_what_is_configured_is_worked_out() {
        let all = enrichment();
        assert_eq!(all.wanted("geo.city"), Some(Wanted::Geo(GeoField::City)));
        assert_eq!(all.wanted("self"), Some(Wanted::Own));
        assert_eq!(all.wanted("author.role"), Some(Wanted::Cell(0, 1)));
        for field in ["geo", "geo.town", "author", "author.name", "author_id", "myself"] {
            assert_eq!(all.wanted(field), None, "{field}");
            assert_eq!(Enrichment::default().wanted(field), None);
        }
        assert_eq!(Enrichment::default().wanted("geo.city"), None);
    }

    #[test]
    fn a_rule_depends_only_on_what_it_mentions() {
        let (all, none) = (enrichment(), Enrichment::default());
        assert_eq!(all.fingerprint("event_type"), none.fingerprint("event_type"));
        for field in ["geo.country", "self", "author.team"] {
            assert_ne!(all.fingerprint(field), none.fingerprint(field), "{field}");
        }
        let changed = all.with_tables(vec![people("ann,blue,dev\n")]);
        assert_ne!(all.fingerprint("author.team"), changed.fingerprint("author.team"));
        assert_eq!(all.fingerprint("geo.city"), changed.fingerprint("geo.city"));
    }
}
