use crate::signed;
use crate::v1;
use crate::voucher::{WrongLength, bytes32};

/// Domain separator of receipts.
const RECEIPT_DOMAIN: &str = "poq/receipt/v1";

/// One answer in the log of a session (protocol section 16); [`v1::Leaf`] with digests of the right
/// length and its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Position in the log, from 0.
    pub number: u64,
    /// Digest of the chat.
    pub request: [u8; 32],
    /// SHA-256 of the answer.
    pub answer: [u8; 32],
    /// Bytes of the texts of all messages of the chat.
    pub prompt_bytes: u32,
    /// Bytes of the answer.
    pub answer_bytes: u32,
    /// Tokens of the prompt, as the node declared them.
    pub prompt_tokens: u32,
    /// Tokens of the answer, as the node declared them.
    pub answer_tokens: u32,
    /// As in the chat, ppm.
    pub min_quality: u32,
    /// How the answer ended.
    pub finish: v1::Finish,
    /// Base units.
    pub price: u64,
    /// Sum of the prices up to and with this leaf, base units; 0 in a receipt.
    pub total: u64,
}

impl Leaf {
    /// Bytes of the encoding.
    pub const BYTES: usize = 109;

    /// The fields in order, integers big-endian and `finish` as one byte: what the log hashes.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let fields: [&[u8]; 11] = [
            &self.number.to_be_bytes(),
            &self.request,
            &self.answer,
            &self.prompt_bytes.to_be_bytes(),
            &self.answer_bytes.to_be_bytes(),
            &self.prompt_tokens.to_be_bytes(),
            &self.answer_tokens.to_be_bytes(),
            &self.min_quality.to_be_bytes(),
            &[self.finish as u8],
            &self.price.to_be_bytes(),
            &self.total.to_be_bytes(),
        ];
        for (byte, value) in bytes.iter_mut().zip(fields.concat()) {
            *byte = value;
        }
        bytes
    }

    /// The digest that the node's key signs: the receipt of the answer. The total is left out, since it
    /// waits for the answers before (ADR 48).
    pub fn receipt_digest(&self, chain_id: &str, session: u64) -> [u8; 32] {
        let parts: [&[u8]; 2] = [&session.to_be_bytes(), &self.receipt().encode()];
        signed::digest(RECEIPT_DOMAIN, chain_id, &parts)
    }

    /// The leaf as its receipt has it: without the total.
    pub fn receipt(&self) -> Self {
        Self { total: 0, ..*self }
    }

    /// The leaf in the log after leaves whose prices add up to `before`, base units.
    pub fn after(&self, before: u64) -> Self {
        let total = before.saturating_add(self.price);
        Self { total, ..*self }
    }
}

impl TryFrom<&v1::Leaf> for Leaf {
    type Error = WrongLength;

    fn try_from(leaf: &v1::Leaf) -> Result<Self, WrongLength> {
        Ok(Self {
            number: leaf.number,
            request: bytes32("request", &leaf.request)?,
            answer: bytes32("answer", &leaf.answer)?,
            prompt_bytes: leaf.prompt_bytes,
            answer_bytes: leaf.answer_bytes,
            prompt_tokens: leaf.prompt_tokens,
            answer_tokens: leaf.answer_tokens,
            min_quality: leaf.min_quality,
            finish: leaf.finish(),
            price: leaf.price,
            total: leaf.total,
        })
    }
}

impl From<&Leaf> for v1::Leaf {
    fn from(leaf: &Leaf) -> Self {
        Self {
            number: leaf.number,
            request: leaf.request.to_vec(),
            answer: leaf.answer.to_vec(),
            prompt_bytes: leaf.prompt_bytes,
            answer_bytes: leaf.answer_bytes,
            prompt_tokens: leaf.prompt_tokens,
            answer_tokens: leaf.answer_tokens,
            min_quality: leaf.min_quality,
            finish: leaf.finish.into(),
            price: leaf.price,
            total: leaf.total,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn leaf() -> Leaf {
        Leaf {
            number: 1,
            request: [2; 32],
            answer: [3; 32],
            prompt_bytes: 4,
            answer_bytes: 5,
            prompt_tokens: 6,
            answer_tokens: 7,
            min_quality: 8,
            finish: v1::Finish::Length,
            price: 9,
            total: 10,
        }
    }

    #[test]
    fn every_field_is_bound() {
        let base = leaf();
        let leaves = [
            base,
            Leaf { number: 99, ..base },
            Leaf {
                request: [99; 32],
                ..base
            },
            Leaf {
                answer: [99; 32],
                ..base
            },
            Leaf {
                prompt_bytes: 99,
                ..base
            },
            Leaf {
                answer_bytes: 99,
                ..base
            },
            Leaf {
                prompt_tokens: 99,
                ..base
            },
            Leaf {
                answer_tokens: 99,
                ..base
            },
            Leaf {
                min_quality: 99,
                ..base
            },
            Leaf {
                finish: v1::Finish::Void,
                ..base
            },
            Leaf { price: 99, ..base },
            Leaf { total: 99, ..base },
        ];
        let encoded: BTreeSet<_> = leaves.iter().map(Leaf::encode).collect();
        assert_eq!(encoded.len(), leaves.len());
        let mut digests: BTreeSet<_> = leaves
            .iter()
            .map(|leaf| leaf.receipt_digest("poq-1", 1))
            .collect();
        digests.insert(base.receipt_digest("poq-2", 1));
        digests.insert(base.receipt_digest("poq-1", 2));
        // Two leaves differ in their totals alone.
        assert_eq!(digests.len(), leaves.len() + 1);
    }

    #[test]
    fn a_receipt_does_not_depend_on_the_answers_before() {
        let (receipt, placed) = (leaf().receipt(), leaf().after(100));
        assert_eq!((receipt.total, placed.total), (0, 109));
        assert_eq!(placed.receipt(), receipt);
        assert_eq!(
            placed.receipt_digest("poq-1", 1),
            receipt.receipt_digest("poq-1", 1)
        );
        assert_eq!(leaf().after(u64::MAX).total, u64::MAX);
    }

    #[test]
    fn the_encoding_should_not_change() {
        let expected = [
            "0000000000000001",
            &"02".repeat(32),
            &"03".repeat(32),
            "0000000400000005000000060000000700000008",
            "02",
            "0000000000000009000000000000000a",
        ];
        let encoded = leaf().encode().map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(encoded, expected.concat());
    }

    #[test]
    fn messages_are_read_back() {
        let mut message = v1::Leaf::from(&leaf());
        assert_eq!(Leaf::try_from(&message), Ok(leaf()));
        message.answer.push(0);
        let error = Leaf::try_from(&message).unwrap_err();
        assert_eq!(error.to_string(), "answer must have 32 bytes, got 33");
    }
}
