//! What the index of a segment takes and gives: events a second on one core, bytes per event in SQLite, and how long
//! queries take.
//!
//! `cargo bench --bench index -- [events]`

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use roaring::RoaringBitmap;
use rusqlite::{Connection, OptionalExtension as _, params};
use watchfire::decode::decode;
use watchfire::event::{Catalogue, Event, Format, Position};
use watchfire::index::{Builder, Term, Terms, Timed, Visit, evaluate, tally};
use watchfire::query::Query;
use watchfire::time::Timestamp;

/// A segment as one is on the disk, and its events' times in memory.
struct Segment {
    connection: Connection,
    times: Vec<Timestamp>,
}

impl Terms for Segment {
    type Error = rusqlite::Error;

    fn postings(&mut self, field: u8, value: &[u8]) -> rusqlite::Result<Option<Vec<u8>>> {
        let sql = "SELECT postings FROM term WHERE field = ?1 AND value = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.query_row(params![field, value], |row| row.get(0)).optional()
    }

    fn scan(&mut self, field: u8, from: &[u8], visit: &mut Visit<'_>) -> rusqlite::Result<()> {
        let sql = "SELECT value, count, postings FROM term WHERE field = ?1 AND value >= ?2 ORDER BY value";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![field, from])?;
        while let Some(row) = rows.next()? {
            let bytes = |index| row.get_ref(index).and_then(|value| Ok(value.as_blob()?));
            if visit(bytes(0)?, row.get(1)?, bytes(2)?).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Timed for Segment {
    fn first(&self) -> Position {
        1
    }

    fn between(&mut self, from: Timestamp, to: Timestamp) -> rusqlite::Result<RoaringBitmap> {
        let times = (0..).zip(&self.times);
        Ok(times.filter(|(_, time)| from <= **time && **time <= to).map(|(number, _)| number).collect())
    }

    fn times(&mut self, visit: &mut dyn FnMut(u32, Timestamp)) -> rusqlite::Result<()> {
        (0..).zip(&self.times).for_each(|(number, time)| visit(number, *time));
        Ok(())
    }
}

fn events(count: u64) -> Result<Vec<Event>, Box<dyn std::error::Error>> {
    let mut text = Vec::new();
    watchfire::demo::generate(count, 1, &mut text)?;
    let mut events = Vec::new();
    for (position, line) in (1..).zip(text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())) {
        let raw = bytes::Bytes::copy_from_slice(line);
        let decoded = decode(Format::Gitlab, &"gitlab".into(), raw, None, Timestamp(0))?;
        events.push(Event { position, ..decoded.event });
    }
    Ok(events)
}

fn write(path: &Path, page_size: u32, terms: &[Term]) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(&format!(
        "PRAGMA page_size = {page_size}; PRAGMA journal_mode = OFF;
         CREATE TABLE term (field INTEGER, value BLOB, count INTEGER, postings BLOB,
                            PRIMARY KEY (field, value)) WITHOUT ROWID;",
    ))?;
    let start = Instant::now();
    let transaction = connection.transaction()?;
    for term in terms {
        let mut insert = transaction.prepare_cached("INSERT INTO term VALUES (?1, ?2, ?3, ?4)")?;
        insert.execute(params![term.field, &*term.value, term.count, term.postings])?;
    }
    transaction.commit()?;
    println!("{} rows written in {:.2} s", terms.len(), start.elapsed().as_secs_f64());
    Ok(())
}

/// Seconds this thread was on a core, where the system tells: others may be busy on it as well.
fn on_core(start: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanos.map_or(start.elapsed().as_secs_f64(), |nanos| nanos / 1e9)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(200_000);
    let events = events(count)?;
    let catalogue = Catalogue::built_in();
    let sent: usize = events.iter().map(|event| event.raw.len()).sum();
    println!("{} events of {} bytes", events.len(), sent / events.len());

    let start = Instant::now();
    let begun = on_core(start);
    let mut builder = Builder::default();
    for (number, event) in (0..).zip(&events) {
        builder.add(number, event, &catalogue);
    }
    let added = on_core(start);
    let terms: Vec<_> = builder.finish().collect();
    let finished = on_core(start);
    let rate = |seconds: f64| events.len() as f64 / seconds;
    println!("gathered {:.0} events/s of one core", rate(added - begun));
    println!("gathered and finished {:.0} events/s of one core", rate(finished - begun));
    for field in 0..=255_u8 {
        let of_field = || terms.iter().filter(|term| term.field == field);
        let bytes: usize = of_field().map(|term| term.postings.len()).sum();
        let values: usize = of_field().map(|term| term.value.len()).sum();
        if of_field().next().is_some() {
            let per = |bytes: usize| bytes as f64 / events.len() as f64;
            println!(
                "  field {field:3}: {:8} rows, {:6.2} + {:6.2} bytes per event",
                of_field().count(),
                per(values),
                per(bytes)
            );
        }
    }

    let dir = tempfile::tempdir()?;
    for page_size in [4096, 8192, 16_384, 32_768] {
        let path = dir.path().join(format!("{page_size}.db"));
        write(&path, page_size, &terms)?;
        let bytes = std::fs::metadata(&path)?.len() as f64 / events.len() as f64;
        println!("pages of {page_size}: {bytes:.1} bytes per event on the disk");
    }
    let connection = Connection::open(dir.path().join("16384.db"))?;

    let times = events.iter().map(|event| event.time).collect();
    let mut segment = Segment { connection, times };
    for text in [
        "",
        "author_id:33",
        "author:\"Mara Bauer\"",
        "type:project_destroyed",
        "tier:destructive",
        "-tier:routine",
        "entity:acme/data/*",
        "ip:10.0.0.0/8",
        "created:2026-01-06",
        "author_id:33 type:repository_git_operation upload",
        "git-upload-pack",
        "details.custom_message.action:git-upload-pack",
        "id:106fa7eb-52f9-4817-8481-8ac5a536b505",
        "106fa7eb*",
        "*ata*",
    ] {
        let query = Query::parse(text, Timestamp(0))?;
        let start = Instant::now();
        let answer = black_box(evaluate(&query, &mut segment, &catalogue)?);
        let millis = start.elapsed().as_secs_f64() * 1e3;
        println!(
            "{millis:8.2} ms  {text:55} sure {} doubtful {}",
            answer.sure.len(),
            answer.doubtful().len()
        );
    }
    let all = evaluate(&Query::all_of(&[]), &mut segment, &catalogue)?.sure;
    for field in ["author_name", "entity_path", "ip_address", "event_type", "tier", "target_details"] {
        let start = Instant::now();
        let mut values = 0;
        tally(&mut segment, &catalogue, field, &all, &mut |_, _, _| values += 1)?;
        println!("{:8.2} ms  count by {field}: {values} values", start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}
