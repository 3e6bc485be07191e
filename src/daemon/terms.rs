//! What the configuration says of alerts goes into the store, where the command line finds it too.

use crate::action::ActionSet;
use crate::alert::Occasion;
use crate::store::{AlertTerms, Store, StoreError};
use crate::time::Span;

/// Takes over the gap of incidents, and which actions want to hear of more than new alerts.
pub(super) fn keep(store: &Store, gap: Span, actions: &ActionSet) -> Result<(), StoreError> {
    let mut terms = AlertTerms { incident_gap: gap, wants: Vec::new() };
    for action in actions.names().filter_map(|name| actions.get(name)) {
        let wanted = Occasion::ALL.into_iter().filter(|occasion| action.wants(*occasion));
        terms.wants.extend(wanted.map(|occasion| (action.name().to_owned(), occasion)));
    }
    store.set_alert_terms(&terms)
}
