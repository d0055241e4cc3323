//! The 16 bytes that every message starts with.

use crate::error::{Error, Result, Stage};
use crate::wire::{MAX_MESSAGE_BYTES, OP_MSG};

/// A message's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The whole message's length, these 16 bytes included; within [`MAX_MESSAGE_BYTES`].
    pub(crate) length: usize,
    /// The sender's number of this message.
    pub(crate) request_id: i32,
    /// The number of the message that this one answers.
    pub(crate) response_to: i32,
    /// What kind of message it is.
    pub(crate) op_code: i32,
}

impl Header {
    /// How many bytes it has.
    pub(crate) const BYTES: usize = 16;

    /// Reads the header that `bytes` starts with. `Ok(None)`: not all of it is there yet.
    ///
    /// The length is validated here, before memory is allocated for it.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Header>> {
        let (Some(length), Some(request_id), Some(response_to), Some(op_code)) =
            (int_at(bytes, 0), int_at(bytes, 4), int_at(bytes, 8), int_at(bytes, 12))
        else {
            return Ok(None);
        };
        let length = usize::try_from(length)
            .map_err(|_| broken(format!("the reply's header announces a negative length ({length})")))?;
        if length < Header::BYTES {
            return Err(broken(format!(
                "the reply's header announces {length} bytes, less than the header itself has"
            )));
        }
        if length > MAX_MESSAGE_BYTES {
            return Err(broken(format!(
                "the reply's header announces {length} bytes, more than the {MAX_MESSAGE_BYTES} that a message may have"
            ))
            .with_hint("is this the port of a MongoDB server, and does it expect TLS?"));
        }
        Ok(Some(Header { length, request_id, response_to, op_code }))
    }

    /// Whether this is the answer to that message, and of the right kind.
    pub(crate) fn check(&self, request_id: i32) -> Result<()> {
        if self.op_code != OP_MSG {
            return Err(broken(format!("the reply has op code {}, not {OP_MSG}", self.op_code)));
        }
        if self.response_to != request_id {
            return Err(broken(format!(
                "the reply answers message {}, but we sent message {request_id}",
                self.response_to
            )));
        }
        Ok(())
    }
}

/// Appends a header whose length is still to be set.
pub(super) fn put_header(buffer: &mut Vec<u8>, request_id: i32, op_code: i32) {
    let ([a, b, c, d], [e, f, g, h]) = (request_id.to_le_bytes(), op_code.to_le_bytes());
    buffer.extend_from_slice(&[0, 0, 0, 0, a, b, c, d, 0, 0, 0, 0, e, f, g, h]);
}

/// The little-endian number at an offset, if the bytes reach so far.
pub(super) fn int_at(bytes: &[u8], at: usize) -> Option<i32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(i32::from_le_bytes(*four))
}

/// Overwrites the four bytes at an offset that has been written already.
pub(super) fn set_length(buffer: &mut [u8], at: usize, length: usize) {
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    if let Some(four) = buffer.get_mut(at..at + 4) {
        four.copy_from_slice(&length.to_le_bytes());
    }
}

/// The peer broke the protocol.
pub(super) fn broken(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid_reply(Stage::Decode, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(length: i32, response_to: i32, op_code: i32) -> Vec<u8> {
        [length, 9, response_to, op_code].iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    #[test]
    fn a_header_is_read_once_it_is_whole() {
        let bytes = header(100, 7, 2013);
        for cut in 0..16 {
            assert_eq!(Header::read(&bytes[..cut]).unwrap(), None, "{cut}");
        }
        let read = Header::read(&bytes).unwrap().unwrap();
        assert_eq!(read, Header { length: 100, request_id: 9, response_to: 7, op_code: 2013 });
    }

    #[test]
    fn lengths_out_of_bounds_are_refused() {
        for (length, words) in [
            (-1, "negative length (-1)"),
            (i32::MIN, "negative length"),
            (0, "announces 0 bytes"),
            (15, "announces 15 bytes"),
            (48_000_001, "48000001 bytes, more than"),
            (i32::MAX, "2147483647 bytes, more than"),
        ] {
            let error = Header::read(&header(length, 1, 2013)).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn another_answer_is_refused() {
        let read = Header::read(&header(100, 7, 2013)).unwrap().unwrap();
        assert!(read.check(7).is_ok());
        assert!(read.check(8).unwrap_err().message().contains("answers message 7, but we sent message 8"));
        let legacy = Header::read(&header(100, 7, 1)).unwrap().unwrap();
        assert!(legacy.check(7).unwrap_err().message().contains("op code 1, not 2013"));
    }
}
