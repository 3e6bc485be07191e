//! A report, made from the log and the store.

use super::beside;
use crate::query::{Query, QueryError};
use crate::report::{Draft, Period, Report, SectionKind, query, sign_in_query};
use crate::search::{Order, Parts, SearchError, Searcher};
use crate::store::{Store, StoreError};
use crate::time::{Span, Timestamp};

/// Events of one page.
const EVENTS: usize = 1_000;
/// An address that somebody signed in from within so long before a period is not new in it.
const KNOWN_FOR: Span = Span::days(30);

/// What a report is to be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The name of its settings, if it has any.
    pub name: Option<String>,
    /// Of which time.
    pub period: Period,
    /// With which parts.
    pub sections: Vec<SectionKind>,
    /// Only events that this finds; all if it is empty.
    pub query: String,
}

/// Why a report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The log could not be searched.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its query is none.
    #[error("query: {0}")]
    Query(#[from] QueryError),
    /// The program is stopping.
    #[error("it was given up because Watchfire stops")]
    Stopped,
}

/// Asked between two pages: whether to go on.
pub type GoOn<'a> = &'a dyn Fn() -> bool;

/// Makes a report. Events count by their own time, alerts by when they began, deliveries by when they were set off. Reads
/// the events in pages and keeps a bounded number of rows.
///
/// # Errors
///
/// What the log or the store says when they cannot be read.
pub fn make<P: Parts>(
    searcher: &mut Searcher<P>,
    store: &Store,
    asked: &Asked,
    (now, go_on): (Timestamp, GoOn<'_>),
) -> Result<Report, ReportError> {
    let period = &asked.period;
    let wants = |kind: SectionKind| asked.sections.contains(&kind);
    let mut draft = Draft::new(period.clone(), &asked.sections);
    let (before, start, end) = (draft.before().start(), period.start(), period.end());
    drop(searcher.take_damaged());
    if let Some(wanted) = query(&asked.sections) {
        read((searcher, go_on), &mut draft, (&asked.query, &wanted), (before, end))?;
    }
    if wants(SectionKind::SignIns) && start.minus(KNOWN_FOR) < before {
        read(
            (searcher, go_on),
            &mut draft,
            (&asked.query, &sign_in_query()),
            (start.minus(KNOWN_FOR), before),
        )?;
    }
    let events = (count(searcher, start, end)?, count(searcher, before, start)?);
    if wants(SectionKind::Alerts) {
        beside::alerts(store, &mut draft)?;
    }
    if wants(SectionKind::Responses) {
        beside::responses(store, &mut draft)?;
    }
    if wants(SectionKind::Coverage) {
        beside::coverage(store, searcher, &mut draft)?;
    }
    let mut report = draft.finish(now);
    report.name.clone_from(&asked.name);
    report.query.clone_from(&asked.query);
    report.events = events.0.zip(events.1);
    if now < end {
        report.notes.push("This period is not over yet.".to_owned());
    }
    Ok(report)
}

/// The events that both queries find, from a time to before another one.
fn read<P: Parts>(
    (searcher, go_on): (&mut Searcher<P>, GoOn<'_>),
    draft: &mut Draft,
    (narrowed, wanted): (&str, &str),
    (from, to): (Timestamp, Timestamp),
) -> Result<(), ReportError> {
    // Alone first, so that a mistake is told where the reader of the settings sees it.
    Query::parse(narrowed, to)?;
    let both =
        if narrowed.trim().is_empty() { wanted.to_owned() } else { format!("({narrowed}) AND ({wanted})") };
    let query = Query::parse(&both, to)?.between(from, to.minus(Span::millis(1)));
    let mut cursor = None;
    loop {
        if !go_on() {
            return Err(ReportError::Stopped);
        }
        let page = searcher.page(&query, cursor, (EVENTS, Order::OldestFirst))?;
        for found in &page.events {
            draft.event(found.event.format, found.event.time, &found.shown);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

fn count<P: Parts>(
    searcher: &mut Searcher<P>,
    from: Timestamp,
    to: Timestamp,
) -> Result<Option<u64>, SearchError> {
    let count = searcher.count(&Query::all_of(&[]).between(from, to.minus(Span::millis(1))))?;
    Ok(count.is_complete.then_some(count.events))
}
