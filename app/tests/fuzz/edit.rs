//! Edits that turn valid input into nearly valid input.

use bolero::TypeGenerator;

/// One edit of bytes.
#[derive(Clone, Debug, TypeGenerator)]
pub(crate) enum Edit {
    /// Replaces the byte at a position.
    Replace(u16, u8),
    /// Flips one bit.
    Flip(u16, u8),
    /// Inserts a byte.
    Insert(u16, u8),
    /// Removes bytes.
    Remove(u16, u8),
    /// Repeats bytes.
    Repeat(u16, u8),
    /// Inserts a number as a protobuf varint of up to ten bytes.
    Number(u16, u64),
}

/// The bytes after all edits.
pub(crate) fn edited(bytes: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for edit in edits {
        apply(&mut bytes, edit);
    }
    bytes
}

fn apply(bytes: &mut Vec<u8>, edit: &Edit) {
    let place = |at: &u16| usize::from(*at) % (bytes.len() + 1);
    match edit {
        Edit::Replace(at, with) => {
            let at = place(at);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = *with;
            }
        }
        Edit::Flip(at, bit) => {
            let at = place(at);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (bit % 8);
            }
        }
        Edit::Insert(at, byte) => bytes.insert(place(at), *byte),
        Edit::Remove(at, count) => {
            let at = place(at);
            let end = (at + usize::from(*count)).min(bytes.len());
            bytes.drain(at..end);
        }
        Edit::Repeat(at, count) => {
            let at = place(at);
            let end = (at + usize::from(*count)).min(bytes.len());
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        Edit::Number(at, number) => {
            let at = place(at);
            let mut varint = Vec::new();
            prost::encoding::encode_varint(*number, &mut varint);
            bytes.splice(at..at, varint);
        }
    }
}
