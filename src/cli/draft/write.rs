//! The draft as a rule file.

use std::fmt::Write as _;

use super::count::Crowd;
use super::facts::{Fact, Facts, What};
use crate::event::Event;

/// What a rule is drafted from.
pub(super) struct Draft<'a> {
    pub(super) examples: &'a [Event],
    pub(super) facts: &'a Facts,
    pub(super) chosen: &'a [&'a Fact],
    pub(super) crowd: Option<&'a Crowd>,
}

/// More examples than this make a test nobody reads.
const TEST_EVENTS_MAX: usize = 100;

impl Draft<'_> {
    /// The rule file.
    pub(super) fn text(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        let (examples, met) = (self.examples.len(), self.facts.met());
        let left = self.facts.remaining(self.chosen);
        writeln!(text, "# Drafted from {examples} example events and {met} events of history.")?;
        writeln!(text, "# {left} events of the history match the selection by themselves.")?;
        if let Some(crowd) = self.crowd {
            let (most, own, within) = (crowd.most, crowd.examples, crowd.within);
            writeln!(
                text,
                "# Of one author within {within} the history had at most {most}, the examples have {own}."
            )?;
        } else if left > 0 {
            writeln!(
                text,
                "# Neither the fields nor their number tell the examples from the history: it will be noisy."
            )?;
        }
        let what = self.name();
        writeln!(text, "title: {}", quoted(&format!("Drafted: {what}")))?;
        writeln!(text, "id: drafted-{}", slug(&what))?;
        writeln!(text, "status: experimental\nlevel: medium")?;
        writeln!(text, "description: Say here what it means when this happens, and what to do first.")?;
        let format = self.examples.first().map_or("generic", |event| event.format.name());
        writeln!(text, "logsource: {{product: {format}}}\ndetection:\n  drafted:")?;
        for fact in self.chosen {
            fact_line(&mut text, fact)?;
        }
        writeln!(text, "  condition: drafted")?;
        match self.crowd {
            Some(crowd) => {
                let distinct =
                    crowd.distinct.as_ref().map(|field| format!("distinct: {field}, ")).unwrap_or_default();
                let (within, at_least) = (crowd.within, crowd.at_least);
                writeln!(
                    text,
                    "behavior: {{by: author_id, {distinct}within: {within}, at_least: {at_least}}}"
                )?;
                writeln!(text, "suppress: {within}")?;
            }
            None => writeln!(text, "suppress: 1h")?,
        }
        self.test(&mut text)?;
        Ok(text)
    }

    /// The examples as a test: one alert for each of their authors, if each has enough of them.
    fn test(&self, text: &mut String) -> anyhow::Result<()> {
        let authors = self.authors();
        if self.examples.len() > TEST_EVENTS_MAX || authors.len() != 1 {
            return Ok(());
        }
        writeln!(text, "tests:\n  - name: the examples\n    events:")?;
        for event in self.examples {
            writeln!(text, "      - {}", String::from_utf8_lossy(&event.raw).replace('\n', " "))?;
        }
        for author in authors {
            writeln!(text, "    alerts: [{{author_id: {author}}}]")?;
        }
        Ok(())
    }

    fn authors(&self) -> std::collections::BTreeSet<String> {
        let catalogue = crate::event::Catalogue::default();
        let events = self.examples.iter().map(|event| crate::event::canonical(event, &catalogue));
        events.filter_map(|event| event.get("author_id").map(ToString::to_string)).collect()
    }

    /// A few words: the event's type if it is one, else the first thing in common.
    fn name(&self) -> String {
        let first = self.chosen.first();
        let value = first.map(|fact| match &fact.what {
            What::OneOf(values) => values.iter().cloned().collect::<Vec<_>>().join(" or "),
            What::StartsWith(start) => start.clone(),
        });
        let value = value.unwrap_or_default().replace('_', " ");
        match self.crowd {
            Some(crowd) => format!("{value}, many within {}", crowd.within),
            None => value,
        }
    }
}

fn fact_line(text: &mut String, fact: &Fact) -> std::fmt::Result {
    let field = &fact.field;
    match &fact.what {
        What::StartsWith(start) => {
            writeln!(text, "    {}: {}", quoted(&format!("{field}|startswith")), value(start))
        }
        What::OneOf(values) => {
            let shown: Vec<String> = values.iter().map(|text| value(text)).collect();
            match shown.as_slice() {
                [one] => writeln!(text, "    {}: {one}", quoted(field)),
                several => writeln!(text, "    {}: [{}]", quoted(field), several.join(", ")),
            }
        }
    }
}

/// A value that stands for itself: what would be a wildcard is escaped.
fn value(text: &str) -> String {
    quoted(&text.replace('\\', "\\\\").replace('*', "\\*").replace('?', "\\?"))
}

/// Plain where YAML reads it as it stands, else in quotes, where JSON's form will do.
fn quoted(text: &str) -> String {
    let is_plain = text.chars().next().is_some_and(char::is_alphabetic)
        && text.chars().all(|c| c.is_alphanumeric() || "_.|-/".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_lowercase().as_str());
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

fn slug(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).take(8).collect::<Vec<_>>().join("-")
}
