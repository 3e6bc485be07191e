//! Where imported events go: into the data folder, or through the daemon that works on it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use axum::http::HeaderMap;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::api::IMPORT_PATH;
use crate::clock::Clock;
use crate::config::Limits;
use crate::deliver::{Http, HttpOptions, Method, Request, Secret, Url, header, parse_url, set_content_type};
use crate::event::Format;
use crate::log::{Log, LogError, LogOptions, NewEvent};
use crate::source::{Added, Context, Past, Sink, SourceMetrics};
use crate::store::Store;
use crate::time::Span;

/// Where the events go.
pub(super) enum Way {
    /// Nowhere: they are only counted.
    Nowhere,
    /// Into the folder, that no daemon works on.
    Folder(Box<(Log, Past)>),
    /// To a daemon.
    Daemon(Box<Daemon>),
}

/// How a daemon is reached.
pub(super) struct Door<'a> {
    pub url: &'a str,
    pub token_file: Option<&'a Path>,
    pub ca: Option<&'a Path>,
}

pub(super) struct Daemon {
    http: Http,
    url: Url,
    headers: HeaderMap,
    wish: Vec<(&'static str, String)>,
}

/// What one request holds at most.
const REQUEST_BYTES: usize = 1 << 20;
const REQUEST_EVENTS: usize = 1000;
/// What the daemon may take for one request: it may have to look through much of its log.
const TIMEOUT: Span = Span::minutes(10);
/// How often a busy daemon is asked again, and how long it is waited for in between at most.
const TRIES: u32 = 30;
const PAUSE_MAX: Span = Span::seconds(30);

#[derive(Debug, Default, Deserialize)]
struct Answer {
    #[serde(default)]
    stored: u64,
    #[serde(default)]
    duplicates: u64,
    #[serde(default)]
    rejected: Vec<Rejected>,
}

#[derive(Debug, Deserialize)]
struct Rejected {
    line: usize,
    reason: String,
}

impl Way {
    /// Takes the folder for itself.
    pub(super) fn into_folder(dir: &Path, name: &str, forge: Option<&str>) -> anyhow::Result<Self> {
        let clock = Clock::system();
        let log = Log::open(dir, LogOptions::default(), clock.clone()).map_err(|error| match error {
            LogError::Locked { pid, .. } => anyhow::anyhow!(
                "a daemon (process {pid}) works on {}; import through it with `--url http://ADDRESS --token-file FILE` \
                 (its `listen` and a token with the role admin, that `watchfire token add` makes), or stop it first",
                dir.display()
            ),
            other => other.into(),
        })?;
        let limits = Limits::default();
        let context = Context {
            sink: Sink::new(log.clone(), Store::open(dir)?),
            clock,
            metrics: SourceMetrics::register(&mut Registry::default()),
            limits: limits.bodies(),
            in_flight: limits.in_flight(),
        };
        let past = Past::new(name.into(), forge.map(Into::into), None, &context);
        Ok(Self::Folder(Box::new((log, past))))
    }

    /// Goes through the daemon.
    pub(super) fn through(
        door: &Door<'_>,
        (source, forge): (&str, Option<&str>),
        judge: bool,
    ) -> anyhow::Result<Self> {
        let Some(path) = door.token_file else {
            bail!(
                "the daemon wants to see a token with the role admin (`watchfire token add` makes one): give it with --token-file"
            );
        };
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let token = text.trim();
        let mut headers = HeaderMap::from_iter([header("authorization", &format!("Bearer {token}"))?]);
        set_content_type(&mut headers, "application/json");
        let base = door.url.trim_end_matches('/');
        let url = parse_url(&format!("{base}{IMPORT_PATH}"))?;
        let options = HttpOptions { url: door.url, timeout: TIMEOUT, ca: door.ca };
        let http = Http::new(&options, vec![Secret::new(token)])?;
        let mut wish = vec![("source", source.to_owned()), ("judge", judge.to_string())];
        wish.extend(forge.map(|forge| ("forge", forge.to_owned())));
        Ok(Self::Daemon(Box::new(Daemon { http, url, headers, wish })))
    }

    /// Stores them; notes the places of those that were refused, and why.
    pub(super) async fn send(
        &self,
        events: &[NewEvent],
        refused: &mut Vec<(usize, String)>,
        added: &mut Added,
    ) -> anyhow::Result<()> {
        match self {
            Self::Nowhere => Ok(()),
            Self::Folder(folder) => {
                *added += folder.1.add(events.to_vec(), &CancellationToken::new()).await?;
                Ok(())
            }
            Self::Daemon(daemon) => {
                for (format, indices) in requests(events) {
                    daemon.post(events, (format, &indices), refused, added).await?;
                }
                Ok(())
            }
        }
    }

    /// Lets go of the folder.
    pub(super) async fn close(&self) {
        if let Self::Folder(folder) = self {
            folder.0.close().await;
        }
    }
}

/// Which events go into one request: of one format, no more than it may hold, in their order.
fn requests(events: &[NewEvent]) -> Vec<(Format, Vec<usize>)> {
    let mut open: BTreeMap<Format, (usize, Vec<usize>)> = BTreeMap::new();
    let mut requests = Vec::new();
    for (index, new) in events.iter().enumerate() {
        let (format, size) = (new.event.format, new.event.raw.len());
        let (bytes, indices) = open.entry(format).or_default();
        if !indices.is_empty() && (*bytes + size > REQUEST_BYTES || indices.len() >= REQUEST_EVENTS) {
            requests.push((format, std::mem::take(indices)));
            *bytes = 0;
        }
        *bytes += size;
        indices.push(index);
    }
    requests.extend(open.into_iter().map(|(format, (_, indices))| (format, indices)));
    requests
}

impl Daemon {
    async fn post(
        &self,
        events: &[NewEvent],
        (format, indices): (Format, &[usize]),
        refused: &mut Vec<(usize, String)>,
        added: &mut Added,
    ) -> anyhow::Result<()> {
        let chosen: Vec<&NewEvent> = indices.iter().filter_map(|index| events.get(*index)).collect();
        let answer = self.ask(format, array(&chosen)).await?;
        *added += Added { stored: answer.stored, duplicates: answer.duplicates };
        // The daemon names lines of the array, in which an event may have several.
        let mut starts = Vec::with_capacity(chosen.len());
        let mut line = 1;
        for new in &chosen {
            starts.push(line);
            line += memchr::memchr_iter(b'\n', &new.event.raw).count() + 1;
        }
        for one in answer.rejected {
            let place = starts.partition_point(|start| *start <= one.line).saturating_sub(1);
            refused.extend(indices.get(place).map(|index| (*index, one.reason)));
        }
        Ok(())
    }

    async fn ask(&self, format: Format, body: Vec<u8>) -> anyhow::Result<Answer> {
        let mut url = self.url.clone();
        url.query_pairs_mut().extend_pairs(&self.wish).append_pair("format", format.name());
        let body = bytes::Bytes::from(body);
        let clock = Clock::system();
        for attempt in 1.. {
            let (url, headers, body) = (url.clone(), self.headers.clone(), Some(body.clone()));
            let request = Request { method: Method::POST, url, headers, body };
            let failure = match self.http.send(request, clock.now()).await {
                Ok(answer) if answer.is_success() => return Ok(serde_json::from_value(answer.json()?)?),
                Ok(answer) if answer.status == 404 => bail!(
                    "there is nothing at {IMPORT_PATH}: is this the address of a daemon, and is it as new as this program?"
                ),
                Ok(answer) => answer.failure(),
                Err(error) => error,
            };
            let crate::deliver::DeliveryError::Retryable { reason, after, .. } = failure else {
                bail!(failure)
            };
            if attempt >= TRIES {
                bail!("{reason}; what was stored is known when you import again");
            }
            clock.sleep(after.unwrap_or(Span::seconds(2)).min(PAUSE_MAX)).await;
        }
        bail!("the daemon was asked too often")
    }
}

/// A JSON array of the events' own bytes, each beginning on a line of its own.
fn array(events: &[&NewEvent]) -> Vec<u8> {
    let mut body = vec![b'['];
    for (index, new) in events.iter().enumerate() {
        if index > 0 {
            body.extend_from_slice(b",\n");
        }
        body.extend_from_slice(&new.event.raw);
    }
    body.push(b']');
    body
}
