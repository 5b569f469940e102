use std::fs;

use crate::support::{Run, poqd, text};

#[test]
fn settings_are_read_and_changed() {
    let home = tempfile::tempdir().unwrap();
    let config = |words: &str| {
        let mut command = poqd(&format!("config {words}"));
        command.arg("--home").arg(home.path());
        command
    };
    assert!(
        config("set client.output json")
            .failure()
            .contains("--home")
    );
    fs::create_dir(home.path().join("config")).unwrap();
    let all = config("list").json();
    assert_eq!(all["client.node"], "http://127.0.0.1:26657");
    assert_eq!(all["app.comet.supervise"], false);
    assert!(config("set app.keep-versions 7").finish().status.success());
    let value = config("get app.keep-versions").finish();
    assert_eq!(text(&value.stdout), "7\n");
    let file = fs::read_to_string(home.path().join("config/app.toml")).unwrap();
    assert!(file.contains("# Versions of the state") && file.contains("keep-versions = 7"));
    for (words, reason) in [
        ("set app.keep-versions soon", "keep-versions"),
        ("set app.keep-version 7", "keep-version"),
        ("set client.node nowhere", "nowhere"),
        ("get client.nodes", "client.nodes"),
    ] {
        let error = config(words).failure();
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!(
        fs::read_to_string(home.path().join("config/app.toml")).unwrap(),
        file
    );
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = poqd(&format!("completions {shell}")).finish();
        let script = text(&script.stdout);
        for command in ["poqd", "submit-task", "multi-send", "faucet"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn the_long_version_says_more() {
    let short = poqd("version").json();
    let long = poqd("version --long").json();
    assert_eq!(short["version"], long["version"]);
    assert_eq!(short.get("os"), None);
    assert!(long["os"].is_string() && long["abci"].is_string());
}
