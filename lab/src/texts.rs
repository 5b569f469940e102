//! Answers as texts: prompts with right and wrong answers, attacks that are meant to please, and
//! the judges that score them.

pub mod adaptive;
pub mod attacks;
mod book;
mod judge;
mod sample;
mod wordings;

pub use book::{Book, HONEST};
pub use judge::Judge;
pub use sample::{Question, draw, read, sample};
