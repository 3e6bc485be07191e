//! What is known of an event beyond its bytes: where its address lies, what a list says of its author, whether it
//! was Watchfire itself.
//!
//! Values only: the files are read elsewhere. `event` asks, once per event and only for what somebody wants.

mod enrichment;
mod geo;
mod own;
mod table;
#[cfg(test)]
pub(crate) mod testing;

pub use enrichment::{Enrichment, Wanted};
pub use geo::{Answer, Database, Fact, Geo, GeoError, GeoField};
pub use own::{Account, Own};
pub use table::{Repeated, Row, Table, fold_into};
