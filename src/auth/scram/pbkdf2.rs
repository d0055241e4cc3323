//! PBKDF2 with HMAC (RFC 8018, section 5.2), as SCRAM needs it: one block of output, and a deadline that counts.
//!
//! A server chooses the number of rounds, and a million of them take most of a second. So they are done in slices, and the
//! deadline is looked at between them. Both keys of HMAC are absorbed once; a round is then two calls of the hash's own
//! block function.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::avx::clear_upper_halves;
use crate::deadline::Deadline;

/// 20 bytes with HMAC-SHA-1, or nothing once the deadline has passed.
pub(super) fn sha1(password: &[u8], salt: &[u8], rounds: u32, deadline: Deadline) -> Option<Zeroizing<Vec<u8>>> {
    let mut hashed = Zeroizing::new([0; 20]);
    let key = short_key(password, &mut *hashed, |key, digest| digest.copy_from_slice(&Sha1::digest(key)));
    let first = Hmac::<Sha1>::new_from_slice(password).ok()?.chain_update(salt).chain_update(FIRST_BLOCK);
    let first = Zeroizing::new(<[u8; 20]>::from(first.finalize().into_bytes()));
    Rounds::new(SHA1_START, sha1::block_api::compress, key).run(&*first, rounds, deadline)
}

/// 32 bytes with HMAC-SHA-256, or nothing once the deadline has passed.
pub(super) fn sha256(password: &[u8], salt: &[u8], rounds: u32, deadline: Deadline) -> Option<Zeroizing<Vec<u8>>> {
    let mut hashed = Zeroizing::new([0; 32]);
    let key = short_key(password, &mut *hashed, |key, digest| digest.copy_from_slice(&Sha256::digest(key)));
    let first = Hmac::<Sha256>::new_from_slice(password).ok()?.chain_update(salt).chain_update(FIRST_BLOCK);
    let first = Zeroizing::new(<[u8; 32]>::from(first.finalize().into_bytes()));
    Rounds::new(SHA256_START, sha2::block_api::compress256, key).run(&*first, rounds, deadline)
}

/// HMAC hashes keys that are longer than a block.
fn short_key<'a>(key: &'a [u8], hashed: &'a mut [u8], hash: fn(&[u8], &mut [u8])) -> &'a [u8] {
    if key.len() <= BLOCK {
        return key;
    }
    hash(key, hashed);
    hashed
}

/// HMAC for messages as long as its own output: the states after each of its two keys, and the hash's block function.
struct Rounds<const WORDS: usize> {
    inner: [u32; WORDS],
    outer: [u32; WORDS],
    compress: fn(&mut [u32; WORDS], &[[u8; BLOCK]]),
}

impl<const WORDS: usize> Rounds<WORDS> {
    fn new(start: [u32; WORDS], compress: fn(&mut [u32; WORDS], &[[u8; BLOCK]]), key: &[u8]) -> Self {
        let mut rounds = Rounds { inner: start, outer: start, compress };
        for (state, pad) in [(&mut rounds.inner, 0x36), (&mut rounds.outer, 0x5c)] {
            let mut block = Zeroizing::new([[pad; BLOCK]]);
            block[0].iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            compress(state, &*block);
        }
        rounds
    }

    /// All rounds after the first, whose output is `first`.
    fn run(&self, first: &[u8], rounds: u32, deadline: Deadline) -> Option<Zeroizing<Vec<u8>>> {
        let length = 4 * WORDS;
        // The message of both hashes is one output long, so what pads it never changes.
        let mut block = Zeroizing::new([[0; BLOCK]]);
        let (message, padding) = block[0].split_at_mut_checked(length)?;
        message.copy_from_slice(first);
        *padding.first_mut()? = 0x80;
        let bits = u64::try_from(8 * (BLOCK + length)).ok()?;
        *padding.last_chunk_mut()? = bits.to_be_bytes();
        let mut sum = Zeroizing::new([0; WORDS]);
        for (sum, word) in sum.iter_mut().zip(first.as_chunks().0) {
            *sum = u32::from_be_bytes(*word);
        }
        let mut state = Zeroizing::new([0; WORDS]);
        let mut left = rounds.saturating_sub(1);
        while left > 0 {
            if deadline.expired() {
                return None;
            }
            clear_upper_halves();
            for _ in 0..left.min(SLICE) {
                for start in [&self.inner, &self.outer] {
                    *state = *start;
                    (self.compress)(&mut state, &*block);
                    for (bytes, word) in block[0].as_chunks_mut().0.iter_mut().zip(&*state) {
                        *bytes = word.to_be_bytes();
                    }
                }
                sum.iter_mut().zip(&*state).for_each(|(sum, word)| *sum ^= word);
            }
            left = left.saturating_sub(SLICE);
        }
        Some(Zeroizing::new(sum.iter().flat_map(|word| word.to_be_bytes()).collect()))
    }
}

impl<const WORDS: usize> Drop for Rounds<WORDS> {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// How many rounds lie between two looks at the deadline: a fraction of a millisecond where the code is optimised.
const SLICE: u32 = 1_000;

/// Bytes of a block of both hashes.
const BLOCK: usize = 64;

/// The number of the only block of output.
const FIRST_BLOCK: [u8; 4] = [0, 0, 0, 1];

/// FIPS 180-4, section 5.3.1.
const SHA1_START: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// FIPS 180-4, section 5.3.3.
const SHA256_START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn the_reference_derives_the_same() {
        let long = [b'k'; 200];
        for password in [&b""[..], b"pencil", &long[..64], &long[..65], &long] {
            for salt in [&b""[..], b"salt", &long] {
                for rounds in [1, 2, 999, 1_000, 1_001, 1_002, 4_096] {
                    let (mut one, mut other) = ([0; 20], [0; 32]);
                    ::pbkdf2::pbkdf2::<Hmac<Sha1>>(password, salt, rounds, &mut one).unwrap();
                    ::pbkdf2::pbkdf2::<Hmac<Sha256>>(password, salt, rounds, &mut other).unwrap();
                    let case = (password.len(), salt.len(), rounds);
                    assert_eq!(*sha1(password, salt, rounds, Deadline::NEVER).unwrap(), one, "{case:?}");
                    assert_eq!(*sha256(password, salt, rounds, Deadline::NEVER).unwrap(), other, "{case:?}");
                }
            }
        }
    }

    #[test]
    fn a_deadline_ends_it() {
        for derive in [sha1, sha256] {
            let began = Instant::now();
            assert!(derive(b"pencil", b"salt", u32::MAX, Deadline::after(Duration::from_millis(20))).is_none());
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        }
    }
}
