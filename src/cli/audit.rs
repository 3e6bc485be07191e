//! `watchfire audit`: who changed what, and whether that record is what was written.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::data::DataDir;
use super::ledger::{ListFormat, ndjson};
use super::{table, terminal};
use crate::log::Hex;
use crate::store::{AuditQuery, AuditRow, AuditVerified};

/// Options of `watchfire audit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every call of the API and every command that changes something stands here, each row chained to the one before with \
BLAKE3. Keep the head that --verify prints elsewhere: the same head later for the same number of rows means that nothing \
before it was touched.

Examples:
  watchfire audit --data-dir /var/lib/watchfire
  watchfire audit --data-dir /var/lib/watchfire --verify")]
pub struct AuditArgs {
    #[command(flatten)]
    data: DataDir,
    /// Compute the chain anew and say whether it holds
    #[arg(long)]
    verify: bool,
    /// Only this author's rows, as the list shows it
    #[arg(long, value_name = "AUTHOR")]
    author: Option<String>,
    /// At most so many, the newest first; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// table: for people. ndjson: one object per row
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    format: ListFormat,
}

/// Lists the rows, or checks them. Exit code 1 when the chain is broken.
pub fn run(args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let store = args.data.store()?;
    if args.verify {
        let found = store.audit_verify()?;
        super::print(&verdict(&found))?;
        return Ok(if found.wrong.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let query = AuditQuery { author: args.author.clone(), before: None, limit: args.limit };
    let rows = store.audit(&query)?;
    match args.format {
        ListFormat::Ndjson => super::print(&ndjson(&rows.iter().map(object).collect::<Vec<_>>())?)?,
        ListFormat::Table if rows.is_empty() => super::say("nobody has changed anything yet"),
        ListFormat::Table => super::print(&table(&rows))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn verdict(found: &AuditVerified) -> String {
    let head = Hex(found.head);
    match &found.wrong {
        None => format!("{} rows, the chain holds\nhead {head}\n", found.rows),
        Some(wrong) => {
            let AuditVerified { rows, .. } = found;
            format!(
                "row {} is wrong: {}\nthe {rows} rows before it are in order\nhead {head}\n",
                wrong.number, wrong.reason
            )
        }
    }
}

fn object(row: &AuditRow) -> Value {
    json!({
        "number": row.number,
        "at": row.deed.at.to_string(),
        "author": row.deed.author,
        "address": row.deed.address,
        "what": row.deed.what,
        "request": row.deed.request,
        "outcome": row.outcome,
        "hash": Hex(row.hash).to_string(),
    })
}

fn table(rows: &[AuditRow]) -> String {
    let row = |row: &AuditRow| {
        let deed = &row.deed;
        let number = row.number.to_string();
        vec![
            number,
            deed.at.to_string(),
            deed.author.clone(),
            deed.what.clone(),
            deed.request.clone(),
            row.outcome.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
    table::table(&["ROW", "AT", "AUTHOR", "WHAT", "REQUEST", "OUTCOME"], &rows, &[0, 1], terminal::width())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Deed, WrongRow};
    use crate::time::Timestamp;

    #[test]
    fn rows_and_verdict_are_told() {
        let deed = Deed::new(Timestamp(1_790_000_000_000), "soc (wf_1a2b)", "DELETE /api/v1/tokens/ff");
        let row = AuditRow { number: 3, deed, outcome: "done".into(), hash: [0xab; 32] };
        let shown = table(std::slice::from_ref(&row));
        assert!(shown.lines().count() == 2 && shown.contains("3    2026-09-21T"), "{shown}");
        assert_eq!(object(&row)["hash"], "ab".repeat(32));
        let sound = AuditVerified { rows: 3, head: [1; 32], wrong: None };
        assert!(verdict(&sound).starts_with("3 rows, the chain holds\nhead 0101"));
        let wrong = Some(WrongRow { number: 4, reason: "it is missing".into() });
        assert!(
            verdict(&AuditVerified { wrong, ..sound })
                .starts_with("row 4 is wrong: it is missing\nthe 3 rows")
        );
    }
}
