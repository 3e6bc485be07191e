//! The log's own check, the audit log's, and the comparison of both with checkpoints.

use std::path::Path;

use crate::log::{Checkpoint, LogError, Reader, Verified, VerifyOptions, own_checkpoints};
use crate::store::{Store, StoreError};
use crate::time::Timestamp;

/// What a check found.
#[derive(Debug)]
pub struct Verdict {
    /// Of the event log.
    pub log: Result<Verified, LogError>,
    /// Of the audit log.
    pub audit: AuditVerdict,
    /// Of the checkpoints that others kept, in the order they were given.
    pub kept: Vec<Kept>,
}

/// What a check of the audit log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditVerdict {
    /// How many rows are in order, from the first.
    pub rows: u64,
    /// The chain after them.
    pub head: [u8; 32],
    /// What is not in order.
    pub wrong: Option<String>,
}

/// A checkpoint that somebody kept, and what the logs say to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Where they do not agree.
    pub wrong: Option<String>,
}

impl Verdict {
    /// Whether everything is what was written.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.log.is_ok() && self.audit.wrong.is_none() && self.kept.iter().all(|kept| kept.wrong.is_none())
    }
}

/// Checks a data folder. Checkpoints that others kept go into `kept` rather than into the options, so that each of them
/// is compared although others are not agreed with; they ask for a deep check, whatever the options say, and of
/// everything: who has the key can sign any file, and only what is recomputed says what is in it.
///
/// # Errors
///
/// What the store says when it cannot be read. What is wrong with the logs is no error, but the verdict.
pub fn prove(dir: &Path, options: &VerifyOptions, kept: &[Checkpoint]) -> Result<Verdict, StoreError> {
    let options = match kept.is_empty() {
        true => options.clone(),
        false => VerifyOptions { deep: true, since: None, ..options.clone() },
    };
    let log = Reader::open(dir).and_then(|mut reader| reader.verify_with(&options));
    let store = Store::open_read_only(dir)?;
    let audit = audited(&store, log.is_ok().then_some(dir))?;
    let mut compared = Vec::with_capacity(kept.len());
    if !kept.is_empty() {
        let mut reader = Reader::open(dir);
        for checkpoint in kept {
            let wrong = match &mut reader {
                Ok(reader) => {
                    reader.agrees_with(checkpoint, options.key).err().map(|error| error.to_string())
                }
                Err(error) => Some(error.to_string()),
            };
            let wrong = match wrong {
                None => disagreement(&store, checkpoint)?,
                wrong => wrong,
            };
            compared.push(Kept { checkpoint: checkpoint.clone(), wrong });
        }
    }
    Ok(Verdict { log, audit, kept: compared })
}

/// The audit log's own chain, and the folder's own checkpoints of it, unless those are not to be trusted.
fn audited(store: &Store, dir: Option<&Path>) -> Result<AuditVerdict, StoreError> {
    let found = store.audit_verify()?;
    let mut wrong = found.wrong.map(|wrong| format!("row {}: {}", wrong.number, wrong.reason));
    if wrong.is_none()
        && let Some(Ok(own)) = dir.map(own_checkpoints)
    {
        for checkpoint in &own {
            wrong = disagreement(store, checkpoint)?;
            if wrong.is_some() {
                break;
            }
        }
    }
    Ok(AuditVerdict { rows: found.rows, head: found.head, wrong })
}

/// What the audit log says otherwise than a checkpoint.
fn disagreement(store: &Store, checkpoint: &Checkpoint) -> Result<Option<String>, StoreError> {
    let Some(mark) = checkpoint.audit() else { return Ok(None) };
    let at = Timestamp(checkpoint.at);
    Ok(match store.audit_at(mark.rows)? {
        Some(head) if head == mark.head => None,
        Some(_) => Some(format!(
            "the checkpoint of {at} says something else: row {} of the audit log or one before it was changed",
            mark.rows
        )),
        None => Some(format!(
            "the checkpoint of {at} tells of {} rows of the audit log: some are gone",
            mark.rows
        )),
    })
}
