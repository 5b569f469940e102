//! One module per command.

mod earnings;
mod init;
mod model;
mod register;
mod score;
mod serve;
mod start;
mod status;
mod transcode;
mod version;

use poq_client::keyring::{self, Keyring};
use poq_client::worker::{ChainConfig, WorkerHome};

pub use earnings::earnings;
pub use init::init;
pub use register::register;
pub use score::score;
pub use serve::serve;
pub use start::start;
pub use status::status;
pub use transcode::transcode;
pub use version::version;

/// The keyring that a worker's configuration names.
fn keyring(home: &WorkerHome, chain: &ChainConfig) -> poq_client::Result<Keyring> {
    Keyring::open(home.path(), chain.keyring, keyring::ask)
}
