//! What of a table is listed: the conditions that were asked for, and how many rows.

use rusqlite::types::Value;

/// Conditions that must all hold, with their values.
#[derive(Debug, Default)]
pub(super) struct Filter {
    conditions: Vec<&'static str>,
    values: Vec<Value>,
}

impl Filter {
    /// A condition with one `?`, if there is a value for it.
    pub(super) fn when(&mut self, condition: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.all(condition, [value.into()]);
        }
    }

    /// A condition with a `?` for each of these values.
    pub(super) fn all(&mut self, condition: &'static str, values: impl IntoIterator<Item = Value>) {
        self.conditions.push(condition);
        self.values.extend(values);
    }

    /// What stands behind the table's name, for at most `limit` rows (0: all), and its values.
    pub(super) fn end(mut self, order: &str, limit: usize) -> (String, Vec<Value>) {
        let filter = if self.conditions.is_empty() { "" } else { "WHERE " };
        let conditions = self.conditions.join(" AND ");
        // SQLite reads a negative limit as none.
        self.values.push(Value::from(if limit == 0 { -1 } else { limit.cast_signed() as i64 }));
        (format!("{filter}{conditions} ORDER BY {order} LIMIT ?"), self.values)
    }
}
