//! Two versions of the rules over the same history: which alerts came, which went, which cover another stretch.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::Write;

use crate::alert::{Alert, Key};
use crate::cli::report::counted;
use crate::time::Timestamp;

/// Alerts of one rule and key that belong together: stretches that overlap, whichever version they are of.
#[derive(Default)]
struct Group<'a> {
    new: Vec<&'a Alert>,
    old: Vec<&'a Alert>,
}

/// Tells what changed from the alerts of the old version to those of the new one.
pub(in crate::cli) fn print(new: &[&Alert], old: &[&Alert], output: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(output, "\ncompared with the other version:")?;
    let mut lines: Vec<(Timestamp, char, String)> = Vec::new();
    let (mut both, mut changed) = (0, 0);
    for group in groups(new, old) {
        match (group.new.as_slice(), group.old.as_slice()) {
            (new, []) => lines.extend(new.iter().map(|alert| line('+', alert, ""))),
            ([], old) => lines.extend(old.iter().map(|alert| line('-', alert, ""))),
            (new @ [first, ..], old) => {
                both += new.len() as u64;
                if let Some(what) = change(new, old) {
                    changed += new.len() as u64;
                    lines.push(line('~', first, &what));
                }
            }
        }
    }
    lines.sort();
    for (_, _, line) in lines {
        writeln!(output, "{line}")?;
    }
    let are = if both == 1 { "is" } else { "are" };
    let other = if changed > 0 { format!(", {changed} of them over another stretch") } else { String::new() };
    writeln!(output, "  {} {are} in both{other}", counted(both, "alert"))?;
    Ok(())
}

fn line(mark: char, alert: &Alert, what: &str) -> (Timestamp, char, String) {
    let told = format!("  {mark} {} {} {}{what}", alert.started_at, alert.rule, alert.key);
    (alert.started_at, mark, told)
}

/// Groups of overlapping alerts. Equal stretches are one and the same alert whatever else they overlap.
fn groups<'a>(new: &[&'a Alert], old: &[&'a Alert]) -> Vec<Group<'a>> {
    let mut equal: BTreeMap<(&str, &Key, Timestamp, Timestamp), Group<'a>> = BTreeMap::new();
    let all = new.iter().map(|alert| (true, *alert)).chain(old.iter().map(|alert| (false, *alert)));
    for (is_new, alert) in all {
        let group = equal.entry((&alert.rule, &alert.key, alert.started_at, alert.last_at)).or_default();
        if is_new { group.new.push(alert) } else { group.old.push(alert) }
    }
    let (mut same, mut groups): (Vec<Group<'a>>, Vec<Group<'a>>) = (Vec::new(), Vec::new());
    let mut last: Option<(&str, &Key, Timestamp)> = None;
    for ((rule, key, start, end), mut group) in equal {
        let pairs = group.new.len().min(group.old.len());
        let left = Group { new: group.new.split_off(pairs), old: group.old.split_off(pairs) };
        same.extend(
            group.new.into_iter().zip(group.old).map(|(new, old)| Group { new: vec![new], old: vec![old] }),
        );
        if left.new.is_empty() && left.old.is_empty() {
            continue;
        }
        let joins = last.filter(|(r, k, until)| *r == rule && *k == key && *until >= start);
        match groups.last_mut().filter(|_| joins.is_some()) {
            Some(open) => {
                open.new.extend(left.new);
                open.old.extend(left.old);
            }
            None => groups.push(left),
        }
        last = Some((rule, key, joins.map_or(end, |(_, _, until)| until.max(end))));
    }
    groups.extend(same);
    groups
}

/// How the stretch of alerts differs from what it was; none if it does not.
fn change(new: &[&Alert], old: &[&Alert]) -> Option<String> {
    let count = |alerts: &[&Alert]| counted(alerts.len() as u64, "alert");
    let begin = |alerts: &[&Alert]| alerts.iter().map(|alert| alert.started_at).min().unwrap_or_default();
    let end = |alerts: &[&Alert]| alerts.iter().map(|alert| alert.last_at).max().unwrap_or_default();
    let moved = |verb: &str, new: Timestamp, old: Timestamp| match new.cmp(&old) {
        Ordering::Less => Some(format!("{verb} {} earlier", old.since(new))),
        Ordering::Equal => None,
        Ordering::Greater => Some(format!("{verb} {} later", new.since(old))),
    };
    let parts = (new.len() != old.len()).then(|| format!("was {}, is {}", count(old), count(new)));
    let ends = [moved("begins", begin(new), begin(old)), moved("ends", end(new), end(old))];
    let all: Vec<String> = parts.into_iter().chain(ends.into_iter().flatten()).collect();
    match all.as_slice() {
        [] if new.len() == 1 => None,
        [] => Some("  (the parts are others)".to_owned()),
        all => Some(format!("  ({})", all.join(", "))),
    }
}
