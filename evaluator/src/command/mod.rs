//! One module per command.

mod attack;
mod calibrate;
mod card;
mod earnings;
mod init;
mod measuring;
mod model;
mod register;
mod score;
mod serve;
mod start;
mod status;
mod tolerance;
mod transcode;
mod tune;
mod validity;
mod version;

pub use attack::attack;
pub use calibrate::calibrate;
pub use card::card;
pub use earnings::earnings;
pub use init::init;
pub use register::register;
pub use score::score;
pub use serve::serve;
pub use start::start;
pub use status::status;
pub use tolerance::tolerance;
pub use transcode::transcode;
pub use tune::tune;
pub use validity::validity;
pub use version::version;
