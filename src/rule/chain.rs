//! Correlations over correlations: in which order they can be resolved, and which go round in a circle.

/// Most correlations that may stand on top of each other.
pub(super) const CHAIN_MAX: u32 = 16;
/// A longer circle is shown cut.
const SHOWN_MAX: usize = 8;

/// Why a correlation has no place in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Knot {
    /// It is over itself by way of these, itself first; each refers to the next one, the last to the first.
    Circle(Vec<usize>),
    /// It is over one that is in a circle, or chained too deep.
    Behind,
    /// More than [`CHAIN_MAX`] stand on top of each other.
    TooDeep,
}

/// Everything that refers to others, each after what it refers to; and what has no place in that order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) sorted: Vec<usize>,
    pub(super) knots: Vec<(usize, Knot)>,
}

/// Sorts by references: `over` gives what each one refers to, nothing for what refers to none.
pub(super) fn order(over: &[Vec<usize>]) -> Order {
    let mut is_placed: Vec<bool> = over.iter().map(Vec::is_empty).collect();
    let mut left: Vec<usize> = (0..over.len()).filter(|index| !over[*index].is_empty()).collect();
    let mut order = Order::default();
    for _ in 0..CHAIN_MAX {
        let is_free = |index: &usize| over[*index].iter().all(|inner| is_placed[*inner]);
        let (free, rest): (Vec<usize>, Vec<usize>) = left.iter().partition(|index| is_free(index));
        if free.is_empty() {
            break;
        }
        free.iter().for_each(|index| is_placed[*index] = true);
        order.sorted.extend(free);
        left = rest;
    }
    order.knots = knots(over, &is_placed, &left);
    order
}

/// Each one left waits for another; following those leads into a circle, or to one that is merely too deep.
fn knots(over: &[Vec<usize>], is_placed: &[bool], left: &[usize]) -> Vec<(usize, Knot)> {
    let next = |index: usize| over[index].iter().copied().find(|inner| !is_placed[*inner]);
    let mut seen_from: Vec<Option<usize>> = vec![None; over.len()];
    let mut found: Vec<Option<Knot>> = vec![None; over.len()];
    for start in left {
        let mut path = Vec::new();
        let mut at = Some(*start);
        while let Some(index) = at.filter(|index| seen_from[*index].is_none()) {
            seen_from[index] = Some(*start);
            path.push(index);
            at = next(index);
        }
        let begins = at.filter(|index| seen_from[*index] == Some(*start));
        let begins = begins.and_then(|index| path.iter().position(|known| *known == index));
        for (place, index) in path.iter().enumerate() {
            found[*index] = Some(match begins {
                Some(begins) if place >= begins => {
                    let (before, after) = path[begins..].split_at(place - begins);
                    Knot::Circle([after, before].concat())
                }
                None if at.is_none() && place + 1 == path.len() => Knot::TooDeep,
                _ => Knot::Behind,
            });
        }
    }
    left.iter().filter_map(|index| Some((*index, found[*index].take()?))).collect()
}

/// The circle for people: `` `a` → `b` → `a` ``.
pub(super) fn shown<'n>(circle: &[usize], name: impl Fn(usize) -> &'n str) -> String {
    let mut names: Vec<String> =
        circle.iter().take(SHOWN_MAX).map(|index| format!("`{}`", name(*index))).collect();
    if circle.len() > SHOWN_MAX {
        names.push("…".to_owned());
    }
    names.extend(circle.first().map(|first| format!("`{}`", name(*first))));
    names.join(" → ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chains_are_sorted_and_circles_shown() {
        // 0 is a rule; 1 over 0; 2 over 1 and 0; 3 and 4 over each other; 5 over 3; 6 over itself.
        let over = [vec![], vec![0], vec![1, 0], vec![0, 4], vec![3], vec![2, 3], vec![6]];
        let order = order(&over);
        assert_eq!(order.sorted, [1, 2]);
        let circle = |indexes: &[usize]| Knot::Circle(indexes.to_vec());
        let knots = [(3, circle(&[3, 4])), (4, circle(&[4, 3])), (5, Knot::Behind), (6, circle(&[6]))];
        assert_eq!(order.knots, knots);
        assert_eq!(shown(&[3, 4], |index| ["a", "b", "c", "d", "e"][index]), "`d` → `e` → `d`");
        assert!(shown(&(0..100).collect::<Vec<_>>(), |_| "x").ends_with("`x` → … → `x`"));
    }

    #[test]
    fn a_chain_has_a_limit() {
        let over: Vec<Vec<usize>> =
            (0..20usize).map(|index| index.checked_sub(1).into_iter().collect()).collect();
        let order = order(&over);
        assert_eq!(order.sorted.len(), 16);
        assert_eq!(order.knots[0], (17, Knot::TooDeep));
        assert_eq!(order.knots[1..], [(18, Knot::Behind), (19, Knot::Behind)]);
    }

    proptest! {
        #[test]
        fn everything_is_sorted_or_a_knot(
            over in (1..30usize).prop_flat_map(|count| {
                prop::collection::vec(prop::collection::vec(0..count, 0..3), count)
            })
        ) {
            let order = order(&over);
            for (place, index) in order.sorted.iter().enumerate() {
                for inner in &over[*index] {
                    prop_assert!(over[*inner].is_empty() || order.sorted[..place].contains(inner));
                }
            }
            for (index, knot) in &order.knots {
                prop_assert!(!order.sorted.contains(index));
                let Knot::Circle(circle) = knot else { continue };
                prop_assert_eq!(circle[0], *index);
                for (from, to) in circle.iter().zip(circle.iter().cycle().skip(1)) {
                    prop_assert!(over[*from].contains(to));
                }
            }
            let all = over.iter().filter(|inner| !inner.is_empty()).count();
            prop_assert_eq!(order.sorted.len() + order.knots.len(), all);
        }
    }
}
