//! Expected alerts against raised ones: each belongs to one, in any order.

use serde_json::{Map, Value};

use super::run::Raised;

/// An expected alert, as written.
pub(super) type Expected = Map<String, Value>;

/// What found no counterpart.
#[derive(Debug, Default)]
pub(super) struct Unmatched {
    /// Expected and not raised, each with what differs in the raised alert that is most like it.
    pub(super) missing: Vec<(Expected, Vec<Difference>)>,
    /// Raised and not expected.
    pub(super) surplus: Vec<Raised>,
}

/// One field that is not as expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) field: String,
    pub(super) expected: String,
    pub(super) actual: String,
}

impl Unmatched {
    pub(super) fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.surplus.is_empty()
    }
}

/// Finds as many pairs as there are, so that an alert that fits two expectations is given to the right one.
pub(super) fn compare(expected: &[Expected], raised: Vec<Raised>) -> Unmatched {
    let fits: Vec<Vec<usize>> = expected
        .iter()
        .map(|wanted| (0..raised.len()).filter(|i| differences(wanted, &raised[*i]).is_empty()).collect())
        .collect();
    let mut owner: Vec<Option<usize>> = vec![None; raised.len()];
    for wanted in 0..expected.len() {
        let mut seen = vec![false; raised.len()];
        augment(wanted, &fits, &mut owner, &mut seen);
    }
    let surplus: Vec<Raised> = raised
        .into_iter()
        .zip(&owner)
        .filter(|(_, owner)| owner.is_none())
        .map(|(raised, _)| raised)
        .collect();
    let is_found = |wanted: usize| owner.contains(&Some(wanted));
    let missing = expected.iter().enumerate().filter(|(index, _)| !is_found(*index));
    let missing = missing.map(|(_, wanted)| (wanted.clone(), nearest(wanted, &surplus))).collect();
    Unmatched { missing, surplus }
}

/// A path along which one more expectation can be met (Kuhn's algorithm); tests have few alerts.
fn augment(wanted: usize, fits: &[Vec<usize>], owner: &mut [Option<usize>], seen: &mut [bool]) -> bool {
    for &alert in &fits[wanted] {
        if std::mem::replace(&mut seen[alert], true) {
            continue;
        }
        let is_free = match owner[alert] {
            None => true,
            Some(other) => augment(other, fits, owner, seen),
        };
        if is_free {
            owner[alert] = Some(wanted);
            return true;
        }
    }
    false
}

/// What differs in the raised alert that differs least, unless everything does.
fn nearest(wanted: &Expected, surplus: &[Raised]) -> Vec<Difference> {
    let all = surplus.iter().map(|raised| differences(wanted, raised));
    let least = all.min_by_key(Vec::len).unwrap_or_default();
    if least.len() < wanted.len() || surplus.len() == 1 { least } else { Vec::new() }
}

/// The fields of an expectation that an alert does not meet.
pub(super) fn differences(wanted: &Expected, raised: &Raised) -> Vec<Difference> {
    let mut found = Vec::new();
    for (field, value) in wanted {
        let expected = text(value);
        let (actual, is_met) = match field.as_str() {
            "rule" => {
                let is_met = expected == raised.rule || Some(&expected) == raised.name.as_ref();
                (raised.rule.clone(), is_met)
            }
            "level" => same(raised.level.name().to_owned(), &expected),
            "title" => same(raised.title.clone(), &expected),
            "findings" => same(raised.findings.to_string(), &expected),
            "value" => {
                let is_met = expected.parse().is_ok_and(|number: f64| (number - raised.value).abs() < 1e-9);
                (raised.value.to_string(), is_met)
            }
            "reason" => (raised.reason.clone(), raised.reason.contains(&expected)),
            _ => match raised.key.get(field) {
                Some(key) => same(key.to_owned(), &expected),
                None => same(lookup(&raised.event, field).map(text).unwrap_or_default(), &expected),
            },
        };
        if !is_met {
            let actual = if actual.is_empty() { "missing".to_owned() } else { actual };
            found.push(Difference { field: field.clone(), expected, actual });
        }
    }
    found
}

fn same(actual: String, expected: &str) -> (String, bool) {
    let is_met = actual == expected;
    (actual, is_met)
}

fn lookup<'a>(event: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = event.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    lookup(event.get(first)?.as_object()?, rest)
}

/// A value as text: `7` and `"7"` are the same, null is nothing.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::alert::{Key, Level};

    fn raised(author: &str, address: &str) -> Raised {
        Raised {
            rule: "r".into(),
            name: Some("named".into()),
            title: "T".into(),
            level: Level::High,
            key: Key(vec![("author_id".into(), author.into())]),
            findings: 2,
            value: 20.0,
            reason: "20 events within 10m".into(),
            event: json!({"ip_address": address, "details": {"x": 5}}).as_object().unwrap().clone(),
        }
    }

    fn wanted(values: &[Value]) -> Vec<Expected> {
        values.iter().map(|value| value.as_object().unwrap().clone()).collect()
    }

    #[test]
    fn every_kind_of_field_is_compared() {
        let all = json!({"author_id": "7", "level": "high", "title": "T", "value": 20, "findings": 2,
            "reason": "within 10m", "rule": "named", "ip_address": "a", "details.x": "5", "gone": null});
        assert_eq!(differences(&wanted(&[all])[0], &raised("7", "a")), []);
        let none = json!({"author_id": 8, "level": "low", "value": 21, "ip_address": "b"});
        let found = differences(&wanted(&[none])[0], &raised("7", ""));
        let shown: Vec<String> =
            found.iter().map(|d| format!("{} {} {}", d.field, d.expected, d.actual)).collect();
        assert_eq!(shown, ["author_id 8 7", "ip_address b missing", "level low high", "value 21 20"]);
    }

    #[test]
    fn an_alert_goes_to_the_expectation_that_nothing_else_meets() {
        let expected = wanted(&[json!({"author_id": 7}), json!({"author_id": 7, "ip_address": "a"})]);
        for alerts in [[raised("7", "a"), raised("7", "b")], [raised("7", "b"), raised("7", "a")]] {
            assert!(compare(&expected, alerts.to_vec()).is_empty());
        }
        let unmatched = compare(&expected, vec![raised("7", "b"), raised("7", "b")]);
        assert_eq!((unmatched.missing.len(), unmatched.surplus.len()), (1, 1));
        assert_eq!(unmatched.missing[0].1[0].actual, "b");
        assert!(compare(&[], Vec::new()).is_empty());
        assert_eq!(compare(&[], vec![raised("7", "a")]).surplus.len(), 1);
    }
}
