use proptest::prelude::*;

use super::*;

fn values(format: ListFormat, text: &str) -> Vec<String> {
    format.parse(text).unwrap().values().map(str::to_owned).collect()
}

fn reason(format: ListFormat, text: &str) -> String {
    format.parse(text).unwrap_err().to_string()
}

#[test]
fn each_format_gives_its_values() {
    assert_eq!(values(ListFormat::Text, "# who may\nalice\n\n  bob \n#carol\n"), ["alice", "bob"]);
    let csv = "name,why\nalice,\"a, b\"\n# not now\n\nbob\n,x\n";
    assert_eq!(values(ListFormat::Csv, csv), ["alice", "bob"]);
    assert_eq!(values(ListFormat::Csv, "#name,why\n\"al,ice\",x\n"), ["al,ice"]);
    assert_eq!(values(ListFormat::Csv, "\u{feff}name\nalice\n"), ["alice"]);
    assert_eq!(values(ListFormat::Yaml, "- alice\n- 7\n- '08'\n"), ["alice", "7", "08"]);
    assert_eq!(values(ListFormat::Yaml, "- {name: alice, team: red}\n- {name: bob}\n"), ["alice", "bob"]);
    for format in [ListFormat::Text, ListFormat::Csv, ListFormat::Yaml] {
        assert_eq!(values(format, ""), Vec::<String>::new(), "{format:?}");
    }
}

#[test]
fn columns_have_one_cell_per_row() {
    let mut lists = Lists::new();
    lists.add_file("people.csv", "name,team,note\nann,red\n,blue,x\nbob,,\n").unwrap();
    lists
        .add_file("more.yaml", "- {name: ann}\n- {team: red, name: bob, n: ~}\n- {name: cy, team: 7}\n")
        .unwrap();
    lists.add_file("plain.v2.txt", "a\n").unwrap();
    let cells = |list: &str, column: &str| lists.get(list).unwrap().column(column).unwrap().to_vec();
    assert_eq!(cells("people", "name"), ["ann", "", "bob"]);
    assert_eq!(cells("people", "team"), ["red", "blue", ""]);
    assert_eq!(cells("people", "note"), ["", "x", ""]);
    assert_eq!(cells("more", "team"), ["", "red", "7"]);
    assert_eq!(cells("more", "n"), ["", "", ""]);
    assert_eq!(lists.values("people.team").unwrap(), ["red", "blue"]);
    assert_eq!(lists.values("more").unwrap(), ["ann", "bob", "cy"]);
    assert_eq!(lists.values("plain.v2").unwrap(), ["a"]);
    let named: Vec<String> = lists.all().map(|(name, _)| name).collect();
    assert_eq!(
        named,
        [
            "more",
            "more.name",
            "more.team",
            "more.n",
            "people",
            "people.name",
            "people.team",
            "people.note",
            "plain.v2"
        ]
    );
}

#[test]
fn a_name_that_stands_for_nothing_is_told_with_what_was_meant() {
    let mut lists = Lists::new();
    lists.add_file("people.csv", "name,team\nann,red\n").unwrap();
    lists.insert("vip", vec!["a".into()]);
    for (name, message, help) in [
        ("poeple", "there is no list `poeple`", "did you mean `people`?"),
        ("poeple.team", "there is no list `poeple`", "did you mean `people`?"),
        ("people.taem", "the list `people` has no column `taem`", "did you mean `team`?"),
        ("people.zzz", "the list `people` has no column `zzz`", "expected `name` or `team`"),
        ("vip.name", "the list `vip` has no columns, so there is no `name` in it", "make a `vip.csv` of it"),
        ("nobody", "there is no list `nobody`", "put the values into `nobody.txt`"),
    ] {
        let error = lists.values(name).unwrap_err();
        assert_eq!(error.message(), message);
        assert!(error.help().starts_with(help), "{name}: {}", error.help());
    }
}

#[test]
fn what_is_no_list_is_refused_with_its_line() {
    for (format, text, expected) in [
        (ListFormat::Yaml, "a: 1", "line 1: a list file must be one YAML list"),
        (ListFormat::Yaml, "- a\n- [b]", "line 2: each item of a list must be a text"),
        (ListFormat::Yaml, "- {a: 1}\n- b", "line 2: each item must be a map"),
        (ListFormat::Yaml, "- {a: [1]}", "line 1: `a` must be a text or a number"),
        (ListFormat::Yaml, "- a\n- [b", "line 2: not valid YAML"),
        (ListFormat::Yaml, "- a\n---\n- b", "line 3: a list file must be one YAML document"),
        (
            ListFormat::Csv,
            "name,team\nann,red\nbob,blue,x\n",
            "line 3: 3 values, but the first row names 2 columns",
        ),
        (ListFormat::Csv, "name,name\n", "line 1: the column `name` stands here twice"),
        (ListFormat::Csv, "name,\n", "line 1: a column has no name"),
        (ListFormat::Csv, "10.0.0.0/8\n10.1.0.0/16\n", "line 1: `10.0.0.0/8` cannot be the name of a column"),
        (ListFormat::Csv, "ann@example.org\n", "line 1: `ann@example.org` cannot be the name of a column"),
    ] {
        let reason = reason(format, text);
        assert!(reason.starts_with(expected), "{text}: {reason}");
    }
    let wide: Vec<String> = (0..65).map(|number| format!("c{number}")).collect();
    assert!(reason(ListFormat::Csv, &wide.join(",")).contains("more than 64 columns"));
    assert!(reason(ListFormat::Text, &"x".repeat(10_000)).contains("line 1: a value has 10000 bytes"));
    assert_eq!(ListFormat::Text.parse(&"a\n".repeat(ROWS_MAX + 1)), Err(ListError::TooLong));
}

#[test]
fn files_name_lists() {
    let mut lists = Lists::new();
    lists.add_file("lists/vip.txt", "a").unwrap();
    assert_eq!(lists.add_file("other/vip.csv", "b"), Err(ListError::Duplicate("vip".into())));
    assert_eq!(lists.add_file("vip.md", "b"), Err(ListError::Ending("vip.md".into())));
    assert_eq!(lists.names().collect::<Vec<_>>(), ["vip"]);
}

/// A value that comes back as it is: not empty, nothing to trim, no comment.
fn value() -> impl Strategy<Value = String> {
    "[a-z\"',;:#äß*%-]{1,8}".prop_filter("a comment", |text| !text.starts_with('#'))
}

proptest! {
    #[test]
    fn a_table_comes_back_from_csv_and_yaml(rows in proptest::collection::vec((value(), value()), 0..20)) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["one", "two"]).unwrap();
        let mut yaml = String::new();
        for (one, two) in &rows {
            writer.write_record([one, two]).unwrap();
            let quote = |text: &str| format!("'{}'", text.replace('\'', "''"));
            yaml += &format!("- {{one: {}, two: {}}}\n", quote(one), quote(two));
        }
        let csv = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let from_csv = ListFormat::Csv.parse(&csv).unwrap();
        let second: Vec<&str> = rows.iter().map(|(_, two)| two.as_str()).collect();
        prop_assert_eq!(from_csv.column("two").unwrap().to_vec(), second);
        if !rows.is_empty() {
            prop_assert_eq!(ListFormat::Yaml.parse(&yaml).unwrap(), from_csv);
        }
    }

    #[test]
    fn no_text_is_too_odd(text in "\\PC{0,60}(\n\\PC{0,30}){0,3}") {
        for format in [ListFormat::Text, ListFormat::Csv, ListFormat::Yaml] {
            drop(format.parse(&text));
        }
    }
}
