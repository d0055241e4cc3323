//! The fields of a certificate, read from its DER; the same for every backend.

use std::time::SystemTime;

use super::der::{GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, Reader, SEQUENCE, SET, UTC_TIME, Value};
use super::oid;
use crate::certificate::PresentedCertificate;

/// Subject, issuer and validity of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    /// The subject, as RFC 2253 writes it and MongoDB names its users.
    pub(super) subject: String,
    /// The authority that issued it, likewise.
    issuer: String,
    /// The validity as `2026-11-23 05:00:00` in UTC. In this form the order of the strings is the order of the times.
    begins: String,
    ends: String,
}

impl Certificate {
    /// Reads a certificate; `None` if the bytes are not one.
    pub(super) fn read(der: &[u8]) -> Option<Certificate> {
        let mut signed = Reader::new(der).inside(SEQUENCE)?.inside(SEQUENCE)?;
        // An explicit version may come before the serial number.
        if signed.next()?.tag != INTEGER {
            signed.inside(INTEGER)?;
        }
        signed.inside(SEQUENCE)?; // the signature's algorithm
        let issuer = distinguished_name(signed.inside(SEQUENCE)?)?;
        let mut validity = signed.inside(SEQUENCE)?;
        let (begins, ends) = (moment(validity.next()?)?, moment(validity.next()?)?);
        let subject = distinguished_name(signed.inside(SEQUENCE)?)?;
        Some(Certificate { subject, issuer, begins, ends })
    }

    /// The details for an error when a server refuses it. `der` is the certificate itself, `issuers_sent` the number
    /// of certificates that are sent with it.
    pub(super) fn presented(&self, der: &[u8], issuers_sent: usize) -> PresentedCertificate {
        PresentedCertificate {
            subject: self.subject.clone(),
            issuer: self.issuer.clone(),
            begins: format!("{} UTC", self.begins),
            expires: format!("{} UTC", self.ends),
            not_for_clients: is_not_for_clients(der),
            issuers_sent,
        }
    }

    /// Why it is not valid at this time, if it is not.
    pub(super) fn not_valid_at(&self, time: SystemTime) -> Option<String> {
        let now = bson::DateTime::from_system_time(time).try_to_rfc3339_string().ok()?.replacen('T', " ", 1);
        let now = now.get(..MOMENT_LENGTH)?;
        if now > self.ends.as_str() {
            Some(format!("expired on {} UTC", self.ends))
        } else if now < self.begins.as_str() {
            Some(format!("is not valid before {} UTC", self.begins))
        } else {
            None
        }
    }
}

/// What an extension of a certificate (DER) holds: Certificate, TBSCertificate, the context's tag 3, Extensions,
/// Extension with that identifier. An extension whose value is no OCTET STRING is returned as empty.
pub(super) fn extension<'a>(certificate: &'a [u8], identifier: &[u8]) -> Option<&'a [u8]> {
    let mut fields = Reader::new(certificate).inside(SEQUENCE)?.inside(SEQUENCE)?;
    let mut extensions = loop {
        let Value { tag, body } = fields.next()?;
        if tag == EXTENSIONS {
            break Reader::new(body).inside(SEQUENCE)?;
        }
    };
    loop {
        let mut extension = extensions.inside(SEQUENCE)?;
        if extension.next()? != (Value { tag: OBJECT_IDENTIFIER, body: identifier }) {
            continue;
        }
        let mut value = extension.next()?;
        if value.tag == BOOLEAN {
            value = extension.next()?; // after whether it is critical
        }
        return Some(if value.tag == OCTET_STRING { value.body } else { &[] });
    }
}

/// Whether a certificate (DER) has a DNS name in subjectAltName (RFC 5280, 4.2.1.6).
pub(super) fn has_dns_name(certificate: &[u8]) -> bool {
    let Some(mut names) =
        extension(certificate, SUBJECT_ALT_NAME).and_then(|value| Reader::new(value).inside(SEQUENCE))
    else {
        return false;
    };
    std::iter::from_fn(|| names.next()).any(|name| name.tag == DNS_NAME)
}

/// Whether a certificate (DER) has an extendedKeyUsage that lacks clientAuth.
fn is_not_for_clients(certificate: &[u8]) -> bool {
    let usage = extension(certificate, EXTENDED_KEY_USAGE).and_then(|value| Reader::new(value).inside(SEQUENCE));
    usage.is_some_and(|mut purposes| {
        !std::iter::from_fn(|| purposes.next()).any(|purpose| [CLIENT_AUTH, ANY_PURPOSE].contains(&purpose.body))
    })
}

/// A name (its DER) as RFC 2253 writes it: the last part first, commas between, what is special escaped. As in the
/// names of MongoDB's users, each byte of a letter beyond ASCII is escaped as `\C3` (control characters too), and a
/// kind of value that has no short name is a number.
#[cfg(any(test, not(any(windows, target_os = "macos", mongo_blocking_native_tls))))]
pub(super) fn name_text(der: &[u8]) -> Option<String> {
    distinguished_name(Reader::new(der).inside(SEQUENCE)?)
}

fn distinguished_name(mut name: Reader<'_>) -> Option<String> {
    let mut parts = Vec::new();
    while !name.is_empty() {
        let (mut set, mut together) = (name.inside(SET)?, Vec::new());
        while !set.is_empty() {
            let mut pair = set.inside(SEQUENCE)?;
            let kind = pair.next().filter(|value| value.tag == OBJECT_IDENTIFIER)?;
            together.push(format!("{}={}", oid::name(kind.body)?, escaped(&string(pair.next()?)?)));
        }
        together.reverse();
        parts.push(together.join("+"));
    }
    parts.reverse();
    Some(parts.join(","))
}

/// The text of a value, by the kind of string that it is.
fn string(value: Value<'_>) -> Option<String> {
    match value.tag {
        BMP_STRING => {
            let units = value.body.chunks_exact(2).filter_map(|unit| unit.try_into().ok()).map(u16::from_be_bytes);
            Some(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
        }
        UNIVERSAL_STRING => {
            let units = value.body.chunks_exact(4).filter_map(|unit| unit.try_into().ok()).map(u32::from_be_bytes);
            Some(units.map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
        }
        // Latin-1, in effect.
        T61_STRING => Some(value.body.iter().copied().map(char::from).collect()),
        _ => Some(String::from_utf8_lossy(value.body).into_owned()),
    }
}

fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::new();
    for (position, character) in value.chars().enumerate() {
        let edge = (character == '#' && position == 0) || (character == ' ' && (position == 0 || position == last));
        if edge || ",+\"\\<>;".contains(character) {
            text.push('\\');
        }
        if character.is_ascii() { push_printable(&mut text, character) } else { push_bytes(&mut text, character) }
    }
    text
}

/// The text with control characters escaped as `\0A`, as RFC 2253 writes bytes: a terminal or a log would act on them.
#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
pub(super) fn printable(text: &str) -> String {
    let mut printed = String::new();
    for character in text.chars() {
        push_printable(&mut printed, character);
    }
    printed
}

fn push_printable(text: &mut String, character: char) {
    if character.is_control() { push_bytes(text, character) } else { text.push(character) }
}

fn push_bytes(text: &mut String, character: char) {
    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
        text.push_str(&format!("\\{byte:02X}"));
    }
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, the only forms that RFC 5280 allows, as `YYYY-MM-DD HH:MM:SS`.
fn moment(value: Value<'_>) -> Option<String> {
    let text = std::str::from_utf8(value.body).ok()?.strip_suffix('Z')?;
    let text = match value.tag {
        UTC_TIME if text.len() == 12 => format!("{}{text}", if text >= "50" { "19" } else { "20" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    if text.len() != 14 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    Some(format!("{}-{}-{} {}:{}:{}", part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 12), part(12, 14)))
}

/// `[3] EXPLICIT`
const EXTENSIONS: u8 = 0xa3;
const BOOLEAN: u8 = 1;
const OCTET_STRING: u8 = 4;
/// `[2] IMPLICIT`, among the kinds of names.
const DNS_NAME: u8 = 0x82;
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
/// 2.5.29.37
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
/// 1.3.6.1.5.5.7.3.2
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
/// anyExtendedKeyUsage, 2.5.29.37.0
const ANY_PURPOSE: &[u8] = &[0x55, 0x1d, 37, 0];
const T61_STRING: u8 = 0x14;
const UNIVERSAL_STRING: u8 = 0x1c;
const BMP_STRING: u8 = 0x1e;
/// `2026-11-23 05:00:00`
const MOMENT_LENGTH: usize = 19;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments() {
        let utc = |text: &'static str| moment(Value { tag: UTC_TIME, body: text.as_bytes() });
        let general = |text: &'static str| moment(Value { tag: GENERALIZED_TIME, body: text.as_bytes() });
        assert_eq!(utc("491231235959Z").unwrap(), "2049-12-31 23:59:59");
        assert_eq!(utc("500101000000Z").unwrap(), "1950-01-01 00:00:00");
        assert_eq!(general("20500101000000Z").unwrap(), "2050-01-01 00:00:00");
        for wrong in ["4912312359Z", "491231235959", "491231235959+0100", "49123123595xZ", "Z", ""] {
            assert_eq!((utc(wrong), general(wrong)), (None, None), "{wrong}");
        }
    }

    /// Kinds of strings that MongoDB does not log in with; the others are in tests/tls/x509_subjects.rs.
    #[test]
    fn wide_strings() {
        let text = |tag: u8, body: &'static [u8]| string(Value { tag, body }).unwrap();
        assert_eq!(text(T61_STRING, b"Zo\xeb"), "Zoë");
        assert_eq!(text(BMP_STRING, &[0, b'Z', 0, b'o', 0, 0xeb]), "Zoë");
        assert_eq!(text(BMP_STRING, &[0xd8, 0x3d, 0xde, 0x00, 0xd8, 0x3d]), "😀\u{fffd}");
        assert_eq!(text(UNIVERSAL_STRING, &[0, 0, 0, b'Z', 0, 1, 0xf6, 0, 0, 0x11, 0, 0]), "Z😀\u{fffd}");
        assert_eq!(escaped(" #a\u{1b}[2J\u{85}\në "), "\\ #a\\1B[2J\\C2\\85\\0A\\C3\\AB\\ ");
    }

    #[test]
    fn what_is_no_certificate() {
        for der in [&[][..], &[0x30, 0], &[0x30, 2, 0x30, 0], b"hello", &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(Certificate::read(der), None);
            assert_eq!(name_text(der).filter(|name| !name.is_empty()), None);
        }
    }

    #[test]
    fn validity() {
        let certificate = Certificate {
            subject: String::new(),
            issuer: String::new(),
            begins: "2001-09-09 01:46:40".to_owned(),
            ends: "2001-09-09 01:46:42".to_owned(),
        };
        let at = |second: u64| certificate.not_valid_at(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        assert!(at(999_999_999).unwrap().contains("not valid before 2001-09-09 01:46:40 UTC"));
        assert_eq!((at(1_000_000_000), at(1_000_000_002)), (None, None));
        assert!(at(1_000_000_003).unwrap().contains("expired on 2001-09-09 01:46:42 UTC"));
    }
}
