//! Fields that are worked out: those that nobody works out here, and names that are no such fields.

use super::Linter;
use crate::enrich::GeoField;
use crate::rule::suggest;

impl Linter<'_> {
    /// Looks at a field by its name; whether it is one that is worked out.
    pub(super) fn enriched(&mut self, field: &str, line: u32) -> bool {
        let enrichment = self.catalogue.enrichment();
        // Whose the tokens of responses are the daemon asks itself: nobody else can know whether there are none.
        if field == "self" {
            return true;
        }
        let Some((name, column)) = field.split_once('.') else { return false };
        if name == "geo" {
            self.geo(field, line, enrichment.geo().is_some());
            return true;
        }
        let Some(table) = enrichment.tables().iter().find(|table| table.name() == name) else { return false };
        let is_known = table.columns().any(|known| known == column);
        if !is_known && let Some(meant) = table.columns().find(|known| suggest::is_slip(column, known)) {
            let message = format!("the lookup `{name}` gives no field `{field}`");
            let help = Some(format!("did you mean `{name}.{meant}`?"));
            self.warn("unknown-field", (line, field), message, help);
        }
        true
    }

    /// Of the place of an address. Without a database the event's own word counts, which hardly any event has.
    fn geo(&mut self, field: &str, line: u32, has_database: bool) {
        if GeoField::named(field).is_none() {
            let known = GeoField::ALL.into_iter().map(GeoField::name);
            let message = format!("there is no field `{field}`");
            self.warn("unknown-field", (line, field), message, suggest::help(field, known));
        } else if !has_database {
            let message = "no GeoIP database is configured: `geo.*` is what the event says";
            let help = "name its files under `geo: {databases: [...]}` in the configuration, or with `--geo`";
            self.once("no-geo-database", (line, field), message, help);
        }
    }

    /// Warns where nobody did for the same reason.
    fn once(&mut self, code: &'static str, place: (u32, &str), message: &str, help: &str) {
        if self.found.iter().all(|known| known.code != code) {
            self.warn(code, place, message.to_owned(), Some(help.to_owned()));
        }
    }
}
