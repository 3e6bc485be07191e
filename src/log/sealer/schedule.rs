//! Which segments to merge next.

use super::SealOptions;
use crate::log::segment::SegmentInfo;
use crate::time::Timestamp;

/// So many segments in a row are merged before they fill one.
const NEIGHBOURS: usize = 8;

/// A run of neighbours to be merged: where it begins and ends in the list. None while there is nothing to gain.
///
/// * A run that no further neighbour fits into, since then it would have more than `segment_entries`.
/// * A month that is over: what is left of it.
/// * The newest ones, once there are many.
///
/// In the first and the last case none may be larger than all others together, so that no entry is written again more
/// than a few times (each time its segment at least doubles).
pub(super) fn next_merge(
    segments: &[SegmentInfo],
    options: &SealOptions,
    now: Timestamp,
) -> Option<std::ops::Range<usize>> {
    let max = options.segment_entries;
    for start in 0..segments.len() {
        let run = run_from(segments, start, max, |_| true);
        let is_stopped_by_size = segments
            .get(run.end)
            .is_some_and(|next| follows(segments, run.end, next) && next.damage.is_none());
        if is_stopped_by_size && is_balanced(segments.get(run.clone())?) {
            return Some(run);
        }
    }
    for start in 0..segments.len() {
        let Some(month) = month_of(segments.get(start)?).filter(|month| *month < month_at(now)) else {
            continue;
        };
        let run = run_from(segments, start, max, |info| month_of(info) == Some(month));
        if run.len() >= 2 {
            return Some(run);
        }
    }
    let longest = (0..segments.len()).map(|start| run_from(segments, start, max, |_| true));
    longest
        .filter(|run| run.end == segments.len() && run.len() >= NEIGHBOURS)
        .find(|run| segments.get(run.clone()).is_some_and(is_balanced))
}

const fn entries(info: &SegmentInfo) -> u64 {
    info.last - info.first + 1
}

fn follows(segments: &[SegmentInfo], index: usize, info: &SegmentInfo) -> bool {
    let before = index.checked_sub(1).and_then(|before| segments.get(before));
    before.is_some_and(|before| before.last + 1 == info.first)
}

/// The longest run that begins here and that fits into one segment.
fn run_from(
    segments: &[SegmentInfo],
    start: usize,
    max: u64,
    belongs: impl Fn(&SegmentInfo) -> bool,
) -> std::ops::Range<usize> {
    let mut end = start;
    let mut total = 0;
    for (index, info) in segments.iter().enumerate().skip(start) {
        let fits = info.damage.is_none()
            && belongs(info)
            && (index == start || follows(segments, index, info))
            && total + entries(info) <= max;
        if !fits {
            break;
        }
        total += entries(info);
        end = index + 1;
    }
    start..end
}

fn is_balanced(run: &[SegmentInfo]) -> bool {
    let total: u64 = run.iter().map(entries).sum();
    run.len() >= 2 && run.iter().map(entries).max().is_some_and(|largest| largest * 2 <= total)
}

/// The month in which its last event arrived; of a segment without events, in which it was sealed.
fn month_of(info: &SegmentInfo) -> Option<i32> {
    Some(month_at(info.received.map_or(info.sealed_at, |received| received.1)))
}

/// Months since the year 0.
fn month_at(time: Timestamp) -> i32 {
    let civil = time.civil();
    i32::from(civil.year()) * 12 + i32::from(civil.month())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    fn list(sizes: &[u64], age: Span) -> Vec<SegmentInfo> {
        let mut first = 1;
        let received = NOW.minus(age);
        let mut segments = Vec::new();
        for size in sizes {
            segments.push(SegmentInfo {
                first,
                last: first + size - 1,
                events: *size,
                deleted: 0,
                bytes: 0,
                times: None,
                received: Some((received, received)),
                sealed_at: received,
                format: 1,
                damage: None,
            });
            first += size;
        }
        segments
    }

    fn next(sizes: &[u64]) -> Option<std::ops::Range<usize>> {
        let options = SealOptions { segment_entries: 100, ..SealOptions::default() };
        next_merge(&list(sizes, Span(0)), &options, NOW)
    }

    #[test]
    fn runs_are_merged_when_they_fill_a_segment_or_are_many() {
        assert_eq!(next(&[]), None);
        assert_eq!(next(&[100, 10, 10]), None);
        assert_eq!(next(&[10; 7]), None);
        assert_eq!(next(&[10; 8]), Some(0..8));
        assert_eq!(next(&[100, 40, 40, 40]), Some(1..3));
        // The large one is not written again for the sake of little ones.
        assert_eq!(next(&[90, 3, 3, 3, 3, 3]), None);
        assert_eq!(next(&[50, 1, 1, 1, 1, 1, 1, 1]), None);
        assert_eq!(next(&[50, 1, 1, 1, 1, 1, 1, 1, 1]), Some(1..9));
    }

    #[test]
    fn a_month_that_is_over_is_merged() {
        let options = SealOptions { segment_entries: 100, ..SealOptions::default() };
        assert_eq!(next_merge(&list(&[90, 3], Span::days(40)), &options, NOW), Some(0..2));
        assert_eq!(next_merge(&list(&[90, 30], Span::days(40)), &options, NOW), None);
    }

    #[test]
    fn damage_is_left_where_it_is() {
        let options = SealOptions { segment_entries: 100, ..SealOptions::default() };
        let mut segments = list(&[10; 16], Span(0));
        segments[8].damage = Some("gone".into());
        assert_eq!(next_merge(&segments, &options, NOW), None);
        segments.remove(8);
        assert_eq!(next_merge(&segments, &options, NOW), None);
    }

    #[test]
    fn every_entry_is_written_few_times() {
        let options = SealOptions { segment_entries: 1000, ..SealOptions::default() };
        let mut sizes = Vec::new();
        let (mut written, mut total) = (0, 0);
        for sealed in std::iter::repeat_n(10, 1000) {
            sizes.push(sealed);
            total += sealed;
            while let Some(run) = next_merge(&list(&sizes, Span(0)), &options, NOW) {
                let merged: u64 = sizes[run.clone()].iter().sum();
                written += merged;
                sizes.splice(run, [merged]);
            }
        }
        assert!(written <= 4 * total, "{written} for {total}");
        assert!(sizes.len() < 40, "{sizes:?}");
    }
}
