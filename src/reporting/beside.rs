//! What a report tells beside events: alerts, deliveries, and what could not be seen.

use std::collections::BTreeMap;

use crate::alert::Occasion;
use crate::report::{AlertFact, CoverageFact, Draft, ResponseFact, Told};
use crate::search::{Parts, Searcher};
use crate::store::{
    AlertPlace, AlertQuery, DeliveryKind, Gap, GapState, OutboxPlace, OutboxQuery, OutboxRow, OutboxState,
    Store, StoreError, StoredAlert,
};
use crate::time::{Span, Timestamp};

/// Rows read at once.
const ROWS: usize = 1_000;
/// Reasons of rejected bodies that are told apart.
const REASONS_MAX: usize = 200;

/// The alerts of both periods.
pub(super) fn alerts(store: &Store, draft: &mut Draft) -> Result<(), StoreError> {
    let since = Some(draft.before().start().minus(Span::millis(1)));
    let mut query = AlertQuery { since, whole_only: true, limit: ROWS, ..AlertQuery::default() };
    loop {
        let page = store.alerts(&query)?;
        for StoredAlert { alert, .. } in &page {
            let is_now = draft.period().has(alert.started_at);
            let told = if is_now { told(&store.outbox_of(&alert.id)?) } else { Told::Nobody };
            let verdict = if is_now { store.triage(&alert.id)?.verdict } else { None };
            draft.alert(&AlertFact {
                started_at: alert.started_at,
                last_at: alert.last_at,
                rule: alert.rule.to_string(),
                title: alert.title.clone(),
                level: alert.level,
                key: alert.key.clone(),
                told,
                verdict,
            });
        }
        let Some(last) = page.last().filter(|_| page.len() == ROWS).map(|stored| &stored.alert) else {
            return Ok(());
        };
        query.after =
            Some(AlertPlace { last_at: last.last_at, position: last.position, id: last.id.0.clone() });
    }
}

fn told(deliveries: &[OutboxRow]) -> Told {
    let told = |row: &&OutboxRow| row.occasion != Occasion::Undo;
    let any = |state: OutboxState| deliveries.iter().filter(told).any(|row| row.state == state);
    match () {
        () if deliveries.is_empty() => Told::Nobody,
        () if any(OutboxState::Dead) => Told::Failed,
        () if any(OutboxState::Pending) => Told::Waiting,
        () => Told::Done,
    }
}

/// The responses of both periods, and everything that was given up.
pub(super) fn responses(store: &Store, draft: &mut Draft) -> Result<(), StoreError> {
    let since = draft.before().start();
    let mut after = OutboxPlace { created_at: draft.period().end(), id: String::new() };
    loop {
        let query = OutboxQuery { after: Some(after), limit: ROWS, ..OutboxQuery::default() };
        let page = store.outbox(&query)?;
        for row in page.iter().filter(|row| row.created_at >= since) {
            let is_told = row.kind == DeliveryKind::Respond || row.state == OutboxState::Dead;
            if is_told {
                draft.response(response(store, row)?);
            }
        }
        let last = page.last().filter(|last| page.len() == ROWS && last.created_at >= since);
        let Some(last) = last else { return Ok(()) };
        after = OutboxPlace { created_at: last.created_at, id: last.id.clone() };
    }
}

fn response(store: &Store, row: &OutboxRow) -> Result<ResponseFact, StoreError> {
    let alert = store.alert(&row.alert)?.map(|stored| stored.alert);
    let outcome = row.outcome.as_ref();
    let state = match (row.state, outcome) {
        (OutboxState::Waiting, _) => "waits for approval",
        (OutboxState::Dead, _) => "failed",
        (OutboxState::Pending, _) => "still being tried",
        (OutboxState::Done, Some(outcome)) if outcome.needs_human => "a person must decide",
        (OutboxState::Done, Some(outcome)) if outcome.dry_run => "rehearsed",
        (OutboxState::Done, Some(outcome)) if outcome.changed => "done",
        (OutboxState::Done, _) => "nothing to do",
    };
    let result = outcome.map(|outcome| outcome.summary.clone()).or_else(|| row.last_error.clone());
    Ok(ResponseFact {
        at: row.created_at,
        action: row.action.clone(),
        state,
        result: result.unwrap_or_default(),
        title: alert.as_ref().map_or_else(|| row.alert.to_string(), |alert| alert.title.clone()),
        about: alert.as_ref().map(|alert| alert.key.to_string()).unwrap_or_default(),
        alert: alert.map(|alert| alert.id.0).unwrap_or_default(),
    })
}

/// Gaps, rejected bodies, and what of the log could not be read while the report was made.
pub(super) fn coverage<P: Parts>(
    store: &Store,
    searcher: &mut Searcher<P>,
    draft: &mut Draft,
) -> Result<(), StoreError> {
    store.gaps(0)?.into_iter().for_each(|gap| draft.coverage(of_gap(gap)));
    for fact in rejected(store, draft)? {
        draft.coverage(fact);
    }
    let whole = (draft.before().start(), draft.period().end());
    for damage in searcher.take_damaged() {
        let (from, to) = damage.times.unwrap_or(whole);
        draft.coverage(CoverageFact {
            from,
            to,
            what: "damaged part of the log".to_owned(),
            source: String::new(),
            detail: format!("{damage}; `watchfire verify` tells more"),
        });
    }
    Ok(())
}

fn of_gap(gap: Gap) -> CoverageFact {
    let what = match gap.state {
        GapState::Open => "gap, to be filled",
        GapState::Filled => "gap, filled since",
        GapState::Partly => "gap, partly filled",
        GapState::Blind => "blind spot",
    };
    let Gap { from, to, source, why, .. } = gap;
    CoverageFact { from, to, what: what.to_owned(), source, detail: why.unwrap_or_default() }
}

/// The rejected bodies of both periods: first, last and how many for each source and reason.
fn rejected(store: &Store, draft: &Draft) -> Result<Vec<CoverageFact>, StoreError> {
    let (since, start, end) = (draft.before().start(), draft.period().start(), draft.period().end());
    let mut groups: BTreeMap<(bool, String, String), (Timestamp, Timestamp, u64)> = BTreeMap::new();
    let mut before = None;
    loop {
        let page = store.rejected(before, ROWS)?;
        for body in page.iter().map(|body| &body.rejected) {
            let at = body.received_at;
            if at < since || at >= end {
                continue;
            }
            let mut key = (at >= start, body.source.clone(), body.reason.clone());
            if !groups.contains_key(&key) && groups.len() >= REASONS_MAX {
                key.2 = "other reasons".to_owned();
            }
            let group = groups.entry(key).or_insert((at, at, 0));
            *group = (group.0.min(at), group.1.max(at), group.2 + 1);
        }
        let last = page.last().filter(|last| page.len() == ROWS && last.rejected.received_at >= since);
        let Some(last) = last else { break };
        before = Some(last.id);
    }
    let fact =
        |((_, source, detail), (from, to, count)): ((bool, String, String), (Timestamp, Timestamp, u64))| {
            let what =
                if count == 1 { "1 body rejected".to_owned() } else { format!("{count} bodies rejected") };
            CoverageFact { from, to, what, source, detail }
        };
    Ok(groups.into_iter().map(fact).collect())
}
