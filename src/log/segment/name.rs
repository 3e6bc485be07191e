//! How the files of segments are called.

use std::path::{Path, PathBuf};

use crate::event::Position;

/// The first and the last position of something.
pub(in crate::log) type Positions = (Position, Position);

/// The folder of the segments.
pub(in crate::log) fn folder(dir: &Path) -> PathBuf {
    dir.join("log").join("segments")
}

/// `FIRST-LAST`, 20 digits each, so that names sort as positions do.
pub(super) fn stem((first, last): Positions) -> String {
    format!("{first:020}-{last:020}")
}

/// The positions in a file's name, and whether it is a database (`db`) or a manifest (`json`); none for other files.
pub(super) fn parse(name: &str) -> Option<(Positions, &str)> {
    let (stem, extension) = name.split_once('.')?;
    let (first, last) = stem.split_once('-')?;
    let number = |text: &str| {
        let digits = text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<Position>().ok().filter(|_| digits)
    };
    let positions = (number(first)?, number(last)?);
    let known = matches!(extension, "db" | "json") && positions.0 >= 1 && positions.0 <= positions.1;
    known.then_some((positions, extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let name = format!("{}.db", stem((1, 32_768)));
        assert_eq!(name, "00000000000000000001-00000000000000032768.db");
        assert_eq!(parse(&name), Some(((1, 32_768), "db")));
        for other in ["x.db", "00000000000000000001.db", "00000000000000000001-00000000000000032768.db.tmp"] {
            assert_eq!(parse(other), None);
        }
    }
}
