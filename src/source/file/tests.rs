use std::fs::OpenOptions;
use std::io::Write;

use super::super::testing::Fixture;
use super::*;
use crate::log::AppendError;

struct Setup {
    fixture: Fixture,
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        Self { fixture: Fixture::new(), folder, path }
    }

    fn source(&self) -> FileSource {
        FileSource::new(&self.path, self.fixture.intake(), &self.fixture.context)
    }

    /// As after a restart.
    async fn resumed(&self) -> FileSource {
        let mut source = self.source();
        source.resume().await.unwrap();
        source
    }

    fn write(&self, text: &str) {
        append(&self.path, text);
    }

    fn rename(&self, to: &str) -> PathBuf {
        let path = self.folder.path().join(to);
        std::fs::rename(&self.path, &path).unwrap();
        path
    }

    fn ids(&self) -> String {
        let id = |body: &String| serde_json::from_str::<serde_json::Value>(body).unwrap()["id"].to_string();
        self.fixture.memory.bodies().iter().map(id).collect::<Vec<_>>().join(" ")
    }
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn line(id: u32) -> String {
    format!("{{\"id\":{id}}}\n")
}

async fn poll(source: &mut FileSource) {
    source.poll(&CancellationToken::new()).await.unwrap();
}

#[tokio::test]
async fn lines_are_taken_when_they_are_complete() {
    let setup = Setup::new();
    let mut source = setup.source();
    setup.write("{\"id\":1}\n{\"id\"");
    poll(&mut source).await;
    assert_eq!(setup.ids(), "1");
    poll(&mut source).await;
    setup.write(":2}\n");
    poll(&mut source).await;
    assert_eq!(setup.ids(), "1 2");
}

#[tokio::test]
async fn a_renamed_file_is_read_to_its_end_and_beyond() {
    let setup = Setup::new();
    let mut source = setup.source();
    setup.write(&line(1));
    poll(&mut source).await;
    setup.write(&line(2));
    let old = setup.rename("audit.log.1");
    setup.write(&line(3));
    poll(&mut source).await;
    assert_eq!(setup.ids(), "1 2 3");
    // The writer has not yet noticed that its file was renamed.
    append(&old, &line(4));
    setup.write(&line(5));
    poll(&mut source).await;
    assert_eq!(setup.ids(), "1 2 3 4 5");
}

#[tokio::test]
async fn between_renaming_and_creating_there_is_no_trouble() {
    let setup = Setup::new();
    let mut source = setup.source();
    setup.write(&line(1));
    poll(&mut source).await;
    let old = setup.rename("audit.log.1");
    append(&old, &line(2));
    poll(&mut source).await;
    setup.write(&line(3));
    poll(&mut source).await;
    assert_eq!(setup.ids(), "1 2 3");
}

#[tokio::test]
async fn a_renamed_file_is_let_go_of_and_its_last_line_needs_no_end() {
    let setup = Setup::new();
    let mut source = setup.source();
    setup.write(&line(1));
    poll(&mut source).await;
    setup.write("{\"id\":2}");
    setup.rename("audit.log.1");
    setup.write(&line(3));
    poll(&mut source).await;
    assert_eq!((setup.ids().as_str(), source.retired.len()), ("1 3", 1));
    let clock = &setup.fixture.context.clock;
    clock.set(clock.now().plus(RETIRE_AFTER));
    poll(&mut source).await;
    assert_eq!((setup.ids().as_str(), source.retired.len()), ("1 3 2", 0));
}

#[tokio::test]
async fn a_truncated_file_is_read_from_its_start() {
    let setup = Setup::new();
    let mut source = setup.source();
    setup.write(&line(1));
    poll(&mut source).await;
    std::fs::copy(&setup.path, setup.folder.path().join("audit.log.1")).unwrap();
    OpenOptions::new().write(true).open(&setup.path).unwrap().set_len(0).unwrap();
    setup.write(&line(2));
    setup.write(&line(3));
    poll(&mut source).await;
    assert_eq!(setup.ids(), "1 2 3");
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was_left() {
    let setup = Setup::new();
    setup.write(&line(1));
    poll(&mut setup.source()).await;
    setup.write(&line(2));
    let mut source = setup.resumed().await;
    assert_eq!(source.current.as_ref().unwrap().place.offset, 9);
    poll(&mut source).await;
    assert_eq!(setup.ids(), "1 2");
    assert_eq!(setup.fixture.intake().counters.totals(), (2, 2, 0), "nothing was read twice");
}

#[tokio::test]
async fn a_restart_finds_files_that_were_rotated_meanwhile() {
    let setup = Setup::new();
    std::fs::write(setup.folder.path().join("audit.log.9"), line(99)).unwrap();
    let old = setup.folder.path().join("audit.log.9");
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    std::fs::File::open(&old).unwrap().set_modified(long_ago).unwrap();
    setup.write(&line(1));
    poll(&mut setup.source()).await;
    setup.write(&line(2));
    setup.rename("audit.log.2");
    setup.write(&line(3));
    setup.rename("audit.log.1");
    setup.write(&line(4));
    poll(&mut setup.resumed().await).await;
    assert_eq!(setup.ids(), "1 2 3 4", "what was rotated before the first start is left alone");
}

#[tokio::test]
async fn another_file_with_a_known_inode_is_read_from_its_start() {
    let setup = Setup::new();
    setup.write(&line(1));
    poll(&mut setup.source()).await;
    // Same inode, other content, longer than the saved position.
    std::fs::write(&setup.path, [line(20), line(21)].concat()).unwrap();
    poll(&mut setup.resumed().await).await;
    assert_eq!(setup.ids(), "1 20 21");
}

#[tokio::test]
async fn an_undecodable_line_is_kept_and_passed() {
    let setup = Setup::new();
    setup.write(&format!("{}broken\n{}", line(1), line(2)));
    let mut source = setup.source();
    poll(&mut source).await;
    poll(&mut source).await;
    assert_eq!(setup.ids(), "1 2");
    let rejected = setup.fixture.memory.rejected(10);
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].rejected.body, b"broken");
}

#[tokio::test]
async fn nothing_is_skipped_when_it_is_stopped_while_the_log_is_busy() {
    let setup = Setup::new();
    setup.write(&line(1));
    setup.fixture.memory.fail(&[AppendError::Overloaded]);
    let stop = CancellationToken::new();
    stop.cancel();
    let stopped = setup.source().poll(&stop).await;
    assert!(matches!(stopped, Err(SourceError::Stopped)));
    assert_eq!(setup.ids(), "");
    poll(&mut setup.resumed().await).await;
    assert_eq!(setup.ids(), "1");
}

#[tokio::test]
async fn it_runs_until_it_is_told_to_stop() {
    let setup = Setup::new();
    setup.write(&line(1));
    let stop = CancellationToken::new();
    let running = setup.source().run(stop.clone());
    let clock = setup.fixture.context.clock.clone();
    let check = async {
        while setup.ids() != "1" {
            tokio::task::yield_now().await;
        }
        setup.write(&line(2));
        // The poll finds what the watcher may not have told of yet.
        while setup.ids() != "1 2" {
            clock.set(clock.now().plus(POLL));
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let (result, ()) = tokio::join!(running, check);
    result.unwrap();
}

#[tokio::test]
async fn a_file_that_came_and_went_while_the_log_was_waited_for_is_read() {
    let setup = Setup::new();
    let mut source = setup.source();
    setup.write(&line(1));
    poll(&mut source).await;
    setup.write(&line(2));
    for id in 3..6 {
        // The log takes nothing meanwhile, so nobody looks.
        for number in (1..id - 2).rev() {
            let numbered = |number: u32| setup.folder.path().join(format!("audit.log.{number}"));
            std::fs::rename(numbered(number), numbered(number + 1)).unwrap();
        }
        setup.rename("audit.log.1");
        setup.write(&line(id));
    }
    std::fs::write(setup.folder.path().join("audit.log.old.gz"), "packed").unwrap();
    poll(&mut source).await;
    assert_eq!(setup.ids(), "1 2 3 4 5");
    // They are read on like any renamed file, once.
    append(&setup.folder.path().join("audit.log.1"), &line(6));
    poll(&mut source).await;
    poll(&mut setup.resumed().await).await;
    assert_eq!(setup.ids(), "1 2 3 4 5 6");
    assert_eq!(setup.fixture.intake().counters.totals(), (6, 6, 0), "nothing was read twice");
}
