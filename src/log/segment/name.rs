//! How the files of segments are called.

use std::path::{Path, PathBuf};

use crate::event::Position;

/// The first and the last position of something.
pub(in crate::log) type Positions = (Position, Position);

/// What tells segments apart. One that retention writes anew has the positions of the one before and a higher edition;
/// the highest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::log) struct Name {
    pub positions: Positions,
    /// 0 for one that was sealed or merged.
    pub edition: u64,
}

/// The folder of the segments.
pub(in crate::log) fn folder(dir: &Path) -> PathBuf {
    dir.join("log").join("segments")
}

impl Name {
    /// `FIRST-LAST`, 20 digits each, so that names sort as positions do; then the edition in 10 digits, if it has one.
    pub(super) fn stem(self) -> String {
        let (first, last) = self.positions;
        match self.edition {
            0 => format!("{first:020}-{last:020}"),
            edition => format!("{first:020}-{last:020}-{edition:010}"),
        }
    }
}

/// The name of a file, and whether it is a database (`db`) or a manifest (`json`); none for other files.
pub(super) fn parse(name: &str) -> Option<(Name, &str)> {
    let (stem, extension) = name.split_once('.')?;
    let (first, rest) = stem.split_once('-')?;
    let (last, edition) = rest.split_once('-').map_or((rest, None), |(last, edition)| (last, Some(edition)));
    let number = |text: &str, length: usize| {
        let digits = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u64>().ok().filter(|_| digits)
    };
    let positions = (number(first, 20)?, number(last, 20)?);
    let edition = match edition {
        None => 0,
        Some(edition) => number(edition, 10).filter(|edition| *edition > 0)?,
    };
    let known = matches!(extension, "db" | "json") && positions.0 >= 1 && positions.0 <= positions.1;
    known.then_some((Name { positions, edition }, extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let name = Name { positions: (1, 32_768), edition: 0 };
        let file = format!("{}.db", name.stem());
        assert_eq!(file, "00000000000000000001-00000000000000032768.db");
        assert_eq!(parse(&file), Some((name, "db")));
        let anew = Name { edition: 17, ..name };
        let file = format!("{}.json", anew.stem());
        assert_eq!(file, "00000000000000000001-00000000000000032768-0000000017.json");
        assert_eq!(parse(&file), Some((anew, "json")));
        for other in [
            "x.db",
            "00000000000000000001.db",
            "00000000000000000001-00000000000000032768.db.tmp",
            "00000000000000000001-00000000000000032768-0000000000.db",
            "00000000000000000001-00000000000000032768-17.db",
        ] {
            assert_eq!(parse(other), None);
        }
    }
}
