use super::super::tests::rule_of;
use super::*;

fn check(detection: &str, behavior: &str) -> Vec<String> {
    let text = format!("title: T\nlogsource: {{product: gitlab}}\ndetection:\n{detection}{behavior}");
    let rule = rule_of(&text);
    let found = lint(&rule, &Catalogue::built_in(), Some(&text));
    let shown = |d: &Diagnostic| {
        let help = d.help.as_deref().unwrap_or_default();
        format!("{}:{}+{} {}: {} {help}", d.line, d.column, d.width, d.code, d.message).trim_end().to_owned()
    };
    found.iter().map(shown).collect()
}

fn one(selection: &str) -> Vec<String> {
    check(&format!("  a: {selection}\n  condition: a\n"), "")
}

#[test]
fn event_types_nobody_sends_are_named() {
    assert_eq!(
        one("{event_type: [project_destroyed, projet_destroyed]}"),
        [
            "4:39+16 unknown-event-type: GitLab has no event type `projet_destroyed` did you mean `project_destroyed`?"
        ]
    );
    assert_eq!(
        one("{event_type: project_group_link_create}"),
        [
            "4:19+25 former-event-type: `project_group_link_create` is a former name, under which no event is seen any more write `project_group_link_created`: older events are seen under that name too"
        ]
    );
    assert!(one("{event_type: Project_Destroyed}").is_empty());
    assert!(one("{event_type|startswith: projet_}").is_empty());
}

#[test]
fn fields_nobody_has_are_named() {
    assert_eq!(
        one("{event_type: project_destroyed, autor_id: 7}"),
        ["4:38+8 unknown-field: no event of this product has the field `autor_id` did you mean `author_id`?"]
    );
    assert!(one("{details.autor: 7, meta.x: 1, time: 3, scoped: 4}").is_empty());
    let found = check(
        "  a: {event_type: project_destroyed}\n  condition: a\n",
        "behavior: {by: entity_di, within: 1h, at_least: 3}\n",
    );
    assert_eq!(
        found,
        [
            "6:16+9 unknown-field: no event of this product has the field `entity_di` did you mean `entity_id`?"
        ]
    );
}

#[test]
fn fields_that_a_behaviour_looks_at_are_named() {
    let meant = [("autor_id", "author_id"), ("entity_di", "entity_id"), ("ip_adress", "ip_address")];
    for (behavior, slips) in [
        ("{by: author_id, rare: ip_adress, peers: entity_di, history: 28d, below: 1%}", &meant[1..]),
        ("{by: author_id, change: ip_adress}", &meant[2..]),
        ("{by: author_id, first_seen: [entity_di, ip_adress], learn: 1d}", &meant[1..]),
        ("{by: autor_id, spike: {of: distinct entity_di, bucket: 1h, history: 28d}}", &meant[..2]),
        ("{by: author_id, spike: {of: sum entity_di, bucket: 1h, history: 28d}}", &meant[1..2]),
        ("{by: autor_id, dormant: 60d}", &meant[..1]),
        ("{by: autor_id, unusual_hour: {learn: 28d}}", &meant[..1]),
        ("{by: autor_id, bucket: {capacity: 5, leak: 10s}}", &meant[..1]),
        ("{by: autor_id, travel: {max_kmh: 900}}", &meant[..1]),
        ("{by: author_id, max: entity_di, within: 1h, at_least: 3}", &meant[1..2]),
        ("{by: author_id, sequence: [a, a], same: entity_di, different: ip_adress, within: 1h}", &meant[1..]),
        ("{by: author_id, rare: details.protocl, history: 28d, below: 1%}", &[]),
    ] {
        let found = check(
            "  a: {event_type: project_destroyed}\n  condition: a\n",
            &format!("behavior: {behavior}\n"),
        );
        let fields: Vec<&String> = found.iter().filter(|line| line.contains("unknown-field")).collect();
        assert_eq!(fields.len(), slips.len(), "{behavior}: {found:?}");
        for (slip, meant) in slips {
            let says = format!("has the field `{slip}` did you mean `{meant}`?");
            let at = format!("6:{}+", 11 + behavior.find(slip).unwrap());
            assert!(
                fields.iter().any(|line| line.contains(&says) && line.starts_with(&at)),
                "{behavior}: {found:?}"
            );
        }
    }
}

#[test]
fn tests_that_exclude_each_other_are_named() {
    for (selection, reason) in [
        ("{author_id: 7, author_id|gt: 9}", Some("`author_id` would have to be `7` and > 9")),
        ("{author_id|gt: 9, author_id|lte: 9}", Some("`author_id` would have to be > 9 and <= 9")),
        ("{author_id|gt: 8, author_id|lte: 9}", None),
        (
            "{details.x: a, details.x|exists: false}",
            Some("`details.x` would have to be missing and to have a value"),
        ),
        ("{details.x: a, details.x|contains: b}", None),
        ("[{author_id: 7, author_id|lt: 3}, {author_id: 8}]", None),
    ] {
        let found = one(selection);
        match reason {
            Some(reason) => {
                let expected = format!("4:3+1 never-matches: the selection `a` can never match: {reason}");
                assert_eq!(found, [expected], "{selection}");
            }
            None => assert!(found.is_empty(), "{selection}: {found:?}"),
        }
    }
}

#[test]
fn conditions_that_cannot_hold_are_named() {
    let selections =
        "  a: {event_type: [user_created, user_destroyed]}\n  b: {event_type: project_destroyed}\n";
    let found = |condition: &str| check(&format!("{selections}  condition: {condition}\n"), "");
    assert_eq!(
        found("a and b"),
        [
            "6:3+9 never-fires: the rule can never fire: `event_type` would have to be both `user_created` or `user_destroyed` and `project_destroyed`"
        ]
    );
    assert_eq!(found("a and not a or b and not b").len(), 1);
    assert!(found("a or b").is_empty());
    assert!(found("a and not b").is_empty());
    // Of an array any element will do, so two values of `details.x` do not exclude each other.
    assert!(check("  a: {details.x: 1}\n  b: {details.x: 2}\n  condition: a and b\n", "").is_empty());
    let steps = "behavior: {by: author_id, within: 1h, sequence: [a, b]}\n";
    assert!(check(&format!("{selections}  condition: a or b\n"), steps).is_empty());
    let found = check(&format!("{selections}  condition: a and not b\n"), steps);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("never-fires: the step `b` can never match"), "{found:?}");
}

#[test]
fn fields_that_nobody_works_out_are_named() {
    let found = one("{geo.country: DE, geo.city: x, self: true}");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("4:7+11 no-geo-database: no GeoIP database is configured"), "{found:?}");
    let enriched = |selection: &str| {
        let catalogue = Catalogue::built_in().with(crate::enrich::testing::enrichment());
        let text = format!(
            "title: T\nlogsource: {{product: gitlab}}\ndetection:\n  a: {selection}\n  condition: a\n"
        );
        let loaded = crate::rule::load(
            &[crate::rule::RuleFile { path: "a.yml".into(), text: text.clone() }],
            &crate::rule::Lists::new(),
        );
        let found = lint(&loaded.rules[0], &catalogue, Some(&text));
        found
            .into_iter()
            .map(|d| format!("{}: {}", d.message, d.help.unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    assert!(enriched("{geo.country: DE, self: true, author.team: red}").is_empty());
    assert_eq!(
        enriched("{geo.contry: DE, author.taem: red, author.name: x}"),
        [
            "there is no field `geo.contry`: did you mean `geo.country`?",
            "the lookup `author` gives no field `author.taem`: did you mean `author.team`?"
        ]
    );
}

#[test]
fn one_key_has_one_value_of_a_field_of_the_key() {
    let behavior = |of: &str, much: &str| {
        format!("behavior: {{by: [author_id, entity_id], within: 1h, distinct: {of}, {much}}}\n")
    };
    let selections = "  a: {event_type: user_created}\n  condition: a\n";
    for (of, much) in [
        ("author_id", "at_least: 1"),
        ("author_id", "more_than: 0"),
        ("author_id", "at_most: 3"),
        ("[author_id, ip_address]", "at_least: 2"),
    ] {
        assert_eq!(check(selections, &behavior(of, much)), [""; 0], "{of} {much}");
    }
    for (of, much) in [
        ("author_id", "at_least: 2"),
        ("author_id", "more_than: 1"),
        ("[entity_id, author_id]", "at_least: 2"),
    ] {
        let found = check(selections, &behavior(of, much));
        assert!(
            found[0].contains("never-fires: the rule can never fire: all events of a key have the same"),
            "{found:?}"
        );
        assert_eq!(found.len(), 1, "{found:?}");
    }
}

#[test]
fn more_values_than_can_come_are_named() {
    let selections = "  a: {event_type: [user_created, user_destroyed]}\n  condition: a\n";
    let behavior = |least: u32| {
        format!("behavior: {{by: author_id, within: 1h, distinct: event_type, at_least: {least}}}\n")
    };
    assert!(check(selections, &behavior(2)).is_empty());
    assert_eq!(
        check(selections, &behavior(3)),
        ["6:39+8 never-fires: the rule can never fire: it lets through 2 different event_type, and needs 3"]
    );
}

#[test]
fn what_is_tried_on_every_event_is_named() {
    let found = one("{target_details|re: '^[a-z]+[0-9]$'}");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("4:22+2 costly: this regular expression is tried on every event"),
        "{found:?}"
    );
    assert!(one("{target_details|re: 'secret-[0-9]+'}").is_empty());
    assert!(one("{target_details|re|i: 'secret-[0-9]+'}").is_empty());
    assert!(one("{event_type: user_created, target_details|re: '^[a-z]+$'}").is_empty());
    assert!(one("{author_id|gt: 0}").is_empty());
    let found = one("{script: event.author_id > 7}");
    assert!(found.len() == 1 && found[0].contains("this script is tried"), "{found:?}");
}
