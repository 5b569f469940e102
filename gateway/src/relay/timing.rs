use std::time::Duration;

/// How long nodes and clients may be silent once an order is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// Longest silence of a node before its first text.
    pub first_text: Duration,
    /// Longest silence of a node after it.
    pub more_text: Duration,
    /// Longest answer; then it is stopped.
    pub deadline: Duration,
    /// How long the receipt of a stopped answer may take.
    pub stopping: Duration,
    /// How long a client that may come back is away before its answer is stopped.
    pub away: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            first_text: Duration::from_secs(60),
            more_text: Duration::from_secs(30),
            deadline: Duration::from_secs(300),
            stopping: Duration::from_secs(15),
            away: Duration::from_secs(5),
        }
    }
}
