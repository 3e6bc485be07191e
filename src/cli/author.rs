//! Who sits at the terminal, for the audit log.

use std::os::unix::fs::MetadataExt;

use crate::clock::Clock;
use crate::store::Deed;

/// What the person at the terminal does now with this command. The name is what the environment says, who ran `sudo`
/// going first; the number is the system's. Who may write the data folder could write anything here: the chain tells
/// of changes, not of lies.
pub(super) fn deed(command: &str, request: String) -> Deed {
    let name = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| "somebody".to_owned());
    let number =
        std::fs::metadata("/proc/self").map(|own| format!(", uid {}", own.uid())).unwrap_or_default();
    Deed::new(Clock::system().now(), format!("{name} (command line{number})"), command).asking(request)
}
