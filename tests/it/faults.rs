//! The program ends itself at named places, such as between a transaction's last write and its commit, and is survived.
//!
//! The places are read from the sources (`fault::point("…")`), so that none can be forgotten here:
//! `cargo test --features fault-points --test it ends_at_every_named_place`

use std::collections::{BTreeSet, VecDeque};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::Mutex;

use watchfire::store::Store;

use crate::feed::{Request, feed, requests};
use crate::harness::{client, until};
use crate::outcome::Outcome;
use crate::process::Program;
use crate::stream::{deleted_rule, prompt_rules, stream};
use crate::world::{FORWARDERS, World, is_idle};

/// What `abort` sends.
const SIGABRT: i32 = 6;

/// Places that these few events do not come to. Sealing and merging have tests of their own that walk them.
const ELSEWHERE: [&str; 6] =
    ["seal.", "merge.", "segment.", "retention.", "log.before_forget", "log.after_forget"];

/// Which comes only where what responses do is put into the log beside the events. When that is differs from run to run,
/// and so do positions, and the ids that are made of them.
const BESIDE: &str = "responses.told";

/// So often a program is started with its fault: it judges and waits for a person, who approves; it acts; it undoes.
const ROUNDS: usize = 4;

/// All other names in the sources.
fn named() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                let points = text.split("fault::point(\"").skip(1);
                names.extend(points.map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
        }
    }
    names.retain(|name| !ELSEWHERE.iter().any(|start| name.starts_with(start)));
    names
}

/// Sends everything, lets the program do all it has to do and stop: whether it came to its fault.
async fn comes_to(world: &World, program: &Program, left: &mut VecDeque<Request>) -> bool {
    if program.ready().await {
        *left = feed(program, std::mem::take(left), 1, None).await;
        program.rested(&client(), &FORWARDERS).await;
        let store = Store::open_read_only(&world.place.data()).unwrap();
        let is_idle = || program.has_ended() || is_idle(&store);
        until(is_idle, || program.log()).await;
        if !program.has_ended() {
            program.killer().terminate();
        }
        until(|| program.has_ended(), || program.log()).await;
    }
    program.status().signal() == Some(SIGABRT)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_at_every_named_place_are_survived() {
    let events = stream(7, 150);
    let requests = requests(&events, None);
    let rules = [prompt_rules(), vec![deleted_rule()]].concat();
    let run = async |fault: &str| -> (bool, Outcome) {
        let world = World::telling(&rules, fault.starts_with(BESIDE)).await;
        let mut left: VecDeque<Request> = requests.iter().cloned().collect();
        let mut is_reached = false;
        for _ in 0..ROUNDS {
            let mut command = world.place.command();
            command.env("WATCHFIRE_FAULT", fault);
            let program = world.place.spawn(command);
            is_reached = comes_to(&world, &program, &mut left).await;
            drop(program);
            if is_reached {
                break;
            }
            world.a_person_comes();
        }
        let program = world.place.start().await;
        assert!(feed(&program, left, 1, None).await.is_empty(), "{fault}: {}", program.log());
        (is_reached, world.finish(program).await)
    };
    let (_, calm) = run("nowhere:1").await;
    let names = named();
    assert!(names.len() > 15, "{names:?}");
    assert!(!calm.locked.is_empty(), "somebody is blocked with a person's word");
    // Not every place is come to again and again: a snapshot, for one, is written at the end.
    let few = |name: &String| name.contains("respon") || name.contains("undo");
    let again = |name: &String| if few(name) { 2 } else { 7 };
    let counts = |name: String| [(name.clone(), 1), (name.clone(), again(&name))];
    let waiting: Mutex<VecDeque<(String, u32)>> = Mutex::new(names.into_iter().flat_map(counts).collect());
    let go_on = async || {
        loop {
            let Some((name, count)) = waiting.lock().unwrap().pop_front() else { return };
            let fault = format!("{name}:{count}");
            let (is_reached, survived) = run(&fault).await;
            assert!(is_reached || count > 1, "{fault} is never reached");
            eprintln!("{fault}: {}", if is_reached { "survived" } else { "not reached that often" });
            assert_eq!(survived.raw, calm.raw, "{fault}");
            assert_eq!((&survived.blocked, &survived.locked), (&calm.blocked, &calm.locked), "{fault}");
            survived.check_told();
            if fault.starts_with(BESIDE) {
                assert_eq!(survived.episodes(), calm.episodes(), "{fault}");
                continue;
            }
            assert_eq!(survived.alerts, calm.alerts, "{fault}");
            assert_eq!(survived.hooks, calm.hooks, "{fault}");
            assert_eq!(survived.mails, calm.mails, "{fault}");
            assert_eq!((&survived.chats, &survived.pages), (&calm.chats, &calm.pages), "{fault}");
            assert_eq!(survived.managed, calm.managed, "{fault}");
        }
    };
    tokio::join!(go_on(), go_on(), go_on());
}
