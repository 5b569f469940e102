use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections at once, by address. Clones count together.
#[derive(Clone)]
pub(super) struct Addresses {
    most: Option<u32>,
    visits: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

/// A connection, counted until it is dropped.
pub(super) struct Visit {
    addresses: Addresses,
    address: IpAddr,
}

impl Addresses {
    /// At most so many connections from one address.
    pub(super) fn new(most: Option<u32>) -> Self {
        Self {
            most,
            visits: Arc::default(),
        }
    }

    /// Counts a connection; None if its address has as many as it may.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Visit> {
        let address = place(address);
        let mut visits = self.lock();
        let count = visits.entry(address).or_default();
        if self.most.is_some_and(|most| *count >= most) {
            return None;
        }
        *count += 1;
        drop(visits);
        Some(Visit {
            addresses: self.clone(),
            address,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut visits = self.addresses.lock();
        if let Some(count) = visits.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                visits.remove(&self.address);
            }
        }
    }
}

/// One customer of IPv6 has a /64 at least.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_count_by_address_until_they_end() {
        let addresses = Addresses::new(Some(2));
        let enter = |address: &str| addresses.enter(address.parse().unwrap());
        let first = enter("192.0.2.1").unwrap();
        let mapped = enter("::ffff:192.0.2.1").unwrap();
        assert!(enter("192.0.2.1").is_none());
        let other = enter("192.0.2.2").unwrap();
        drop(first);
        assert!(enter("192.0.2.1").is_some());
        let near = [enter("2001:db8::1"), enter("2001:db8::2")];
        assert!(enter("2001:db8::3").is_none());
        assert!(enter("2001:db8:0:1::1").is_some());
        drop((mapped, other, near));
        assert!(addresses.lock().is_empty());
        assert!(Addresses::new(None).enter([192, 0, 2, 1].into()).is_some());
    }
}
