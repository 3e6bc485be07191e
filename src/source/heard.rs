//! When each source was heard, for as long as its rhythm needs; kept beside the positions of readers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::event::is_past;
use crate::reach::Arrivals;
use crate::store::{Store, StoreError};
use crate::time::Timestamp;

/// The name under which it is kept.
const NAME: &str = "sources/heard";
/// Configurations have a handful of sources; those that are no more are forgotten first.
const SOURCES_MAX: usize = 1_000;

/// The arrivals of all sources; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Heard(Arc<Mutex<BTreeMap<String, Arrivals>>>);

impl Heard {
    /// Something came from a source; imports are no sign of life.
    pub(super) fn note(&self, source: &str, now: Timestamp) {
        if is_past(source) {
            return;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(arrivals) = all.get_mut(source) {
            arrivals.note(now);
        } else if all.len() < SOURCES_MAX {
            all.entry(source.to_owned()).or_default().note(now);
        }
    }

    /// By source.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Arrivals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was kept; what cannot be read is as if nothing had been.
    pub fn kept(store: &Store) -> Result<BTreeMap<String, Arrivals>, StoreError> {
        let bytes = store.checkpoint(NAME)?.unwrap_or_default();
        let texts: BTreeMap<String, String> = serde_json::from_slice(&bytes).unwrap_or_default();
        let read = |(name, text): (String, String)| {
            let bytes = STANDARD.decode(text).ok()?;
            Some((name, Arrivals::from_bytes(&bytes).ok()?))
        };
        Ok(texts.into_iter().filter_map(read).collect())
    }

    /// Takes over what was kept, of these sources.
    pub fn restore(&self, store: &Store, sources: &[&str]) -> Result<(), StoreError> {
        let mut kept = Self::kept(store)?;
        kept.retain(|name, _| sources.contains(&name.as_str()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        Ok(())
    }

    /// Keeps it.
    pub fn keep(&self, store: &Store) -> Result<(), StoreError> {
        let all = self.all();
        let texts: BTreeMap<&String, String> =
            all.iter().map(|(name, arrivals)| (name, STANDARD.encode(arrivals.to_bytes()))).collect();
        // Texts under texts: nothing in it can fail to be written.
        store.set_checkpoint(NAME, &serde_json::to_vec(&texts).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    #[test]
    fn arrivals_outlive_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let heard = Heard::default();
        let now = Timestamp(1_772_452_800_000);
        heard.note("gitlab", now);
        heard.note("gitlab", now.plus(Span::minutes(2)));
        heard.note("tools", now);
        heard.note("past/old", now);
        heard.keep(&store).unwrap();
        let later = Heard::default();
        later.restore(&store, &["gitlab", "new"]).unwrap();
        let all = later.all();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["gitlab"]);
        assert_eq!(all["gitlab"].last(), Some(now.plus(Span::minutes(2))));
        store.set_checkpoint(NAME, b"{\"gitlab\": \"nonsense\"}").unwrap();
        assert!(Heard::kept(&store).unwrap().is_empty());
    }
}
