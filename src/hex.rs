//! Hexadecimal digits.

/// Each byte as two digits, in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    // Room for all of it at the start, so that growth leaves no part of a secret behind.
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        digits.extend([byte >> 4, byte & 15].iter().filter_map(|digit| char::from_digit((*digit).into(), 16)));
    }
    digits
}
