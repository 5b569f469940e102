//! Who may call: the session's key.

use poq_client::is_signature;
use poq_client::session::{Refusal, RefusalCode};
use poq_proto::v1::Session;

use super::refusals::refusal;

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

#[cfg(test)]
mod tests {
    use poq_client::Key;

    use super::*;

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
