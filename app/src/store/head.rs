/// The newest version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its height; 0 before the first commit.
    pub height: u64,
    /// The root of its tree.
    pub app_hash: [u8; 32],
    /// The height of the first version; 0 before the first commit.
    pub initial_height: u64,
}

impl Head {
    /// `height ‖ initial height ‖ oldest version ‖ hash`, big-endian.
    pub(super) fn encode(&self, oldest: u64) -> Vec<u8> {
        let numbers = [self.height, self.initial_height, oldest].map(u64::to_be_bytes);
        [numbers.as_flattened(), &self.app_hash].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, u64)> {
        let (height, rest) = bytes.split_first_chunk()?;
        let (initial_height, rest) = rest.split_first_chunk()?;
        let (oldest, hash) = rest.split_first_chunk()?;
        let head = Self {
            height: u64::from_be_bytes(*height),
            app_hash: hash.try_into().ok()?,
            initial_height: u64::from_be_bytes(*initial_height),
        };
        Some((head, u64::from_be_bytes(*oldest)))
    }
}
