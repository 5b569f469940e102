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
