use std::fs;
use std::path::Path;

use super::*;
use crate::clock::Clock;
use crate::event::{Event, Format};
use crate::log::{Log, LogOptions, NewEvent, Reader};
use crate::store::Store;
use crate::time::Timestamp;

const AT: Timestamp = Timestamp(1_800_000_000_000);

fn event(number: u128) -> NewEvent {
    let raw = format!("{{\"id\":\"{number}\",\"event_type\":\"user_created\"}}");
    let event = Event {
        position: 0,
        received_at: AT,
        time: AT,
        source: "test".into(),
        forge: "test".into(),
        format: Format::Generic,
        type_hint: None,
        raw: raw.into(),
    };
    NewEvent { event, dedupe: number }
}

async fn running(dir: &Path) -> (Log, Store) {
    let log = Log::open(dir, LogOptions::default(), Clock::fixed(AT)).unwrap();
    log.append((0..100).map(event).collect()).await.unwrap();
    let store = Store::open(dir).unwrap();
    store.set_checkpoint("forwarder", b"73").unwrap();
    (log, store)
}

#[tokio::test]
async fn a_backup_of_a_running_daemon_is_whole_and_can_be_started() {
    let (dir, backups, restored) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, _store) = running(dir.path()).await;
    let target = backups.path().join("monday");
    let made = make(dir.path(), &target, AT).unwrap();
    log.append((100..150).map(event).collect()).await.unwrap();
    assert_eq!(made.position, 100);
    assert_eq!(check(&target).unwrap(), made);
    assert!(matches!(make(dir.path(), &target, AT), Err(BackupError::NotEmpty(_))));

    restore(&target, restored.path()).unwrap();
    let entries = Reader::open(restored.path()).unwrap().read_after(0, 1000).unwrap();
    assert_eq!(entries, Reader::open(dir.path()).unwrap().read_after(0, 100).unwrap());
    assert_eq!(Store::open(restored.path()).unwrap().checkpoint("forwarder").unwrap().unwrap(), b"73");
    let again = Log::open(restored.path(), LogOptions::default(), Clock::fixed(AT)).unwrap();
    let receipt = again.append((90..150).map(event).collect()).await.unwrap();
    assert_eq!((receipt.duplicates, receipt.stored), (10, 50), "it knows what it has");
    assert!(matches!(restore(&target, restored.path()), Err(BackupError::NotEmpty(_))));
}

#[tokio::test]
async fn every_changed_byte_of_a_backup_is_found_and_nothing_is_restored_from_it() {
    let (dir, backups) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, store) = running(dir.path()).await;
    let target = backups.path().join("monday");
    let made = make(dir.path(), &target, AT).unwrap();
    drop(store);
    log.close().await;
    for listed in &made.files {
        let path = target.join(&listed.path);
        let whole = fs::read(&path).unwrap();
        for place in (0..whole.len()).step_by(whole.len() / 20 + 1) {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            fs::write(&path, &changed).unwrap();
            let error = restore(&target, &backups.path().join("new")).unwrap_err();
            assert!(error.to_string().contains(&listed.path), "{error}");
            assert!(!backups.path().join("new").exists());
        }
        fs::write(&path, &whole).unwrap();
    }
    check(&target).unwrap();
    let lost = target.join(&made.files[0].path);
    fs::remove_file(&lost).unwrap();
    assert!(check(&target).unwrap_err().to_string().ends_with("it is gone"));
    fs::remove_file(target.join("backup.json")).unwrap();
    assert!(check(&target).unwrap_err().to_string().contains("is no finished backup"));
    assert!(make(backups.path(), &target.join("x"), AT).unwrap_err().to_string().contains("has no log"));
}

#[tokio::test]
async fn a_folder_that_was_there_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, backups) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_log, _store) = running(dir.path()).await;
    fs::create_dir_all(dir.path().join("log/segments")).unwrap();
    fs::write(dir.path().join("log/segments/x.json"), "{}").unwrap();
    let open = |name: &str| {
        let path = backups.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let (made, restored) = (open("made"), open("restored"));
    make(dir.path(), &made, AT).unwrap();
    restore(&made, &restored).unwrap();
    for folder in [&made, &restored] {
        for path in [folder.clone(), folder.join("log"), folder.join("log/segments")] {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", path.display());
        }
    }
    // What has something in it is left as it is.
    let other = open("other");
    fs::write(other.join("x"), "").unwrap();
    assert!(matches!(make(dir.path(), &other, AT), Err(BackupError::NotEmpty(_))));
    assert_eq!(fs::metadata(&other).unwrap().permissions().mode() & 0o777, 0o755);
}
