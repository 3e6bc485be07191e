//! From what a detector found to findings, alerts, and the rules that count those.

use std::sync::Arc;

use super::effects::Effects;
use super::judge::Engine;
use super::ruleset::Unit;
use crate::alert::{Alert, AlertId, Finding};
use crate::detect::{Completion, Episode, Episodes, Hit, Merge};
use crate::event::{Position, is_past};
use crate::script::EventValue;
use crate::time::{Span, Timestamp};

/// Where something is found: the key of a detector, and the source whose events led to it.
pub(super) struct Place<'a> {
    pub(super) unit: &'a Unit,
    pub(super) detector: u32,
    pub(super) key: &'a str,
    pub(super) source: &'a str,
}

impl Engine {
    /// From a completion to a finding and its alert. What an imported past completes was learnt from, and is no news.
    pub(super) fn conclude(&mut self, place: &Place<'_>, completion: Completion, effects: &mut Effects) {
        if is_past(place.source) && !self.limits.judges_past {
            return;
        }
        let unit = place.unit;
        let key: &str = completion.key.as_deref().unwrap_or_else(|| unit.own_key(place.key));
        let place = Place { key, ..*place };
        let mut finding = Finding {
            rule: Arc::clone(unit.id()),
            key: unit.key(key),
            time: completion.time,
            position: completion.position,
            value: completion.value,
            reason: completion.reason,
            evidence: completion.evidence.positions,
            evidence_count: completion.evidence.count,
            alert: None,
        };
        if !unit.is_silent || !unit.followers.is_empty() {
            // By the stretch's own end: one event may complete several findings that end at one moment and begin, each,
            // other alerts.
            let end = |index: usize| completion.held.get(index).map_or(completion.time, |held| held.1);
            let name =
                |index: usize| alert_id((&unit.rule.id, key), (completion.position, end(index)), index);
            let opened_by = (completion.position, thousandths(completion.score));
            let hold = |episodes: &mut Episodes| match completion.held.as_slice() {
                [moment] if unit.detector.is_movable() => {
                    episodes.moment(*moment, unit.rule.suppress, opened_by, name)
                }
                held => episodes.hold(held, unit.rule.suppress, opened_by, name),
            };
            for merge in self.with_episodes(&place, hold) {
                if !unit.followers.is_empty() && !merge.episode.told {
                    self.wake(&place, merge.episode.start, true);
                }
                if !unit.is_silent {
                    report(unit, &mut finding, merge, effects);
                }
            }
        }
        effects.findings.push(finding);
    }

    /// Changes the open episodes of a key. A rule whose every match is an alert of its own does not keep them.
    fn with_episodes<T>(&mut self, place: &Place<'_>, change: impl FnOnce(&mut Episodes) -> T) -> T {
        let (detector, key) = (place.detector, place.key);
        let handle = if place.unit.detector.is_stateful() {
            self.state.find(detector, key).or_else(|| self.state.enter(detector, key, || None))
        } else if place.unit.rule.suppress > Span::default() {
            self.state.enter(detector, key, || None)
        } else {
            None
        };
        let slot = handle.and_then(|handle| Some((handle, self.state.slot_mut(handle)?)));
        let Some((handle, slot)) = slot else { return change(&mut Episodes::default()) };
        let changed = change(slot.episodes.get_or_insert_default());
        self.state.recount(handle);
        changed
    }

    /// Tells the rules that count this one's alerts of the one that began at `at`: nothing can move its beginning
    /// any more.
    pub(super) fn tell(&mut self, place: &Place<'_>, at: Timestamp, effects: &mut Effects) {
        let handle = self.state.find(place.detector, place.key);
        let slot = handle.and_then(|handle| self.state.slot_mut(handle));
        let episodes = slot.and_then(|slot| slot.episodes.as_mut());
        let Some(episode) = episodes.and_then(|episodes| episodes.tell(at)) else { return };
        let rules = Arc::clone(&self.rules);
        for follower in &place.unit.followers {
            let Some(unit) = rules.units().get(follower.detector as usize) else { continue };
            let Some((key, value)) = follower.told(place.unit, place.key, episode.score) else { continue };
            let (detector, role, position) = (follower.detector, follower.role, episode.position);
            let hit = Hit { detector, role, key, value, time: at, position };
            self.feed(unit, &hit, (place.source, at), &EventValue::default, effects);
        }
    }
}

/// What a finding means to the alerts: its own, and those it shows to be the same.
fn report(unit: &Unit, finding: &mut Finding, merge: Merge, effects: &mut Effects) {
    let episode = merge.episode;
    finding.alert = Some(episode.alert.clone());
    let alert = alert(unit, finding, &episode);
    for absorbed in merge.absorbed {
        effects.absorb(absorbed.alert, &episode.alert, alert.clone());
    }
    let is_new = episode.findings <= 1 && episode.position == finding.position;
    effects.alert(alert, is_new);
}

/// A score in whole thousandths, so that episodes compare exactly.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
fn thousandths(score: Option<f64>) -> u32 {
    score.map_or(0, |score| (score * 1000.0).round().clamp(0.0, f64::from(u32::MAX)) as u32)
}

/// 16 bytes of BLAKE3 over rule, key, completing event, moment and the stretch's number, in hex. (One late event may
/// complete what is found at several moments.)
fn alert_id((rule, key): (&str, &str), (position, at): (Position, Timestamp), index: usize) -> AlertId {
    let mut hasher = blake3::Hasher::new();
    let (position, at, index) = (position.to_le_bytes(), at.0.to_le_bytes(), index.to_le_bytes());
    for part in [rule.as_bytes(), key.as_bytes(), &position, &at, &index] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let hex = hasher.finalize().to_hex();
    AlertId(hex.chars().take(32).collect())
}

fn alert(unit: &Unit, finding: &Finding, episode: &Episode) -> Alert {
    Alert {
        id: episode.alert.clone(),
        rule: Arc::clone(unit.id()),
        title: unit.rule.title.clone(),
        level: unit.rule.level,
        tags: unit.rule.tags.clone(),
        key: finding.key.clone(),
        started_at: episode.start,
        last_at: episode.end,
        position: episode.position,
        findings: episode.findings,
        value: finding.value,
        reason: finding.reason.clone(),
        evidence: finding.evidence.clone(),
        evidence_count: finding.evidence_count,
        merged_into: None,
    }
}
