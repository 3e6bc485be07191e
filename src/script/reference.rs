//! The table of helpers: what the reference says of each. A test runs the examples, another compares the table
//! with the reference for analysts.

/// One helper, for the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Helper {
    /// Its name.
    pub name: &'static str,
    /// Its arguments, as written between the parentheses.
    pub arguments: &'static str,
    /// What it gives back, and when.
    pub about: &'static str,
    /// A call.
    pub example: &'static str,
    /// What the call gives.
    pub result: &'static str,
}

/// Every helper, in the order of the reference.
pub const HELPERS: &[Helper] = &[
    Helper {
        name: "lower",
        arguments: "text",
        about: "The text in lower case (Unicode); numbers as text; `()` for what is no text.",
        example: r#"lower("Straße ÄÖ")"#,
        result: r#""straße äö""#,
    },
    Helper {
        name: "upper",
        arguments: "text",
        about: "The text in upper case (Unicode); numbers as text; `()` for what is no text.",
        example: r#"upper("main")"#,
        result: r#""MAIN""#,
    },
    Helper {
        name: "matches",
        arguments: "text, regex",
        about: "Whether the regular expression is found anywhere in the text. Case counts unless it begins with `(?i)`.",
        example: r#"matches("release/1.2", "^release/[0-9.]+$")"#,
        result: "true",
    },
    Helper {
        name: "cidr",
        arguments: "address, network",
        about: "Whether the address lies in the network, or in one of an array of networks. False for text that is no address.",
        example: r#"cidr("10.2.3.4", "10.0.0.0/8")"#,
        result: "true",
    },
    Helper {
        name: "level",
        arguments: "name",
        about: "The rank of a GitLab access level: No access 0, Minimal access 5, Guest 10, Planner 15, Reporter 20, \
                Developer 30, Maintainer 40, Owner 50, Admin 60, in any case. Numbers stay; anything else is -1.",
        example: r#"level("Maintainer") > level("Developer")"#,
        result: "true",
    },
    Helper {
        name: "in_list",
        arguments: "list, value",
        about: "Whether the list has the value, in any case. A list that does not exist is an error.",
        example: r#"in_list("break_glass", "Root")"#,
        result: "true",
    },
    Helper {
        name: "hours_since",
        arguments: "later, earlier",
        about: "The hours from the earlier to the later time, with fractions, negative the other way round; `()` if \
                either is no time. Times are RFC 3339 text or milliseconds since 1970.",
        example: r#"hours_since("2026-01-31T09:30:00Z", "2026-01-31T08:00:00Z")"#,
        result: "1.5",
    },
    Helper {
        name: "hour_of",
        arguments: "time",
        about: "The hour of the time in UTC, 0 to 23; `()` if it is no time.",
        example: r#"hour_of("2026-01-31T23:59:00+02:00")"#,
        result: "21",
    },
    Helper {
        name: "weekday_of",
        arguments: "time",
        about: "The day of the week in UTC, Monday 1 to Sunday 7; `()` if it is no time.",
        example: r#"weekday_of("2026-01-31")"#,
        result: "6",
    },
    Helper {
        name: "number",
        arguments: "value",
        about: "The value as a number, also if it is written as text; `()` if it is none.",
        example: r#"number("42") + 1"#,
        result: "43",
    },
    Helper {
        name: "contains_any",
        arguments: "text, texts",
        about: "Whether the text contains one of the texts of an array, in any case. False for what is no text.",
        example: r#"contains_any("deploy-PROD-eu", ["prod", "live"])"#,
        result: "true",
    },
    Helper {
        name: "starts_with_any",
        arguments: "text, texts",
        about: "Whether the text begins with one of the texts of an array, in any case.",
        example: r#"starts_with_any("Login_failed_x", ["login_", "logout_"])"#,
        result: "true",
    },
    Helper {
        name: "ends_with_any",
        arguments: "text, texts",
        about: "Whether the text ends with one of the texts of an array, in any case.",
        example: r#"ends_with_any("secrets.PEM", [".pem", ".key"])"#,
        result: "true",
    },
    Helper {
        name: "domain_of",
        arguments: "text",
        about: "What stands behind the last `@` of a mail address, in lower case; `()` if there is none.",
        example: r#"domain_of("Ada@Example.COM")"#,
        result: r#""example.com""#,
    },
    Helper {
        name: "entropy",
        arguments: "text",
        about: "Shannon's entropy in bits per character, to three decimals: near 0 for repetitions, above 4 for \
                random tokens. 0 for what is no text.",
        example: r#"entropy("aabb")"#,
        result: "1.0",
    },
    Helper {
        name: "is_private",
        arguments: "address",
        about: "Whether the address is one of private, loopback or link-local networks (RFC 1918, 4193, 3927, 4291). \
                False for text that is no address.",
        example: r#"is_private("192.168.7.1")"#,
        result: "true",
    },
    Helper {
        name: "minutes_since",
        arguments: "later, earlier",
        about: "As `hours_since`, in minutes.",
        example: r#"minutes_since("2026-01-31T09:30:00Z", "2026-01-31T08:00:00Z")"#,
        result: "90.0",
    },
    Helper {
        name: "days_since",
        arguments: "later, earlier",
        about: "As `hours_since`, in days of 24 hours.",
        example: r#"days_since("2026-02-02T12:00:00Z", "2026-01-31T00:00:00Z")"#,
        result: "2.5",
    },
    Helper {
        name: "percent",
        arguments: "part, whole",
        about: "The part of the whole in percent; `()` if either is no number or the whole is 0.",
        example: r#"percent(1, "8")"#,
        result: "12.5",
    },
    Helper {
        name: "parse_json",
        arguments: "text",
        about: "The value that is written in the text as JSON; `()` for what is no JSON.",
        example: r#"parse_json("{\"roles\": [\"owner\"]}").roles[0]"#,
        result: r#""owner""#,
    },
];

impl Helper {
    /// The helper as a row of the reference.
    #[must_use]
    pub fn row(&self) -> String {
        let Self { name, arguments, about, example, result } = self;
        let example = example.replace('|', "\\|");
        format!("| `{name}({arguments})` | {about} | `{example}` | `{result}` |")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Limits, Window};

    const REFERENCE: &str = include_str!("../../docs/scripts.md");

    /// Paste what this prints between the marks of the reference when a helper changes.
    #[test]
    fn the_reference_has_every_helper_word_for_word() {
        let rows: Vec<String> = HELPERS.iter().map(Helper::row).collect();
        let (_, rest) = REFERENCE.split_once("<!-- helpers").unwrap();
        let (table, _) = rest.split_once("<!-- end of helpers -->").unwrap();
        let written: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(written, rows, "docs/scripts.md should have:\n{}\n", rows.join("\n"));
    }

    #[test]
    fn the_reference_has_every_limit() {
        let limits = Limits::default();
        let (_, table) = REFERENCE.split_once("<!-- limits").unwrap();
        let kib = |bytes: usize| format!("{} KiB |", bytes >> 10);
        let thousands = |number: u64| format!("| {},{:03} |", number / 1000, number % 1000);
        for (row, limit) in [
            ("steps", thousands(limits.operations)),
            ("units of work", thousands(limits.helper_work)),
            ("functions calling", format!("| {} deep |", limits.call_levels)),
            ("nesting", format!("| {} deep |", limits.expression_depth)),
            ("one text,", kib(limits.string_bytes)),
            ("elements", thousands(limits.array_items as u64)),
            ("entries", format!("| {} |", limits.map_entries)),
            ("variables", format!("| {} |", limits.variables)),
            ("functions in", format!("| {} |", limits.functions)),
            ("a script's text", kib(limits.source_bytes)),
            ("one key's state", kib(limits.state_bytes)),
            ("one regular", kib(limits.regex_bytes)),
            ("events in a window", thousands(Window::EVENTS_MAX as u64)),
        ] {
            let line = table.lines().find(|line| line.starts_with(&format!("| {row}"))).unwrap_or(row);
            assert!(line.ends_with(&limit), "{line} should end with {limit}");
        }
    }
}
