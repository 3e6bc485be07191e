//! A checkpoint on its way out of the house: as a mail, as JSON, as a line in a stream of events.

use serde_json::{Value, json};

use super::{Card, Status};
use crate::alert::Level;
use crate::event::Position;
use crate::time::Timestamp;

/// Its `event_type` in a stream of events; no forge has one of that name.
pub const CHECKPOINT_TYPE: &str = "watchfire_checkpoint";

/// Mails may have longer lines without being encoded, but not much (RFC 5322, 2.1.1).
const WIDTH: usize = 72;

/// A signed checkpoint, and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointNote {
    /// The signed line, one object of JSON.
    pub line: String,
    /// The last entry it covers.
    pub position: Position,
    /// When it was signed.
    pub at: Timestamp,
    /// The same for every try of this delivery, different for every other one.
    pub idempotency_key: String,
}

impl CheckpointNote {
    /// The mail: subject and plain text. The checkpoint is broken into short lines, so that no server and no program on
    /// the way encodes or breaks it in its own manner; whoever reads it puts them together again.
    #[must_use]
    pub fn mail(&self) -> (String, String) {
        let Self { line, position, at, .. } = self;
        let bytes: Vec<&[u8]> = line.as_bytes().chunks(WIDTH).collect();
        let line = String::from_utf8_lossy(&bytes.join(&b'\n')).into_owned();
        let subject = format!("[Watchfire] Checkpoint: the log up to entry {position}");
        let text = format!(
            "Watchfire signed this at {at}.\n\n\
             It says what the event log and the audit log were then. Nothing needs to be\n\
             done: keep this mail where nobody who can change Watchfire's machine can\n\
             change it.\n\n\
             {line}\n\n\
             Whether the logs still say the same, also years later:\n\n\
             watchfire verify --checkpoints FILE --key key.pub\n\n\
             FILE may be this mail, or a mailbox of them.\n"
        );
        (subject, text)
    }

    /// The message for a service: it has the line whole, at its letter, where people can copy it.
    #[must_use]
    pub fn card(&self) -> Card {
        let Self { line, position, at, idempotency_key } = self;
        let lines = [
            format!("Watchfire signed this at {at}. Nothing needs to be done: keep it."),
            "Whether the logs still say the same, also years later:".to_owned(),
            "watchfire verify --checkpoints FILE --key key.pub".to_owned(),
        ];
        Card {
            occasion: None,
            kind: "checkpoint".to_owned(),
            status: Status::Firing,
            level: Level::Informational,
            title: format!("Checkpoint: the log up to entry {position}"),
            subject: None,
            why: String::new(),
            lines: lines.into(),
            facts: Vec::new(),
            done: Vec::new(),
            rows: Vec::new(),
            rows_more: 0,
            others: Vec::new(),
            others_more: 0,
            links: Vec::new(),
            command: Some(line.clone()),
            rule: None,
            key: Vec::new(),
            // The audit log grows while the event log does not: then several stand at one position.
            id: format!("checkpoint-{position}-{}", at.0),
            idempotency_key: idempotency_key.clone(),
            earlier: None,
            at: *at,
        }
    }

    /// What a webhook gets.
    #[must_use]
    pub fn json(&self) -> Value {
        let checkpoint: Value = serde_json::from_str(&self.line).unwrap_or_default();
        json!({
            "version": super::ALERT_JSON_VERSION,
            "type": "checkpoint",
            "id": self.idempotency_key,
            "at": self.at.to_string(),
            "checkpoint": checkpoint,
            "line": self.line,
        })
    }
}

/// The line of a stream of canonical events, without its end. The checkpoint stands in it byte by byte as it was signed.
#[must_use]
pub fn checkpoint_event(line: &str, at: Timestamp) -> String {
    format!(
        r#"{{"event_type":"{CHECKPOINT_TYPE}","source":"watchfire","created_at":"{at}","checkpoint":{line}}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_stays_as_it_was_signed() {
        let line = r#"{"position":7,"head":"ab","at":1000,"public_key":"cdcdcdcdcdcdcdcd","signature":"ef"}"#;
        let note = CheckpointNote {
            line: line.to_owned(),
            position: 7,
            at: Timestamp(1_000),
            idempotency_key: "k".to_owned(),
        };
        let later = CheckpointNote { at: Timestamp(1_001), ..note.clone() };
        assert_eq!([note.card().id, later.card().id], ["checkpoint-7-1000", "checkpoint-7-1001"]);
        let (subject, text) = note.mail();
        assert!(subject.is_ascii() && text.is_ascii() && subject.ends_with("entry 7"), "{subject}");
        assert!(text.replace('\n', "").contains(line), "{text}");
        assert!(text.lines().all(|found| found.len() <= 76), "{text}");
        let json = note.json();
        assert_eq!(
            (&json["type"], &json["checkpoint"]["position"], &json["line"]),
            (&json!("checkpoint"), &json!(7), &json!(line))
        );
        let event = checkpoint_event(line, Timestamp(1_000));
        assert!(event.contains(line));
        let event: Value = serde_json::from_str(&event).unwrap();
        assert_eq!(event["checkpoint"]["position"], 7);
    }
}
