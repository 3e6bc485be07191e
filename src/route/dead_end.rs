//! Routes that no alert can ever come to.

use super::tree::Route;
use crate::alert::Level;

/// A route that no alert can come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadEnd {
    /// Its numbers from the root, each from 1.
    pub path: Vec<usize>,
    /// Why.
    pub why: String,
}

/// What is known of a rule: id, level, tags.
type Known<'a> = (&'a str, Level, &'a [String]);

/// The routes that no alert of these rules can come to: no rule fits them, or those that would are all taken by a route
/// before them that has `stop` and asks for nothing else.
#[must_use]
pub fn dead_ends(routes: &[Route], rules: &[Known<'_>]) -> Vec<DeadEnd> {
    let mut found = Vec::new();
    look(routes, rules, &[], &mut found);
    found
}

fn look(routes: &[Route], rules: &[Known<'_>], above: &[usize], found: &mut Vec<DeadEnd>) {
    let mut left: Vec<Known<'_>> = rules.to_vec();
    for (number, route) in (1..).zip(routes) {
        let path: Vec<usize> = above.iter().copied().chain([number]).collect();
        let fits = |known: &&Known<'_>| route.when.allows(known.0, known.1, known.2);
        let own: Vec<Known<'_>> = left.iter().filter(fits).copied().collect();
        if own.is_empty() && !rules.is_empty() {
            let why = if rules.iter().any(|known| fits(&known)) {
                "a route before it has `stop` and takes all alerts that it would match".to_owned()
            } else if above.is_empty() {
                "no rule has such a level, tag and id".to_owned()
            } else {
                "no rule whose alerts come to the route above has such a level, tag and id".to_owned()
            };
            found.push(DeadEnd { path, why });
            continue;
        }
        look(&route.routes, &own, &path, found);
        let takes_all = route.stop && !route.when.looks_at_events() && route.when.hours.is_always();
        if takes_all {
            left.retain(|known| !fits(&known));
        }
    }
}
