//! Determines the signers of a transaction from its messages.

use anyhow::{Context, bail};
use poq_app::tx::Message;
use poq_client::tx::Tx;
use poq_client::{address_of, parse_address};

/// Refuses a key that the chain would not accept: only the account of a message may sign it.
///
/// # Errors
/// Names the required signer and the remedy.
pub(super) fn check(tx: &Tx, public_key: &[u8], name: &str) -> anyhow::Result<()> {
    let signers = signers(tx)?;
    let mut own = String::new();
    for signer in &signers {
        let prefix = prefix(signer);
        parse_address(signer, prefix)
            .with_context(|| format!("a message must be signed by `{signer}`"))?;
        // The prefix comes from the transaction, so signing needs no node.
        own = address_of(public_key, prefix)?;
        if own == *signer {
            return Ok(());
        }
    }
    match signers.as_slice() {
        [] => bail!("the transaction has no message, so it cannot be signed"),
        signers => bail!(
            "the transaction must be signed by {}, not by `{name}`, which is {own}; choose that \
             account's key with --from, or generate the transaction again with --from {name}",
            signers.join(" and ")
        ),
    }
}

/// The accounts that must sign, without duplicates.
fn signers(tx: &Tx) -> anyhow::Result<Vec<String>> {
    let mut signers = Vec::new();
    for message in tx.body.iter().flat_map(|body| &body.messages) {
        let message = Message::decode(&message.type_url, &message.value)?;
        if !signers.iter().any(|signer| signer == message.signer()) {
            signers.push(message.signer().to_owned());
        }
    }
    Ok(signers)
}

/// The part before the last `1` of a bech32 address.
fn prefix(address: &str) -> &str {
    address.rsplit_once('1').map_or("", |(prefix, _)| prefix)
}

#[cfg(test)]
mod tests {
    use cosmos_sdk_proto::cosmos::bank::v1beta1::MsgSend;
    use poq_client::tx::Unsigned;
    use poq_client::{Key, any};

    use super::*;

    fn from(senders: &[&str]) -> Tx {
        let message = |sender: &&str| {
            any(&MsgSend {
                from_address: (*sender).to_owned(),
                ..MsgSend::default()
            })
        };
        let unsigned = Unsigned {
            messages: senders.iter().map(message).collect(),
            gas_limit: 1,
            fee: None,
            memo: String::new(),
            timeout_height: 0,
        };
        unsigned.to_tx().unwrap()
    }

    #[test]
    fn only_the_account_of_the_messages_may_sign() {
        let [key, other] = [1, 2].map(|byte| Key::from_bytes(&[byte; 32]).unwrap());
        for prefix in ["poq", "other"] {
            let (own, foreign) = (key.address(prefix).unwrap(), other.address(prefix).unwrap());
            let check = |senders: &[&str]| check(&from(senders), &key.public_key(), "me");
            check(&[&own]).unwrap();
            check(&[&foreign, &own]).unwrap();
            let error = check(&[&foreign, &foreign]).unwrap_err().to_string();
            assert!(
                error.contains(&format!("by {foreign}, not by `me`, which is {own}")),
                "{error}"
            );
        }
    }

    #[test]
    fn what_nobody_can_sign_is_refused() {
        let key = Key::from_bytes(&[1; 32]).unwrap().public_key();
        for (senders, reason) in [(&[][..], "no message"), (&["poq1x"], "`poq1x`")] {
            let error = check(&from(senders), &key, "me").unwrap_err();
            assert!(format!("{error:#}").contains(reason), "{error:#}");
        }
    }
}
