use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::{Signal, kill};

use crate::support::{Network, eventually};

fn is_alive(pid: nix::unistd::Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie only waits for its parent.
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn signals_stop_cometbft_first_and_then_the_server() {
    let network = Network::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut node = network.start();
        let comet = node.comet();
        node.signal(signal);
        assert_eq!(node.ended(), Some(0), "{}", node.log());
        assert!(!is_alive(comet));
        let log = node.log();
        let stopped = |what: &str| {
            log.find(what)
                .unwrap_or_else(|| panic!("no `{what}`: {log}"))
        };
        assert!(stopped("CometBFT stopped") < stopped("ABCI server stopped"));
    }
}

#[test]
fn nothing_outlives_a_killed_node_and_it_comes_back() {
    let network = Network::new();
    let mut node = network.start();
    let comet = node.comet();
    node.signal(Signal::SIGKILL);
    assert_eq!(node.ended(), None);
    eventually("the end of CometBFT", || (!is_alive(comet)).then_some(()));
    network.start();
}

#[test]
fn the_end_of_cometbft_ends_the_node_and_is_explained() {
    let network = Network::new();
    let mut node = network.start();
    kill(node.comet(), Signal::SIGKILL).unwrap();
    assert_eq!(node.ended(), Some(1));
    let log = node.log();
    let error = log
        .split("Error: ")
        .nth(1)
        .unwrap_or_else(|| panic!("{log}"));
    assert!(error.contains("CometBFT exited unexpectedly"), "{error}");
    // The error has the last lines of CometBFT's log.
    assert!(error.contains("module="), "{error}");
}

#[test]
fn a_cometbft_that_lives_on_without_consensus_is_stopped() {
    let network = Network::new();
    // A script stands in for CometBFT, because the application cannot make a healthy one fail like this.
    let program = network.path().join("cometbft");
    let script = "#!/bin/sh\n[ \"$1\" = version ] && echo 0.38.26 && exit\n\
        echo 'E[2026] CONSENSUS FAILURE!!! module=consensus err=boom'\nexec sleep 600\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let mut node = network.spawn(&[OsStr::new("--cometbft"), program.as_os_str()]);
    assert_eq!(node.ended(), Some(1));
    let log = node.log();
    assert!(
        log.contains("CometBFT's consensus failed") && log.contains("err=boom"),
        "{log}"
    );
}

#[test]
fn a_node_without_its_evaluator_models_does_not_start() {
    let network = Network::new();
    let folder = network.path().join("elsewhere");
    let flags = [OsStr::new("--evaluator-models"), folder.as_os_str()];
    let mut node = network.spawn(&flags);
    assert_eq!(node.ended(), Some(1));
    let log = node.log();
    for part in ["judge-minilm-nc-2", "SHA-256", "elsewhere", "model.onnx"] {
        assert!(log.contains(part), "{log}");
    }
    // It also refuses once the models are in its state.
    drop(network.start());
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("model.onnx"), "damaged").unwrap();
    let mut node = network.spawn(&flags);
    assert_eq!(node.ended(), Some(1));
    assert!(node.log().contains("judge-bge-nc-2"), "{}", node.log());
}

#[test]
fn a_refused_genesis_is_named() {
    let network = Network::new();
    let path = network.node().join("config/genesis.json");
    let genesis = fs::read_to_string(&path).unwrap();
    fs::write(&path, genesis.replace("\"upoq\"", "\"UPOQ!\"")).unwrap();
    let mut node = network.spawn(&[]);
    assert_ne!(node.ended(), Some(0));
    let comet = node.log();
    assert!(comet.contains("denom"), "{comet}");
}

/// Its votes would not count, and only this node could know why.
#[test]
fn a_node_without_its_vrf_key_does_not_start() {
    let network = Network::new();
    let path = network.node().join("config/priv_vrf_key.json");
    let kept = network.path().join("kept");
    let refused = |hint: &str| {
        std::fs::rename(&path, &kept).unwrap();
        let mut node = network.spawn(&[]);
        assert_eq!(node.ended(), Some(1));
        assert!(node.log().contains("priv_vrf_key.json"), "{}", node.log());
        assert!(node.log().contains(hint), "{}", node.log());
        std::fs::rename(&kept, &path).unwrap();
    };
    // The genesis has the key, and later the state.
    refused("genesis.json");
    let mut node = network.start();
    node.signal(Signal::SIGTERM);
    node.ended();
    refused("has no secret");
    std::fs::rename(&path, &kept).unwrap();
    let mut node = network.spawn(&[OsStr::new("--without-vrf-key")]);
    eventually("the error", || {
        node.log().contains("has no secret").then_some(())
    });
    node.assert_lives();
}
