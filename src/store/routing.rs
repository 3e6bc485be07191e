//! What becomes of new alerts, decided in the transaction that commits them: told, told with others, told later again, or
//! held back and by what.

use rusqlite::Transaction;

use super::followup::{self, Followup, Kind};
use super::{DeliveryKind, OutboxRow, StoreError, group, held, outbox, scene, silence, storm};
use crate::alert::{Alert, Occasion};
use crate::route::{
    Case, Escalation, Facts, Held, HeldBy, Hold, OpenAlert, Policy, Quiet, Scene, Told, hold, rivals,
};
use crate::time::Timestamp;

/// A new alert, and what the routes make of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The alert.
    pub alert: Alert,
    /// Where its events happened.
    pub scene: Scene,
    /// Its actions, each once, with what they do.
    pub told: Vec<(DeliveryKind, Told)>,
    /// Who is told when nobody acknowledges it; only actions that tell somebody.
    pub escalate: Vec<Escalation>,
    /// Whether responses to it only rehearse, whatever its rule says later.
    pub rehearses: bool,
}

/// What a step of detection brings to be told.
#[derive(Debug, Clone, Copy)]
pub struct Routing<'a> {
    /// The new alerts, in the order of the log.
    pub candidates: &'a [Candidate],
    /// What holds back by configuration.
    pub policy: &'a Policy,
    /// Findings that went up in alerts which were told already.
    pub suppressed: u64,
}

/// Those that nobody decided about before; to be asked before the alerts are written.
pub(super) fn fresh<'a>(
    transaction: &Transaction<'_>,
    routing: &Routing<'a>,
) -> Result<Vec<&'a Candidate>, StoreError> {
    let mut fresh = Vec::with_capacity(routing.candidates.len());
    for candidate in routing.candidates {
        if !scene::is_known(transaction, &candidate.alert.id)? {
            fresh.push(candidate);
        }
    }
    Ok(fresh)
}

/// Decides about new alerts, which are written already. The same `at` for all.
pub(super) fn settle(
    transaction: &Transaction<'_>,
    fresh: &[&Candidate],
    routing: &Routing<'_>,
    at: Timestamp,
) -> Result<(), StoreError> {
    held::suppressed(transaction, routing.suppressed)?;
    if fresh.is_empty() {
        return Ok(());
    }
    let mut desk = Desk {
        transaction,
        policy: routing.policy,
        at,
        quiet: silence::in_force(transaction, at)?,
        open: None,
    };
    fresh.iter().try_for_each(|candidate| desk.decide(candidate))
}

/// Where it is decided: what is known of everything else, read once.
struct Desk<'a> {
    transaction: &'a Transaction<'a>,
    policy: &'a Policy,
    at: Timestamp,
    quiet: Vec<Quiet>,
    /// Read when somebody asks.
    open: Option<Vec<OpenAlert>>,
}

impl Desk<'_> {
    fn decide(&mut self, candidate: &Candidate) -> Result<(), StoreError> {
        let Candidate { alert, scene, told, escalate, rehearses } = candidate;
        let holds = self.holds(candidate)?;
        let first = holds.first().map(|hold| hold.by);
        scene::insert(self.transaction, (alert, scene, *rehearses), first, self.at)?;
        if let Some(open) = self.open.as_mut().filter(|_| first.is_none()) {
            open.push(OpenAlert { alert: alert.clone(), scene: scene.clone(), changed_at: self.at });
        }
        if told.is_empty() {
            holds.iter().try_for_each(|hold| self.note(candidate, "", hold))?;
        }
        for (kind, told) in told {
            let meant = |hold: &&Hold| *kind != DeliveryKind::Respond || !hold.spares_responses;
            let mut meant = holds.iter().filter(meant).peekable();
            if meant.peek().is_none() {
                self.tell(candidate, *kind, told)?;
            } else {
                meant.try_for_each(|hold| self.note(candidate, &told.action, hold))?;
            }
        }
        if holds.is_empty() {
            escalate.iter().try_for_each(|step| self.escalate(alert, step))?;
        } else {
            for action in escalate.iter().flat_map(|step| &step.actions) {
                let why = |hold: &Hold| Hold { why: format!("escalation, by {}", hold.why), ..hold.clone() };
                holds.iter().try_for_each(|hold| self.note(candidate, action, &why(hold)))?;
            }
        }
        if first == Some(HeldBy::Storm) {
            self.storm(candidate, &holds)?;
        }
        Ok(())
    }

    fn holds(&mut self, candidate: &Candidate) -> Result<Vec<Hold>, StoreError> {
        let case = Case { alert: &candidate.alert, scene: &candidate.scene };
        let rivals = rivals(self.policy, &case, self.at);
        let within = rivals.iter().map(|(_, inhibition)| inhibition.within).max();
        if let (Some(within), None) = (within, &self.open) {
            // For the longest of all, since it is read once.
            let longest =
                self.policy.inhibit.iter().map(|inhibition| inhibition.within).max().unwrap_or(within);
            self.open = Some(scene::open_since(self.transaction, self.at.minus(longest))?);
        }
        let source = candidate.scene.source.as_deref();
        let rule: &str = &candidate.alert.rule;
        let recent = match self.policy.storm.limit(rule) {
            Some(limit) => scene::recent(self.transaction, (rule, source), self.at, limit)?,
            None => 0,
        };
        let facts = Facts { quiet: &self.quiet, open: self.open.as_deref().unwrap_or_default(), recent };
        Ok(hold(self.policy, &case, &facts, self.at))
    }

    fn note(&self, candidate: &Candidate, action: &str, hold: &Hold) -> Result<(), StoreError> {
        let Hold { by, which, why, .. } = hold.clone();
        let (alert, action) = (candidate.alert.id.clone(), action.to_owned());
        held::note(self.transaction, &Held { alert, action, by, which, why, at: self.at })
    }

    fn tell(&self, candidate: &Candidate, kind: DeliveryKind, told: &Told) -> Result<(), StoreError> {
        let Candidate { alert, scene, .. } = candidate;
        let Told { action, manner } = told;
        let is_wanted = kind != DeliveryKind::Notify
            || held::is_wanted(self.transaction, (&alert.id, action), Occasion::Opened, self.at)?;
        if is_wanted && kind == DeliveryKind::Notify && manner.group.is_some() {
            let case = Case { alert, scene };
            let (which, due_at) = group::tell(self.transaction, &case, (action, manner), self.at)?;
            let why = format!("it is told with the others of its group, due at {due_at}");
            let (alert, action) = (alert.id.clone(), action.clone());
            let by = HeldBy::Group;
            return held::note(self.transaction, &Held { alert, action, by, which, why, at: self.at });
        }
        let unique = format!("{}\0{action}", alert.id);
        let row = OutboxRow::owed(kind, (alert.id.clone(), action), &unique, self.at);
        if is_wanted {
            outbox::insert(self.transaction, &[row])?;
        }
        let Some(span) = manner.repeat.filter(|_| kind == DeliveryKind::Notify) else { return Ok(()) };
        let id = format!("reminder/{}/{action}", alert.id);
        self.later(id, Kind::Reminder, (alert, action), span)
    }

    fn escalate(&self, alert: &Alert, step: &Escalation) -> Result<(), StoreError> {
        step.actions.iter().try_for_each(|action| {
            let id = format!("escalation/{}/{}/{action}", alert.id, step.after.0);
            self.later(id, Kind::Escalation, (alert, action), step.after)
        })
    }

    fn later(
        &self,
        id: String,
        kind: Kind,
        about: (&Alert, &str),
        span: crate::time::Span,
    ) -> Result<(), StoreError> {
        let (about, action) = (about.0.id.0.clone(), about.1.to_owned());
        let due_at = self.at.plus(span);
        followup::put(self.transaction, &Followup { id, kind, about, action, step: 0, span, due_at })
    }

    fn storm(&self, candidate: &Candidate, holds: &[Hold]) -> Result<(), StoreError> {
        let Candidate { alert, scene, told, .. } = candidate;
        let of = |wanted: DeliveryKind| told.iter().filter(move |(kind, _)| *kind == wanted);
        let are_held = holds.iter().any(|hold| !hold.spares_responses);
        let responses = if are_held { of(DeliveryKind::Respond).count() as u64 } else { 0 };
        let due = storm::Due {
            alert,
            source: scene.source.as_deref().unwrap_or_default(),
            limit: self.policy.storm.limit(&alert.rule).unwrap_or_default(),
            actions: of(DeliveryKind::Notify).map(|(_, told)| told.action.clone()).collect(),
            responses,
        };
        storm::count(self.transaction, &due, self.at)
    }
}
