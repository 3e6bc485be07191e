//! What the API remembers from call to call: who called how often, and which tokens were right a moment ago. One for
//! the life of the daemon, so that a reload forgets nothing.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::rate::{Accounts, Pace};
use super::repeats::Repeats;
use crate::store::TokenRow;
use crate::time::Timestamp;

/// How many tokens and addresses are counted each.
const ACCOUNTS_MAX: usize = 10_000;
/// How many tokens are remembered to have been right.
const VERIFIED_MAX: usize = 1_024;
/// A token's secret is checked anew when nobody used it for so long. What is kept is a hash of the whole token, so that
/// this is no weaker; and while somebody behind the same proxy sends wrong ones, those in use are not asked to queue.
const VERIFIED_FOR_MS: i64 = 86_400_000;
/// Whether it was revoked is looked up anew after so long: a command on the same machine may have done it.
const LOOKED_FOR_MS: i64 = 1_000;
/// Secrets checked at once: each takes a processor for milliseconds.
const CHECKS_MAX: usize = 2;
/// Searches at once: each may keep a processor busy for seconds.
const SEARCHES_MAX: usize = 2;
/// Exports at once: each lasts as long as its caller takes, and searches page by page.
const EXPORTS_MAX: usize = 4;
/// Streams of alerts at once.
pub(super) const STREAMS_MAX: usize = 32;
/// Searches that wait for one of them to end; further ones are refused.
const WAITING_MAX: usize = 16;
/// Wrong tokens from one address: ten at once, then one each six seconds.
pub(super) const WRONG: Pace = Pace { cost_ms: 6_000, burst: 10 };

/// Counts calls, and spares right tokens the costly check.
#[derive(Debug)]
pub struct Guard {
    /// By token id.
    pub(super) calls: Accounts<String>,
    /// Wrong tokens, by address.
    pub(super) wrong: Accounts<IpAddr>,
    pub(super) checks: Semaphore,
    pub(super) searches: Arc<Semaphore>,
    /// Places in the queue for a search.
    pub(super) waiting: Semaphore,
    pub(super) exports: Arc<Semaphore>,
    pub(super) streams: Arc<Semaphore>,
    /// Cancelled when the daemon stops: streams have no end of their own.
    pub(super) stop: CancellationToken,
    /// Refusals that were written down already.
    pub(super) repeats: Repeats,
    /// By BLAKE3 of the token's text.
    verified: DashMap<[u8; 32], Verified>,
    /// How many tokens were revoked.
    revoked: AtomicU64,
}

#[derive(Debug, Clone)]
struct Verified {
    row: TokenRow,
    verified_at: Timestamp,
    looked_at: Timestamp,
}

/// What is known of a token without checking its secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It was right a moment ago.
    Fresh(Box<TokenRow>),
    /// Its secret was right; whether it is still valid must be looked up.
    Secret(Box<TokenRow>),
    /// Nothing.
    No,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            calls: Accounts::new(ACCOUNTS_MAX),
            wrong: Accounts::new(ACCOUNTS_MAX),
            checks: Semaphore::new(CHECKS_MAX),
            searches: Arc::new(Semaphore::new(SEARCHES_MAX)),
            waiting: Semaphore::new(WAITING_MAX),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            stop: CancellationToken::new(),
            repeats: Repeats::default(),
            verified: DashMap::new(),
            revoked: AtomicU64::new(0),
        }
    }
}

impl Guard {
    /// Streams of alerts end.
    pub fn end_streams(&self) {
        self.stop.cancel();
    }

    pub(super) fn known(&self, digest: &[u8; 32], now: Timestamp) -> Known {
        let Some(found) = self.verified.get(digest) else { return Known::No };
        // A clock that was set back makes everything look new, so what lies ahead counts as old.
        let is_recent = |at: Timestamp, span: i64| (0..span).contains(&now.0.saturating_sub(at.0));
        if !is_recent(found.verified_at, VERIFIED_FOR_MS) {
            return Known::No;
        }
        let row = Box::new(found.row.clone());
        if is_recent(found.looked_at, LOOKED_FOR_MS) { Known::Fresh(row) } else { Known::Secret(row) }
    }

    /// How many tokens were revoked so far; for [`remember`](Self::remember).
    pub(super) fn revoked(&self) -> u64 {
        self.revoked.load(Ordering::SeqCst)
    }

    /// The secret was checked and the token is valid: it was looked up when so many had been revoked. If another was
    /// since then, it may be this one, and nothing is remembered.
    pub(super) fn remember(&self, digest: [u8; 32], row: TokenRow, now: Timestamp, revoked: u64) {
        if self.verified.len() >= VERIFIED_MAX {
            self.verified
                .retain(|_, verified| now.0.saturating_sub(verified.verified_at.0) < VERIFIED_FOR_MS);
        }
        // So many tokens are in use that remembering helps none of them.
        if self.verified.len() < VERIFIED_MAX {
            self.verified.insert(digest, Verified { row, verified_at: now, looked_at: now });
        }
        // Asked after it is there: either this sees the revocation, or the revocation sees what is there.
        if self.revoked() != revoked {
            self.verified.remove(&digest);
        }
    }

    /// The token was looked up again and is still valid.
    pub(super) fn refresh(&self, digest: &[u8; 32], row: TokenRow, now: Timestamp) {
        if let Some(mut found) = self.verified.get_mut(digest) {
            (found.row, found.looked_at, found.verified_at) = (row, now, now);
        }
    }

    /// A token that was revoked opens nothing any more.
    pub(super) fn forget(&self, id: &str) {
        self.revoked.fetch_add(1, Ordering::SeqCst);
        self.verified.retain(|_, verified| verified.row.id != id);
    }
}

/// One customer of a provider has a whole network of IPv6 addresses: they count as one.
pub(super) fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Role, TokenHash};

    fn row(id: &str) -> TokenRow {
        TokenRow {
            id: id.to_owned(),
            name: id.to_owned(),
            role: Role::Viewer,
            hash: TokenHash { salt: [0; 16], hash: [0; 32], memory: 1, passes: 1 },
            created_at: Timestamp(0),
            created_by: String::new(),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn a_token_in_use_stays_known_and_is_looked_up_each_second() {
        let guard = Guard::default();
        let known = |now| guard.known(&[1; 32], Timestamp(now));
        assert_eq!(known(0), Known::No);
        guard.remember([1; 32], row("a"), Timestamp(10_000), 0);
        assert_eq!(known(10_999), Known::Fresh(Box::new(row("a"))));
        assert_eq!(known(11_000), Known::Secret(Box::new(row("a"))));
        guard.refresh(&[1; 32], row("a"), Timestamp(11_000));
        assert_eq!(known(11_500), Known::Fresh(Box::new(row("a"))));
        assert_eq!(known(70_000), Known::Secret(Box::new(row("a"))));
        guard.refresh(&[1; 32], row("a"), Timestamp(VERIFIED_FOR_MS));
        assert_eq!(known(2 * VERIFIED_FOR_MS - 1), Known::Secret(Box::new(row("a"))));
        assert_eq!(known(2 * VERIFIED_FOR_MS), Known::No);
        assert_eq!(known(9_000), Known::No, "after the clock went back");
        guard.remember([1; 32], row("a"), Timestamp(80_000), 0);
        guard.forget("a");
        assert_eq!(known(80_000), Known::No);
        // Looked up before it was revoked, remembered after.
        guard.remember([1; 32], row("a"), Timestamp(80_000), 0);
        assert_eq!(known(80_000), Known::No);
        guard.remember([1; 32], row("a"), Timestamp(80_000), guard.revoked());
        assert_ne!(known(80_000), Known::No);
    }

    #[test]
    fn only_so_many_are_remembered() {
        let guard = Guard::default();
        let digest = |number: usize| *blake3::hash(&number.to_le_bytes()).as_bytes();
        for number in 0..VERIFIED_MAX + 5 {
            guard.remember(digest(number), row("a"), Timestamp(0), 0);
        }
        assert_eq!(guard.verified.len(), VERIFIED_MAX);
        guard.remember(digest(9_999), row("b"), Timestamp(VERIFIED_FOR_MS), 0);
        assert_eq!(guard.verified.len(), 1, "old ones make room");
    }

    #[test]
    fn a_network_of_addresses_counts_as_one() {
        let same = |one: &str, other: &str| counted(one.parse().unwrap()) == counted(other.parse().unwrap());
        assert!(same("2001:db8::1", "2001:db8::ffff:1"));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
    }
}
