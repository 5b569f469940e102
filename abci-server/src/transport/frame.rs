//! Length-prefixed messages; the length is an unsigned varint.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use prost::Message;
use prost::bytes::Bytes;

use super::Error;

/// Largest number of bytes per read from the socket and per write to it.
const BUFFER_BYTES: usize = 64 << 10;

/// Memory reserved for a message in advance. The buffer of a longer one grows as its bytes arrive, so
/// that announcing a length takes no more memory.
const RESERVED_BYTES: usize = 8 << 20;

/// Length of the longest varint of a `u64`, bytes.
const MAX_PREFIX_BYTES: u32 = 10;

/// Splits a stream into messages.
pub(super) struct FrameReader<R> {
    stream: BufReader<R>,
    limit: usize,
}

impl<R: Read> FrameReader<R> {
    /// Accepts messages of up to `limit` bytes.
    pub(super) fn new(stream: R, limit: usize) -> Self {
        Self {
            stream: BufReader::with_capacity(BUFFER_BYTES, stream),
            limit,
        }
    }

    /// The bytes of the next message; `None` at the end of the stream.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.stream.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let length = self.length()?;
        let size = usize::try_from(length)
            .ok()
            .filter(|size| *size <= self.limit)
            .ok_or(Error::Oversized {
                length,
                limit: self.limit,
            })?;
        let mut message = Vec::with_capacity(size.min(RESERVED_BYTES));
        self.stream
            .by_ref()
            .take(length)
            .read_to_end(&mut message)?;
        if message.len() < size {
            return Err(Error::Truncated);
        }
        Ok(Some(message.into()))
    }

    /// Reads a varint byte by byte, because it may arrive in parts.
    fn length(&mut self) -> Result<u64, Error> {
        let mut length: u64 = 0;
        for index in 0..MAX_PREFIX_BYTES {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).map_err(truncated)?;
            let bits = u64::from(byte[0] & 0x7f);
            // The tenth byte has room for one bit.
            if index + 1 == MAX_PREFIX_BYTES && bits > 1 {
                return Err(Error::Prefix);
            }
            length |= bits << (7 * index);
            if byte[0] & 0x80 == 0 {
                return Ok(length);
            }
        }
        Err(Error::Prefix)
    }
}

fn truncated(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Truncated,
        _ => error.into(),
    }
}

/// Writes length-prefixed messages.
pub(super) struct FrameWriter<W: Write> {
    stream: BufWriter<W>,
    /// Reused from message to message.
    encoded: Vec<u8>,
}

impl<W: Write> FrameWriter<W> {
    pub(super) fn new(stream: W) -> Self {
        Self {
            stream: BufWriter::with_capacity(BUFFER_BYTES, stream),
            encoded: Vec::new(),
        }
    }

    /// Buffers a message; bytes beyond the buffer's size are sent at once.
    pub(super) fn write(&mut self, message: &impl Message) -> Result<(), Error> {
        self.encoded.clear();
        message
            .encode_length_delimited(&mut self.encoded)
            .map_err(io::Error::other)?;
        self.stream.write_all(&self.encoded)?;
        // A large answer must not keep its memory forever.
        self.encoded.shrink_to(BUFFER_BYTES);
        Ok(())
    }

    /// Sends everything that is buffered.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        Ok(self.stream.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], limit: usize) -> Result<Option<Bytes>, Error> {
        FrameReader::new(bytes, limit).next()
    }

    #[test]
    fn lengths_are_unsigned_varints() {
        let mut framed = vec![0xac, 0x02];
        framed.extend([7; 300]);
        assert_eq!(read(&framed, 300).unwrap().unwrap(), vec![7; 300]);
        assert_eq!(read(&[0], 0).unwrap().unwrap(), Vec::<u8>::new());
        assert!(read(&[], 0).unwrap().is_none());
    }

    #[test]
    fn the_limit_is_the_last_accepted_length() {
        assert!(read(&[3, 1, 2, 3], 3).is_ok());
        let error = read(&[4, 1, 2, 3, 4], 3).unwrap_err();
        assert!(matches!(
            error,
            Error::Oversized {
                length: 4,
                limit: 3
            }
        ));
        let mut huge = [0xff; 10];
        huge[9] = 1;
        let error = read(&huge, 3).unwrap_err();
        assert!(matches!(
            error,
            Error::Oversized {
                length: u64::MAX,
                ..
            }
        ));
    }

    #[test]
    fn bad_prefixes_and_short_messages() {
        assert!(matches!(read(&[0xff; 10], 9), Err(Error::Prefix)));
        assert!(matches!(read(&[0x80; 11], 9), Err(Error::Prefix)));
        assert!(matches!(read(&[0x80], 9), Err(Error::Truncated)));
        assert!(matches!(read(&[2, 1], 9), Err(Error::Truncated)));
    }
}
