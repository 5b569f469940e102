//! One file per message, with the message's name.

mod cancel_task;
mod commit_scores;
mod reveal_scores;
mod submit_answers;
mod submit_task;

pub use cancel_task::cancel_task;
pub use commit_scores::commit_scores;
pub use reveal_scores::reveal_scores;
pub use submit_answers::submit_answers;
pub use submit_task::submit_task;
