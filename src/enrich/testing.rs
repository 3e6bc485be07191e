//! A small world for tests: two databases of documentation networks, a table of people, an account.

use std::sync::Arc;

use super::{Database, Enrichment, Geo, Own, Table};

/// Places: 203.0.113.0/24 Munich, 198.51.100.0/25 New York, 198.51.100.128/25 the US without a city,
/// 2001:db8::/32 Tokyo.
pub(crate) fn city() -> Vec<u8> {
    include_bytes!("../../tests/fixtures/geo/city.mmdb").to_vec()
}

/// Networks: 203.0.113.0/24 AS 64500 "Example Carrier", 192.0.2.0/24 AS 64511 "Example Hosting".
pub(crate) fn asn() -> Vec<u8> {
    include_bytes!("../../tests/fixtures/geo/asn.mmdb").to_vec()
}

pub(crate) fn geo() -> Geo {
    let read = |bytes| Arc::new(Database::read(bytes).unwrap());
    Geo::new(vec![read(city()), read(asn())]).unwrap()
}

/// Rows of name, team, role, looked up by `author_name`, as `author`.
pub(crate) fn people(rows: &str) -> Arc<Table> {
    let column = |index: usize| -> Arc<[String]> {
        rows.lines().map(|row| row.split(',').nth(index).unwrap().to_owned()).collect()
    };
    let columns = vec![("team".to_owned(), column(1)), ("role".to_owned(), column(2))];
    Arc::new(Table::new("author", vec!["author_name".to_owned()], &[column(0)], columns).0)
}

/// All of it: Ann is a developer in team red, account 9 is Watchfire's own.
pub(crate) fn enrichment() -> Enrichment {
    let own = Own::new(["9"], []).map(Arc::new);
    Enrichment::new(Some(Arc::new(geo())), own, vec![people("Ann,red,dev\nBob,,ops\n")])
}
