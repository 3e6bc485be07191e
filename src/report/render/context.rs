//! What the templates show of a report.

use serde::Serialize;

use crate::alert::Verdict;
use crate::encode::clean;
use crate::report::{Cell, Every, Report, Section, SectionKind, Zone};
use crate::time::Timestamp;

/// Rows of a table that people are shown.
const ROWS_SHOWN: usize = 25;
const VALUE_CHARS_MAX: usize = 160;
const NOTE_CHARS_MAX: usize = 1_000;

/// Where the rows are that are not shown.
pub(super) enum Rest {
    /// A command writes them.
    Commands,
    /// In attached files; of those that would make the mail too large only the names are left.
    Attached {
        /// By section.
        names: Vec<(SectionKind, String)>,
        /// The sections whose files are left out.
        left_out: Vec<SectionKind>,
    },
}

#[derive(Debug, Serialize)]
pub(super) struct Context {
    title: String,
    period: String,
    about: Vec<String>,
    events: String,
    quiet: String,
    notes: Vec<String>,
    summary: Vec<Number>,
    sections: Vec<Shown>,
    left_out: String,
    command: String,
}

#[derive(Debug, Serialize)]
struct Number {
    heading: &'static str,
    /// The heading with spaces behind it, as wide as the widest.
    padded: String,
    count: String,
    before: String,
    part: String,
    is_some: bool,
}

#[derive(Debug, Serialize)]
struct Shown {
    heading: &'static str,
    numbers: String,
    nothing: &'static str,
    columns: Vec<(&'static str, u8)>,
    rows: Vec<Vec<[String; 2]>>,
    /// The rows without a table.
    lines: Vec<String>,
    more: String,
}

pub(super) fn context(report: &Report, rest: &Rest) -> Context {
    let period = &report.period;
    let title = title(report);
    let mut about =
        vec![format!("{} to {}", period.zone().minute(period.start()), period.zone().minute(period.end()))];
    if let Some(zone) = about.first_mut() {
        zone.push_str(&format!(" ({})", period.zone()));
    }
    if !report.query.is_empty() {
        about.push(format!("Only events that `{}` finds", clean(&report.query, NOTE_CHARS_MAX)));
    }
    Context {
        title,
        period: period.to_string(),
        about,
        events: events(report),
        quiet: quiet(report),
        notes: report.notes.iter().map(|note| clean(note, NOTE_CHARS_MAX)).collect(),
        summary: report.sections.iter().map(|section| number(section, &report.sections)).collect(),
        sections: report.sections.iter().map(|section| shown(section, report, rest)).collect(),
        left_out: left_out(rest),
        command: command(report),
    }
}

/// `Weekly report security`.
pub(super) fn title(report: &Report) -> String {
    let word = match report.period.every() {
        Every::Daily => "Daily report",
        Every::Weekly => "Weekly report",
        Every::Monthly => "Monthly report",
    };
    report.name.as_ref().map_or_else(|| word.to_owned(), |name| format!("{word} {}", clean(name, 60)))
}

fn before(report: &Report) -> &'static str {
    match report.period.every() {
        Every::Daily => "the day before",
        Every::Weekly => "the week before",
        Every::Monthly => "the month before",
    }
}

fn events(report: &Report) -> String {
    let Some((now, earlier)) = report.events else { return String::new() };
    let (count, before) = (grouped(earlier), before(report));
    match now {
        0 if earlier == 0 => format!("No event came in, and none {before}."),
        0 => format!("No event came in; {before} there were {count}. Is a source silent?"),
        1 => format!("1 event came in; {before} {count}."),
        now => format!("{} events came in; {before} {count}.", grouped(now)),
    }
}

/// Says that nothing is nothing, and not a failure.
fn quiet(report: &Report) -> String {
    if !report.is_empty() {
        return String::new();
    }
    "Nothing happened that this report tells of. It is sent all the same, so that its silence means something.".to_owned()
}

fn number(section: &Section, all: &[Section]) -> Number {
    let width = all.iter().map(|section| section.kind.heading().len()).max().unwrap_or(0);
    let part = match section.part {
        Some((now, before)) => format!("{} failed, before {}", grouped(now), grouped(before)),
        None => String::new(),
    };
    Number {
        heading: section.kind.heading(),
        padded: format!("{:width$}", section.kind.heading()),
        count: grouped(section.count),
        before: grouped(section.before),
        part,
        is_some: section.count > 0,
    }
}

fn shown(section: &Section, report: &Report, rest: &Rest) -> Shown {
    let zone = report.period.zone();
    let columns = section.kind.shown();
    let text = |row: &[Cell], key: &str| match key {
        SectionKind::VERDICTS => verdicts(section, row),
        SectionKind::PRECISION => precision(section, row, zone),
        _ => {
            let cell = section.cell(row, key).map(|cell| cell.minute(zone)).unwrap_or_default();
            clean(&cell, VALUE_CHARS_MAX)
        }
    };
    let cell = |row: &[Cell], (_, main, sub, _): &(&str, &str, &str, u8)| match section.cell(row, main) {
        Some(Cell::Time(time)) if *main == "time" => moment(*time, report),
        _ => [text(row, main), text(row, sub)],
    };
    let row = |row: &Vec<Cell>| columns.iter().map(|column| cell(row, column)).collect();
    let mut numbers = format!("{}, before {}", grouped(section.count), grouped(section.before));
    if let Some((now, before)) = section.part {
        numbers = format!("{numbers}; failed {}, before {}", grouped(now), grouped(before));
    }
    Shown {
        heading: section.kind.heading(),
        numbers,
        nothing: section.kind.nothing(),
        columns: columns.iter().map(|(heading, .., width)| (*heading, *width)).collect(),
        lines: section
            .rows
            .iter()
            .take(ROWS_SHOWN)
            .map(|row| line(section.kind, |key| text(row, key)))
            .collect(),
        rows: section.rows.iter().take(ROWS_SHOWN).map(row).collect(),
        more: more(section, rest),
    }
}

/// `2 true positives, 1 open`: those that there are.
fn verdicts(section: &Section, row: &[Cell]) -> String {
    let all = Verdict::ALL.into_iter().map(Verdict::name).chain(["open"]);
    let some = all.filter_map(|key| match section.cell(row, key) {
        Some(Cell::Number(count @ 1..)) => {
            let plural = if *count > 1 && !["benign", "open"].contains(&key) { "s" } else { "" };
            Some(format!("{} {}{plural}", grouped(*count), key.replace('_', " ")))
        }
        _ => None,
    });
    some.collect::<Vec<_>>().join(", ")
}

/// Where nobody has judged any, nothing.
fn precision(section: &Section, row: &[Cell], zone: &Zone) -> String {
    match section.cell(row, "precision") {
        Some(share @ Cell::Share(..)) => format!("precision {}", share.minute(zone)),
        _ => String::new(),
    }
}

/// As short as it can be understood within the period: `14:03`, or the day with the time below it.
fn moment(time: Timestamp, report: &Report) -> [String; 2] {
    let local = report.period.zone().civil(time);
    let minute = local.strftime("%H:%M").to_string();
    match report.period.every() {
        Every::Daily => [minute, String::new()],
        Every::Weekly => [local.strftime("%a %-d").to_string(), minute],
        Every::Monthly => [local.strftime("%-d %b").to_string(), minute],
    }
}

/// A row as a line that needs no heading.
fn line(kind: SectionKind, text: impl Fn(&str) -> String) -> String {
    let more = |key: &str, before: &str, behind: &str| {
        let text = text(key);
        if text.is_empty() { text } else { format!("{before}{text}{behind}") }
    };
    match kind {
        SectionKind::SignIns => format!(
            "{}: {} signed in, {} failed{}",
            text("author"),
            text("signed_in"),
            text("failed"),
            more("new_addresses", "; new: ", ""),
        ),
        SectionKind::Alerts => format!(
            "{}  {}{}: {}, before {}; {}; {}{}",
            text("level").to_uppercase(),
            text("title"),
            more("about", " (", ")"),
            text("alerts"),
            text("before"),
            text("status"),
            text(SectionKind::VERDICTS),
            more(SectionKind::PRECISION, "; ", ""),
        ),
        SectionKind::Responses => format!(
            "{}  {}: {}{}  {}{}",
            text("time"),
            text("action"),
            text("state"),
            more("result", ", ", ""),
            text("title"),
            more("about", " (", ")"),
        ),
        SectionKind::Coverage => format!(
            "{} to {}  {}: {}{}",
            text("from"),
            text("to"),
            if text("source").is_empty() { "log".to_owned() } else { text("source") },
            text("what"),
            more("detail", ", ", ""),
        ),
        _ => {
            let place = more("place", " in ", "");
            let about = format!("{}{place}", text("target"));
            let parts = [
                text("time"),
                format!("{}{}", text("what"), more("change", " (", ")")),
                about.trim().to_owned(),
                format!("by {}{}", text("author"), more("address", " from ", "")),
            ];
            let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            parts.join("  ")
        }
    }
}

/// What is not shown, and where it is.
fn more(section: &Section, rest: &Rest) -> String {
    let hidden = section.rows.len().saturating_sub(ROWS_SHOWN);
    let mut text = match hidden {
        0 => String::new(),
        hidden => match rest {
            Rest::Attached { names, .. } => {
                let name =
                    names.iter().find(|(kind, _)| *kind == section.kind).map(|(_, name)| name.as_str());
                let place = name.map(|name| format!(" in {name}")).unwrap_or_default();
                format!("and {} more{place}", grouped(hidden as u64))
            }
            Rest::Commands => format!("and {} more", grouped(hidden as u64)),
        },
    };
    if section.left_out > 0 {
        let counted = format!("{} further ones are only counted", grouped(section.left_out));
        text = if text.is_empty() { counted } else { format!("{text}; {counted}") };
    }
    text
}

fn left_out(rest: &Rest) -> String {
    match rest {
        Rest::Attached { left_out, .. } if !left_out.is_empty() => {
            let names: Vec<&str> = left_out.iter().map(|kind| kind.heading()).collect();
            let are = if names.len() == 1 { "is" } else { "are" };
            format!(
                "{} {are} not attached: the mail would be too large. This writes all tables:",
                names.join(", ")
            )
        }
        Rest::Attached { .. } => {
            "Everything in these tables is attached as CSV. This writes them again:".to_owned()
        }
        Rest::Commands => "All rows, as CSV:".to_owned(),
    }
}

/// The command that gives the same report again, for a POSIX shell.
fn command(report: &Report) -> String {
    let quoted = |text: &str| format!("'{}'", clean(text, NOTE_CHARS_MAX).replace('\'', r"'\''"));
    let period = &report.period;
    let mut command = format!("watchfire report {}", period.every().name());
    match &report.name {
        Some(name) => command.push_str(&format!(" --config FILE --name {}", quoted(name))),
        None => {
            if period.zone().name() != "UTC" {
                command.push_str(&format!(" --time-zone {}", period.zone()));
            }
            if !report.query.is_empty() {
                command.push_str(&format!(" --query {}", quoted(&report.query)));
            }
        }
    }
    let day = if period.every() == Every::Monthly { format!("{}-01", period.key()) } else { period.key() };
    command.push_str(&format!(" --on {day} --csv FOLDER"));
    command
}

/// `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_set_apart() {
        let shown = [0, 12, 999, 1_000, 12_345, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "12", "999", "1,000", "12,345", "1,234,567"]);
    }
}
