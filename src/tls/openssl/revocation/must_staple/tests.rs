use ::openssl::asn1::{Asn1Object, Asn1OctetString};
use ::openssl::pkey::PKey;
use ::openssl::x509::extension::BasicConstraints;
use ::openssl::x509::{X509Builder, X509Extension};

use super::*;

const PROMISE: &[u8] = &[0x30, 3, 2, 1, 5];

/// A certificate with these TLS features.
fn certificate(features: Option<&[u8]>, critical: bool) -> Vec<u8> {
    let key = PKey::generate_ed25519().unwrap();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    if let Some(features) = features {
        let oid = Asn1Object::from_str("1.3.6.1.5.5.7.1.24").unwrap();
        let value = Asn1OctetString::new_from_bytes(features).unwrap();
        builder.append_extension(X509Extension::new_from_der(&oid, critical, &value).unwrap()).unwrap();
    }
    builder.sign(&key, ::openssl::hash::MessageDigest::null()).unwrap();
    builder.build().to_der().unwrap()
}

#[test]
fn the_promise_is_found() {
    let cases: [(&str, Option<&[u8]>, bool); 9] = [
        ("no such extension", None, false),
        ("status_request", Some(PROMISE), true),
        ("status_request and its second version", Some(&[0x30, 6, 2, 1, 17, 2, 1, 5]), true),
        ("another feature", Some(&[0x30, 3, 2, 1, 17]), false),
        ("a number that only begins with it", Some(&[0x30, 4, 2, 2, 5, 0]), false),
        ("no feature", Some(&[0x30, 0]), false),
        ("not a sequence", Some(&[2, 1, 5]), true),
        ("cut off", Some(&[0x30, 3, 2, 1]), true),
        ("more after it", Some(&[0x30, 3, 2, 1, 17, 0]), true),
    ];
    for (case, features, promised) in cases {
        for critical in [false, true] {
            assert_eq!(is_promised(&certificate(features, critical)), promised, "{case}, critical: {critical}");
        }
    }
}

/// A changed byte may lead anywhere but astray: no panic, and no end of it.
#[test]
fn no_bytes_do_harm() {
    let whole = certificate(Some(PROMISE), true);
    for length in 0..whole.len() {
        let _ = is_promised(&whole[..length]);
    }
    for at in 0..whole.len() {
        for value in 0..=u8::MAX {
            let mut changed = whole.clone();
            changed[at] = value;
            let _ = is_promised(&changed);
        }
    }
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..20_000 {
        let mut changed = whole.clone();
        for _ in 0..4 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = usize::try_from(state % changed.len() as u64).unwrap();
            changed[at] = state.to_be_bytes()[0];
        }
        let _ = is_promised(&changed);
    }
}

/// Outside of what the signature covers, no change takes the promise away; and none that leaves the extension's own
/// bytes and all lengths around it alone.
#[test]
fn the_promise_stays_whatever_else_changes() {
    let whole = certificate(Some(PROMISE), false);
    let own: Vec<u8> = [&[6, 8][..], TLS_FEATURE, &[4, 5], PROMISE].concat();
    let begin = whole.windows(own.len()).position(|window| window == own).unwrap();
    for at in begin + own.len()..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0xff;
        assert!(is_promised(&changed), "byte {at}");
    }
}
