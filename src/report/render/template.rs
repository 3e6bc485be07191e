//! The templates, and the CSV of a table.

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use super::context::{Rest, context};
use crate::encode::{TemplateError, value_of};
use crate::query::format::csv_table;
use crate::report::{Cell, Report, Section, Zone};

static TEMPLATES: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_auto_escape_callback(|name| {
        if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
    });
    environment.add_template("report.txt", include_str!("../templates/report.txt"))?;
    environment.add_template("report.html", include_str!("../templates/report.html"))?;
    Ok(environment)
});

/// The report as text for a terminal or the plain part of a mail.
///
/// # Errors
/// Only when the built-in templates are broken, which the tests would show.
pub fn text(report: &Report) -> Result<String, TemplateError> {
    filled("report.txt", report, &Rest::Commands)
}

/// The report as a page that needs nothing else: tables, styles inline, no script, no image.
///
/// # Errors
/// As [`text`].
pub fn html(report: &Report) -> Result<String, TemplateError> {
    filled("report.html", report, &Rest::Commands)
}

pub(super) fn filled(name: &str, report: &Report, rest: &Rest) -> Result<String, TemplateError> {
    let broken = |error: &minijinja::Error| TemplateError::Template {
        line: error.line().unwrap_or(0),
        reason: error.to_string(),
    };
    let environment = TEMPLATES.as_ref().map_err(broken)?;
    let template = environment.get_template(name).map_err(|error| broken(&error))?;
    let reason = |error: serde_json::Error| TemplateError::Template { line: 0, reason: error.to_string() };
    let context = serde_json::to_value(context(report, rest)).map_err(reason)?;
    template.render(value_of(&context)).map_err(|error| broken(&error))
}

/// All rows of a table as CSV (RFC 4180) with a heading; no cell is run as a formula by a spreadsheet.
///
/// # Errors
/// The writer ran out of memory; it writes nowhere else.
pub fn csv(section: &Section, zone: &Zone) -> Result<Vec<u8>, csv::Error> {
    let heading = section.kind.columns().iter().map(|column| column.key.to_owned()).collect();
    let row = |row: &Vec<Cell>| row.iter().map(|cell| cell.exact(zone)).collect();
    csv_table(std::iter::once(heading).chain(section.rows.iter().map(row)))
}
