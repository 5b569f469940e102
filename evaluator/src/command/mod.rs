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
mod tune;
mod version;

pub use earnings::earnings;
pub use init::init;
pub use register::register;
pub use score::score;
pub use serve::serve;
pub use start::start;
pub use status::status;
pub use transcode::transcode;
pub use tune::tune;
pub use version::version;
