//! How many orders of a session may be beyond the acknowledged ones.

/// The window of an account that the node does not know.
pub(super) const FIRST: u32 = 4;
/// The largest window.
const LARGEST: u32 = 64;

/// A window that doubles whenever a whole one is acknowledged: the node's risk grows with what the
/// account has acknowledged before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    size: u32,
    /// Leaves acknowledged since it has this size.
    acknowledged: u64,
}

impl Window {
    /// A window of this size, kept within the limits.
    pub(super) fn new(size: u32) -> Self {
        Self {
            size: size.clamp(FIRST, LARGEST),
            acknowledged: 0,
        }
    }

    /// Orders that may be beyond the acknowledged ones.
    pub(super) fn size(&self) -> u32 {
        self.size
    }

    /// Counts acknowledged leaves. Returns whether the window has grown.
    pub(super) fn acknowledge(&mut self, leaves: u64) -> bool {
        self.acknowledged += leaves;
        let grows = self.acknowledged >= u64::from(self.size) && self.size < LARGEST;
        if grows {
            *self = Self::new(self.size * 2);
        }
        grows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_doubles_when_it_is_acknowledged_up_to_the_largest() {
        let mut window = Window::new(0);
        assert_eq!(window.size(), FIRST);
        assert!(!window.acknowledge(3));
        assert!(window.acknowledge(1));
        assert_eq!(window.size(), 8);
        assert!(!window.acknowledge(7) && window.acknowledge(1));
        let mut largest = Window::new(u32::MAX);
        assert_eq!(largest.size(), LARGEST);
        assert!(!largest.acknowledge(1_000));
        assert_eq!(largest.size(), LARGEST);
    }
}
