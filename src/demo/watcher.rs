//! Sees what the daemon does: what is new in its store, among the mails, and in the accounts' states.

use std::collections::{BTreeMap, HashSet};

use super::organisation::AccountState;
use super::setup::MAIL_ACTION;
use super::{DemoError, DemoEvent, GitlabApi, MailSink};
use crate::alert::Alert;
use crate::store::{AlertQuery, DeliveryKind, OutboxRow, OutboxState, Store, StoreError};

/// Remembers what was told already.
pub(super) struct Watcher {
    store: Store,
    gitlab: GitlabApi,
    mails: MailSink,
    /// Deliveries whose end was told, by id.
    settled: HashSet<String>,
    mails_told: usize,
    blocked: BTreeMap<i64, AccountState>,
}

impl Watcher {
    pub(super) fn new(store: Store, gitlab: GitlabApi, mails: MailSink) -> Self {
        let (settled, blocked) = (HashSet::new(), BTreeMap::new());
        Self { store, gitlab, mails, settled, mails_told: 0, blocked }
    }

    /// What happened since the last look, in the order in which a person would tell it. An alert is among it
    /// every time: the screen shows it once.
    pub(super) async fn look(&mut self) -> Result<Vec<DemoEvent>, DemoError> {
        let store = self.store.clone();
        let alerts =
            tokio::task::spawn_blocking(move || read(&store)).await.unwrap_or_else(|_| Ok(Vec::new()))?;
        let mut news = Vec::new();
        for (alert, rows) in alerts {
            let id = alert.id.clone();
            news.push(DemoEvent::Alert(Box::new(alert)));
            for row in rows {
                if row.state == OutboxState::Pending || !self.settled.insert(row.id.clone()) {
                    continue;
                }
                let is_response = row.kind == DeliveryKind::Respond;
                // A mail that arrived is told by itself, with the file to open.
                if row.action != MAIL_ACTION || row.state == OutboxState::Dead {
                    let outcome = row.outcome.ok_or_else(|| row.last_error.unwrap_or_default());
                    news.push(DemoEvent::Delivered { alert: id.clone(), action: row.action, outcome });
                }
                if is_response {
                    self.blocked(&mut news);
                }
            }
        }
        self.mails(&mut news);
        Ok(news)
    }

    fn blocked(&mut self, news: &mut Vec<DemoEvent>) {
        for user in self.gitlab.blocked() {
            let Some(state) = self.gitlab.state_of(user) else { continue };
            if self.blocked.insert(user, state) != Some(state) {
                news.push(DemoEvent::Blocked { user, state: state.name() });
            }
        }
    }

    fn mails(&mut self, news: &mut Vec<DemoEvent>) {
        let mails = self.mails.mails();
        for mail in mails.iter().skip(self.mails_told) {
            let open = mail.html.clone().unwrap_or_else(|| mail.eml.clone());
            news.push(DemoEvent::Mail { to: mail.to.clone(), subject: mail.subject.clone(), open });
        }
        self.mails_told = mails.len();
    }
}

/// All alerts in the order in which they were raised, each with its deliveries, responses first.
fn read(store: &Store) -> Result<Vec<(Alert, Vec<OutboxRow>)>, StoreError> {
    let mut alerts = alerts(store)?;
    alerts.sort_by_key(|alert| alert.position);
    alerts
        .into_iter()
        .map(|alert| {
            let mut rows = store.outbox_of(&alert.id)?;
            rows.sort_by_key(|row| row.kind != DeliveryKind::Respond);
            Ok((alert, rows))
        })
        .collect()
}

/// Every alert in the store.
pub(super) fn alerts(store: &Store) -> Result<Vec<Alert>, StoreError> {
    Ok(store.alerts(&AlertQuery::default())?.into_iter().map(|stored| stored.alert).collect())
}
