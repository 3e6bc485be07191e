//! Rules from their texts, for tests.

use std::sync::Arc;

use super::{Compiled, Environment, RuleSet, compile};
use crate::event::Catalogue;
use crate::rule::{Lists, RuleFile, load};
use crate::script::{Cage, ListTable};
use crate::time::{Span, Timestamp};

/// What becomes of files with these texts, scripts among them; they must be readable.
pub(crate) fn compiled(texts: &[&str], (lateness, today): (Span, Timestamp)) -> Compiled {
    let file = |(number, text): (usize, &&str)| RuleFile {
        path: format!("{number}.{}", if text.starts_with("/*") { "rhai" } else { "yml" }).into(),
        text: (*text).to_owned(),
    };
    let files: Vec<RuleFile> = texts.iter().enumerate().map(file).collect();
    let loaded = load(&files, &Lists::default());
    assert!(!loaded.has_errors(), "{:#?}", loaded.diagnostics);
    let environment = Environment {
        catalogue: Arc::new(Catalogue::built_in()),
        cage: Arc::new(Cage::new(Arc::new(ListTable::default()))),
        lateness,
        today,
    };
    compile(loaded.rules, &loaded.filters, &environment)
}

/// The same as a set of rules.
pub(crate) fn rules(texts: &[&str], terms: (Span, Timestamp)) -> Arc<RuleSet> {
    Arc::new(compiled(texts, terms).rules)
}
