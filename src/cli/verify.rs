//! `watchfire verify`: whether the log still is what was written.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use super::data::DataDir;
use crate::clock::Clock;
use crate::log::{Checkpoint, Hex, PublicKey, Verified, VerifyOptions, find_checkpoints};
use crate::proof::{AuditVerdict, Kept, prove};
use crate::time::{Span, Timestamp};

/// Options of `watchfire verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every entry of the log goes into a chain of BLAKE3 hashes, sealed segments are signed with the key in DIR/key, and each \
manifest is linked to the one before. This checks the signatures, the links, the digest of every segment's file, and \
computes the chain of what is not yet sealed anew; with --deep, of everything, and the index as well; and the chain of \
the audit log. The first thing that is not what was written is named, and the exit code is 1.

Who owns the machine owns the key. Have checkpoints sent somewhere else (`checkpoints` in the configuration), and keep \
the public key: with --checkpoints and --key they prove that nothing before them was touched by anybody. FILE may have \
lines of `DIR/log/checkpoints.ndjson`, or mails or anything else with such lines in it; `-` reads standard input. \
Everything is recomputed then, as with --deep.

Examples:
  watchfire verify --data-dir /var/lib/watchfire
  watchfire verify --since 7d
  watchfire verify --checkpoints /mnt/elsewhere/mails.txt --key /mnt/elsewhere/key.pub")]
pub struct VerifyArgs {
    #[command(flatten)]
    data: DataDir,
    /// Leave out the files of segments whose last event arrived before this: 2026-01-31T12:00:00Z, 2026-01-31, or 7d ago
    #[arg(long, value_name = "TIME", conflicts_with = "checkpoints")]
    since: Option<String>,
    /// Compare with the checkpoints in this file too, which somebody kept elsewhere
    #[arg(long, value_name = "FILE", alias = "checkpoint")]
    checkpoints: Option<PathBuf>,
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
    let kept = args.checkpoints.as_deref().map(kept).transpose()?.unwrap_or_default();
    let deep = args.deep || !kept.is_empty();
    let options = VerifyOptions {
        deep,
        keys: deep,
        since: args.since.as_deref().map(|text| since(text, start)).transpose()?,
        key: args.key.as_deref().map(PublicKey::read).transpose()?,
        ..VerifyOptions::default()
    };
    // A wrong folder shall not look like an empty one.
    drop(args.data.reader()?);
    let verdict = prove(args.data.path(), &options, &kept)?;
    let seconds = clock.now().since(start).to_std().as_secs_f64();
    if let Ok(verified) = &verdict.log {
        super::print(&text(verified, deep, seconds))?;
    }
    super::print(&format!("{}{}", audit_text(&verdict.audit), kept_text(&verdict.kept)))?;
    let is_intact = verdict.is_intact();
    verdict.log.context("the log is not what was written")?;
    Ok(if is_intact { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The checkpoints in what somebody kept.
fn kept(path: &Path) -> anyhow::Result<Vec<Checkpoint>> {
    let name = path.display();
    let text = match path.to_str() {
        Some("-") => std::io::read_to_string(std::io::stdin()),
        // A mailbox may have other mails in other encodings.
        _ => std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    };
    let text = text.with_context(|| format!("{name}"))?;
    let found = find_checkpoints(&text).map_err(|reason| anyhow::anyhow!("{name}: {reason}"))?;
    if found.is_empty() {
        bail!("{name}: there is no checkpoint in it: none of its lines has `{{\"position\":`");
    }
    Ok(found)
}

fn audit_text(audit: &AuditVerdict) -> String {
    match &audit.wrong {
        None => format!("audit log: {} rows, the chain holds\n", audit.rows),
        Some(wrong) => format!("audit log: NOT what was written: {wrong}\n"),
    }
}

/// What checkpoints of others prove: the last one that is agreed with, and every one that is not.
fn kept_text(kept: &[Kept]) -> String {
    if kept.is_empty() {
        return String::new();
    }
    let agreed = || kept.iter().filter(|kept| kept.wrong.is_none());
    let mut text = format!("kept elsewhere: {} of {} checkpoints agree\n", agreed().count(), kept.len());
    if let Some(last) = agreed().map(|kept| &kept.checkpoint).max_by_key(|last| last.position) {
        let (position, at) = (last.position, Timestamp(last.at));
        text += &format!("  the log up to entry {position} says what it said at {at}\n");
    }
    for wrong in kept.iter().filter_map(|kept| kept.wrong.as_ref()) {
        text += &format!("  DISAGREES: {wrong}\n");
    }
    text
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
    let Verified {
        entries, segments, skipped, other_indexes, other_keys, hot, checkpoints, bytes, head, ..
    } = verified;
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
    let deleted = match (verified.gone, verified.deleted) {
        (0, 0) => String::new(),
        (gone, deleted) => format!(
            "\ndeleted by retention: {gone} entries with their segments, {deleted} more of which the digests are left; \
             {} records tell of them, and nothing else is missing",
            verified.deletions
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
         checkpoints: {checkpoints}{deleted}\n\
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
