//! Whose tokens they are that responses use: learnt by asking, kept, spared, and not judged.

use watchfire::clock::Clock;
use watchfire::demo::{ApiToken, Fault, GitlabApi};
use watchfire::time::Span;

use crate::harness::{Daemon, GITLAB_TOKEN, HOOK_SECRET, START, Setup, deed, gitlab_with, is_done, until};

const EVERYBODY: &str = "title: Everybody\nid: everybody\nlevel: high\nlogsource: {product: gitlab}\n\
    detection: {any: {event_type: project_destroyed}, condition: any}\nrespond: [block]\n";
const OWN: &str = "title: Own\nid: own\nlevel: low\nlogsource: {product: gitlab}\n\
    detection: {own: {event_type: project_destroyed, self: true}, condition: own}\n";

/// Two actions: one uses the token of user 2, the other that of user 8, an administrator's too. Both are guarded by nothing
/// but what is built in.
fn setup(clock: Clock, gitlab: &GitlabApi) -> Setup {
    let action = |token: &str, verb: &str| {
        format!(
            "{{type: gitlab, url: '{}', token: {{env: {token}}}, do: {verb}, dry_run: false}}",
            gitlab.url()
        )
    };
    gitlab.edit(|world| {
        world.tokens.push(ApiToken { secret: HOOK_SECRET.to_owned(), user: 8, scope: "api" });
    });
    let (block, ban) = (action("GITLAB_TOKEN", "block"), action("HOOK_SECRET", "ban"));
    let setup = Setup::new(clock, &format!("actions:\n  block: {block}\n  ban: {ban}\n"));
    setup.rule("everybody.yml", EVERYBODY);
    setup.rule("own.yml", OWN);
    setup
}

fn known(daemon: &Daemon) -> Vec<(String, String)> {
    let known = daemon.app.store().own_accounts().unwrap();
    known.into_iter().map(|known| (known.action, known.account.id)).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(left, right)| ((*left).to_owned(), (*right).to_owned())).collect()
}

/// Waits until these are known, and the rules go by them.
async fn knows(daemon: &Daemon, expected: &[(&str, &str)], readings: f64) {
    until(|| known(daemon) == pairs(expected), || format!("{:?}", known(daemon))).await;
    daemon.metric_becomes("watchfire_rule_reloads_total", readings).await;
}

async fn offend(daemon: &Daemon, author: i64, second: i64) {
    daemon.post_all(&[deed("project_destroyed", author, START.plus(Span::seconds(second)))]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_its_own_accounts_do_leads_to_nothing_that_does_not_ask_for_it() {
    let gitlab = gitlab_with(4..=8).await;
    let setup = setup(Clock::fixed(START), &gitlab);
    let daemon = setup.start().await;
    knows(&daemon, &[("ban", "8"), ("block", "2")], 1.0).await;
    offend(&daemon, 2, 1).await;
    offend(&daemon, 4, 2).await;
    let mut raised = daemon.raised();
    raised.sort();
    assert_eq!(raised, pairs(&[("everybody", "4"), ("own", "2")]));
    daemon.stop().await;

    // It is known before GitLab can be asked again, and nothing is read anew for it.
    gitlab.fail(Fault::Status(503, None), 1_000);
    let daemon = setup.start().await;
    daemon.app.tokens_asked().await;
    assert_eq!(known(&daemon), pairs(&[("ban", "8"), ("block", "2")]));
    offend(&daemon, 8, 3).await;
    let mut raised = daemon.raised();
    raised.sort();
    assert_eq!(raised, pairs(&[("everybody", "4"), ("own", "2"), ("own", "8")]));
    assert_eq!(daemon.metric("watchfire_rule_reloads_total").await, Some(0.0));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_response_touches_the_account_of_another_ones_token() {
    let gitlab = gitlab_with(4..=8).await;
    let setup = setup(Clock::fixed(START), &gitlab);
    setup.rule("own.yml", &OWN.replace("level: low", "level: low\nrespond: [block]"));
    let daemon = setup.start().await;
    knows(&daemon, &[("ban", "8"), ("block", "2")], 1.0).await;
    offend(&daemon, 8, 1).await;
    let row = daemon.delivery(&daemon.only_alert(), "block", is_done).await;
    let outcome = row.outcome.unwrap();
    assert!(!outcome.changed && outcome.needs_human, "{outcome:?}");
    assert!(outcome.summary.contains("an account that Watchfire itself uses"), "{outcome:?}");
    assert!(gitlab.blocked().is_empty());
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gitlab_that_is_away_is_asked_again_and_holds_nothing_up() {
    let gitlab = gitlab_with(4..=8).await;
    let clock = Clock::fixed(START);
    let setup = setup(clock.clone(), &gitlab);
    gitlab.fail(Fault::Status(503, None), 2);
    let daemon = setup.start().await;
    daemon.app.tokens_asked().await;
    assert_eq!(known(&daemon), pairs(&[]));
    offend(&daemon, 4, 1).await;
    // It looks itself whose token it is, before it acts.
    offend(&daemon, 2, 2).await;
    let own = daemon.alerts().into_iter().find(|alert| alert.key.get("author_id") == Some("2")).unwrap();
    let outcome = daemon.delivery(&own, "block", is_done).await.outcome.unwrap();
    assert!(outcome.summary.contains("Watchfire itself"), "{outcome:?}");
    until(|| gitlab.blocked() == [4], || format!("{:?}", gitlab.blocked())).await;
    clock.set(START.plus(Span::seconds(11)));
    knows(&daemon, &[("ban", "8"), ("block", "2")], 1.0).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_is_asked_whose_it_is_once_more() {
    let gitlab = gitlab_with(4..=8).await;
    let clock = Clock::fixed(START);
    let setup = setup(clock.clone(), &gitlab);
    let daemon = setup.start().await;
    knows(&daemon, &[("ban", "8"), ("block", "2")], 1.0).await;
    // Somebody gave the token to another account, and it was refused once meanwhile.
    gitlab.edit(|world| {
        let token = world.tokens.iter_mut().find(|token| token.secret == GITLAB_TOKEN).unwrap();
        token.user = 1;
    });
    gitlab.fail(Fault::Status(401, None), 1);
    offend(&daemon, 4, 1).await;
    daemon.delivery(&daemon.only_alert(), "block", |row| row.last_error.is_some()).await;
    clock.set(START.plus(Span::seconds(6)));
    knows(&daemon, &[("ban", "8"), ("block", "1")], 2.0).await;
    offend(&daemon, 1, 7).await;
    assert!(daemon.raised().contains(&("own".into(), "1".into())), "{:?}", daemon.raised());
    daemon.stop().await;
}

/// An action that is gone takes its account with it: the person whose token it was is judged like everybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_forgets_the_accounts_of_actions_that_are_gone() {
    let gitlab = gitlab_with(4..=8).await;
    let setup = setup(Clock::fixed(START), &gitlab);
    let daemon = setup.start().await;
    knows(&daemon, &[("ban", "8"), ("block", "2")], 1.0).await;
    let path = setup.path("watchfire.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let left: Vec<&str> = text.lines().filter(|line| !line.starts_with("  ban:")).collect();
    std::fs::write(&path, left.join("\n")).unwrap();
    daemon.app.reload().await.unwrap();
    until(|| known(&daemon) == pairs(&[("block", "2")]), || format!("{:?}", known(&daemon))).await;
    let learnt = async || {
        let mut second = 0;
        loop {
            second += 1;
            offend(&daemon, 8, second).await;
            if daemon.raised().contains(&("everybody".into(), "8".into())) {
                return;
            }
        }
    };
    tokio::time::timeout(crate::harness::PATIENCE, learnt()).await.expect("the account is judged again");
    daemon.stop().await;
}
