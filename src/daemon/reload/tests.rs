use super::super::inbox::Inbox;
use super::super::rulebook::RulebookConfig;
use super::*;
use crate::event::Catalogue;

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_folder_that_is_never_quiet_is_read_and_stops_nobody() {
    let (sender, wanted) = mpsc::channel(1);
    let restless = tokio::spawn(async move { while sender.send(()).await.is_ok() {} });
    let mut rulebook = Rulebook::new(RulebookConfig::default(), Arc::new(Catalogue::built_in()));
    let reading = rulebook.read(Timestamp(0));
    let (teller, inbox) = Inbox::new();
    let (told, mut told_in) = watch::channel(Arc::new(status(&reading, Timestamp(0))));
    let reloader = Reloader {
        rulebook,
        clock: Clock::fixed(Timestamp(1)),
        detection: teller,
        rules: watch::channel(reading.rules).0,
        told,
        metrics: DetectionMetrics::default(),
        wanted,
        watching: Watching::new(mpsc::channel(1).0),
    };
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(reloader.run(shutdown.clone()));
    let read = told_in.wait_for(|told| told.read_at == Timestamp(1));
    assert!(tokio::time::timeout(PATIENCE, read).await.is_ok(), "it is read");
    shutdown.cancel();
    assert!(tokio::time::timeout(PATIENCE, running).await.is_ok(), "it ends");
    assert!(inbox.look().rules.is_some(), "detection is told");
    restless.await.unwrap();
}
