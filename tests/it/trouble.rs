//! The disk is full, or takes no writes, or has rotted; somebody else is there already.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use watchfire::log::Reader;

use crate::harness::{TOKEN, as_gitlab, at, client, deed, figure, stored, until};
use crate::process::{Place, Program};
use crate::stream::{deleted_rule, waiting_rules};
use crate::world::World;

const CONFIG: &str = "
sources:
  - {name: gitlab, type: gitlab, path: /ingest/gitlab, token: {env: TOKEN}}
  - {name: generic, type: http, path: /ingest/generic, format: gitlab, forge: gitlab, token: {env: TOKEN}}
rules: [rules]
forward: [{name: archive, type: file, path: archive.ndjson}]
logging: {format: json}
";

/// An event of about five kilobytes that hardly compresses.
fn event(number: u64) -> Value {
    let mut event = deed("member_created", 4, at(number.cast_signed()));
    let noise =
        (0..300).map(|n| format!("{:016x}", (number * 301 + n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    event["id"] = json!(number);
    event["details"]["note"] = noise.collect::<String>().into();
    event
}

/// Status, `Retry-After` and answer.
async fn post(program: &Program, body: &str) -> (u16, Option<u64>, Value) {
    let response = as_gitlab(&client(), &program.url("/ingest/gitlab"), body, None).send().await.unwrap();
    let header = response.headers().get("retry-after");
    let after = header.map(|value| value.to_str().unwrap().parse().unwrap());
    (response.status().as_u16(), after, response.json().await.unwrap_or_default())
}

async fn readyz(program: &Program) -> (u16, Value) {
    let response = client().get(program.url("/readyz")).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Posts events until one is refused; the numbers of those that were taken.
async fn fill(program: &Program, from: u64) -> BTreeSet<u64> {
    let mut taken = BTreeSet::new();
    for number in from..from + 20_000 {
        let (status, after, answer) = post(program, &event(number).to_string()).await;
        if status != 200 {
            assert_eq!((status, after), (503, Some(5)), "{answer}");
            assert_eq!(answer["error"]["code"], "unavailable", "{answer}");
            return taken;
        }
        taken.insert(number);
    }
    panic!("the disk is never full");
}

/// Waits until the program says that it takes events again, though nobody sends any.
async fn recovers(program: &Program) {
    let waiting = async {
        while readyz(program).await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    assert!(waited.is_ok(), "{}\n{}", readyz(program).await.1, program.log());
}

/// The numbers of all stored events, whose log must be whole.
fn kept(data: &Path) -> BTreeSet<u64> {
    Reader::open(data).unwrap().verify().unwrap();
    let events = stored(data);
    let read = |raw: &[u8]| serde_json::from_slice::<Value>(raw).unwrap()["id"].as_u64().unwrap();
    let numbers: BTreeSet<u64> = events.iter().map(|event| read(&event.raw)).collect();
    assert_eq!(numbers.len(), events.len(), "an event is stored twice");
    numbers
}

/// A small file system in memory; goes with its handle.
struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// None where it cannot be had, which is said.
    fn mount(path: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(path);
        match mount.output() {
            Ok(output) if output.status.success() => Some(Self { path: path.to_owned() }),
            output => {
                let why = output.map(|output| String::from_utf8_lossy(&output.stderr).trim().to_owned());
                eprintln!("SKIPPED: no file system can be mounted here (that takes root): {why:?}");
                None
            }
        }
    }

    fn remount(&self, option: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{option}")]).arg(&self.path).status().unwrap().success()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.path).status());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_recovers_by_itself() {
    let rules = [vec![deleted_rule()], waiting_rules()].concat();
    let place = Place::new(CONFIG, &rules);
    let Some(_disk) = SmallDisk::mount(&place.data(), "6m") else { return };
    let ballast = place.data().join("ballast");
    std::fs::write(&ballast, vec![1; 3 << 20]).unwrap();
    let program = place.start().await;
    let mut taken = fill(&program, 0).await;
    let (status, health) = readyz(&program).await;
    assert_eq!((status, &health["ready"], &health["log"]["writable"]), (503, &json!(false), &json!(false)));
    assert!(health["log"]["error"].as_str().unwrap().contains("the disk is full"), "{health}");
    let alive = client().get(program.url("/healthz")).send().await.unwrap().status();
    assert_eq!(alive, 200, "it is alive: a restart would not help");
    // What cannot be read is not said to be kept when it cannot be kept; a large one finds no room in any gap.
    let (status, after, answer) = post(&program, &format!("no event {}", "x".repeat(900_000))).await;
    assert_eq!((status, after), (503, Some(5)), "{answer}");
    std::fs::remove_file(&ballast).unwrap();
    recovers(&program).await;
    taken.extend(fill(&program, 100_000).await);
    assert!(taken.iter().any(|number| *number >= 100_000), "takes events again");
    assert_eq!(program.log().matches("panicked").count(), 0, "{}", program.log());
    // Killed on a full disk, started on a full disk: it comes up, or says why it does not.
    program.killer().kill();
    assert_eq!(kept(&place.data()), taken);
    let program = place.spawn(place.command());
    let says = |what: &str| program.log().contains(what);
    let has_said = || says("watchfire accepts events") || says("No space left") || says("disk is full");
    until(has_said, || program.log()).await;
    program.killer().kill();
    assert_eq!(kept(&place.data()), taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_no_more_writes_is_survived() {
    // No file may grow beyond a megabyte, and none at all once the limit is lowered: both come back as errors.
    let place = Place::new(CONFIG, &[deleted_rule()]);
    let program = place.spawn(place.command_after("trap '' XFSZ; exec \"$@\""));
    assert!(program.ready().await, "{}", program.log());
    let limit = |bytes: &str| {
        let (id, limit) = (program.id().to_string(), format!("--fsize={bytes}:unlimited"));
        assert!(Command::new("prlimit").args(["--pid", &id, &limit]).status().unwrap().success());
    };
    let mut taken = BTreeSet::new();
    for round in 0..3 {
        assert_eq!(post(&program, &event(round * 2).to_string()).await.0, 200);
        limit("0");
        let (status, after, answer) = post(&program, &event(round * 2 + 1).to_string()).await;
        assert_eq!((status, after), (503, Some(5)), "{answer}");
        let (status, health) = readyz(&program).await;
        assert_eq!((status, &health["log"]["writable"]), (503, &json!(false)), "{health}");
        limit("unlimited");
        recovers(&program).await;
        assert_eq!(post(&program, &event(round * 2 + 1).to_string()).await.0, 200);
        taken.extend([round * 2, round * 2 + 1]);
    }
    program.stop().await;
    assert_eq!(kept(&place.data()), taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_disk_is_named_at_the_start() {
    let place = Place::new(CONFIG, &[deleted_rule()]);
    let Some(disk) = SmallDisk::mount(&place.data(), "16m") else { return };
    let program = place.start().await;
    assert_eq!(post(&program, &event(1).to_string()).await.0, 200);
    program.stop().await;
    assert!(disk.remount("ro"));
    let (status, said) = place.refuse().await;
    let folder = place.data().display().to_string();
    assert!(!status.success() && said.contains(&folder), "{said}");
    assert!(said.to_lowercase().contains("read-only"), "{said}");
    // It is still there to be read, by whoever looks at it without a daemon.
    assert_eq!(kept(&place.data()), [1].into());
    assert!(disk.remount("rw"));
    let program = place.start().await;
    assert_eq!(post(&program, &event(2).to_string()).await.0, 200);
    program.stop().await;
    assert_eq!(kept(&place.data()), [1, 2].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_is_refused_and_told_by_whom() {
    let world = World::new(&[deleted_rule()]).await;
    let first = world.place.start().await;
    let (status, said) = world.place.refuse().await;
    assert!(!status.success());
    assert!(said.contains(&format!("process id {}", first.id())), "{said}");
    assert!(said.contains(&world.place.data().display().to_string()), "{said}");
    assert_eq!(post(&first, &event(1).to_string()).await.0, 200, "the first one is not disturbed");
    // However the first one ends, the next one may start.
    first.killer().kill();
    let next = world.place.start().await;
    assert_eq!(post(&next, &event(2).to_string()).await.0, 200);
    next.stop().await;
}

/// Overwrites a page of a database (4 KiB each, from 0).
fn spoil(path: &Path, page: u64) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&[0xa5; 4096], page * 4096).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotten_page_is_named() {
    let place = Place::new(CONFIG, &[deleted_rule()]);
    let program = place.start().await;
    for first in [0, 100, 200] {
        let lines: Vec<String> = (first..first + 100).map(|number| event(number).to_string()).collect();
        let request = client().post(program.url("/ingest/generic")).bearer_auth(TOKEN).body(lines.join("\n"));
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    program.stop().await;
    let database = place.data().join("log/hot.db");
    let whole = std::fs::read(&database).unwrap();
    let pages = whole.len() as u64 / 4096;
    assert!(pages > 12, "{pages} pages");
    let (mut refused, mut served) = (0, 0);
    for page in [0, 1, 2, pages / 2, pages - 2, pages - 1] {
        std::fs::write(&database, &whole).unwrap();
        spoil(&database, page);
        let program = place.spawn(place.command());
        if program.ready().await {
            // What it needs to go on is whole. Whoever reads the rest is told.
            served += 1;
            assert_eq!(post(&program, &event(1000 + page).to_string()).await.0, 200, "{}", program.log());
            let (status, said) = program.end().await;
            // Detection may have come to that page before the end, or not.
            assert!(status.success() || said.contains("hot.db is damaged"), "page {page}: {status}: {said}");
            let error = Reader::open(&place.data()).unwrap().verify().unwrap_err().to_string();
            assert!(error.contains("damaged") || error.contains("hot.db"), "page {page}: {error}");
        } else {
            refused += 1;
            let said = program.log();
            assert!(!program.status().success());
            assert!(
                said.contains("hot.db is damaged") || said.contains("the log is damaged"),
                "page {page}: {said}"
            );
            assert_eq!(said.matches("damaged").count(), 1, "said twice: {said}");
            assert!(!said.contains("panicked"), "page {page}: {said}");
        }
    }
    assert!(refused > 0 && served > 0, "{refused} {served}");
    std::fs::write(&database, &whole).unwrap();
    let control = place.data().join("control.db");
    let kept_whole = std::fs::read(&control).unwrap();
    spoil(&control, 0);
    let (_, said) = place.refuse().await;
    assert!(said.contains("control.db is damaged"), "{said}");
    std::fs::write(&control, kept_whole).unwrap();
    let program = place.start().await;
    let metrics = client().get(program.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(figure(&metrics, "watchfire_detection_position").is_some(), "{metrics}");
    program.stop().await;
    assert_eq!(kept(&place.data()).len(), 300);
}
