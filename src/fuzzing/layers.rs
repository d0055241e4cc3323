//! The last message of GSSAPI: the security layers that the server offers.

use crate::auth::answer_to_layers;

/// An offer of security layers: it is answered only if it has four bytes and the layer "none" is in it, by that layer and the
/// user's name, and by nothing else.
pub fn gssapi_layers(data: &[u8]) {
    match answer_to_layers("ann@EXAMPLE.COM", data) {
        Ok(answer) => {
            assert!(data.len() == 4 && data.first().is_some_and(|layers| layers & 1 == 1));
            assert_eq!(answer.as_slice(), b"\x01\0\0\0ann@EXAMPLE.COM");
        }
        Err(error) => {
            assert!(data.len() != 4 || data.first().is_none_or(|layers| layers & 1 == 0), "{error}");
            assert!(!format!("{error:#}").contains(char::is_control));
        }
    }
}
