//! `watchfire generate`: the demo's traffic without end, as lines, for trying rules on.

use std::io::Write;

use super::organisation::Organisation;
use super::traffic::{Numbers, week};
use crate::time::{Span, Timestamp};

/// The first generated week begins here, a Monday: the output depends on count and seed alone.
pub const FIRST_WEEK: Timestamp = Timestamp(1_767_571_200_000);

/// Writes `count` events as NDJSON: week after week of the same organisation, each with its attacks.
///
/// # Errors
/// When `out` cannot be written.
pub fn generate(count: u64, seed: u64, out: &mut dyn Write) -> std::io::Result<()> {
    let organisation = Organisation::new(seed);
    let mut numbers = Numbers::new(seed);
    let mut left = count;
    let mut start = FIRST_WEEK;
    for round in 0.. {
        let (drafts, _) = week(&organisation, start, seed, round);
        for event in numbers.number(drafts) {
            if left == 0 {
                return out.flush();
            }
            out.write_all(&event.body)?;
            out.write_all(b"\n")?;
            left -= 1;
        }
        start = start.plus(Span::days(7));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: u64, seed: u64) -> Vec<String> {
        let mut out = Vec::new();
        generate(count, seed, &mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn as_many_lines_as_asked_the_same_for_the_same_seed() {
        assert_eq!(FIRST_WEEK.to_string(), "2026-01-05T00:00:00.000Z");
        assert!(lines(0, 1).is_empty());
        let some = lines(500, 1);
        assert_eq!(some.len(), 500);
        assert_eq!(some, lines(500, 1));
        assert_ne!(some, lines(500, 2));
    }

    #[test]
    fn time_goes_on_from_week_to_week_and_no_id_returns() {
        let lines = lines(45_000, 3);
        let parsed: Vec<serde_json::Value> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(parsed.is_sorted_by_key(|event| event["created_at"].as_str().unwrap().to_owned()));
        let ids: std::collections::HashSet<String> =
            parsed.iter().map(|event| event["id"].to_string()).collect();
        assert_eq!(ids.len(), lines.len());
        assert!(parsed.last().unwrap()["created_at"].as_str().unwrap() > "2026-01-19");
    }
}
