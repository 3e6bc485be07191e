//! How long it takes from an event that is due to be sent until the request about it is at an idle target: one event in a
//! hundred opens an alert that goes to a webhook, while single events come in at 5,000 a second and 100 rules judge them.
//!
//! `cargo bench --bench notify -- [events [rules]]` (100000 and 100)
//!
//! All of it, the load and the target included, runs on the same cores. Needs python3 for the rules.

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

#[path = "../ingest/client.rs"]
mod client;
#[path = "../ingest/program.rs"]
#[expect(dead_code, reason = "the other benchmark uses the rest")]
mod program;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use client::{Connection, millis};
use program::Program;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Events a second, connections, and every how many-th event opens an alert.
const RATE: u32 = 5_000;
const CONNECTIONS: usize = 64;
const PROBE_EVERY: usize = 100;
/// Authors from here on are the benchmark's.
const AUTHORS: usize = 1_000_000;

const RULE: &str = "title: Somebody of the benchmark destroys a project\nid: probe\nlevel: high\n\
    logsource: {product: gitlab}\n\
    detection:\n  sel: {event_type: project_destroyed, author_id|gte: 1000000}\n  condition: sel\n";

/// When each author's alert came to the target.
type Arrivals = Arc<Mutex<BTreeMap<usize, Instant>>>;

/// A target that answers at once.
fn target(arrivals: Arrivals) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let arrivals = Arc::clone(&arrivals);
            thread::spawn(move || drop(answer(stream, &arrivals)));
        }
    });
    Ok(address)
}

fn answer(stream: TcpStream, arrivals: &Arrivals) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while stream.read_line(&mut line)? > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            line.clear();
        }
        let at = Instant::now();
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let told: serde_json::Value = serde_json::from_slice(&body)?;
        if let Some(author) = told["alert"]["key"]["author_id"].as_u64() {
            let mut arrivals = arrivals.lock().map_err(|_| "a thread failed")?;
            arrivals.entry(usize::try_from(author)? - AUTHORS).or_insert(at);
        }
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}

fn event(number: usize, began: &str) -> String {
    let (kind, author) = if number.is_multiple_of(PROBE_EVERY) {
        ("project_destroyed", AUTHORS + number)
    } else {
        ("member_created", number % 200)
    };
    format!(
        r#"{{"id":"{number}","created_at":"{began}","event_type":"{kind}","author_id":{author},"author_name":"A","entity_id":{number},"entity_type":"Project","entity_path":"platform/service-{}","target_id":{number},"target_type":"Project","target_details":"service","details":{{"ip_address":"192.0.2.7"}}}}"#,
        number % 400
    )
}

/// Sends all events at their moments; when the first one was due.
fn send(program: &Program, count: usize) -> Result<Instant> {
    let created = String::from_utf8(Command::new("date").args(["-u", "+%FT%TZ"]).output()?.stdout)?;
    let bodies: Vec<String> = (0..count).map(|number| event(number, created.trim())).collect();
    let bodies: Vec<&[u8]> = bodies.iter().map(String::as_bytes).collect();
    let load = client::Load { bodies: &bodies, size: 1, rate: Some(RATE) };
    let began = Instant::now();
    let taken = client::run(&load, CONNECTIONS, |body| program.request(false, body), program.address())?;
    println!(
        "{:.0} events/s; answered 200: p50 {:.1} ms, p99 {:.1} ms",
        taken.events as f64 / taken.took.as_secs_f64(),
        millis(taken.at(50)),
        millis(taken.at(99))
    );
    Ok(began)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let count = arguments.first().map_or(Ok(100_000), |text| text.parse::<usize>())?;
    let rules = arguments.get(1).map_or("100", String::as_str);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let rules_folder = folder.path().join("rules");
    if !Command::new("python3").args(["benches/rules.py", rules]).arg(&rules_folder).status()?.success() {
        return Err("benches/rules.py failed".into());
    }
    std::fs::write(rules_folder.join("probe.yml"), RULE)?;
    let arrivals = Arrivals::default();
    let hook = target(Arc::clone(&arrivals))?;
    let more = format!(
        "actions:\n  hook: {{type: webhook, url: \"http://{hook}/\"}}\n\
         routes:\n  - {{rules: [probe], actions: [hook]}}\nstorm: {{per_hour: 0}}\n"
    );
    let program = PathBuf::from(env!("CARGO_BIN_EXE_watchfire"));
    let program = Program::watchfire_with(&program, folder.path(), &more)?;
    drop(Connection::open(program.address())?);
    let began = send(&program, count)?;
    let probes: Vec<usize> = (0..count).step_by(PROBE_EVERY).collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    let missing = || arrivals.lock().map_or(0, |arrivals| probes.len() - arrivals.len());
    while missing() > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    let arrivals = arrivals.lock().map_err(|_| "a thread failed")?;
    let due = |number: usize| began + Duration::from_secs(1) / RATE * u32::try_from(number).unwrap_or(0);
    let mut took: Vec<Duration> =
        arrivals.iter().map(|(number, at)| at.saturating_duration_since(due(*number))).collect();
    took.sort_unstable();
    let at = |percent: usize| {
        millis(took.get((took.len().max(1) - 1) * percent / 100).copied().unwrap_or_default())
    };
    println!(
        "{} of {} alerts at the target: p50 {:.1} ms, p99 {:.1} ms, all {:.1} ms",
        took.len(),
        probes.len(),
        at(50),
        at(99),
        at(100)
    );
    program.stop(Duration::from_secs(60))?;
    if took.len() == probes.len() { Ok(()) } else { Err("alerts are missing".into()) }
}
