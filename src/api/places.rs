//! How many connections one address has, so that one caller alone cannot fill the house.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::guard::counted;

/// Counts connections by address; clones share the counts. No more entries than connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection's place; free again when dropped.
#[derive(Debug)]
pub(super) struct Place(Option<(Places, IpAddr)>);

impl Places {
    /// A place for one more from this address, if it has less than `max`. This machine's own addresses have no limit: a
    /// reverse proxy here brings everybody.
    pub(super) fn take(&self, address: IpAddr, max: usize) -> Option<Place> {
        let address = counted(address);
        if address.is_loopback() {
            return Some(Place(None));
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Place(Some((self.clone(), address))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((places, address)) = self.0.take() else { return };
        let mut counts = places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_this_machine_any_number() {
        let places = Places::default();
        let take = |address: &str| places.take(address.parse().unwrap(), 2);
        let (first, second) = (take("192.0.2.1"), take("192.0.2.1"));
        assert!(first.is_some() && second.is_some() && take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some());
        drop(first);
        assert!(take("192.0.2.1").is_some());
        let network: Vec<_> = (1..=2).map(|n| take(&format!("2001:db8::{n}"))).collect();
        assert!(take("2001:db8::3").is_none(), "a network of addresses counts as one");
        let own: Vec<_> = (0..9).map(|_| take("127.0.0.1").or_else(|| take("::1"))).collect();
        assert!(own.iter().all(Option::is_some));
        drop((second, network, own));
        assert!(places.0.lock().unwrap().is_empty());
    }
}
