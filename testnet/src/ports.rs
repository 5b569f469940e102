//! TCP ports of a local network.

use std::net::{Ipv4Addr, TcpListener};

use crate::{Error, Result};

/// Refuses a port that another program listens on, before anything is started.
pub(crate) fn check<'a>(base: u16, ports: impl IntoIterator<Item = (u16, &'a str)>) -> Result<()> {
    for (port, user) in ports {
        if !is_free(port) {
            return Err(Error::PortTaken {
                port,
                user: user.into(),
                base,
            });
        }
    }
    Ok(())
}

/// The first of `count` consecutive free ports, for networks whose ports do not matter.
pub fn free_range(count: u16) -> Result<u16> {
    // Below the range from which Linux takes the ports of outgoing connections.
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
    fn a_taken_port_is_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = check(26_000, [(port, "RPC of node1")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!("port {port} (RPC of node1) is taken")),
            "{error}"
        );
        assert!(error.contains("BASE_PORT (now 26000)"), "{error}");
    }
}
