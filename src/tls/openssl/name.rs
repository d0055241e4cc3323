//! The names in certificates.

use ::openssl::x509::X509NameRef;

/// A name as RFC 2253 writes it: the last part first, commas between, what is special escaped.
pub(super) fn rfc2253(name: &X509NameRef) -> String {
    let mut parts = Vec::new();
    for entry in name.entries() {
        let object = entry.object();
        let kind = object.nid().short_name().map_or_else(|_| object.to_string(), str::to_owned);
        let value = entry.data().to_string().unwrap_or_default();
        parts.push(format!("{kind}={}", escaped(&value)));
    }
    parts.reverse();
    parts.join(",")
}

fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::new();
    for (position, character) in value.chars().enumerate() {
        let edge = (character == '#' && position == 0) || (character == ' ' && (position == 0 || position == last));
        if edge || ",+\"\\<>;".contains(character) {
            text.push('\\');
        }
        push_printable(&mut text, character);
    }
    text
}

/// The text without what a terminal or a log would obey: control characters as `\0A`, as RFC 2253 writes bytes.
pub(super) fn printable(text: &str) -> String {
    let mut printed = String::new();
    for character in text.chars() {
        push_printable(&mut printed, character);
    }
    printed
}

fn push_printable(text: &mut String, character: char) {
    if !character.is_control() {
        return text.push(character);
    }
    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
        text.push_str(&format!("\\{byte:02X}"));
    }
}
