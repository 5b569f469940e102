use crate::support::{Run, feed, poqd, text};

const MNEMONIC: &str = "economy stock theory fatal elder harbor betray wasp final emotion task \
    crumble siren bottom lizard educate guess current outdoor pair theory focus wife stone";

#[test]
fn keys_are_made_listed_shown_and_deleted() {
    let home = tempfile::tempdir().unwrap();
    let keys = |words: &str| {
        let mut command = poqd(&format!("keys --keyring-backend test {words}"));
        command.arg("--home").arg(home.path());
        command
    };
    let made = keys("add alice").json();
    assert_eq!(made["mnemonic"].as_str().unwrap().split(' ').count(), 24);
    assert!(keys("add alice").failure().contains("alice"));
    keys("add bob").json();

    let listed = keys("list").json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(listed[0]["address"], made["address"]);
    assert_eq!(listed[0].get("mnemonic"), None);
    let shown = keys("show alice --address").finish();
    assert_eq!(
        text(&shown.stdout).trim(),
        made["address"].as_str().unwrap()
    );

    assert!(keys("delete bob").failure().contains("--yes"));
    assert!(keys("delete bob --yes").finish().status.success());
    assert!(keys("show bob").failure().contains("bob"));
}

#[test]
fn a_recovered_key_is_the_same_in_both_keyrings() {
    let home = tempfile::tempdir().unwrap();
    for backend in ["test", "file"] {
        let mut command = poqd("keys add old --recover --output json --keyring-backend");
        command.arg(backend).arg("--home").arg(home.path());
        command.env("POQ_KEYRING_PASSPHRASE", "correct horse battery");
        let output = feed(&mut command, MNEMONIC);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let key: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            key["public_key"],
            "034f04181eeba35391b858633a765c4a0c189697b40d216354d50890d350c70290"
        );
    }
    let mut command = poqd("keys add bad --recover --keyring-backend test");
    let output = feed(command.arg("--home").arg(home.path()), "not a mnemonic");
    assert!(text(&output.stderr).contains("24 English BIP-39 words"));
}

#[test]
fn keys_go_from_one_home_to_another() {
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let keys = |home: usize, words: &str| {
        let mut command = poqd(&format!("keys --keyring-backend test {words}"));
        command.arg("--home").arg(homes[home].path());
        command
    };
    let made = keys(0, "add alice").json();
    let passphrase = ("POQ_EXPORT_PASSPHRASE", "correct horse battery");
    let exported = keys(0, "export alice")
        .env(passphrase.0, passphrase.1)
        .finish();
    let file = homes[1].path().join("alice.json");
    std::fs::write(&file, &exported.stdout).unwrap();
    let import = format!("import bob {}", file.display());
    let error = keys(1, &import)
        .env(passphrase.0, "wrong horse battery")
        .failure();
    assert!(error.contains("wrong passphrase"), "{error}");
    let imported = keys(1, &import).env(passphrase.0, passphrase.1).json();
    assert_eq!(imported["address"], made["address"]);
    assert_eq!(imported["name"], "bob");

    let refused = keys(0, "export alice --unarmored-hex").finish();
    assert!(text(&refused.stderr).contains("--unsafe"));
    let secret = keys(0, "export alice --unarmored-hex --unsafe").finish();
    assert_eq!(text(&secret.stdout).trim().len(), 64);
    let output = feed(
        &mut keys(1, "import carol - --unarmored-hex --output json"),
        &text(&secret.stdout),
    );
    let carol: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(carol["address"], made["address"]);
}

#[test]
fn mnemonics_have_many_keys() {
    let home = tempfile::tempdir().unwrap();
    let words = poqd("keys mnemonic").finish();
    assert_eq!(text(&words.stdout).trim().split(' ').count(), 24);
    let recover = |name: &str, flags: &str| -> serde_json::Value {
        let mut command = poqd(&format!(
            "keys add {name} --recover --keyring-backend test --output json {flags}"
        ));
        let output = feed(command.arg("--home").arg(home.path()), MNEMONIC);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let first = recover("first", "");
    let second = recover("second", "--index 1");
    let same = recover("same", "--hd-path m/44'/118'/0'/0/1");
    assert_ne!(first["address"], second["address"]);
    assert_eq!(same["address"], second["address"]);
}

/// Wallets also have mnemonics of 12 words, some with a passphrase.
#[test]
fn twelve_words_and_their_passphrase_recover_a_key() {
    let home = tempfile::tempdir().unwrap();
    let words = "abandon ".repeat(11) + "about";
    let file = home.path().join("passphrase");
    let recover = |name: &str, passphrase: Option<&str>| -> serde_json::Value {
        let words_of_command =
            format!("keys add {name} --recover --keyring-backend test --output json");
        let mut command = poqd(&words_of_command);
        command.arg("--home").arg(home.path());
        if let Some(passphrase) = passphrase {
            std::fs::write(&file, passphrase).unwrap();
            command.arg("--bip39-passphrase-file").arg(&file);
        }
        let output = feed(&mut command, &words);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let plain = recover("plain", None)["address"].clone();
    assert_eq!(recover("empty", Some("\n"))["address"], plain);
    let with = recover("with", Some("TREZOR\n"))["address"].clone();
    assert_ne!(with, plain);
    assert_eq!(recover("same", Some("TREZOR"))["address"], with);
}
