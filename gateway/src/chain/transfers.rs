//! Transfers to an account, as the transactions of a block have them.

use cosmos_sdk_proto::cosmos::bank::v1beta1::{MsgMultiSend, MsgSend};
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use poq_client::tx::Tx;
use poq_client::{Any, Error, Result};
use prost::{Message, Name};

/// Coins that a message of a transaction sent to the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    /// Index of the transaction in its block.
    pub tx: u32,
    /// Index of the message in the transaction.
    pub message: u32,
    /// Who sent them.
    pub sender: String,
    /// Base units; above 0.
    pub amount: u64,
    /// The transaction's memo.
    pub memo: String,
}

/// The transfers of `denom` to the account `to`, whether their transactions succeeded or not. What the
/// account sends to itself is none.
///
/// # Errors
/// If an amount exceeds 63 bits.
pub(super) fn of_block(txs: &[Vec<u8>], to: &str, denom: &str) -> Result<Vec<Transfer>> {
    let mut transfers = Vec::new();
    for (index, bytes) in (0..).zip(txs) {
        // What cannot be decoded has failed.
        let Some(body) = Tx::decode(bytes.as_slice()).ok().and_then(|tx| tx.body) else {
            continue;
        };
        for (message, any) in (0..).zip(&body.messages) {
            let Some((sender, amount)) = sent(any, to, denom).filter(|(sender, _)| sender != to)
            else {
                continue;
            };
            // The database has 63 bits.
            let fitting = i64::try_from(amount).map(i64::unsigned_abs);
            let amount = fitting.map_err(|_| Error::Decode {
                what: format!("transaction {index} of a block"),
                reason: format!("it sends {amount}{denom}, more than there can be"),
            })?;
            transfers.push(Transfer {
                tx: index,
                message,
                sender,
                amount,
                memo: body.memo.clone(),
            });
        }
    }
    transfers.retain(|transfer| transfer.amount > 0);
    Ok(transfers)
}

/// Those whose transactions have the code 0.
///
/// # Errors
/// If a code is missing.
pub(super) fn successful(
    mut transfers: Vec<Transfer>,
    codes: &[u32],
    height: u64,
) -> Result<Vec<Transfer>> {
    let code = |transfer: &Transfer| codes.get(transfer.tx as usize);
    if let Some(transfer) = transfers.iter().find(|transfer| code(transfer).is_none()) {
        return Err(Error::Decode {
            what: format!("block_results of height {height}"),
            reason: format!("it has no result of transaction {}", transfer.tx),
        });
    }
    transfers.retain(|transfer| code(transfer) == Some(&0));
    Ok(transfers)
}

/// Who sends how much of `denom` to `to` by this message.
fn sent(any: &Any, to: &str, denom: &str) -> Option<(String, u128)> {
    if any.type_url == MsgSend::type_url() {
        let message = MsgSend::decode(any.value.as_slice()).ok()?;
        let coins = (message.to_address == to).then_some(message.amount)?;
        return Some((message.from_address, sum(&coins, denom)?));
    }
    if any.type_url == MsgMultiSend::type_url() {
        let message = MsgMultiSend::decode(any.value.as_slice()).ok()?;
        let sender = message.inputs.first()?.address.clone();
        let outputs = message.outputs.iter().filter(|output| output.address == to);
        let coins: Vec<_> = outputs.flat_map(|output| output.coins.clone()).collect();
        return Some((sender, sum(&coins, denom)?));
    }
    None
}

fn sum(coins: &[Coin], denom: &str) -> Option<u128> {
    let of_denom = coins.iter().filter(|coin| coin.denom == denom);
    let mut amounts = of_denom.map(|coin| coin.amount.parse::<u128>().ok());
    amounts.try_fold(0, |sum: u128, amount| sum.checked_add(amount?))
}

#[cfg(test)]
mod tests {
    use cosmos_sdk_proto::cosmos::bank::v1beta1::{Input, Output};
    use poq_client::any;
    use poq_client::tx::{Signer, Unsigned, sign};

    use super::*;

    fn coins(amounts: &[(&str, &str)]) -> Vec<Coin> {
        let coin = |(denom, amount): &(&str, &str)| Coin {
            denom: (*denom).into(),
            amount: (*amount).into(),
        };
        amounts.iter().map(coin).collect()
    }

    fn send(from: &str, to: &str, amounts: &[(&str, &str)]) -> Any {
        any(&MsgSend {
            from_address: from.into(),
            to_address: to.into(),
            amount: coins(amounts),
        })
    }

    fn tx(memo: &str, messages: Vec<Any>) -> Vec<u8> {
        let unsigned = Unsigned {
            messages,
            gas_limit: 1,
            fee: None,
            memo: memo.into(),
            timeout_height: 0,
        };
        let signer = Signer {
            chain_id: "poq-1".into(),
            account_number: 0,
            sequence: 0,
        };
        let key = poq_client::Key::from_bytes(&[7; 32]).unwrap();
        sign(&unsigned, &signer, &key).unwrap()
    }

    fn transfer(tx: u32, message: u32, sender: &str, amount: u64, memo: &str) -> Transfer {
        Transfer {
            tx,
            message,
            sender: sender.into(),
            amount,
            memo: memo.into(),
        }
    }

    #[test]
    fn transfers_are_found_by_their_place() {
        let output = |address: &str, amounts: &[(&str, &str)]| Output {
            address: address.into(),
            coins: coins(amounts),
        };
        let multi = any(&MsgMultiSend {
            inputs: vec![Input {
                address: "c".into(),
                coins: coins(&[("upoq", "12")]),
            }],
            outputs: vec![
                output("gate", &[("upoq", "3")]),
                output("x", &[("upoq", "5")]),
                output("gate", &[("other", "9"), ("upoq", "4")]),
            ],
        });
        let txs = [
            b"votes".to_vec(),
            tx(
                "m",
                vec![
                    send("a", "x", &[("upoq", "1")]),
                    send("a", "gate", &[("upoq", "2")]),
                ],
            ),
            tx("", vec![multi, send("gate", "gate", &[("upoq", "8")])]),
            tx("m", vec![send("a", "gate", &[("other", "8")])]),
        ];
        let found = of_block(&txs, "gate", "upoq").unwrap();
        let expected = [transfer(1, 1, "a", 2, "m"), transfer(2, 0, "c", 7, "")];
        assert_eq!(found, expected);
        assert_eq!(
            successful(found.clone(), &[9, 5, 0, 0], 1).unwrap(),
            expected[1..]
        );
        assert!(
            successful(found, &[0, 0], 1).is_err(),
            "a result is missing"
        );
    }
}
