//! A reader for the DER of certificates: one value after the other, never past the end of the bytes.

/// Reads values from bytes.
#[derive(Clone)]
pub(super) struct Reader<'a>(&'a [u8]);

/// One value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    /// What it holds, without tag and length.
    pub(super) body: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    /// The next value, or `None` at the end, and where there is no DER. (Tags of several bytes are in no certificate.)
    pub(super) fn next(&mut self) -> Option<Value<'a>> {
        let (tag, rest) = self.0.split_first()?;
        let (length, rest) = read_length(rest)?;
        let (body, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (tag & LONG_TAG != LONG_TAG).then_some(Value { tag: *tag, body })
    }

    /// The first value of `bytes`, with its tag and length, and what follows it.
    pub(super) fn split_first(bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let mut reader = Reader::new(bytes);
        reader.next()?;
        bytes.split_at_checked(bytes.len() - reader.0.len())
    }

    /// The inside of the next value, which must have this tag.
    pub(super) fn inside(&mut self, tag: u8) -> Option<Reader<'a>> {
        self.next().filter(|value| value.tag == tag).map(|value| Reader(value.body))
    }

    /// Whether there is nothing more.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A length, and what follows it.
fn read_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 0x80 {
        return Some((usize::from(*first), rest));
    }
    let count = usize::from(first & 0x7f);
    if count == 0 || count > MAX_LENGTH_BYTES {
        return None;
    }
    let (digits, rest) = rest.split_at_checked(count)?;
    let length = digits.iter().fold(0_usize, |length, digit| length << 8 | usize::from(*digit));
    Some((length, rest))
}

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
/// The low bits of a tag that goes on in the next byte.
const LONG_TAG: u8 = 0x1f;
/// Nothing that is read here has 16 MiB; three bytes count up to there.
const MAX_LENGTH_BYTES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_one_after_the_other() {
        let mut reader = Reader::new(&[2, 1, 7, 0x30, 0x81, 2, 5, 0]);
        assert_eq!(reader.next(), Some(Value { tag: INTEGER, body: &[7] }));
        let mut inside = reader.inside(SEQUENCE).unwrap();
        assert_eq!(inside.next(), Some(Value { tag: 5, body: &[] }));
        assert!(inside.is_empty() && reader.is_empty() && reader.next().is_none());
    }

    #[test]
    fn what_is_no_der() {
        for bytes in [&[2, 2, 7][..], &[2], &[2, 0x80, 0], &[2, 0x84, 0, 0, 0, 1, 7], &[2, 0x81], &[0x1f, 1, 7], &[]] {
            assert_eq!(Reader::new(bytes).next(), None, "{bytes:?}");
        }
    }
}
