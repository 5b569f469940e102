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
    assert!(
        file.contains("# Number of versions of the state") && file.contains("keep-versions = 7")
    );
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
fn the_settings_of_cometbft_are_changed_in_their_file() {
    let home = tempfile::tempdir().unwrap();
    let config = |words: &str| {
        let mut command = poqd(&format!("config {words}"));
        command.arg("--home").arg(home.path());
        command
    };
    let error = config("set comet.rpc.laddr tcp://127.0.0.1:1").failure();
    assert!(error.contains("--home"), "{error}");
    let mut init = poqd("init alice --chain-id poq-test-1 --home");
    init.arg(home.path()).json();
    let path = home.path().join("config/config.toml");
    let before = fs::read_to_string(&path).unwrap();
    for (words, line) in [
        (
            "comet.rpc.laddr tcp://0.0.0.0:26657",
            "laddr = \"tcp://0.0.0.0:26657\"",
        ),
        ("comet.p2p.pex false", "pex = false"),
        ("comet.mempool.size 7", "size = 7"),
        (
            "comet.rpc.cors_allowed_origins *",
            "cors_allowed_origins = [\"*\"]",
        ),
    ] {
        let output = config(&format!("set {words}")).finish();
        assert!(output.status.success(), "{}", text(&output.stderr));
        let file = fs::read_to_string(&path).unwrap();
        assert!(file.lines().any(|found| found == line), "{line}");
    }
    let comments = |text: &str| text.lines().filter(|line| line.starts_with('#')).count();
    assert_eq!(
        comments(&fs::read_to_string(&path).unwrap()),
        comments(&before)
    );
    let value = config("get comet.mempool.size").finish();
    assert_eq!(text(&value.stdout), "7\n");
    assert_eq!(config("list").json()["comet.p2p.pex"], false);
    for (words, reason) in [
        ("set comet.mempool.size many", "integer"),
        ("set comet.mempool.sise 7", "comet.NAME"),
        ("get comet.mempool.sise", "config list"),
    ] {
        let error = config(words).failure();
        assert!(error.contains(reason), "{error}");
    }
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
