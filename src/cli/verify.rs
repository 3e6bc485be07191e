//! `watchfire verify`: whether the log still is what was written.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::data::DataDir;
use crate::clock::Clock;
use crate::log::{Hex, PublicKey, Verified, VerifyOptions, read_checkpoints};
use crate::time::{Span, Timestamp};

/// Options of `watchfire verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every entry of the log goes into a chain of BLAKE3 hashes, sealed segments are signed with the key in DIR/key, and each \
manifest is linked to the one before. This checks the signatures, the links, the digest of every segment's file, and \
computes the chain of what is not yet sealed anew; with --deep, of everything, and the index as well. The first thing \
that is not what was written is named, and the exit code is 1.

Who owns the machine owns the key. Keep checkpoints somewhere else (`DIR/log/checkpoints.ndjson`, or the line that this \
prints), and the public key: with --checkpoint and --key they prove that nothing before them was touched by anybody.

Examples:
  watchfire verify --data-dir /var/lib/watchfire
  watchfire verify --since 7d
  watchfire verify --deep --checkpoint /mnt/elsewhere/checkpoints.ndjson --key /mnt/elsewhere/key.pub")]
pub struct VerifyArgs {
    #[command(flatten)]
    data: DataDir,
    /// Leave out the files of segments whose last event arrived before this: 2026-01-31T12:00:00Z, 2026-01-31, or 7d ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Compare with the checkpoints in this file too, one on each line
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Recompute every entry and the index of sealed segments too
    #[arg(long)]
    deep: bool,
    /// The public key that must have signed everything, in place of DIR/key.pub
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Exit code 1 when something is not what was written.
pub fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let clock = Clock::system();
    let start = clock.now();
    let options = VerifyOptions {
        deep: args.deep,
        keys: args.deep,
        since: args.since.as_deref().map(|text| since(text, start)).transpose()?,
        key: args.key.as_deref().map(PublicKey::read).transpose()?,
        checkpoints: args.checkpoint.as_deref().map(read_checkpoints).transpose()?.unwrap_or_default(),
    };
    let mut reader = args.data.reader()?;
    let verified = reader.verify_with(&options).context("the log is not what was written")?;
    let seconds = clock.now().since(start).to_std().as_secs_f64();
    super::print(&text(&verified, args.deep, seconds))?;
    Ok(ExitCode::SUCCESS)
}

fn since(text: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    if let Ok(span) = text.parse::<Span>() {
        return Ok(now.minus(span));
    }
    let problem =
        |error| super::Usage(format!("--since: {error}; a length of time such as 7d will do as well"));
    Ok(Timestamp::parse(text).map_err(problem)?)
}

/// What was checked, in a few lines.
fn text(verified: &Verified, deep: bool, seconds: f64) -> String {
    let Verified { entries, segments, skipped, other_indexes, other_keys, hot, checkpoints, bytes, head } =
        verified;
    let checked = segments - skipped;
    let how = if deep {
        "every entry, key and index row recomputed"
    } else {
        "digests and signatures; --deep recomputes"
    };
    let left_out =
        if *skipped > 0 { format!(", {skipped} older ones by their manifests only") } else { String::new() };
    let others = match *other_indexes {
        0 => String::new(),
        others => format!(
            "\nindexes of another version of Watchfire: {others}; not compared with their events, and searches look at \
             these events one by one"
        ),
    };
    let keys = match *other_keys {
        0 => String::new(),
        events => format!(
            "\nkeys of duplicates by the rules of another version of Watchfire, or not those of their events: of {events} \
             events; one of these that is sent again may be stored again"
        ),
    };
    let megabytes = *bytes as f64 / 1e6;
    let speed = if seconds > 0.0 { format!(" ({:.0} MB/s)", megabytes / seconds) } else { String::new() };
    format!(
        "{entries} entries: nothing was changed, removed or inserted\n\
         sealed segments: {checked} ({how}){left_out}{others}{keys}\n\
         not yet sealed: {hot} entries, recomputed\n\
         checkpoints: {checkpoints}\n\
         read: {megabytes:.1} MB in {seconds:.2} s{speed}\n\
         head {}\n",
        Hex(*head)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_how_much_was_checked() {
        let verified = Verified {
            entries: 100,
            segments: 3,
            skipped: 1,
            hot: 10,
            checkpoints: 3,
            bytes: 5_000_000,
            other_keys: 7,
            ..Verified::default()
        };
        let text = text(&verified, false, 0.01);
        assert!(text.contains("of 7 events; one"), "{text}");
        for part in
            ["100 entries", "segments: 2", "1 older ones", "10 entries", "5.0 MB in 0.01 s (500 MB/s)"]
        {
            assert!(text.contains(part), "{text}");
        }
    }
}
