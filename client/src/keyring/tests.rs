use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

fn fixed(text: &'static str) -> impl Fn(Purpose) -> crate::Result<Passphrase> + Send + Sync {
    move |_| Ok(Passphrase::from(text.to_owned()))
}

fn never(_: Purpose) -> crate::Result<Passphrase> {
    panic!("the passphrase is not needed");
}

fn kind(error: crate::Error) -> Error {
    match error {
        crate::Error::Keyring(error) => error,
        other => panic!("not a keyring error: {other}"),
    }
}

#[test]
fn round_trip_in_both_backends() {
    for backend in [Backend::Test, Backend::File] {
        let home = tempfile::tempdir().unwrap();
        let keyring = Keyring::open(home.path(), backend, fixed("correct horse")).unwrap();
        assert!(keyring.list().unwrap().is_empty());

        let (info, mnemonic) = keyring.add("user").unwrap();
        let other = keyring.add("another.one").unwrap().0;
        assert!(info.address.starts_with("poq1"));

        let again = Keyring::open(home.path(), backend, fixed("correct horse")).unwrap();
        assert_eq!(again.list().unwrap(), [other, info.clone()]);
        let key = again.key("user").unwrap();
        assert_eq!(key.address("poq").unwrap(), info.address);
        assert_eq!(
            *key.to_bytes(),
            *Key::from_mnemonic(&mnemonic).unwrap().to_bytes()
        );

        again.delete("user").unwrap();
        assert!(matches!(
            kind(again.show("user").unwrap_err()),
            Error::NotFound { .. }
        ));
        assert_eq!(again.recover("user", &mnemonic).unwrap(), info);
    }
}

#[test]
fn keys_without_secrets_are_listed_and_sign_nothing() {
    let home = tempfile::tempdir().unwrap();
    let keyring = Keyring::open(home.path(), Backend::File, never).unwrap();
    let keys: Vec<_> = (1..=3)
        .map(|seed| Key::from_bytes(&[seed; 32]).unwrap().public_key())
        .collect();
    let friend = keyring.insert_public("friend", &keys[0]).unwrap();
    let multisig = Multisig::new(2, keys).unwrap();
    let joint = keyring.insert_public("joint", &multisig.encode()).unwrap();
    assert_eq!((friend.threshold, joint.threshold), (None, Some(2)));
    assert_eq!(joint.address, multisig.address("poq").unwrap());
    assert_eq!(keyring.list().unwrap(), [friend, joint]);
    for (name, word) in [("friend", "sign where it is"), ("joint", "tx multisign")] {
        let error = kind(keyring.key(name).unwrap_err());
        assert!(matches!(error, Error::NoSecret { .. }));
        assert!(error.to_string().contains(word), "{error}");
    }
    assert!(keyring.insert_public("worse", &[9; 33]).is_err());
    assert!(keyring.insert_public("empty", &[]).is_err());
}

#[test]
fn files_are_private_and_the_file_backend_hides_the_secret() {
    for backend in [Backend::Test, Backend::File] {
        let home = tempfile::tempdir().unwrap();
        let keyring = Keyring::open(home.path(), backend, fixed("correct horse")).unwrap();
        keyring.add("user").unwrap();
        let folder = home.path().join(format!("keyring-{backend}"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("user.key")), 0o600);

        let secret = hex::encode(keyring.key("user").unwrap().to_bytes().as_slice());
        let text = fs::read_to_string(folder.join("user.key")).unwrap();
        assert_eq!(text.contains(&secret), backend == Backend::Test);
    }
}

#[test]
fn names_are_unique_and_safe() {
    let home = tempfile::tempdir().unwrap();
    let keyring = Keyring::open(home.path(), Backend::Test, never).unwrap();
    keyring.add("user").unwrap();
    assert!(matches!(
        kind(keyring.add("user").err().unwrap()),
        Error::Exists { .. }
    ));
    let long = "n".repeat(65);
    for name in [
        "", ".", "..", ".hidden", "../user", "a/b", "a b", "ä", "a\0", &long,
    ] {
        for error in [
            keyring.add(name).err().unwrap(),
            keyring.key(name).err().unwrap(),
            keyring.delete(name).unwrap_err(),
        ] {
            assert!(matches!(kind(error), Error::Name(_)), "{name}");
        }
    }
    assert_eq!(keyring.list().unwrap().len(), 1);
}

#[test]
fn wrong_passphrase() {
    let home = tempfile::tempdir().unwrap();
    let keyring = Keyring::open(home.path(), Backend::File, fixed("correct horse")).unwrap();
    keyring.add("user").unwrap();

    let wrong = Keyring::open(home.path(), Backend::File, fixed("battery staple")).unwrap();
    for error in [
        wrong.key("user").unwrap_err(),
        wrong.add("new").err().unwrap(),
    ] {
        assert!(matches!(kind(error), Error::WrongPassphrase { .. }));
    }
    assert_eq!(
        wrong.list().unwrap().len(),
        1,
        "the public part needs no passphrase"
    );
}

#[test]
fn the_passphrase_is_asked_once() {
    let home = tempfile::tempdir().unwrap();
    let asked = Arc::new(AtomicU32::new(0));
    let counter = asked.clone();
    let keyring = Keyring::open(home.path(), Backend::File, move |purpose| {
        assert_eq!(purpose, Purpose::Create);
        counter.fetch_add(1, Ordering::Relaxed);
        Ok("correct horse".to_owned().into())
    })
    .unwrap();
    keyring.add("one").unwrap();
    keyring.add("two").unwrap();
    keyring.key("one").unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn damaged_files_are_named() {
    let home = tempfile::tempdir().unwrap();
    let keyring = Keyring::open(home.path(), Backend::File, fixed("correct horse")).unwrap();
    keyring.add("user").unwrap();
    keyring.add("other").unwrap();
    let path = home.path().join("keyring-file/user.key");
    let good = fs::read_to_string(&path).unwrap();

    let flipped = {
        let at = good.find("\"ciphertext\"").unwrap() + 16;
        let digit = if good.as_bytes()[at] == b'0' {
            "1"
        } else {
            "0"
        };
        format!("{}{digit}{}", &good[..at], &good[at + 1..])
    };
    let other = fs::read_to_string(home.path().join("keyring-file/other.key")).unwrap();
    let renamed = other.replace("\"other\"", "\"user\"");
    let newer = good.replace("\"version\": 1", "\"version\": 2");
    let cases = [
        "",
        "{}",
        &good[..good.len() / 2],
        &flipped,
        &other,
        &renamed,
        &newer,
    ];
    for damaged in cases {
        fs::write(&path, damaged).unwrap();
        let error = kind(keyring.key("user").unwrap_err());
        assert!(
            matches!(&error, Error::Corrupted { path: named, .. } if *named == path),
            "{damaged}: {error}"
        );
        let listed: Vec<String> = keyring
            .list()
            .unwrap()
            .into_iter()
            .map(|key| key.name)
            .collect();
        // A damaged secret is found only with the passphrase.
        let is_listed = damaged == flipped || damaged == renamed;
        assert_eq!(listed.contains(&"user".to_owned()), is_listed, "{damaged}");
        assert!(listed.contains(&"other".to_owned()), "{damaged}");
        keyring.key("other").unwrap();
    }
    fs::write(&path, &good).unwrap();
    keyring.key("user").unwrap();
}

#[test]
fn a_damaged_header_is_named() {
    let home = tempfile::tempdir().unwrap();
    let keyring = Keyring::open(home.path(), Backend::File, fixed("correct horse")).unwrap();
    keyring.add("user").unwrap();
    let path = home.path().join("keyring-file/keyring.json");
    let good = fs::read_to_string(&path).unwrap();
    let costly = good.replace("65536", "4294967295");
    assert_ne!(good, costly);
    for damaged in ["{", costly.as_str()] {
        fs::write(&path, damaged).unwrap();
        let again = Keyring::open(home.path(), Backend::File, fixed("correct horse")).unwrap();
        let error = kind(again.key("user").unwrap_err());
        assert!(matches!(error, Error::Corrupted { .. }), "{error}");
    }
}

#[test]
fn backends_by_name() {
    for backend in [Backend::Test, Backend::File] {
        assert_eq!(backend.to_string().parse(), Ok(backend));
    }
    assert!("os".parse::<Backend>().is_err());
}

#[test]
fn addresses_have_the_prefix_of_the_chain() {
    let home = tempfile::tempdir().unwrap();
    let open = || Keyring::open(home.path(), Backend::Test, ask).unwrap();
    let (made, _) = open().add("a").unwrap();
    assert!(made.address.starts_with("poq1"));
    let keyring = open().with_prefix("other");
    let shown = keyring.show("a").unwrap();
    assert!(shown.address.starts_with("other1"));
    assert_eq!(shown.public_key, made.public_key);
    assert_eq!(keyring.list().unwrap(), [shown]);
}
