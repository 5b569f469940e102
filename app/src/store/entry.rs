use super::error::Result;

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Values in the order of their keys.
pub(super) type Entries<'a> = Box<dyn Iterator<Item = Result<Entry>> + 'a>;
