//! Killed with SIGKILL again and again while events come in, the daemon ends up where an undisturbed one does: the same
//! events, alerts, mails, webhooks, messages to chat, pager and Alertmanager, blocked accounts and forwarded events; and what
//! was done with a person's word for a time is undone.
//!
//! * The moments are drawn from a seed: while events come in, while it starts, while it stops, while it delivers.
//! * `WATCHFIRE_CRASH_EVENTS`, `WATCHFIRE_CRASH_KILLS` (of each of the two tests) and `WATCHFIRE_CRASH_SEED` make longer
//!   runs: `docs/crash-tests.md`.
//! * [`crate::faults`] goes through the places between the steps of a commit one by one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::feed::{Doing, Kill, Request, feed, kills, requests};
use crate::harness::until;
use crate::outcome::Outcome;
use crate::stream::{AUTHORS, Dice, deleted_rule, prompt_rules, stream, waiting_rules};
use crate::world::World;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

/// After so many kills somebody looks at the responses that wait, and those that are to end some time do.
const PERSON_EVERY: usize = 2;

/// What was asked for: events and kills of one test, and where chance begins.
fn settings() -> (usize, u64, u64) {
    let events = setting("WATCHFIRE_CRASH_EVENTS", 2000) as usize;
    (events, setting("WATCHFIRE_CRASH_KILLS", 25), setting("WATCHFIRE_CRASH_SEED", 1))
}

/// Runs a world to its end, with these kills on the way.
async fn run(
    rules: &[(String, String)],
    requests: &[Request],
    connections: usize,
    kills: &[Kill],
) -> Outcome {
    let world = World::new(rules).await;
    let mut left: VecDeque<Request> = requests.iter().cloned().collect();
    // What comes a day before and a day after may not overtake, nor be overtaken: it moves the watermark that far.
    let last: Vec<Request> = left.split_off(left.len() - 2).into();
    let rest = left.split_off(AUTHORS as usize);
    let mut began = Instant::now();
    let program = world.place.start().await;
    let mut start = began.elapsed();
    assert!(feed(&program, left, 1, None).await.is_empty(), "{}", program.log());
    program.stop().await;
    left = rest;
    let count = left.len() as u64;
    for (number, kill) in kills.iter().enumerate() {
        if number % PERSON_EVERY == PERSON_EVERY - 1 {
            world.a_person_comes();
        }
        began = Instant::now();
        let program = world.place.spawn(world.place.command());
        if kill.doing == Doing::Starting {
            tokio::time::sleep(start.mul_f64(kill.delay as f64 / 1e6)).await;
            program.killer().kill();
        } else {
            assert!(program.ready().await, "{}", program.log());
            start = began.elapsed();
            // Some answers come between the one that is counted and the kill.
            let after = kill.after.saturating_sub(count - left.len() as u64).max(1);
            left = feed(&program, left, connections, Some(Kill { after, ..*kill })).await;
        }
        until(|| program.has_ended(), || "the kill does not come".to_owned()).await;
        tell_progress(number + 1, kills.len(), start);
    }
    let program = world.place.start().await;
    left = feed(&program, left, connections, None).await;
    assert!(left.is_empty(), "{}", program.log());
    for request in last {
        let left = feed(&program, [request].into(), 1, None).await;
        assert!(left.is_empty(), "{}", program.log());
    }
    world.finish(program).await
}

/// For whoever watches a long run with `--nocapture`.
fn tell_progress(number: usize, all: usize, start: Duration) {
    if number.is_multiple_of(50) {
        eprintln!("{number} of {all} kills; the last start took {} ms", start.as_millis());
    }
}

fn tell(what: &str, kills: &[Kill], outcome: &Outcome, began: Instant) {
    let mut kinds: BTreeMap<Doing, usize> = BTreeMap::new();
    for kill in kills {
        *kinds.entry(kill.doing).or_default() += 1;
    }
    let seconds = began.elapsed().as_secs_f64();
    eprintln!("{what}: {} kills {kinds:?} in {seconds:.0} s; {}", kills.len(), outcome.summary());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sender_finds_everything_as_if_nothing_had_happened() {
    let (count, kill_count, seed) = settings();
    let mut dice = Dice::new(seed);
    let events = stream(dice.roll(1 << 32), count / 2);
    let requests = requests(&events, None);
    let kills = kills(requests.len() - AUTHORS as usize - 2, kill_count, &mut dice);
    // Without rules that wait for the clock there are no ticks: every position is the same.
    let rules = [prompt_rules(), vec![deleted_rule()]].concat();
    let calm = run(&rules, &requests, 1, &[]).await;
    let began = Instant::now();
    let killed = run(&rules, &requests, 1, &kills).await;
    tell("one sender", &kills, &killed, began);
    assert!(calm.alerts.len() > 30, "only {} alerts", calm.alerts.len());
    calm.check_told();
    assert_eq!(killed.raw, calm.raw);
    assert_eq!(killed.alerts, calm.alerts);
    assert_eq!(killed.hooks, calm.hooks);
    assert_eq!(killed.mails, calm.mails);
    assert_eq!(killed.blocked, calm.blocked);
    assert_eq!(killed.locked, calm.locked);
    assert_eq!((&killed.chats, &killed.pages), (&calm.chats, &calm.pages));
    assert_eq!(killed.managed, calm.managed);
    assert!(!calm.locked.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_senders_lose_nothing_and_double_nothing() {
    let (count, kill_count, seed) = settings();
    let mut dice = Dice::new(seed + 1000);
    let events = stream(dice.roll(1 << 32), count);
    let requests = requests(&events, Some(&mut dice));
    let kills = kills(requests.len() - AUTHORS as usize - 2, kill_count, &mut dice);
    let rules = [prompt_rules(), waiting_rules(), vec![deleted_rule()]].concat();
    let calm = run(&rules, &requests, 8, &[]).await;
    let began = Instant::now();
    let killed = run(&rules, &requests, 8, &kills).await;
    tell("eight senders", &kills, &killed, began);
    let sorted = |outcome: &Outcome| outcome.raw.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(sorted(&killed), sorted(&calm));
    assert_eq!(killed.raw.len(), events.len() + 2);
    let (found, expected) = (killed.episodes(), calm.episodes());
    let missing: Vec<_> = expected.difference(&found).collect();
    let surplus: Vec<_> = found.difference(&expected).collect();
    if let Some((rule, key, ..)) = missing.first().or(surplus.first()) {
        let (calm, killed) = (calm.story(rule, key), killed.story(rule, key));
        panic!("missing {missing:#?}\nsurplus {surplus:#?}\nwithout kills:\n{calm}\nwith kills:\n{killed}");
    }
    assert_eq!((&killed.blocked, &killed.locked), (&calm.blocked, &calm.locked));
    for outcome in [&calm, &killed] {
        if outcome.alerts.iter().all(|alert| alert.merged_into.is_none()) {
            outcome.check_told();
        }
    }
}
