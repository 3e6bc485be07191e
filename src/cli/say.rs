//! Words to the person at the terminal.

use std::io::{IsTerminal, Write};

/// Tells the person at the terminal something that is no result.
pub(super) fn say(text: &str) {
    // Nothing can be done about a standard error that is closed.
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Prints a result.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
}

/// Whether messages may be coloured.
pub(super) fn has_color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
