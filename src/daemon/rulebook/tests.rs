use std::fs;

use super::*;
use crate::engine::Hits;
use crate::event::{Event, Format};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let own = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            let path = own.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        own
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(path), text).unwrap();
    }

    /// For reading it more than once.
    fn book(&self) -> Rulebook {
        let config = RulebookConfig {
            rules: vec![self.path("rules")],
            lists: Some(self.path("lists")).filter(|lists| lists.exists()),
            ..RulebookConfig::default()
        };
        Rulebook::new(config, Arc::new(Catalogue::built_in()))
    }

    fn read(&self, rules: &str) -> Reading {
        let config = RulebookConfig {
            rules: vec![self.0.path().join(rules)],
            lists: Some(self.0.path().join("lists")).filter(|lists| lists.exists()),
            ..RulebookConfig::default()
        };
        Rulebook::new(config, Arc::new(Catalogue::built_in())).read(Timestamp(0))
    }
}

fn told(reading: &Reading) -> Vec<&str> {
    reading.diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect()
}

fn keys(reading: &Reading, body: &str) -> Vec<String> {
    let event = Event {
        position: 1,
        received_at: Timestamp(0),
        time: Timestamp(0),
        source: "s".into(),
        forge: "s".into(),
        format: Format::Gitlab,
        type_hint: None,
        raw: bytes::Bytes::copy_from_slice(body.as_bytes()),
    };
    let mut hits = Hits::default();
    reading.rules.hits(&event, &mut hits);
    let unit = |number: u32| &reading.rules.units()[number as usize];
    hits.hits
        .iter()
        .map(|hit| format!("{} {}", unit(hit.detector).rule.id, unit(hit.detector).key(&hit.key)))
        .collect()
}

const LOOKUP: &str = "lookup: people\nmatch: {author_name: name}\nas: author\n";

#[test]
fn fields_of_lookups_are_tested_grouped_and_counted() {
    let folder = Folder::new(&[
        ("lists/people.csv", "name,team,boss\nann,red,cy\nbob,,dan\n"),
        ("rules/people.yml", LOOKUP),
        (
            "rules/team.yml",
            "title: T\nid: team\nlogsource: {product: gitlab}\ndetection: {a: {author.boss|exists: true}, condition: a}\n\
             behavior: {by: author.team, distinct: author.boss, within: 1h, at_least: 2}\n",
        ),
        (
            "rules/script.yml",
            "title: S\nid: script\nlogsource: {product: gitlab}\n\
             detection: {a: {author_name|expand: '%people.name%', script: event.author.boss == \"dan\"}, condition: a}\n",
        ),
    ]);
    let reading = folder.read("rules");
    assert_eq!(told(&reading), Vec::<&str>::new());
    assert_eq!(keys(&reading, r#"{"author_id":1,"author_name":"Ann"}"#), ["team author.team = red"]);
    assert_eq!(keys(&reading, r#"{"author_id":2,"author_name":"BOB"}"#), ["script author_id = 2"]);
    assert_eq!(keys(&reading, r#"{"author_id":3,"author_name":"eve"}"#), Vec::<String>::new());
}

#[test]
fn a_rule_counts_as_changed_only_when_what_it_reads_is() {
    let rule = |id: &str, field: &str| {
        format!("title: {id}\nid: {id}\nlogsource: {{}}\ndetection: {{a: {{{field}: x}}, condition: a}}\n")
    };
    let fingerprints = |people: &str| {
        let both = format!("{}---\n{}---\n{LOOKUP}", rule("one", "author.team"), rule("two", "entity_path"));
        let folder = Folder::new(&[("lists/people.csv", people), ("rules/a.yml", &both)]);
        let reading = folder.read("rules");
        assert_eq!(told(&reading), Vec::<&str>::new());
        reading.rules.units().iter().map(|unit| unit.fingerprint).collect::<Vec<_>>()
    };
    let (before, after) = (fingerprints("name,team\nann,red\n"), fingerprints("name,team\nann,blue\n"));
    assert_ne!(before[0], after[0]);
    assert_eq!(before[1], after[1]);
}

#[test]
fn a_rule_that_is_named_alone_finds_what_it_imports() {
    let rule = "title: T\nimport: IMPORT\nlogsource: {}\ndetection: {a: {x: '${t}'}, condition: a}\n";
    let folder = Folder::new(&[
        ("rules/sub/a.yml", &rule.replace("IMPORT", "pack.yaml")),
        ("rules/sub/pack.yaml", "import: more/vars.yaml\n"),
        ("rules/sub/more/vars.yaml", "vars: {t: 1}\n"),
        ("rules/sub/b.yml", &rule.replace("IMPORT", "../up.yaml")),
        ("rules/up.yaml", "vars: {t: 1}\n"),
        ("outside.yaml", "vars: {t: 1}\n"),
        ("rules/c.yml", &rule.replace("IMPORT", "../outside.yaml")),
    ]);
    let alone = folder.read("rules/sub/a.yml");
    assert_eq!((told(&alone), alone.rules.units().len()), (Vec::new(), 1));
    let above = folder.read("rules/sub/b.yml");
    assert!(told(&above)[0].contains("up.yaml` in the rules folders"), "{:?}", told(&above));
    let outside = folder.read("rules");
    let found = told(&outside);
    assert!(found.len() == 2 && found.iter().any(|told| told.contains("outside.yaml`")), "{found:?}");
    assert_eq!(outside.rules.units().len(), 1, "a and b have one id");
}

#[test]
fn a_change_of_a_script_is_one_of_the_rules_that_name_it() {
    let script = "fn on_event(event, state, window) { event.n == 1 }";
    let folder = Folder::new(&[
        ("rules/a.yml", "title: A\nid: a\nlogsource: {}\nbehavior: {by: author_id, script: s/one.rhai}\n"),
        ("rules/b.yml", "title: B\nid: b\nlogsource: {}\ndetection: {a: {x: 1}, condition: a}\n"),
        ("rules/s/one.rhai", script),
    ]);
    let config = RulebookConfig { rules: vec![folder.0.path().join("rules")], ..RulebookConfig::default() };
    let mut book = Rulebook::new(config, Arc::new(Catalogue::built_in()));
    let mut fingerprints = |text: Option<&str>| {
        if let Some(text) = text {
            fs::write(folder.0.path().join("rules/s/one.rhai"), text).unwrap();
        }
        let reading = book.read(Timestamp(0));
        let told = told(&reading).join(" | ");
        (
            reading.rules.units().iter().map(|unit| unit.fingerprint).collect::<Vec<_>>(),
            told,
            reading.kept.len(),
        )
    };
    let (first, told, _) = fingerprints(None);
    assert_eq!((first.len(), told.as_str()), (2, ""));
    let (changed, told, _) = fingerprints(Some(&script.replace("== 1", "== 2")));
    assert_eq!(told, "");
    assert!(changed[0] != first[0] && changed[1] == first[1]);
    let (broken, told, kept) = fingerprints(Some("fn on_event(event, state, window) { lowr(1) }"));
    assert!(told.contains("no function `lowr`") && told.contains("left out because of its script"), "{told}");
    assert_eq!((broken, kept), (changed, 2), "the last good version runs");

    let alone = folder.read("rules/a.yml");
    assert_eq!(alone.texts.len(), 2);
    assert!(told.contains("lowr") && alone.has_errors());
}

/// A rule of its own file, over events with `x: VALUE`.
fn single(id: &str, value: &str) -> String {
    format!("title: {id}\nid: {id}\nlogsource: {{}}\ndetection: {{a: {{x: {value}}}, condition: a}}\n")
}

/// The ids of the rules that run, each with the file it stands in.
fn running(reading: &Reading) -> Vec<String> {
    let shown = |path: &str| Path::new(path).file_name().unwrap().to_string_lossy().into_owned();
    let unit = |unit: &crate::engine::Unit| format!("{} {}", unit.rule.id, shown(&unit.rule.origin.path));
    let mut running: Vec<String> = reading.rules.units().iter().map(unit).collect();
    running.sort();
    running
}

fn kept(reading: &Reading) -> Vec<&str> {
    reading.kept.iter().map(|path| path.rsplit('/').next().unwrap()).collect()
}

#[test]
fn what_cannot_be_read_goes_on_as_it_was() {
    let folder = Folder::new(&[("rules/a.yml", &single("a", "1")), ("rules/b.yml", &single("b", "1"))]);
    let mut book = folder.book();
    let before = running(&book.read(Timestamp(0)));
    assert_eq!(before, ["a a.yml", "b b.yml"]);
    let big = "#".repeat(FILE_BYTES_MAX as usize + 1);
    for unreadable in [b"\xff\xfe".as_slice(), big.as_bytes(), b"\xff"] {
        folder.write("rules/a.yml", unreadable);
        let reading = book.read(Timestamp(0));
        assert_eq!((running(&reading), kept(&reading)), (before.clone(), vec!["a.yml"]));
        assert!(
            reading.has_errors() && told(&reading)[0].starts_with("cannot be read"),
            "{:?}",
            told(&reading)
        );
    }
    fs::remove_file(folder.path("rules/a.yml")).unwrap();
    let reading = book.read(Timestamp(0));
    assert_eq!(
        (running(&reading), told(&reading)),
        (vec!["b b.yml".to_owned()], Vec::new()),
        "deleted is deleted"
    );
}

#[test]
fn a_folder_that_is_gone_goes_on_as_it_was() {
    let folder = Folder::new(&[
        ("lists/vip.txt", "1\n"),
        ("rules/a.yml", &single("a", "1")),
        ("rules/sub/b.yml", &single("b", "'%vip%'").replace("{x:", "{x|expand:")),
    ]);
    let mut book = folder.book();
    let before = running(&book.read(Timestamp(0)));
    assert_eq!(before, ["a a.yml", "b b.yml"]);
    for gone in ["rules", "lists"] {
        fs::rename(folder.path(gone), folder.path("aside")).unwrap();
        for _ in 0..2 {
            let reading = book.read(Timestamp(0));
            assert_eq!(running(&reading), before, "{gone}");
            assert_eq!((reading.has_errors(), told(&reading).len()), (true, 1), "{:?}", told(&reading));
            assert!(told(&reading)[0].contains("last good"), "{:?}", told(&reading));
            assert_eq!(
                kept(&reading),
                if gone == "rules" { vec!["a.yml", "b.yml"] } else { vec!["vip.txt"] }
            );
        }
        fs::rename(folder.path("aside"), folder.path(gone)).unwrap();
        assert!(!book.read(Timestamp(0)).has_errors());
    }
    fs::remove_dir_all(folder.path("rules/sub")).unwrap();
    assert_eq!(running(&book.read(Timestamp(0))), ["a a.yml"], "a folder below is deleted like a file");
}

#[test]
fn a_copied_id_does_not_knock_out_the_rule_that_runs() {
    let folder = Folder::new(&[("lists/vip.txt", "1\n"), ("rules/b.yml", &single("b", "1"))]);
    let mut book = folder.book();
    let fingerprint = |reading: &Reading| reading.rules.unit("b").map(|unit| unit.fingerprint);
    let before = fingerprint(&book.read(Timestamp(0)));
    folder.write("rules/a.yml", single("b", "2"));
    for _ in 0..2 {
        let reading = book.read(Timestamp(0));
        assert_eq!((running(&reading), fingerprint(&reading)), (vec!["b b.yml".to_owned()], before));
        let broken: Vec<&str> =
            reading.diagnostics.iter().map(|told| told.path.rsplit('/').next().unwrap()).collect();
        assert_eq!((broken, kept(&reading)), (vec!["a.yml"], Vec::new()), "the new file is at fault");
    }
    // A file that ran with another id before goes on with that one.
    folder.write("rules/a.yml", single("a", "2"));
    assert!(!book.read(Timestamp(0)).has_errors());
    folder.write("rules/a.yml", single("b", "2"));
    let reading = book.read(Timestamp(0));
    assert_eq!(
        (running(&reading), kept(&reading)),
        (vec!["a a.yml".to_owned(), "b b.yml".into()], vec!["a.yml"])
    );
    assert_eq!(fingerprint(&reading), before);
    // The same with a list's name, which is its file's without the ending.
    folder.write("lists/vip.csv", "name\n9\n");
    let reading = book.read(Timestamp(0));
    assert!(told(&reading).iter().any(|told| told.contains("two lists")), "{:?}", told(&reading));
    assert!(reading.diagnostics.iter().any(|told| told.path.ends_with("vip.csv")));
}

#[test]
fn a_deleted_list_goes_on_while_a_rule_names_it() {
    let rule = single("b", "'%vip%'").replace("{x:", "{x|expand:");
    let folder = Folder::new(&[("lists/vip.txt", "1\n"), ("lists/other.txt", "1\n"), ("rules/b.yml", &rule)]);
    let mut book = folder.book();
    let before = book.read(Timestamp(0)).rules.units()[0].fingerprint;
    fs::remove_file(folder.path("lists/vip.txt")).unwrap();
    for _ in 0..2 {
        let reading = book.read(Timestamp(0));
        assert!(reading.has_errors());
        assert_eq!(reading.rules.units().iter().map(|unit| unit.fingerprint).collect::<Vec<_>>(), [before]);
        assert_eq!(kept(&reading), ["b.yml"]);
    }
    folder.write("rules/b.yml", single("b", "1"));
    assert!(!book.read(Timestamp(0)).has_errors());
    folder.write("rules/b.yml", rule);
    let reading = book.read(Timestamp(0));
    assert_eq!((running(&reading), kept(&reading)), (vec!["b b.yml".to_owned()], vec!["b.yml"]));
}

#[test]
fn a_deleted_import_goes_on_while_a_rule_imports_it() {
    let rule =
        "title: T\nid: t\nimport: vars.yaml\nlogsource: {}\ndetection: {a: {x: '${t}'}, condition: a}\n";
    let folder = Folder::new(&[("rules/t.yml", rule), ("rules/vars.yaml", "vars: {t: 1}\n")]);
    let mut book = folder.book();
    let before = book.read(Timestamp(0)).rules.units()[0].fingerprint;
    fs::remove_file(folder.path("rules/vars.yaml")).unwrap();
    for _ in 0..2 {
        let reading = book.read(Timestamp(0));
        assert!(reading.has_errors(), "{:?}", told(&reading));
        assert_eq!(reading.rules.units().iter().map(|unit| unit.fingerprint).collect::<Vec<_>>(), [before]);
        assert_eq!(kept(&reading), ["vars.yaml"]);
    }
    fs::remove_file(folder.path("rules/t.yml")).unwrap();
    let reading = book.read(Timestamp(0));
    assert_eq!((told(&reading), reading.texts.len()), (Vec::new(), 0), "nobody needs it any more");
}

#[test]
fn what_cannot_go_on_is_not_said_to() {
    let rule = single("b", "'%people.team%'").replace("{x:", "{x|expand:");
    let folder = Folder::new(&[("lists/people.csv", "name,team\nann,red\n"), ("rules/b.yml", &rule)]);
    let mut book = folder.book();
    assert_eq!(running(&book.read(Timestamp(0))), ["b b.yml"]);
    folder.write("lists/people.csv", "name,boss\nann,cy\n");
    let reading = book.read(Timestamp(0));
    assert!(reading.has_errors());
    assert_eq!((running(&reading), kept(&reading)), (Vec::new(), Vec::new()));
    folder.write("lists/people.csv", "name,team\nann,red\n");
    let reading = book.read(Timestamp(0));
    assert_eq!((running(&reading), told(&reading)), (vec!["b b.yml".to_owned()], Vec::new()));
}
