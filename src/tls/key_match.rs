//! Whether a key belongs to a certificate, for a platform that does not check it.

use super::der::{INTEGER, OBJECT_IDENTIFIER, Reader, SEQUENCE};

/// Looks for the public half of a key (PKCS#8, RFC 5958) in a certificate, both DER. `None` where the key is of a kind
/// that is not known here, or does not hold its public half.
pub(super) fn belong_together(certificate: &[u8], key: &[u8]) -> Option<bool> {
    let public = public_key(certificate)?;
    let mut fields = Reader::new(key).inside(SEQUENCE)?;
    fields.inside(INTEGER)?; // the version
    let algorithm = fields.inside(SEQUENCE)?.next()?;
    let private = fields.next().filter(|value| value.tag == OCTET_STRING)?.body;
    match (algorithm.tag, algorithm.body) {
        (OBJECT_IDENTIFIER, RSA) => Some(modulus_of_private(private)? == modulus_of_public(public)?),
        (OBJECT_IDENTIFIER, EC) => Some(point_of_private(private)? == public),
        _ => None,
    }
}

/// Whether a key (PKCS#8, DER) is an RSA key.
#[cfg(any(test, windows))]
pub(super) fn is_rsa(key: &[u8]) -> bool {
    let algorithm = || {
        let mut fields = Reader::new(key).inside(SEQUENCE)?;
        fields.inside(INTEGER)?;
        fields.inside(SEQUENCE)?.next()
    };
    algorithm().is_some_and(|value| (value.tag, value.body) == (OBJECT_IDENTIFIER, RSA))
}

/// The bits of a certificate's subjectPublicKey (RFC 5280, 4.1).
fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let mut signed = Reader::new(certificate).inside(SEQUENCE)?.inside(SEQUENCE)?;
    // An explicit version may come before the serial number.
    if signed.next()?.tag != INTEGER {
        signed.inside(INTEGER)?;
    }
    for _ in 0..SIGNATURE_ISSUER_VALIDITY_SUBJECT {
        signed.inside(SEQUENCE)?;
    }
    let mut key = signed.inside(SEQUENCE)?;
    key.inside(SEQUENCE)?; // the algorithm
    bits(&mut key)
}

/// RSAPrivateKey (RFC 8017): the version, then the modulus.
fn modulus_of_private(key: &[u8]) -> Option<&[u8]> {
    let mut numbers = Reader::new(key).inside(SEQUENCE)?;
    numbers.inside(INTEGER)?;
    numbers.next().filter(|value| value.tag == INTEGER).map(|value| value.body)
}

/// RSAPublicKey: the modulus first.
fn modulus_of_public(key: &[u8]) -> Option<&[u8]> {
    Reader::new(key).inside(SEQUENCE)?.next().filter(|value| value.tag == INTEGER).map(|value| value.body)
}

/// ECPrivateKey (RFC 5915): the public half comes last, and need not be there.
fn point_of_private(key: &[u8]) -> Option<&[u8]> {
    let mut fields = Reader::new(key).inside(SEQUENCE)?;
    loop {
        let field = fields.next()?;
        if field.tag == PUBLIC_KEY {
            return bits(&mut Reader::new(field.body));
        }
    }
}

/// What a BIT STRING of whole bytes holds.
fn bits<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    reader.next().filter(|value| value.tag == BIT_STRING)?.body.strip_prefix(&[0])
}

const SIGNATURE_ISSUER_VALIDITY_SUBJECT: usize = 4;
/// 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
/// 1.2.840.10045.2.1
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const BIT_STRING: u8 = 3;
const OCTET_STRING: u8 = 4;
/// `[1] EXPLICIT`
const PUBLIC_KEY: u8 = 0xa1;

#[cfg(test)]
mod tests {
    use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose, Issued};

    use super::*;
    use crate::tls::pem;

    fn both(issued: &Issued) -> [Vec<u8>; 2] {
        [&issued.certificate, &issued.key].map(|text| pem::blocks(text)[0].der().unwrap().to_vec())
    }

    #[test]
    fn keys_and_certificates_find_each_other() {
        let authority = Authority::new();
        let [rsa, other_rsa] = ["a", "b"].map(|name| both(&authority.issue_rsa(CertPurpose::Client, name)));
        let [ec, other_ec] = ["a", "b"].map(|name| both(&authority.issue(CertPurpose::Server, name)));
        for [certificate, key] in [&rsa, &other_rsa, &ec, &other_ec] {
            assert_eq!(belong_together(certificate, key), Some(true));
        }
        for (certificate, key) in [(&rsa[0], &other_rsa[1]), (&ec[0], &other_ec[1]), (&rsa[0], &ec[1])] {
            assert_eq!(belong_together(certificate, key), Some(false));
        }
        assert_ne!(belong_together(&ec[0], &rsa[1]), Some(true));
        assert!(is_rsa(&rsa[1]) && !is_rsa(&ec[1]) && !is_rsa(b""));
    }

    #[test]
    fn a_changed_byte_makes_no_pair_of_strangers_and_no_panic() {
        let authority = Authority::new();
        let [one, other] = ["a", "b"].map(|name| both(&authority.issue(CertPurpose::Client, name)));
        for at in 0..other[1].len() {
            let mut key = other[1].clone();
            key[at] = key[at].wrapping_add(1);
            assert_ne!(belong_together(&one[0], &key), Some(true), "{at}");
            assert_ne!(belong_together(&one[0], &other[1][..at]), Some(true), "{at}");
        }
        for at in 0..one[0].len() {
            assert_ne!(belong_together(&one[0][..at], &one[1]), Some(true), "{at}");
        }
        assert_eq!(belong_together(b"", b""), None);
    }
}
