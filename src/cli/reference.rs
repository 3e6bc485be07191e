//! `watchfire reference`: the behaviours of rules, from the same words that the parser reads and complains with.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use crate::rule::{COMPARISONS, GROUP, KINDS, KindEntry, OPTIONS, OptionEntry};

/// Options of `watchfire reference`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  watchfire reference              all behaviours, as Markdown
  watchfire reference spike        one of them
  watchfire reference half_life    an option")]
pub struct ReferenceArgs {
    /// A behaviour or an option; without it everything
    word: Option<String>,
}

/// Prints it.
pub fn run(args: &ReferenceArgs) -> anyhow::Result<ExitCode> {
    let Some(word) = &args.word else {
        super::print(&markdown())?;
        return Ok(ExitCode::SUCCESS);
    };
    let kind = KINDS.iter().find(|kind| kind.name == word);
    let options = GROUP.iter().chain(&COMPARISONS).chain(&OPTIONS);
    let option = options.clone().find(|option| option.name == word);
    if kind.is_none() && option.is_none() {
        let known = KINDS.iter().map(|kind| kind.name).chain(options.map(|option| option.name));
        let near = crate::rule::closest(word, known).map(|near| format!("; did you mean `{near}`?"));
        anyhow::bail!("there is no behaviour or option `{word}`{}", near.unwrap_or_default());
    }
    let mut text = kind.map(one).unwrap_or_default();
    if let Some(option) = option {
        let owners: Vec<&str> =
            KINDS.iter().filter(|kind| kind.options.contains(&option.name)).map(|kind| kind.name).collect();
        let _ = writeln!(text, "{}: {}", option.name, option.value.words());
        let _ = writeln!(text, "  {}", option.says);
        if !owners.is_empty() {
            let _ = writeln!(text, "  of {}", owners.join(", "));
        }
    }
    super::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// One behaviour, for a terminal.
fn one(kind: &KindEntry) -> String {
    let mut text = format!("{}: {}\n  fires when {}\n", kind.name, kind.value.words(), kind.fires);
    for option in kind.options.iter().filter_map(|name| entry(name)) {
        let _ = writeln!(text, "    {:<12} {}: {}", option.name, option.value.words(), option.says);
    }
    let _ = writeln!(text, "  behavior: {}", kind.example);
    text
}

/// Everything, as the page `docs/behaviours.md`.
fn markdown() -> String {
    let mut text = String::from(HEAD);
    let _ = writeln!(text, "| behaviour | takes | fires when |\n|---|---|---|");
    for kind in &KINDS {
        let _ = writeln!(
            text,
            "| [`{0}`](#{0}) | {1} | {2} |",
            kind.name,
            cell(&kind.value.words()),
            cell(kind.fires)
        );
    }
    table(&mut text, "Whom it is about", &GROUP);
    table(&mut text, "Comparisons", &COMPARISONS);
    table(&mut text, "Options", &OPTIONS);
    let _ = writeln!(text, "\n## Each behaviour");
    for kind in &KINDS {
        let _ = writeln!(text, "\n### {}\n", kind.name);
        let _ = writeln!(text, "Fires when {}. Takes {}.", kind.fires, kind.value.words());
        let options: Vec<String> = kind.options.iter().map(|name| format!("`{name}`")).collect();
        if !options.is_empty() {
            let _ = writeln!(text, "Options: {}.", options.join(" "));
        }
        let _ = writeln!(text, "\n```yaml\nbehavior: {}\n```", kind.example);
    }
    text
}

const HEAD: &str = "\
# Behaviours

What stands under `behavior:` in a rule. Printed by `watchfire reference` from the table that the parser reads, so that this page, the
parser's messages and the schema for editors say the same. How rules are written: [rules.md](rules.md); how the comparisons with the past
work: [statistics.md](statistics.md).

A behaviour measures one thing. Options may stand beside it or inside its own map. Anything else is an error with its place.

";

fn table(text: &mut String, title: &str, entries: &[OptionEntry]) {
    let _ = writeln!(text, "\n## {title}\n\n| key | takes | says |\n|---|---|---|");
    for entry in entries {
        let _ =
            writeln!(text, "| `{}` | {} | {} |", entry.name, cell(&entry.value.words()), cell(entry.says));
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn entry(name: &str) -> Option<&'static OptionEntry> {
    COMPARISONS.iter().chain(&OPTIONS).find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_parser_knows() {
        let page = include_str!("../../docs/behaviours.md");
        assert!(page == markdown(), "run `watchfire reference > docs/behaviours.md`");
    }

    #[test]
    fn every_example_is_a_rule_and_every_option_is_described() {
        let script = "fn on_event(event, state, window) { true }".to_owned();
        let script = crate::rule::RuleFile { path: "slow-guessing.rhai".into(), text: script };
        for kind in &KINDS {
            let detection = match kind.name {
                "risk" => "",
                "sequence" => "detection: {opened: {a: 1}, merged: {a: 2}, condition: 1 of them}\n",
                "ratio" => "detection: {failed: {a: 1}, login: {a: 2}, condition: 1 of them}\n",
                "absence" => "detection: {approved: {a: 1}, merged: {a: 2}, condition: 1 of them}\n",
                _ => "detection: {a: {a: 1}, condition: a}\n",
            };
            let text =
                format!("title: T\nlogsource: {{product: gitlab}}\n{detection}behavior: {}\n", kind.example);
            let file = crate::rule::RuleFile { path: "a.yml".into(), text };
            let files = [file, script.clone()];
            let files = if kind.name == "script" { &files[..] } else { &files[..1] };
            let loaded = crate::rule::load(files, &crate::rule::Lists::default());
            let errors: Vec<_> =
                loaded.diagnostics.iter().filter(|d| d.severity == crate::rule::Severity::Error).collect();
            assert!(errors.is_empty() && loaded.rules.len() == 1, "{}: {errors:?}", kind.name);
            for option in kind.options {
                assert!(entry(option).is_some(), "{}: {option}", kind.name);
            }
        }
    }
}
