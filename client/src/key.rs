use std::fmt;

use bip32::{DerivationPath, XPrv};
use cosmrs::AccountId;
use hmac::{Hmac, Mac as _};
use k256::ecdsa::signature::Verifier as _;
use k256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use k256::ecdsa::{Signature, SigningKey, VerifyingKey};
use rand::RngCore;
use rand::rngs::OsRng;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{Error, Multisig, Result};

/// Length of a compressed public key.
pub(crate) const COMPRESSED: usize = 33;

/// Derivation path of the first key, as in Cosmos wallets.
pub const HD_PATH: &str = "m/44'/118'/0'/0/0";

/// A secp256k1 signing key. Its secret is erased from memory when dropped and is never printed.
#[derive(Clone)]
pub struct Key(SigningKey);

impl Key {
    /// The first key of a wallet: path [`HD_PATH`].
    pub fn from_mnemonic(mnemonic: &Mnemonic) -> Result<Self> {
        Self::derive(mnemonic, HD_PATH)
    }

    /// The key of a wallet at a derivation path like [`HD_PATH`].
    pub fn derive(mnemonic: &Mnemonic, path: &str) -> Result<Self> {
        let derive = || -> bip32::Result<XPrv> {
            let path: DerivationPath = path.parse()?;
            XPrv::derive_from_path(mnemonic.seed(), &path)
        };
        derive()
            .map(|key| Self(key.private_key().clone()))
            .map_err(|error| Error::Key(format!("{error} (derivation path `{path}`)")))
    }

    /// A key from its 32 secret bytes.
    pub fn from_bytes(secret: &[u8]) -> Result<Self> {
        <&[u8; 32]>::try_from(secret)
            .ok()
            .and_then(|secret| SigningKey::from_bytes(secret.into()).ok())
            .map(Self)
            .ok_or_else(|| Error::Key("expected the 32 bytes of a secp256k1 secret key".into()))
    }

    /// The 32 secret bytes.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// The compressed public key, 33 bytes.
    pub fn public_key(&self) -> Vec<u8> {
        self.0.verifying_key().to_sec1_bytes().into_vec()
    }

    /// RIPEMD-160 of SHA-256 of the public key.
    pub fn address_bytes(&self) -> [u8; 20] {
        address_bytes(self.0.verifying_key())
    }

    /// The account's address in bech32 with this human-readable prefix.
    pub fn address(&self, prefix: &str) -> Result<String> {
        format_address(prefix, &self.address_bytes())
    }

    /// HMAC-SHA256 of `message` under the secret: the same 32 bytes every time for the key's owner,
    /// unpredictable for everyone else. A message begins with its purpose.
    pub fn mac(&self, message: &[u8]) -> [u8; 32] {
        // As long as a SHA-256 block: HMAC pads a shorter key with zeros anyway.
        let mut secret = Zeroizing::new([0; 64]);
        secret[..32].copy_from_slice(&*self.to_bytes());
        let mac = Hmac::<Sha256>::new((&*secret).into());
        mac.chain_update(message).finalize().into_bytes().into()
    }

    /// Deterministic ECDSA (RFC 6979) over SHA-256 of `document`: 64 bytes `r ‖ s`, low `s`.
    pub(crate) fn sign(&self, document: &[u8]) -> Result<Vec<u8>> {
        Ok(self.sign_digest(&Sha256::digest(document).into())?.to_vec())
    }

    /// Deterministic ECDSA (RFC 6979) over a digest: 64 bytes `r ‖ s`, low `s`.
    pub fn sign_digest(&self, digest: &[u8; 32]) -> Result<[u8; 64]> {
        let signature: Signature = self
            .0
            .sign_prehash(digest)
            .map_err(|error| Error::Key(error.to_string()))?;
        let signature = signature.normalize_s().unwrap_or(signature);
        Ok(signature.to_bytes().into())
    }
}

/// Whether a key is a compressed point of secp256k1, as the chain demands.
pub fn is_compressed_key(public_key: &[u8]) -> bool {
    compressed_key(public_key).is_some()
}

fn compressed_key(public_key: &[u8]) -> Option<VerifyingKey> {
    // `k256` also accepts compact keys, tag 5; the chain does not.
    let has_form = public_key.len() == COMPRESSED && matches!(public_key.first(), Some(2 | 3));
    let key = Some(public_key).filter(|_| has_form);
    key.and_then(|key| VerifyingKey::from_sec1_bytes(key).ok())
}

/// Whether 64 bytes `r ‖ s` with a low `s` are the signature of a digest by a compressed key.
pub fn is_signature(public_key: &[u8], digest: &[u8; 32], signature: &[u8]) -> bool {
    let key = compressed_key(public_key);
    let signature = Signature::from_slice(signature).ok();
    let low = signature.filter(|signature| signature.normalize_s().is_none());
    key.zip(low)
        .is_some_and(|(key, signature)| key.verify_prehash(digest, &signature).is_ok())
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", hex::encode(self.public_key()))
    }
}

/// Bytes of entropy in a new mnemonic, which has 24 words.
const ENTROPY: usize = 32;

/// A BIP-39 mnemonic of 12, 15, 18, 21 or 24 English words and its passphrase; erased from memory
/// when dropped.
pub struct Mnemonic {
    parsed: bip39::Mnemonic,
    words: Zeroizing<String>,
    passphrase: Zeroizing<String>,
}

impl Mnemonic {
    /// A new mnemonic from the operating system's random generator.
    pub fn random() -> Self {
        let mut entropy = Zeroizing::new([0; ENTROPY]);
        OsRng.fill_bytes(entropy.as_mut_slice());
        match bip39::Mnemonic::from_entropy(entropy.as_slice()) {
            Ok(parsed) => Self::new(parsed),
            Err(error) => unreachable!("{ENTROPY} bytes make 24 words: {error}"),
        }
    }

    fn new(parsed: bip39::Mnemonic) -> Self {
        Self {
            words: Zeroizing::new(parsed.to_string()),
            passphrase: Zeroizing::default(),
            parsed,
        }
    }

    /// Parses 12, 15, 18, 21 or 24 words; case and whitespace do not matter.
    pub fn parse(words: &str) -> Result<Self> {
        let words = Zeroizing::new(
            words
                .split_whitespace()
                .map(str::to_lowercase)
                .collect::<Vec<_>>()
                .join(" "),
        );
        bip39::Mnemonic::parse_in_normalized(bip39::Language::English, &words)
            .map(Self::new)
            .map_err(|_| Error::Mnemonic)
    }

    /// The same words with a BIP-39 passphrase, the "25th word" of some wallets. It gives other
    /// keys. Every passphrase is valid, even a mistyped one.
    pub fn with_passphrase(self, passphrase: &str) -> Self {
        Self {
            passphrase: Zeroizing::new(passphrase.to_owned()),
            ..self
        }
    }

    /// The words, separated by single spaces.
    pub fn words(&self) -> &str {
        &self.words
    }

    fn seed(&self) -> Zeroizing<[u8; 64]> {
        Zeroizing::new(self.parsed.to_seed(self.passphrase.as_str()))
    }
}

/// The 20 bytes of a bech32 account address with this prefix.
pub fn parse_address(address: &str, prefix: &str) -> Result<[u8; 20]> {
    let invalid = |reason: String| Error::Address {
        address: address.into(),
        reason,
    };
    let id: AccountId = address
        .parse()
        .map_err(|_| invalid("not valid bech32".into()))?;
    if id.prefix() != prefix {
        return Err(invalid(format!(
            "its prefix is `{}`, not `{prefix}`",
            id.prefix()
        )));
    }
    id.to_bytes()
        .try_into()
        .map_err(|_| invalid("it does not have 20 bytes".into()))
}

/// The bech32 address of a public key as stored in an account: a compressed key, or the encoding of
/// a [`Multisig`].
pub fn address_of(public_key: &[u8], prefix: &str) -> Result<String> {
    match public_key.len() {
        COMPRESSED => format_address(prefix, &address_bytes_of(public_key)?),
        _ => Multisig::decode(public_key)?.address(prefix),
    }
}

/// The address of a compressed public key.
pub(crate) fn address_bytes_of(public_key: &[u8]) -> Result<[u8; 20]> {
    let key = (public_key.len() == COMPRESSED)
        .then(|| VerifyingKey::from_sec1_bytes(public_key).ok())
        .flatten()
        .ok_or_else(|| Error::Key("it is not a compressed secp256k1 public key".into()))?;
    Ok(address_bytes(&key))
}

/// Whether `signature` is this compressed key's low-s signature over `document`.
pub(crate) fn is_signed(public_key: &[u8], document: &[u8], signature: &[u8]) -> bool {
    let key = VerifyingKey::from_sec1_bytes(public_key);
    let signature = Signature::from_slice(signature);
    key.ok()
        .zip(signature.ok())
        .is_some_and(|(key, signature)| {
            signature.normalize_s().is_none() && key.verify(document, &signature).is_ok()
        })
}

fn address_bytes(key: &VerifyingKey) -> [u8; 20] {
    let id = tendermint::account::Id::from(*key);
    let mut address = [0; 20];
    address.copy_from_slice(id.as_bytes());
    address
}

pub(crate) fn format_address(prefix: &str, address: &[u8; 20]) -> Result<String> {
    AccountId::new(prefix, address)
        .map(String::from)
        .map_err(|error| Error::Address {
            address: prefix.into(),
            reason: error.to_string(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The faucet account of CosmJS's tests.
    const WORDS: &str = "economy stock theory fatal elder harbor betray wasp final emotion task \
        crumble siren bottom lizard educate guess current outdoor pair theory focus wife stone";
    const ADDRESS: &str = "cosmos1pkptre7fdkl6gfrzlesjjvhxhlc3r4gmmk8rs6";

    #[test]
    fn only_the_low_form_of_a_signature_by_a_compressed_key_counts() {
        let key = Key::from_mnemonic(&Mnemonic::parse(WORDS).unwrap()).unwrap();
        let (public, digest) = (key.public_key(), [7; 32]);
        let signature = key.sign_digest(&digest).unwrap();
        assert!(is_signature(&public, &digest, &signature));
        assert!(!is_signature(&public, &[8; 32], &signature));
        let low = Signature::from_slice(&signature).unwrap();
        let (r, s) = low.split_scalars();
        let high = Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
        assert!(!is_signature(&public, &digest, &high.to_bytes()));
        let mut compact = public.clone();
        compact[0] = 5;
        assert!(!is_signature(&compact, &digest, &signature));
        assert!(is_compressed_key(&public) && !is_compressed_key(&compact));
    }

    #[test]
    fn known_mnemonic_gives_the_known_address() {
        let key = Key::from_mnemonic(&Mnemonic::parse(WORDS).unwrap()).unwrap();
        assert_eq!(key.address("cosmos").unwrap(), ADDRESS);
        assert_eq!(
            hex::encode(key.public_key()),
            "034f04181eeba35391b858633a765c4a0c189697b40d216354d50890d350c70290"
        );
        assert_eq!(
            parse_address(ADDRESS, "cosmos").unwrap(),
            key.address_bytes()
        );
        assert_eq!(address_of(&key.public_key(), "cosmos").unwrap(), ADDRESS);
    }

    #[test]
    fn other_paths_give_other_keys() {
        let mnemonic = Mnemonic::parse(WORDS).unwrap();
        // The second faucet account of CosmJS's tests.
        let second = Key::derive(&mnemonic, "m/44'/118'/0'/0/1").unwrap();
        assert_eq!(
            second.address("cosmos").unwrap(),
            "cosmos10dyr9899g6t0pelew4nvf4j5c3jcgv0r73qga5"
        );
        for bad in ["", "44/x", "m/44'/118'/0'/0/9999999999"] {
            assert!(Key::derive(&mnemonic, bad).is_err(), "{bad}");
        }
    }

    /// Mnemonics of zero entropy from the BIP-39 vectors, whose passphrase is TREZOR
    /// (github.com/trezor/python-mnemonic, vectors.json); those of 15 and 21 words come from
    /// Python: `hashlib.pbkdf2_hmac("sha512", words, b"mnemonicTREZOR", 2048)`.
    #[test]
    fn seeds_are_those_of_bip39_for_every_number_of_words_and_passphrase() {
        let seed = |last: &str, zeros: usize, passphrase: &str| {
            let words = format!("{}{last}", "abandon ".repeat(zeros));
            let mnemonic = Mnemonic::parse(&words).unwrap().with_passphrase(passphrase);
            assert_eq!(mnemonic.words(), words);
            hex::encode(&mnemonic.seed()[..8])
        };
        assert_eq!(seed("about", 11, "TREZOR"), "c55257c360c07c72");
        assert_eq!(seed("agent", 17, "TREZOR"), "035895f2f481b1b0");
        assert_eq!(seed("art", 23, "TREZOR"), "bda85446c6841370");
        assert_eq!(seed("about", 11, ""), "5eb00bbddcf06908");
        assert_eq!(seed("address", 14, "TREZOR"), "fa08713f46bf5cb4");
        assert_eq!(seed("admit", 20, "TREZOR"), "e7dadc189d2e8d07");
        // The same letter in two Unicode forms.
        assert_eq!(seed("about", 11, "é"), seed("about", 11, "e\u{301}"));
    }

    #[test]
    fn a_passphrase_gives_other_keys() {
        let key = |passphrase| {
            let mnemonic = Mnemonic::parse(WORDS).unwrap().with_passphrase(passphrase);
            Key::from_mnemonic(&mnemonic).unwrap()
        };
        assert_eq!(key("").address("cosmos").unwrap(), ADDRESS);
        assert_ne!(key("TREZOR").public_key(), key("").public_key());
        assert_ne!(key("TREZOR").public_key(), key("trezor").public_key());
    }

    #[test]
    fn words_may_be_written_carelessly() {
        let careless = format!("\n{}  ", WORDS.to_uppercase().replace(' ', "  \t"));
        assert_eq!(Mnemonic::parse(&careless).unwrap().words(), WORDS);
    }

    #[test]
    fn wrong_mnemonics_are_refused() {
        let swapped = WORDS.replacen("economy stock", "stock economy", 1);
        let short = WORDS.rsplit_once(' ').unwrap().0;
        for words in [
            "",
            "abandon",
            short,
            &swapped,
            &WORDS.replace("stone", "stonee"),
        ] {
            assert!(
                matches!(Mnemonic::parse(words), Err(Error::Mnemonic)),
                "{words}"
            );
        }
    }

    #[test]
    fn random_mnemonics_differ_and_parse() {
        let (one, two) = (Mnemonic::random(), Mnemonic::random());
        assert_ne!(one.words(), two.words());
        assert_eq!(one.words().split(' ').count(), 24);
        assert_eq!(Mnemonic::parse(one.words()).unwrap().words(), one.words());
    }

    #[test]
    fn foreign_and_damaged_addresses_are_refused() {
        let damaged = ADDRESS.replace("pkptre", "pkptrf");
        for (address, prefix) in [(ADDRESS, "poq"), (damaged.as_str(), "cosmos"), ("", "poq")] {
            let error = parse_address(address, prefix).unwrap_err();
            assert!(matches!(error, Error::Address { .. }), "{error}");
        }
        let validator = format_address("cosmosvaloper", &[7; 20]).unwrap();
        assert!(parse_address(&validator, "cosmos").is_err());
    }

    #[test]
    fn the_mac_is_hmac_sha256() {
        // python3 -c 'import hmac; print(hmac.new(bytes([7] * 32), b"poq", "sha256").hexdigest())'
        let expected = "390b05f438adaee827fab8d1d5e4b4105d314deca8309862955cea8bfc13f397";
        let key = Key::from_bytes(&[7; 32]).unwrap();
        assert_eq!(hex::encode(key.mac(b"poq")), expected);
        assert_ne!(
            Key::from_bytes(&[8; 32]).unwrap().mac(b"poq"),
            key.mac(b"poq")
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = Key::from_bytes(&[7; 32]).unwrap();
        assert!(!format!("{key:?}").contains(&hex::encode([7; 32])));
        assert!(Key::from_bytes(&[0; 32]).is_err());
        assert!(Key::from_bytes(&[7; 31]).is_err());
    }
}
