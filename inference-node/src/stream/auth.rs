//! Who may call: limits by address before any signature is checked, then the session's key.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::http::HeaderMap;
use poq_client::is_signature;
use poq_client::session::{Refusal, RefusalCode};
use poq_proto::v1::Session;

/// Calls that an address may make at once.
const BURST: f64 = 200.0;
/// Calls per second that an address may make all the time.
const RATE: f64 = 50.0;
/// Most addresses to remember.
const ADDRESSES: usize = 100_000;

/// Calls by address: each has a bucket that fills with time.
#[derive(Default)]
pub(super) struct Callers(Mutex<HashMap<IpAddr, Bucket>>);

struct Bucket {
    calls: f64,
    since: Instant,
}

impl Bucket {
    fn at(&self, now: Instant) -> f64 {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        (self.calls + seconds * RATE).min(BURST)
    }
}

impl Callers {
    /// Counts a call at `now`. Returns whether the address may make it.
    pub(super) fn admit(&self, address: IpAddr, now: Instant) -> bool {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= ADDRESSES {
            buckets.retain(|_, bucket| bucket.at(now) < BURST);
        }
        let is_full = buckets.len() >= ADDRESSES;
        let address = network(address);
        if is_full && !buckets.contains_key(&address) {
            return false;
        }
        let bucket = buckets.entry(address).or_insert(Bucket {
            calls: BURST,
            since: now,
        });
        let calls = bucket.at(now);
        let is_admitted = calls >= 1.0;
        *bucket = Bucket {
            calls: if is_admitted { calls - 1.0 } else { calls },
            since: now,
        };
        is_admitted
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

/// The address of the caller. Behind a proxy it is the one that this proxy has added last.
pub(super) fn caller(peer: IpAddr, headers: &HeaderMap, is_behind_proxy: bool) -> IpAddr {
    let forwarded = || {
        let last = headers.get_all("x-forwarded-for").iter().next_back()?;
        last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
    };
    match is_behind_proxy {
        true => forwarded().unwrap_or(peer),
        false => peer,
    }
}

/// The 64 bytes of a signature in hex.
///
/// # Errors
/// [`RefusalCode::Malformed`].
pub(super) fn signature(text: &str) -> Result<[u8; 64], Refusal> {
    let mut signature = [0; 64];
    match hex::decode_to_slice(text, &mut signature) {
        Ok(()) => Ok(signature),
        Err(_) => Err(refusal(
            RefusalCode::Malformed,
            "a signature has 128 hex digits",
        )),
    }
}

/// Refuses what the session's key has not signed.
///
/// # Errors
/// [`RefusalCode::Unauthorized`].
pub(super) fn authorize(
    session: &Session,
    digest: &[u8; 32],
    signature: &[u8; 64],
) -> Result<(), Refusal> {
    match is_signature(&session.session_key, digest, signature) {
        true => Ok(()),
        false => Err(refusal(
            RefusalCode::Unauthorized,
            "the signature is not that of the session's key",
        )),
    }
}

/// A refusal without a number.
pub(super) fn refusal(code: RefusalCode, message: impl Into<String>) -> Refusal {
    Refusal {
        code,
        message: message.into(),
        next: None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use poq_client::Key;

    use super::*;

    #[test]
    fn an_address_that_calls_too_often_waits_and_others_do_not_notice() {
        let callers = Callers::default();
        let start = Instant::now();
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        let loud = address("2001:db8::1");
        let admitted = (0..1_000).filter(|_| callers.admit(loud, start)).count();
        assert_eq!(admitted, BURST as usize);
        assert!(
            !callers.admit(address("2001:db8::2"), start),
            "same network"
        );
        assert!(callers.admit(address("2001:db8:0:1::1"), start));
        assert!(callers.admit(address("10.0.0.1"), start));
        let later = start + Duration::from_secs(1);
        let admitted = (0..1_000).filter(|_| callers.admit(loud, later)).count();
        assert_eq!(admitted, RATE as usize);
    }

    #[test]
    fn only_a_proxy_is_believed_and_only_what_it_has_added() {
        let peer: IpAddr = "127.0.0.1".parse().unwrap();
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

    #[test]
    fn only_the_session_s_key_is_accepted() {
        let key = Key::from_bytes(&[7; 32]).unwrap();
        let session = Session {
            session_key: key.public_key(),
            ..Session::default()
        };
        let signed = key.sign_digest(&[1; 32]).unwrap();
        authorize(&session, &[1; 32], &signed).unwrap();
        let other = Key::from_bytes(&[8; 32]).unwrap();
        for (digest, wrong) in [
            ([2; 32], signed),
            ([1; 32], other.sign_digest(&[1; 32]).unwrap()),
            ([1; 32], [0; 64]),
        ] {
            let refusal = authorize(&session, &digest, &wrong).unwrap_err();
            assert_eq!(refusal.code, RefusalCode::Unauthorized);
        }
        assert_eq!(signature(&hex::encode(signed)).unwrap(), signed);
        for wrong in ["", "00", "zz", &hex::encode([0; 65])] {
            assert_eq!(signature(wrong).unwrap_err().code, RefusalCode::Malformed);
        }
    }
}
