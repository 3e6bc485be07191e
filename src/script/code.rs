//! A compiled script, and which functions its calls meant in earlier runs.
//!
//! The interpreter looks a function up by its name and the types of its arguments. It keeps what it found for one
//! run; this keeps it for the next one too, which for a short script is a good part of its time. What is kept can
//! only save time: the script, its library and the cage decide what is found, and another cage starts anew.

use std::fmt;
use std::sync::{Arc, Mutex};

use rhai::{AST, Caches};

/// A compiled script.
pub(super) struct Code {
    pub(super) ast: AST,
    /// Nothing while it runs: a second thread that runs the same script then starts with nothing.
    known: Mutex<Option<Known>>,
}

/// What was found, and in which cage.
struct Known {
    cage: Arc<()>,
    caches: Caches,
}

/// With more, which only a script that means it can bring about, all are forgotten.
const FUNCTIONS_MAX: usize = 512;

impl Code {
    pub(super) fn new(ast: AST) -> Self {
        Self { ast, known: Mutex::default() }
    }

    /// What is known in this cage.
    pub(super) fn take(&self, cage: &Arc<()>) -> Caches {
        let known = self.known.try_lock().ok().and_then(|mut known| known.take());
        let mut caches = match known {
            Some(known) if Arc::ptr_eq(&known.cage, cage) => known.caches,
            _ => Caches::new(),
        };
        // Without one at the bottom, a call would drop what it found when it ends.
        if caches.fn_resolution_caches_len() == 0 {
            caches.push_fn_resolution_cache();
        }
        caches
    }

    /// For the next run.
    pub(super) fn keep(&self, cage: &Arc<()>, mut caches: Caches) {
        caches.rewind_fn_resolution_caches(1);
        if caches.fn_resolution_cache_mut().dict.len() <= FUNCTIONS_MAX
            && let Ok(mut known) = self.known.try_lock()
        {
            *known = Some(Known { cage: Arc::clone(cage), caches });
        }
    }
}

impl Clone for Code {
    fn clone(&self) -> Self {
        Self::new(self.ast.clone())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").field("ast", &self.ast).finish_non_exhaustive()
    }
}
