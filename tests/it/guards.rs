//! What keeps the response from doing harm, and what happens when GitLab misbehaves.

use watchfire::alert::Alert;
use watchfire::clock::Clock;
use watchfire::demo::{AccountState, Fault, GitlabApi};
use watchfire::store::{OutboxRow, OutboxState, Outcome};
use watchfire::time::{Span, Timestamp};

use crate::harness::{Daemon, START, Setup, deed, gitlab_with, is_done};

const RULE: &str = "title: Deleted\nid: deleted\nlevel: high\nlogsource: {product: gitlab}\n\
                    detection: {any: {event_type: project_destroyed}, condition: any}\nrespond: [block]\n";

async fn setup(clock: Clock, gitlab: &GitlabApi, more: &str) -> Setup {
    let sections = format!(
        "actions:\n  block: {{type: gitlab, url: '{}', token: {{env: GITLAB_TOKEN}}, do: block{more}}}\n",
        gitlab.url()
    );
    let setup = Setup::new(clock, &sections);
    setup.rule("deleted.yml", RULE);
    setup
}

/// The author does what gets one blocked; the alert about it.
async fn offend(daemon: &Daemon, author: i64) -> Alert {
    daemon.post_all(&[deed("project_destroyed", author, daemon.clock.now())]).await;
    daemon.alerts().pop().unwrap()
}

async fn outcome(daemon: &Daemon, author: i64) -> Outcome {
    let alert = offend(daemon, author).await;
    assert_eq!(alert.key.get("author_id"), Some(author.to_string().as_str()));
    daemon.delivery(&alert, "block", is_done).await.outcome.unwrap()
}

/// The response that waits for a person.
async fn waits(daemon: &Daemon, author: i64) -> OutboxRow {
    let alert = offend(daemon, author).await;
    daemon.delivery(&alert, "block", |row| row.state == OutboxState::Waiting).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_are_never_blocked() {
    let gitlab = gitlab_with(4..=7).await;
    let setup = setup(Clock::fixed(START), &gitlab, ", dry_run: false, never: ['@User4', 5]").await;
    // What its own account does leads to nothing but for a rule that asks for it.
    let asks =
        RULE.replace("id: deleted", "id: asks").replace("project_destroyed", "project_destroyed, self: true");
    setup.rule("asks.yml", &asks);
    let daemon = setup.start().await;
    daemon.metric_becomes("watchfire_rule_reloads_total", 1.0).await;
    for (author, why) in [
        (1, "administrator"),
        (2, "Watchfire itself"),
        (3, "bot"),
        (4, "`never`"),
        (5, "`never`"),
        (99, "no such user"),
        (-3, "deploy key"),
    ] {
        let outcome = outcome(&daemon, author).await;
        assert!(outcome.needs_human && !outcome.changed, "author {author}: {outcome:?}");
        assert!(outcome.summary.contains(why), "author {author}: {outcome:?}");
    }
    assert!(gitlab.calls().iter().all(|call| call.method == "GET"), "{:?}", gitlab.calls());
    assert!(gitlab.blocked().is_empty());
    assert!(outcome(&daemon, 6).await.changed, "the others are");
    assert_eq!(gitlab.blocked(), [6]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_so_many_in_an_hour_and_then_a_person_decides() {
    let gitlab = gitlab_with(4..=9).await;
    let clock = Clock::fixed(START);
    let more = ", dry_run: false, at_most: {count: 2, per: 1h}";
    let setup = setup(clock.clone(), &gitlab, more).await;
    let daemon = setup.start().await;
    assert!(outcome(&daemon, 4).await.changed);
    assert!(outcome(&daemon, 5).await.changed);
    clock.set(START.plus(Span::minutes(59)));
    let third = waits(&daemon, 6).await;
    assert!(third.last_error.as_ref().is_some_and(|why| why.contains("2 per 1h")), "{third:?}");
    assert_eq!(gitlab.blocked(), [4, 5]);
    daemon.stop().await;
    // The limit survives a restart: it is counted in the store.
    let daemon = setup.start().await;
    waits(&daemon, 7).await;
    clock.set(START.plus(Span::minutes(61)));
    assert!(outcome(&daemon, 8).await.changed, "an hour later it may again");
    assert_eq!(gitlab.blocked(), [4, 5, 8]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_changes_nothing() {
    let gitlab = gitlab_with([4]).await;
    // Nothing said about it: a rehearsal is what it is by default.
    let setup = setup(Clock::fixed(START), &gitlab, "").await;
    let daemon = setup.start().await;
    let outcome = outcome(&daemon, 4).await;
    assert!(
        outcome.dry_run && !outcome.changed && outcome.summary.contains("would block user 4"),
        "{outcome:?}"
    );
    assert_eq!(gitlab.state_of(4), Some(AccountState::Active));
    assert!(gitlab.calls().iter().all(|call| call.method == "GET"), "{:?}", gitlab.calls());
    daemon.stop().await;
}

struct Faulty {
    gitlab: GitlabApi,
    clock: Clock,
    daemon: Daemon,
    _setup: Setup,
}

async fn faulty() -> Faulty {
    let gitlab = gitlab_with(4..=9).await;
    let clock = Clock::fixed(START);
    let setup = setup(clock.clone(), &gitlab, ", dry_run: false").await;
    let daemon = setup.start().await;
    // The first call that fails is the response's, not the question whose token it is.
    daemon.app.tokens_asked().await;
    Faulty { gitlab, clock, daemon, _setup: setup }
}

impl Faulty {
    /// Waits for so many failed tries, and moves the clock to when the next one is due.
    async fn retry(&self, alert: &Alert, tries: u32) -> OutboxRow {
        // A try counts when it begins; when it has failed, the next one is due later.
        let is_over = |row: &OutboxRow| row.attempts == tries && row.due_at > self.clock.now();
        let row = self.daemon.delivery(alert, "block", is_over).await;
        assert_eq!(row.state, OutboxState::Pending, "{row:?}");
        self.clock.set(row.due_at);
        row
    }

    fn posts(&self) -> usize {
        self.gitlab.calls().iter().filter(|call| call.method == "POST").count()
    }

    fn waited(&self, row: &OutboxRow, since: Timestamp) -> f64 {
        row.due_at.since(since).0 as f64 / 1000.0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_gitlab_is_tried_again_later_and_later() {
    let faulty = faulty().await;
    faulty.gitlab.fail(Fault::Status(500, None), 3);
    let alert = offend(&faulty.daemon, 4).await;
    let mut since = START;
    for (tries, wait) in [(1, 1.0), (2, 5.0), (3, 30.0)] {
        let row = faulty.retry(&alert, tries).await;
        let waited = faulty.waited(&row, since);
        assert!((wait * 0.75..=wait * 1.25).contains(&waited), "try {tries}: {waited} s");
        assert!(row.last_error.as_ref().is_some_and(|error| error.contains("500")), "{row:?}");
        since = row.due_at;
    }
    let row = faulty.daemon.delivery(&alert, "block", is_done).await;
    assert!(row.outcome.unwrap().changed);
    assert_eq!((row.attempts, faulty.gitlab.blocked()), (4, vec![4]));
    faulty.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_gitlab_is_left_alone_as_long_as_it_asks() {
    let faulty = faulty().await;
    faulty.gitlab.fail(Fault::Status(429, Some(120)), 1);
    let alert = offend(&faulty.daemon, 4).await;
    let row = faulty.retry(&alert, 1).await;
    assert_eq!(row.due_at, START.plus(Span::seconds(120)), "{row:?}");
    let row = faulty.daemon.delivery(&alert, "block", is_done).await;
    assert!(row.outcome.unwrap().changed);
    faulty.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lying_gitlab_is_found_out() {
    let faulty = faulty().await;
    faulty.gitlab.fail(Fault::Lies, 1);
    let alert = offend(&faulty.daemon, 4).await;
    let row = faulty.daemon.delivery(&alert, "block", |row| row.state == OutboxState::Dead).await;
    let error = row.last_error.unwrap();
    assert!(
        error.contains("user 4") && error.contains("still active") && error.contains("person"),
        "{error}"
    );
    // Somebody looked, and lets it try again.
    assert!(
        faulty
            .daemon
            .app
            .store()
            .redrive(&row.id, &watchfire::store::Deed::new(START, "alice", "test"))
            .unwrap()
    );
    faulty.clock.set(START.plus(Span::minutes(2)));
    let row = faulty.daemon.delivery(&alert, "block", is_done).await;
    assert!(row.outcome.unwrap().changed);
    assert_eq!(faulty.gitlab.blocked(), [4]);
    faulty.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_lost_does_not_block_twice() {
    let faulty = faulty().await;
    faulty.gitlab.fail(Fault::Cut, 1);
    let alert = offend(&faulty.daemon, 4).await;
    // It is seen by the look that comes right after.
    let row = faulty.daemon.delivery(&alert, "block", is_done).await;
    let outcome = row.outcome.unwrap();
    assert!(outcome.changed && outcome.summary.contains("already blocked"), "{outcome:?}");
    assert!(outcome.undo.is_some());
    assert_eq!((faulty.posts(), faulty.gitlab.blocked()), (1, vec![4]));
    faulty.daemon.stop().await;
}
