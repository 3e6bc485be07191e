//! `watchfire silence`: what nobody is told of for a while.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::alerts::minute;
use super::author;
use super::data::DataDir;
use super::ledger::{ListFormat, ndjson};
use super::{table, terminal};
use crate::clock::Clock;
use crate::route::{Case, Matchers};
use crate::store::{NewSilence, Silence, SilenceState, Store, StoreError};
use crate::time::{Span, Timestamp};

/// How far back a preview looks.
const PREVIEW: Span = Span::days(30);

/// Options of `watchfire silence`.
#[derive(Debug, Args)]
#[command(after_help = "\
Nobody is told of alerts that match all matchers, and nothing is done about them; they are stored, listed and counted, \
and say which silence it was. Matchers: FIELD=VALUE, FIELD!=VALUE (`*` and `?` are wildcards), FIELD=~REGEX, FIELD!~REGEX. \
Fields: rule, level, tag, source, forge, entity, author, and those of keys, such as author_id. What stands in events \
(source, forge, entity, author) must match in all events of an alert.

Examples:
  watchfire silence add rule=gitlab-mass-clone author=ci-mirror --for 4h --reason 'new mirror' --owner ops@example.com
  watchfire silence preview 'entity=sandbox/*'
  watchfire silence extend 3 --for 2d
  watchfire silence end 3 --reason 'the mirror is done'")]
pub struct SilenceArgs {
    #[command(flatten)]
    data: DataDir,
    #[command(subcommand)]
    command: SilenceCommand,
}

#[derive(Debug, Subcommand)]
enum SilenceCommand {
    /// Silence what matches
    Add {
        /// What is silenced: all of them must match
        #[arg(required = true, value_name = "MATCHER")]
        matchers: Vec<String>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who answers for it
        #[arg(long, value_name = "NAME")]
        owner: String,
        /// When it begins: a date or a time; now when left out
        #[arg(long, value_name = "DATE")]
        from: Option<String>,
        #[command(flatten)]
        end: End,
    },
    /// Count the alerts of the last 30 days that matchers would have silenced
    Preview {
        /// All of them must match
        #[arg(required = true, value_name = "MATCHER")]
        matchers: Vec<String>,
    },
    /// List silences, newest first
    List {
        /// Also those that have ended
        #[arg(long)]
        all: bool,
        /// table: for people. ndjson: one object per silence
        #[arg(long, value_enum, default_value_t = ListFormat::Table)]
        format: ListFormat,
    },
    /// Show one silence
    Show {
        /// Its number
        id: i64,
    },
    /// Let a silence end at another time
    Extend {
        /// Its number
        id: i64,
        #[command(flatten)]
        end: End,
    },
    /// End a silence: such alerts are told again, those it held back are not
    End {
        /// Its number
        id: i64,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// When a silence ends.
#[derive(Debug, Args)]
#[group(skip)]
struct End {
    /// How long it lasts from its beginning, or from now on: 4h, 2d
    #[arg(long = "for", value_name = "SPAN", conflicts_with = "until", required_unless_present = "until")]
    span: Option<Span>,
    /// When it ends: a date or a time
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
    /// More than 90 days are meant
    #[arg(long)]
    long: bool,
}

impl End {
    fn at(&self, from: Timestamp) -> anyhow::Result<Timestamp> {
        match (self.span, &self.until) {
            (_, Some(until)) => moment("--until", until),
            (span, None) => Ok(from.plus(span.unwrap_or_default())),
        }
    }
}

fn moment(option: &str, text: &str) -> anyhow::Result<Timestamp> {
    Timestamp::parse(text).map_err(|error| super::Usage(format!("{option}: {error}")).into())
}

fn parse(matchers: &[String]) -> anyhow::Result<Matchers> {
    Matchers::parse(matchers).map_err(|error| super::Usage(error.to_string()).into())
}

/// Does what the subcommand says.
pub fn run(args: &SilenceArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        SilenceCommand::Add { matchers, reason, owner, from, end } => {
            let matchers = parse(matchers)?;
            let deed = author::deed(
                "watchfire silence add",
                format!("matchers {:?}, owner {owner:?}", matchers.to_string()),
            );
            let from = from.as_deref().map(|text| moment("--from", text)).transpose()?;
            let starts_at = from.unwrap_or(deed.at);
            let (reason, owner) = (reason.clone(), owner.clone());
            let silence = NewSilence { matchers, reason, owner, starts_at, ends_at: end.at(starts_at)? };
            silence.check(deed.at, end.long).map_err(|(field, what)| usage(field, &what))?;
            let store = args.data.store_to_write()?;
            let id = store.silence_add(&silence, &deed)?;
            super::print(&format!("{id}\n"))?;
            let matchers = silence.matchers.to_string();
            super::say(&format!("silence {id} until {}: {}", silence.ends_at, terminal::clean(&matchers)));
            preview(&store, &silence.matchers, deed.at)
        }
        SilenceCommand::Preview { matchers } => {
            preview(&args.data.store()?, &parse(matchers)?, Clock::system().now())
        }
        SilenceCommand::List { all, format } => list(&args.data.store()?, *all, *format),
        SilenceCommand::Show { id } => show(&args.data.store()?, *id),
        SilenceCommand::Extend { id, end } => {
            let deed = author::deed("watchfire silence extend", format!("silence {id}"));
            let ends_at = end.at(deed.at)?;
            let deed = deed.asking(format!("silence {id}, until {ends_at}"));
            let extended = args.data.store_to_write()?.silence_extend(*id, (ends_at, end.long), &deed);
            if !extended.map_err(said_long)? {
                anyhow::bail!("there is no silence {id} that has not ended");
            }
            super::say(&format!("silence {id} ends at {ends_at}"));
            Ok(ExitCode::SUCCESS)
        }
        SilenceCommand::End { id, reason } => {
            if reason.trim().is_empty() {
                return Err(super::Usage("--reason must not be empty".to_owned()).into());
            }
            let deed = author::deed("watchfire silence end", format!("silence {id}, reason {reason:?}"));
            if !args.data.store_to_write()?.silence_end(*id, reason, &deed)? {
                anyhow::bail!("there is no silence {id} that has not ended");
            }
            super::say(&format!("silence {id} has ended: such alerts are told again"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn usage(field: &str, what: &str) -> super::Usage {
    let option = match field {
        "ends_at" => "--until, --for".to_owned(),
        other => format!("--{other}"),
    };
    super::Usage(format!("{option}: {}", long(what)))
}

/// How a long silence is asked for here.
fn long(what: &str) -> String {
    what.replace("ask for a long silence", "say --long")
}

fn said_long(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Conflict { what } => super::Usage(long(&what)).into(),
        other => other.into(),
    }
}

fn preview(store: &Store, matchers: &Matchers, now: Timestamp) -> anyhow::Result<ExitCode> {
    let (mut silenced, mut all) = (0_u64, 0_u64);
    store.scenes_since(now.minus(PREVIEW), |alert, scene| {
        all += 1;
        silenced += u64::from(matchers.hold(&Case { alert, scene }));
    })?;
    super::say(&format!("of the {all} alerts of the last 30 days it would have silenced {silenced}"));
    Ok(ExitCode::SUCCESS)
}

fn list(store: &Store, all: bool, format: ListFormat) -> anyhow::Result<ExitCode> {
    let now = Clock::system().now();
    let mut silences = store.silences()?;
    silences.retain(|silence| all || silence.state(now) != SilenceState::Ended);
    match format {
        ListFormat::Ndjson => {
            let objects: Vec<Value> = silences.iter().map(|silence| object(silence, now)).collect();
            super::print(&ndjson(&objects)?)?;
        }
        ListFormat::Table if silences.is_empty() => {
            super::say("nothing is silenced; `watchfire silence add` does")
        }
        ListFormat::Table => super::print(&table(&silences, now))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(store: &Store, id: i64) -> anyhow::Result<ExitCode> {
    let Some(silence) = store.silence(id)? else { anyhow::bail!("there is no silence {id}") };
    let object = object(&silence, Clock::system().now());
    super::print(&format!("{}\n", serde_json::to_string_pretty(&object)?))?;
    Ok(ExitCode::SUCCESS)
}

fn object(known: &Silence, now: Timestamp) -> Value {
    let silence = &known.silence;
    json!({
        "id": known.id,
        "matchers": silence.matchers.texts(),
        "reason": silence.reason,
        "owner": silence.owner,
        "starts_at": silence.starts_at.to_string(),
        "ends_at": silence.ends_at.to_string(),
        "state": known.state(now),
        "created_at": known.created_at.to_string(),
        "created_by": known.created_by,
        "ended_at": known.ended_at.map(|at| at.to_string()),
        "ended_by": known.ended_by,
        "end_reason": known.end_reason,
    })
}

fn table(silences: &[Silence], now: Timestamp) -> String {
    let row = |known: &Silence| {
        let NewSilence { matchers, reason, owner, starts_at, ends_at } = &known.silence;
        let ends = match (known.state(now), known.ended_at) {
            (SilenceState::Pending, _) => format!("from {}", minute(*starts_at)),
            (SilenceState::Active, _) => minute(*ends_at),
            (SilenceState::Ended, ended_at) => format!("ended {}", minute(ended_at.unwrap_or(*ends_at))),
        };
        let [matchers, owner, reason] =
            [&matchers.to_string(), owner, reason].map(|text| terminal::clean(text));
        vec![known.id.to_string(), ends, matchers, owner, reason]
    };
    let rows: Vec<Vec<String>> = silences.iter().map(row).collect();
    table::table(&["ID", "UNTIL (UTC)", "MATCHERS", "OWNER", "REASON"], &rows, &[0, 1], terminal::width())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: SilenceArgs,
    }

    #[test]
    fn a_silence_is_made_extended_and_ended() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let data = dir.path().to_str().unwrap();
        let line = |words: &[&str]| {
            run(&Line::try_parse_from([&["silence", "--data-dir", data], words].concat()).unwrap().args)
        };
        let add = ["add", "--reason", "mirror", "--owner", "ops", "rule=a*"];
        line(&[add.as_slice(), &["--for", "4h"]].concat()).unwrap();
        assert!(line(&[add.as_slice(), &["--until", "2001-01-01"]].concat()).is_err());
        assert!(
            line(&[add.as_slice(), &["--for", "200d"]].concat())
                .unwrap_err()
                .to_string()
                .contains("say --long")
        );
        line(&[add.as_slice(), &["--for", "200d", "--long"]].concat()).unwrap();
        assert!(Line::try_parse_from([&["silence"], add.as_slice()].concat()).is_err(), "an end is needed");
        assert_eq!(store.silences().unwrap().len(), 2);
        let refused = line(&["extend", "1", "--for", "100d"]).unwrap_err();
        assert!(refused.is::<crate::cli::Usage>() && refused.to_string().contains("say --long"), "{refused}");
        line(&["extend", "1", "--for", "2d"]).unwrap();
        let known = store.silence(1).unwrap().unwrap();
        assert!(known.silence.ends_at.since(known.silence.starts_at) >= Span::days(2));
        let shown = table(&store.silences().unwrap(), known.silence.starts_at);
        assert!(shown.contains("rule=a*") && shown.contains("mirror"), "{shown}");
        line(&["show", "1"]).unwrap();
        line(&["preview", "rule=a*"]).unwrap();
        line(&["end", "1", "--reason", "done"]).unwrap();
        assert!(line(&["end", "1", "--reason", "done"]).is_err());
        assert!(line(&["extend", "1", "--for", "2d"]).is_err());
        line(&["list", "--all", "--format", "ndjson"]).unwrap();
    }
}
