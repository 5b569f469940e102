//! Amino's encoding of multisignature keys, from which their addresses are derived.

use prost::encoding::encode_varint;

/// Amino's prefix of `tendermint/PubKeyMultisigThreshold`.
const MULTISIG: [u8; 4] = [0x22, 0xc1, 0xf7, 0xe2];
/// Amino's prefix of `tendermint/PubKeySecp256k1`.
const SECP256K1: [u8; 4] = [0xeb, 0x5a, 0xe9, 0x87];

/// Largest number of keys of a multisignature account.
pub const MAX_MULTISIG_KEYS: usize = 16;

/// Encodes a `cosmos.crypto.multisig.LegacyAminoPubKey` in amino; the first 20 bytes of the SHA-256 of
/// the result are the account's address. `keys` are compressed secp256k1 keys, in order.
pub fn amino_multisig_key(threshold: u32, keys: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = MULTISIG.to_vec();
    bytes.push(0x08);
    encode_varint(threshold.into(), &mut bytes);
    for key in keys {
        let key = key.as_ref();
        bytes.push(0x12);
        encode_varint((SECP256K1.len() + 1 + key.len()) as u64, &mut bytes);
        bytes.extend(SECP256K1);
        encode_varint(key.len() as u64, &mut bytes);
        bytes.extend(key);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by CosmJS's `encodeAminoPubkey`, from the keys of the secrets 0x0101… and 0x0202….
    #[test]
    fn keys_are_as_cosmjs_encodes_them() {
        let keys = [
            "031b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f",
            "024d4b6cd1361032ca9bd2aeb9d900aa4d45d9ead80ac9423374c451a7254d0766",
        ];
        let bytes = |key: &str| -> Vec<u8> {
            let digits = (0..key.len()).step_by(2);
            digits
                .map(|at| u8::from_str_radix(&key[at..at + 2], 16).unwrap())
                .collect()
        };
        let expected = format!(
            "22c1f7e208021226eb5ae98721{}1226eb5ae98721{}",
            keys[0], keys[1]
        );
        let encoded = amino_multisig_key(2, &keys.map(bytes));
        assert_eq!(encoded, bytes(&expected));
    }
}
