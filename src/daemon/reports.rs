//! What is due about a day, a week or a month: mails go into the outbox, files are written.
//!
//! A schedule notes the newest period that it is done with, in the transaction that owes the mail; a mail's id is derived
//! from name and period. So each is sent once, whatever stops in between. After an outage the newest periods are made up
//! for, and what is older is named.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::alert::AlertId;
use crate::clock::Clock;
use crate::encode::TemplateError;
use crate::event::Catalogue;
use crate::report::render::{ATTACHED_MAX, mail};
use crate::report::{Period, Report, Schedule};
use crate::reporting::{
    Asked, ExportConfig, ExportError, ReportConfig, ReportError, Schedules, make, write_export,
};
use crate::search::{SearchError, Searcher};
use crate::store::{DeliveryKind, OutboxRow, Store, StoreError};
use crate::time::{Span, Timestamp};

/// How many periods are made up for at once: the newest one and three before it.
const MADE_UP_MAX: usize = 4;
/// No sleep is longer: the clock may be set meanwhile. Also how long what failed is left alone.
const LOOK: Span = Span::minutes(1);
/// What comes so much later than it was due says so.
const LATE: Span = Span::hours(1);

/// All that reports and exports need.
#[derive(Clone)]
pub(super) struct Reporter {
    pub(super) store: Store,
    pub(super) data_dir: PathBuf,
    pub(super) catalogue: Arc<dyn Fn() -> Arc<Catalogue> + Send + Sync>,
    pub(super) clock: Clock,
    /// A reload sends new ones.
    pub(super) schedules: watch::Receiver<Arc<Schedules>>,
    /// Wakes the deliveries.
    pub(super) wake: Arc<Notify>,
    /// What is being made when the daemon stops is given up, and made at the next start.
    pub(super) stop: CancellationToken,
}

/// Why something due could not be made; it is tried again.
#[derive(Debug, thiserror::Error)]
enum DueError {
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("{0}")]
    Encode(#[from] serde_json::Error),
}

/// What is made up for, oldest first, and what is older, newest first.
type Due = (Vec<Period>, Vec<Period>);

impl Reporter {
    /// Makes what is due until it is to stop.
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        loop {
            let wake_at = self.look().await;
            let wait = wake_at.since(self.clock.now());
            // Time went on while something was made, and the next thing is due already.
            if wait <= Span(0) && !stop.is_cancelled() {
                continue;
            }
            tokio::select! {
                () = self.clock.sleep(wait.min(LOOK)) => {}
                changed = self.schedules.changed() => if changed.is_err() { return },
                () = stop.cancelled() => return,
            }
        }
    }

    /// Makes what is due now; tells when the next thing is.
    async fn look(&mut self) -> Timestamp {
        let now = self.clock.now();
        let schedules = Arc::clone(&self.schedules.borrow_and_update());
        let mut next = now.plus(LOOK);
        for schedule in schedules
            .reports
            .iter()
            .map(ReportConfig::schedule)
            .chain(schedules.exports.iter().map(ExportConfig::schedule))
        {
            next = next.min(schedule.due_at(&schedule.newest_due(now).next()));
        }
        let own = self.clone();
        let work = move || {
            for report in &schedules.reports {
                tell("report", &report.name, own.report(report, now));
            }
            for export in &schedules.exports {
                tell("export", &export.name, own.export(export, now));
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(work).await {
            tracing::error!(%error, "reports and exports ended early; they are tried again");
        }
        next
    }

    fn goes_on(&self) -> bool {
        !self.stop.is_cancelled()
    }

    fn searcher(&self) -> Result<Searcher, SearchError> {
        Searcher::open(&self.data_dir, (self.catalogue)())
    }

    /// Owes the mails of a report that are due.
    fn report(&self, config: &ReportConfig, now: Timestamp) -> Result<(), DueError> {
        let (schedule, note) = (config.schedule(), format!("report/{}/{}", config.name, config.every.name()));
        let Some((due, older)) = self.due(&schedule, &note, now)? else { return Ok(()) };
        let newest = due.last().map(Period::key);
        for period in due {
            let key = period.key();
            let asked = Asked {
                name: Some(config.name.clone()),
                period,
                sections: config.sections.clone(),
                query: config.query.clone(),
            };
            let mut report = make(&mut self.searcher()?, &self.store, &asked, (now, &|| self.goes_on()))?;
            let is_newest = newest.as_deref() == Some(key.as_str());
            add_notes(&mut report, &schedule, if is_newest { &older } else { &[] });
            let mail = serde_json::to_vec(&mail(&report, ATTACHED_MAX)?)?;
            let row = delivery(config, &key, now);
            if self.store.report_owe(&row, &mail, (&note, key.as_bytes()))? {
                tracing::info!(report = config.name, period = key, "a report is due");
            }
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Writes the files of an export that are due.
    fn export(&self, config: &ExportConfig, now: Timestamp) -> Result<(), DueError> {
        let (schedule, note) = (config.schedule(), format!("export/{}/{}", config.name, config.every.name()));
        let Some((due, older)) = self.due(&schedule, &note, now)? else { return Ok(()) };
        if let (Some(last), Some(first)) = (older.first(), older.last()) {
            let (export, first, last) = (&config.name, first.key(), last.key());
            tracing::warn!(
                export,
                first,
                last,
                "files of this time were not written; `watchfire export` writes them"
            );
        }
        for period in due {
            let written = write_export(&mut self.searcher()?, config, &period, &|| self.goes_on())?;
            for damage in &written.damaged {
                tracing::error!(export = config.name, "{damage}");
            }
            self.store.set_checkpoint(&note, period.key().as_bytes())?;
            let (path, events) = (written.path.display(), written.events);
            tracing::info!(export = config.name, %path, events, removed = written.removed, "an export was written");
        }
        Ok(())
    }

    /// The periods that are due, oldest first, and the older ones that are not made up for, newest first. A schedule that
    /// is seen for the first time begins with the period that is due next.
    fn due(&self, schedule: &Schedule, note: &str, now: Timestamp) -> Result<Option<Due>, DueError> {
        let newest = schedule.newest_due(now).key();
        let done = self.store.checkpoint(note)?.and_then(|bytes| String::from_utf8(bytes).ok());
        match done {
            Some(done) if done == newest => Ok(None),
            // Later than anything due: the clock was wrong then, and must not silence what is due until that time.
            Some(done) if done < newest => Ok(Some(schedule.due_since(&done, now, MADE_UP_MAX))),
            Some(_) | None => {
                self.store.set_checkpoint(note, newest.as_bytes())?;
                Ok(None)
            }
        }
    }
}

fn tell(what: &str, name: &str, done: Result<(), DueError>) {
    if matches!(&done, Err(DueError::Report(ReportError::Stopped) | DueError::Export(ExportError::Stopped))) {
        tracing::info!("the {what} {name} is made at the next start");
        return;
    }
    if let Err(error) = done {
        tracing::error!(%error, "the {what} {name} could not be made; it is tried again");
    }
}

fn add_notes(report: &mut Report, schedule: &Schedule, older: &[Period]) {
    let due_at = schedule.due_at(&report.period);
    if report.made_at.since(due_at) >= LATE {
        let due_at = schedule.zone.minute(due_at);
        report.notes.push(format!("This report was due {due_at} and is late: Watchfire was not running."));
    }
    let (Some(last), Some(first)) = (older.first(), older.last()) else { return };
    let every = schedule.every.name();
    let which = match older.len() {
        1 => format!("1 earlier report was not sent, of {first}"),
        count => format!("{count} earlier reports were not sent, of {first} until {last}"),
    };
    report.notes.push(format!("{which}; `watchfire report {every} --on DATE` shows them."));
}

fn delivery(config: &ReportConfig, key: &str, now: Timestamp) -> OutboxRow {
    let (name, every) = (&config.name, config.every.name());
    let about = (AlertId(format!("{name} {key}")), config.action.as_str());
    OutboxRow::owed(DeliveryKind::Report, about, &format!("report\0{name}\0{every}\0{key}"), now)
}
