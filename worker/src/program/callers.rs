//! Limits by the address that a request comes from.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;

/// Most addresses to remember.
const ADDRESSES: usize = 100_000;

/// How often an address may do something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// At once.
    pub burst: f64,
    /// Per second, all the time; above 0.
    pub per_second: f64,
}

/// What addresses do: each has a bucket that fills with time. All addresses of an IPv6 network (/64)
/// share one, and at most 100,000 are remembered.
pub struct Callers {
    rate: Rate,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

struct Bucket {
    calls: f64,
    since: Instant,
}

impl Bucket {
    fn at(&self, now: Instant, rate: Rate) -> f64 {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        (self.calls + seconds * rate.per_second).min(rate.burst)
    }
}

impl Callers {
    /// Without any address.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            buckets: Mutex::default(),
        }
    }

    /// Counts a call at `now`. Returns whether the address may make it. While as many addresses are
    /// remembered as can be, unknown ones may make none.
    pub fn admit(&self, address: IpAddr, now: Instant) -> bool {
        let mut buckets = self.lock();
        if buckets.len() >= ADDRESSES {
            buckets.retain(|_, bucket| bucket.at(now, self.rate) < self.rate.burst);
        }
        let is_full = buckets.len() >= ADDRESSES;
        let address = network(address);
        if is_full && !buckets.contains_key(&address) {
            return false;
        }
        let bucket = buckets.entry(address).or_insert(Bucket {
            calls: self.rate.burst,
            since: now,
        });
        let calls = bucket.at(now, self.rate);
        let is_admitted = calls >= 1.0;
        *bucket = Bucket {
            calls: if is_admitted { calls - 1.0 } else { calls },
            since: now,
        };
        is_admitted
    }

    /// How long the address must wait at `now` until it may make a call; None if it need not. Counts
    /// nothing.
    pub fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let buckets = self.lock();
        let missing = 1.0 - buckets.get(&network(address))?.at(now, self.rate);
        (missing > 0.0).then(|| Duration::from_secs_f64(missing / self.rate.per_second))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who has one IPv6 address usually has all of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) >> 64 << 64;
            Ipv6Addr::from(prefix).into()
        }
        address => address,
    }
}

/// The address of the caller. Behind a proxy it is the one that this proxy has added last; without one
/// the header is ignored.
pub fn caller(peer: IpAddr, headers: &HeaderMap, is_behind_proxy: bool) -> IpAddr {
    let forwarded = || {
        let last = headers.get_all("x-forwarded-for").iter().next_back()?;
        last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
    };
    match is_behind_proxy {
        true => forwarded().unwrap_or(peer),
        false => peer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 200.0,
        per_second: 50.0,
    };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_that_calls_too_often_waits_and_others_do_not_notice() {
        let callers = Callers::new(RATE);
        let start = Instant::now();
        let loud = address("2001:db8::1");
        let admitted = (0..1_000).filter(|_| callers.admit(loud, start)).count();
        assert_eq!(admitted, 200);
        assert!(
            !callers.admit(address("2001:db8::2"), start),
            "same network"
        );
        assert!(callers.admit(address("2001:db8:0:1::1"), start));
        assert!(callers.admit(address("10.0.0.1"), start));
        let later = start + Duration::from_secs(1);
        let admitted = (0..1_000).filter(|_| callers.admit(loud, later)).count();
        assert_eq!(admitted, 50);
    }

    #[test]
    fn the_wait_is_until_the_next_call_and_costs_nothing() {
        let callers = Callers::new(Rate {
            burst: 2.0,
            per_second: 0.5,
        });
        let (start, caller) = (Instant::now(), address("10.0.0.1"));
        assert_eq!(callers.wait(caller, start), None);
        assert!(callers.admit(caller, start) && callers.admit(caller, start));
        for _ in 0..3 {
            assert_eq!(callers.wait(caller, start), Some(Duration::from_secs(2)));
        }
        let later = start + Duration::from_secs(2);
        assert_eq!(callers.wait(caller, later), None);
        assert!(callers.admit(caller, later));
        assert!(callers.wait(caller, later).is_some());
        assert_eq!(callers.wait(address("10.0.0.2"), later), None);
    }

    #[test]
    fn the_memory_has_an_end_and_frees_itself() {
        let callers = Callers::new(RATE);
        let start = Instant::now();
        for number in 0..ADDRESSES as u32 {
            assert!(callers.admit(IpAddr::V4(number.into()), start));
        }
        let other = address("2001:db8::1");
        assert!(!callers.admit(other, start));
        assert_eq!(callers.wait(other, start), None, "it did nothing wrong");
        assert!(callers.admit(other, start + Duration::from_secs(1)));
        assert_eq!(callers.lock().len(), 1);
    }

    #[test]
    fn only_a_proxy_is_believed_and_only_what_it_has_added() {
        let peer = address("127.0.0.1");
        let mut headers = HeaderMap::new();
        assert_eq!(caller(peer, &headers, true), peer);
        headers.append("x-forwarded-for", "1.1.1.1, 2.2.2.2".parse().unwrap());
        assert_eq!(caller(peer, &headers, false), peer);
        assert_eq!(caller(peer, &headers, true).to_string(), "2.2.2.2");
        headers.append("x-forwarded-for", "3.3.3.3".parse().unwrap());
        assert_eq!(caller(peer, &headers, true).to_string(), "3.3.3.3");
        headers.append("x-forwarded-for", "nobody".parse().unwrap());
        assert_eq!(caller(peer, &headers, true), peer);
    }
}
