//! `watchfire schema`: what editors need for completion and checks.

mod behavior;

use std::process::ExitCode;

use clap::Args;

/// Options of `watchfire schema`.
#[derive(Debug, Args)]
#[command(after_help = "\
JSON Schema, draft 2020-12. Editors with the YAML language server take it from a first line in the file:
  # yaml-language-server: $schema=/etc/watchfire/rule.schema.json
`watchfire check` knows more: it compiles the rules and looks at what they refer to.

Examples:
  watchfire schema rule > rule.schema.json
  watchfire schema config > config.schema.json")]
pub struct SchemaArgs {
    /// Of what
    #[arg(value_enum, default_value_t = Subject::Rule)]
    subject: Subject,
}

/// What a schema is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Subject {
    /// Rule files.
    Rule,
    /// The configuration.
    Config,
}

const RULE: &str = include_str!("schema/rule.json");
const CONFIG: &str = include_str!("schema/config.json");

/// Prints it.
pub fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    match args.subject {
        Subject::Rule => super::print(&format!("{:#}\n", rule()?))?,
        Subject::Config => super::print(CONFIG)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The schema of rule files; what the parser has a table of comes from there.
fn rule() -> serde_json::Result<serde_json::Value> {
    let mut schema: serde_json::Value = serde_json::from_str(RULE)?;
    if let Some(place) = schema.pointer_mut("/$defs/behavior") {
        *place = behavior::behavior();
    }
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::rule::vocabulary;

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    /// The keys of the object at a JSON pointer.
    fn keys<'a>(schema: &'a Value, pointer: &str) -> BTreeSet<&'a str> {
        let object = schema.pointer(pointer).and_then(Value::as_object);
        object.unwrap_or_else(|| panic!("nothing at {pointer}")).keys().map(String::as_str).collect()
    }

    fn same(schema: &BTreeSet<&str>, known: &[&str]) {
        assert_eq!(*schema, known.iter().copied().collect::<BTreeSet<_>>());
    }

    #[test]
    fn the_rule_schema_knows_every_word_of_the_parser() {
        let schema = rule().unwrap();
        let (mut document, own) = (keys(&schema, "/properties"), vocabulary::document());
        assert!(document.remove("custom"));
        same(&document, &own);
        same(&keys(&schema, "/$defs/behavior/properties"), &vocabulary::behavior());
        let (correlation, types, criteria) = vocabulary::correlation();
        same(&keys(&schema, "/$defs/correlation/properties"), &correlation);
        let mut condition = keys(&schema, "/$defs/correlation/properties/condition/oneOf/1/properties");
        assert!(condition.remove("field") && condition.remove("percentile"));
        same(&condition, &criteria);
        assert_eq!(schema["$defs"]["correlation"]["properties"]["type"]["enum"], Value::from(types));
        let (test, series) = vocabulary::tests();
        same(&keys(&schema, "/$defs/test/properties"), &test);
        let in_tests = "/$defs/test/properties/events/oneOf/0/items/then/properties";
        same(&keys(&schema, in_tests), &series);
        let pattern = schema["$defs"]["tests_of_fields"]["propertyNames"]["pattern"].as_str().unwrap();
        let pattern = regex::Regex::new(pattern).unwrap();
        for modifier in vocabulary::modifiers() {
            assert!(pattern.is_match(&format!("a.b|{modifier}")), "{modifier}");
        }
        assert!(pattern.is_match("a") && pattern.is_match("|all") && !pattern.is_match("a|containss"));
        for part in ["/$defs/behavior", "/$defs/correlation", "/$defs/test"] {
            assert_eq!(schema.pointer(part).unwrap()["additionalProperties"], false, "{part}");
        }
    }

    /// The keys that a part of the configuration may have, as the parser tells them to who uses another.
    fn expected(config: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.yaml");
        std::fs::write(&path, config).unwrap();
        let error = crate::config::load_without_secrets(&path).unwrap_err();
        let found: Vec<_> = error.diagnostics().iter().filter(|d| d.code == "unknown-key").collect();
        let [one] = found.as_slice() else { panic!("{config}: {error}") };
        let help = one.help.as_deref().unwrap();
        let listed = help.strip_prefix("the keys here are ").unwrap_or_else(|| panic!("{config}: {help}"));
        listed.split(", ").map(|word| word.trim_matches('`').to_owned()).collect()
    }

    #[test]
    fn the_configuration_schema_knows_every_key_of_the_parser() {
        let schema = parsed(CONFIG);
        let action = |index: usize| format!("/$defs/action/oneOf/{index}/properties");
        let smtp = format!("{}/smtp/properties", action(0));
        let at_most = "/$defs/at_most/properties".to_owned();
        let forward = |index: usize| format!("/$defs/forward/oneOf/{index}/properties");
        let rotate = format!("{}/rotate/properties", forward(1));
        let odd = "qqqqqqqqqqqq: 1";
        for (config, pointer) in [
            (odd.to_owned(), "/properties".to_owned()),
            (format!("sources: [{{{odd}}}]"), "/properties/sources/items/properties".to_owned()),
            (format!("routes: [{{{odd}}}]"), "/$defs/route/properties".to_owned()),
            (
                format!("routes: [{{group: {{{odd}}}}}]"),
                "/$defs/route/properties/group/properties".to_owned(),
            ),
            (
                format!("routes: [{{escalate: [{{{odd}}}]}}]"),
                "/$defs/route/properties/escalate/items/properties".to_owned(),
            ),
            (format!("inhibit: [{{{odd}}}]"), "/properties/inhibit/items/properties".to_owned()),
            (format!("inhibit: [{{when: {{{odd}}}}}]"), "/$defs/condition/properties".to_owned()),
            (format!("maintenance: [{{{odd}}}]"), "/properties/maintenance/items/properties".to_owned()),
            (format!("storm: {{{odd}}}"), "/properties/storm/properties".to_owned()),
            (format!("notices: {{{odd}}}"), "/properties/notices/properties".to_owned()),
            (format!("reports: [{{{odd}}}]"), "/properties/reports/items/properties".to_owned()),
            (format!("exports: [{{{odd}}}]"), "/properties/exports/items/properties".to_owned()),
            (format!("geo: {{{odd}}}"), "/properties/geo/properties".to_owned()),
            (format!("self: {{{odd}}}"), "/properties/self/properties".to_owned()),
            (format!("limits: {{{odd}}}"), "/properties/limits/properties".to_owned()),
            (format!("checkpoints: {{{odd}}}"), "/properties/checkpoints/properties".to_owned()),
            (format!("log: {{{odd}}}"), "/properties/log/properties".to_owned()),
            (format!("incidents: {{{odd}}}"), "/properties/incidents/properties".to_owned()),
            (format!("api: {{{odd}}}"), "/properties/api/properties".to_owned()),
            (format!("logging: {{{odd}}}"), "/properties/logging/properties".to_owned()),
            (format!("actions: {{a: {{type: email, {odd}}}}}"), action(0)),
            (format!("actions: {{a: {{type: email, smtp: {{{odd}}}}}}}"), smtp),
            (format!("actions: {{a: {{type: webhook, {odd}}}}}"), action(1)),
            (format!("actions: {{a: {{type: gitlab, {odd}}}}}"), action(2)),
            (format!("actions: {{a: {{type: gitlab, at_most: {{{odd}}}}}}}"), at_most),
            (format!("actions: {{a: {{type: github, {odd}}}}}"), action(3)),
            (format!("actions: {{a: {{type: http, {odd}}}}}"), action(4)),
            (format!("actions: {{a: {{type: command, {odd}}}}}"), action(5)),
            (format!("egress: {{{odd}}}"), "/properties/egress/properties".to_owned()),
            (format!("responses: {{{odd}}}"), "/properties/responses/properties".to_owned()),
            (
                format!("responses: {{approval: {{{odd}}}}}"),
                "/properties/responses/properties/approval/properties".to_owned(),
            ),
            (format!("forward: [{{type: http, {odd}}}]"), forward(0)),
            (format!("forward: [{{type: file, {odd}}}]"), forward(1)),
            (format!("forward: [{{type: file, rotate: {{{odd}}}}}]"), rotate),
        ]
        .into_iter()
        .chain(
            crate::action::TargetConfig::NAMES
                .iter()
                .enumerate()
                .map(|(index, name)| (format!("actions: {{a: {{type: {name}, {odd}}}}}"), action(6 + index))),
        ) {
            let mut known: BTreeSet<String> = expected(&config).into_iter().collect();
            if keys(&schema, &pointer).contains("type") {
                // In sections whose shape depends on it, `type` is read before the rest.
                known.insert("type".to_owned());
            }
            let in_schema: BTreeSet<String> =
                keys(&schema, &pointer).into_iter().map(str::to_owned).collect();
            assert_eq!(in_schema, known, "{pointer}");
        }
    }
}
