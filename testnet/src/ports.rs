//! TCP ports of a local network.

use std::net::{Ipv4Addr, TcpListener};

use poq_client::network::Description;

use crate::{Error, Result};

/// All ports of the network's processes, with their purpose.
pub(crate) fn of(network: &Description) -> Vec<(u16, String)> {
    let validators = network.validators.iter().flat_map(|node| {
        [("RPC", &node.rpc), ("P2P", &node.p2p), ("gRPC", &node.grpc)]
            .map(|(what, address)| (address, format!("{what} of {}", node.name)))
    });
    let workers = network.workers();
    let workers = workers.map(|worker| (&worker.http, format!("HTTP of {}", worker.name)));
    let nodes = network.inference_nodes.iter();
    let streams = nodes.map(|node| (&node.stream, format!("sessions of {}", node.name)));
    let gateway = network.gateway.iter();
    let gateway = gateway.map(|gateway| (&gateway.http, format!("HTTP of {}", gateway.name)));
    validators
        .chain(workers)
        .chain(streams)
        .chain(gateway)
        .filter_map(|(address, user)| Some((port(address)?, user)))
        .collect()
}

/// The port of a URL or of `host:port`.
fn port(address: &str) -> Option<u16> {
    address
        .trim_end_matches('/')
        .rsplit(':')
        .next()?
        .parse()
        .ok()
}

/// Refuses ports that other programs listen on, before anything is started.
pub(crate) fn check(base: u16, ports: impl IntoIterator<Item = (u16, String)>) -> Result<()> {
    for (port, user) in ports {
        if !is_free(port) {
            return Err(Error::PortTaken { port, user, base });
        }
    }
    Ok(())
}

/// The first of `count` consecutive free ports, for networks on any ports.
pub fn free_range(count: u16) -> Result<u16> {
    // Below Linux's range of ephemeral ports.
    (20_000..32_000)
        .step_by(usize::from(count))
        .find(|base| (*base..base + count).all(is_free))
        .ok_or(Error::NoPorts(count))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_in_urls_and_addresses() {
        assert_eq!(port("http://127.0.0.1:26657"), Some(26657));
        assert_eq!(port("tcp://127.0.0.1:26658/"), Some(26658));
        assert_eq!(port("127.0.0.1:8080"), Some(8080));
        assert_eq!(port("unix:///tmp/socket"), None);
    }

    #[test]
    fn a_taken_port_is_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = check(26_000, [(port, "RPC of node1".into())])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!("port {port} (RPC of node1) is taken")),
            "{error}"
        );
        assert!(error.contains("BASE_PORT (now 26000)"), "{error}");
    }
}
