//! Mails of reports: each is owed once, kept until it is delivered, and then only known by its row in the outbox.

use rusqlite::{OptionalExtension as _, params};
use zstd::bulk::{compress, decompress};

use super::{OutboxRow, Store, StoreError, outbox};

const ZSTD_LEVEL: i32 = 3;
/// Mails that are kept, given up ones among them; beyond, the oldest go.
const KEPT: i64 = 1_000;

impl Store {
    /// Owes the delivery of a mail, and notes how far its schedule came, in one transaction. False if it was owed before,
    /// delivered or not: then only the note changes.
    pub fn report_owe(&self, row: &OutboxRow, mail: &[u8], note: (&str, &[u8])) -> Result<bool, StoreError> {
        let bytes = compress(mail, ZSTD_LEVEL)
            .map_err(|error| StoreError::Database(format!("mail of delivery {}: {error}", row.id)))?;
        self.write(|transaction| {
            let is_there: bool = transaction
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM outbox WHERE id = ?1)")?
                .query_row([&row.id], |row| row.get(0))?;
            if !is_there {
                outbox::insert(transaction, std::slice::from_ref(row))?;
                let sql = "INSERT OR REPLACE INTO report_mail (id, length, bytes) VALUES (?1, ?2, ?3)";
                let length = mail.len().cast_signed() as i64;
                transaction.prepare_cached(sql)?.execute(params![row.id, length, bytes])?;
                let sql = "DELETE FROM report_mail WHERE rowid NOT IN \
                           (SELECT rowid FROM report_mail ORDER BY rowid DESC LIMIT ?1)";
                transaction.prepare_cached(sql)?.execute([KEPT])?;
            }
            let sql = "INSERT INTO checkpoint (name, bytes) VALUES (?1, ?2) \
                       ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes";
            transaction.prepare_cached(sql)?.execute(params![note.0, note.1])?;
            Ok(!is_there)
        })
    }

    /// The mail of a delivery; none once it is delivered, or when it was put out by a thousand newer ones.
    pub fn report_mail(&self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found: Option<(i64, Vec<u8>)> = self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT length, bytes FROM report_mail WHERE id = ?1")?;
            Ok(statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
        })?;
        let read = |(length, bytes): (i64, Vec<u8>)| decompress(&bytes, usize::try_from(length).unwrap_or(0));
        let mail = found.map(read).transpose();
        mail.map_err(|error| StoreError::corrupt(format!("the mail of delivery {id}"), error))
    }
}
