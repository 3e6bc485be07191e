//! Every byte of a small store is changed in turn, and the past is rewritten in cleverer ways.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::types::Value;
use tempfile::TempDir;

use super::VerifyOptions;
use crate::clock::Clock;
use crate::event::Catalogue;
use crate::log::appender::{Appender, Work};
use crate::log::checkpoint;
use crate::log::sealer::Worker;
use crate::log::segment::{Manifest, folder};
use crate::log::signing::{self, PublicKey};
use crate::log::tests::{NOW, event, events, meddle};
use crate::log::{LogError, LogOptions, Reader, SealOptions, hot};
use crate::time::Span;

/// Two segments of a few hundred events, and some that are not yet sealed.
fn store() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    hot::make_folder(dir.path()).unwrap();
    let mut appender = Appender::open(dir.path(), LogOptions::default(), Clock::fixed(NOW)).unwrap();
    let options = SealOptions { seal_entries: 100, ..SealOptions::default() };
    let mut worker = Worker::open(dir.path(), options, Arc::new(Catalogue::built_in())).unwrap();
    for start in [0, 300] {
        for start in [start, start + 100, start + 200] {
            appender.commit(&[Work::Batch(events(start..start + 99)), Work::Tick(NOW)]).unwrap();
        }
        let upto = worker.seal(NOW, &mut || Ok(())).unwrap().unwrap();
        while appender.forget(upto).unwrap() {}
    }
    for start in [600, 610, 620] {
        appender.commit(&[Work::Batch(events(start..start + 10)), Work::Tick(NOW)]).unwrap();
    }
    dir
}

fn verify(dir: &Path, options: &VerifyOptions) -> Result<super::Verified, LogError> {
    Reader::open(dir)?.verify_with(options)
}

fn segments(dir: &TempDir, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(dir.path())).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    paths
}

/// Changes each byte of a file in turn and calls `look`; the file is as before in the end.
fn flip_each(path: &Path, step: usize, mut look: impl FnMut(usize)) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let whole = std::fs::read(path).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    for index in (0..whole.len()).step_by(step) {
        file.write_all_at(&[whole[index] ^ 1 << (index % 8)], index as u64).unwrap();
        look(index);
        file.write_all_at(&whole[index..=index], index as u64).unwrap();
    }
}

#[test]
fn an_untouched_store_passes() {
    let dir = store();
    for deep in [false, true] {
        let verified = verify(dir.path(), &VerifyOptions { deep, ..VerifyOptions::default() }).unwrap();
        assert_eq!((verified.entries, verified.segments, verified.hot), (633, 2, 33));
        assert_eq!((verified.checkpoints, verified.skipped), (2, 0));
    }
    let since = Some(NOW.plus(Span::millis(1)));
    let verified = verify(dir.path(), &VerifyOptions { since, ..VerifyOptions::default() }).unwrap();
    assert_eq!(verified.skipped, 2);
    // Made-up keys of duplicates are not those of the events: as if another version had made them.
    let keys = VerifyOptions { deep: true, keys: true, ..VerifyOptions::default() };
    assert_eq!(verify(dir.path(), &keys).unwrap().other_keys, 594 + 30);
}

#[test]
fn each_flipped_byte_of_the_small_files_is_found() {
    let dir = store();
    let paths = [signing::path(dir.path()), signing::public_path(dir.path()), checkpoint::path(dir.path())];
    for path in paths.iter().chain(&segments(&dir, "json")) {
        flip_each(path, 1, |index| {
            let found = verify(dir.path(), &VerifyOptions::default());
            assert!(found.is_err(), "{} byte {index}", path.display());
        });
        verify(dir.path(), &VerifyOptions::default()).unwrap();
    }
}

#[test]
fn each_flipped_byte_of_a_segment_is_found() {
    let dir = store();
    let paths = segments(&dir, "db");
    assert_eq!(paths.len(), 2);
    for (path, first) in paths.iter().zip([1, 301]) {
        let manifest = Manifest::read(&path.with_extension("json"), (first, first + 299)).unwrap();
        // That a wrong digest is always told is shown by a part of the bytes; the digest itself by all.
        flip_each(path, 1, |index| {
            let file = std::fs::File::open(path).unwrap();
            let found = crate::log::segment::digest(&file).unwrap();
            assert_ne!(found, (manifest.bytes, manifest.digest.0), "byte {index}");
            if index % 53 == 0 {
                let error = verify(dir.path(), &VerifyOptions::default()).unwrap_err();
                let is_named = matches!(error, LogError::Corrupt { first: from, last, .. } if from >= first && last < first + 300);
                assert!(is_named, "byte {index}: {error}");
            }
        });
    }
    verify(dir.path(), &VerifyOptions::default()).unwrap();
}

type Rows = Vec<Vec<Value>>;

/// All that the hot end says, if it can be read.
fn rows(dir: &Path) -> Option<Rows> {
    let connection = hot::open_to_read(dir).ok()??;
    let mut all = Vec::new();
    let columns = "first, last, time_min, time_max, received_max, kinds, head, sum, keys, marks, bytes";
    for sql in
        [format!("SELECT {columns} FROM block ORDER BY first"), "SELECT position, head FROM base".into()]
    {
        let mut statement = connection.prepare(&sql).ok()?;
        let columns = statement.column_count();
        let mut rows = statement.query([]).ok()?;
        while let Some(row) = rows.next().ok()? {
            all.push((0..columns).map(|column| row.get(column)).collect::<Result<Vec<Value>, _>>().ok()?);
        }
    }
    Some(all)
}

#[test]
fn each_flipped_byte_of_the_hot_end_is_found_where_it_means_something() {
    let dir = store();
    let path = hot::path(dir.path());
    // Without the room that the sealed blocks have left, so that there is less to go through.
    meddle(&dir, "VACUUM; PRAGMA wal_checkpoint(TRUNCATE);");
    let expected = rows(dir.path()).unwrap();
    let (mut found, mut harmless) = (0, 0);
    // What is sealed is left out: it is the same each time.
    let options = VerifyOptions { since: Some(NOW.plus(Span::millis(1))), ..VerifyOptions::default() };
    flip_each(&path, 1, |index| {
        let verified = verify(dir.path(), &options);
        let is_same = rows(dir.path()).is_some_and(|rows| rows == expected);
        assert_eq!(verified.is_ok(), is_same, "byte {index}: {verified:?}");
        found += u32::from(verified.is_err());
        harmless += u32::from(is_same);
        for extension in ["db-wal", "db-shm"] {
            drop(std::fs::remove_file(path.with_extension(extension)));
        }
    });
    assert!(found > 1500 && harmless > 100, "{found} {harmless}");
    verify(dir.path(), &VerifyOptions::default()).unwrap();
}

#[test]
fn a_forged_segment_needs_the_key() {
    let (dir, forged) = (store(), store());
    // Whole, signed and linked, but by somebody else.
    for extension in ["db", "json"] {
        for (to, from) in segments(&dir, extension).iter().zip(segments(&forged, extension)) {
            std::fs::remove_file(to).unwrap();
            std::fs::copy(from, to).unwrap();
        }
    }
    let error = verify(dir.path(), &VerifyOptions::default()).unwrap_err();
    assert!(error.to_string().contains("signature"), "{error}");
}

#[test]
fn somebody_with_the_key_cannot_get_past_a_checkpoint_kept_elsewhere() {
    let dir = store();
    let key = PublicKey::read(&signing::public_path(dir.path())).unwrap();
    let kept = Reader::open(dir.path()).unwrap().checkpoint(NOW, None).unwrap();
    assert_eq!(kept.position, 633);
    let options = VerifyOptions { checkpoints: vec![kept], key: Some(key), ..VerifyOptions::default() };
    assert_eq!(verify(dir.path(), &options).unwrap().checkpoints, 3);
    // Another history, made with the same key.
    let forged = tempfile::tempdir().unwrap();
    hot::make_folder(forged.path()).unwrap();
    for path in [signing::path(dir.path()), signing::public_path(dir.path())] {
        std::fs::copy(&path, forged.path().join(path.file_name().unwrap())).unwrap();
    }
    let mut appender = Appender::open(forged.path(), LogOptions::default(), Clock::fixed(NOW)).unwrap();
    let mut batch: Vec<_> = events(0..700);
    batch[17] = event(10_000);
    appender.commit(&[Work::Batch(batch)]).unwrap();
    verify(forged.path(), &VerifyOptions::default()).unwrap();
    let error = verify(forged.path(), &options).unwrap_err();
    assert!(error.to_string().contains("checkpoint"), "{error}");
    // The end cut off.
    meddle(&dir, "DELETE FROM block WHERE first > 620");
    assert!(verify(dir.path(), &VerifyOptions::default()).is_ok());
    assert!(verify(dir.path(), &options).unwrap_err().to_string().contains("gone"));
    // Another key than the one that is expected.
    let other = PublicKey::read(&signing::public_path(store().path())).unwrap();
    assert!(verify(dir.path(), &VerifyOptions { key: Some(other), ..VerifyOptions::default() }).is_err());
}

#[test]
fn a_segment_that_is_taken_out_or_exchanged_is_missed() {
    let dir = store();
    let paths = segments(&dir, "db");
    std::fs::remove_file(&paths[0]).unwrap();
    std::fs::remove_file(paths[0].with_extension("json")).unwrap();
    assert!(matches!(
        verify(dir.path(), &VerifyOptions::default()),
        Err(LogError::Corrupt { first: 1, last: 300, .. })
    ));
    std::fs::remove_file(&paths[1]).unwrap();
    std::fs::remove_file(paths[1].with_extension("json")).unwrap();
    assert!(matches!(
        verify(dir.path(), &VerifyOptions::default()),
        Err(LogError::Corrupt { first: 1, last: 600, .. })
    ));
}

#[test]
fn a_rewritten_event_in_a_segment_is_named_to_its_block() {
    let dir = store();
    let path = segments(&dir, "db").remove(1);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    // The first block has 256 entries, the second one the rest.
    let sql = "UPDATE block SET bytes = (SELECT bytes FROM block ORDER BY first LIMIT 1), last = 812 WHERE first > 301";
    connection.execute(sql, []).unwrap();
    drop(connection);
    let error = verify(dir.path(), &VerifyOptions::default()).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { first: 557, .. }), "{error}");
}

#[test]
fn an_index_of_another_version_raises_no_alarm() {
    let dir = store();
    let path = segments(&dir, "db").remove(1);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let change = |sql: &str| {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch(sql).unwrap();
        drop(connection);
        // Made anew by who has the key, as another program would have.
        let old = Manifest::read(&path.with_extension("json"), (301, 600)).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let (bytes, digest) = crate::log::segment::digest(&file).unwrap();
        let key = signing::SigningKey::load(dir.path()).unwrap();
        let manifest = Manifest { bytes, digest: crate::log::Hex(digest), ..old }.signed(&key);
        std::fs::write(path.with_extension("json"), manifest.text()).unwrap();
    };
    let deep = VerifyOptions { deep: true, ..VerifyOptions::default() };
    change("DELETE FROM term WHERE field = (SELECT min(field) FROM term)");
    assert!(verify(dir.path(), &deep).unwrap_err().to_string().contains("its index"));
    change("UPDATE meta SET value = zeroblob(32) WHERE key = 'catalogue'");
    assert_eq!(verify(dir.path(), &deep).unwrap().other_indexes, 1, "another release's catalogue");
    change("DELETE FROM meta WHERE key = 'catalogue'");
    assert_eq!(verify(dir.path(), &deep).unwrap().other_indexes, 1);
    change("UPDATE meta SET value = 77 WHERE key = 'index'");
    assert_eq!(verify(dir.path(), &deep).unwrap().other_indexes, 1);
    change("DELETE FROM meta WHERE key = 'index'");
    assert_eq!(verify(dir.path(), &deep).unwrap().other_indexes, 1);
    assert_eq!(verify(dir.path(), &VerifyOptions::default()).unwrap().other_indexes, 0);
}
