//! Aligned columns for people.

use super::terminal::{clean, cut};

const GAP: usize = 2;
/// A column is not made narrower than this.
const LEAST: usize = 8;

/// Rows under a heading, no line wider than `width` as long as each column keeps its least width; the columns
/// numbered in `whole` are never cut.
pub(super) fn table(heading: &[&str], rows: &[Vec<String>], whole: &[usize], width: usize) -> String {
    let cells: Vec<Vec<String>> = std::iter::once(heading.iter().map(|text| (*text).to_owned()).collect())
        .chain(rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()))
        .collect();
    let widths = fit(&cells, heading.len(), whole, width);
    let mut text = String::new();
    for row in &cells {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{:<width$}{:GAP$}", cut(cell, *width), ""));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Takes from the widest column that may give, until all fit.
fn fit(cells: &[Vec<String>], columns: usize, whole: &[usize], total: usize) -> Vec<usize> {
    let natural = |column: usize| {
        let lengths = cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        lengths.max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..columns).map(natural).collect();
    let room = total.saturating_sub(GAP * columns.saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        let giving = widths.iter_mut().enumerate();
        let giving = giving.filter(|(column, width)| **width > LEAST && !whole.contains(column));
        let Some((_, widest)) = giving.max_by_key(|(_, width)| **width) else { break };
        *widest -= 1;
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cut() {
        let rows = vec![
            vec!["1".to_owned(), "a long text that does not fit".to_owned(), "0123456789abcdef".to_owned()],
            vec!["200".to_owned(), "short".to_owned(), "x".to_owned()],
        ];
        insta::assert_snapshot!(table(&["ID", "TEXT", "HASH"], &rows, &[2], 40), @r"
        ID   TEXT               HASH
        1    a long text that…  0123456789abcdef
        200  short              x
        ");
        assert_eq!(table(&["A", "B"], &[], &[], 80), "A  B\n");
    }
}
