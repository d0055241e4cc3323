//! The codes with which SChannel, the certificate and key stores of Windows, and Secure Transport fail, and what they
//! mean.
//!
//! The system's text for a code is in the user's language, so only the code is used.

/// The meaning of a code, with its message and its hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    // The server's certificate was refused.
    UnknownAuthority,
    NotValidNow,
    WrongName,
    Revoked,
    RevocationUnknown,
    WrongPurpose,
    BadSignature,
    BadChain,
    BadCertificate,
    // The two sides found no common protocol, or did not understand each other.
    NoCommonProtocol,
    NotTls,
    ServerRefused,
    InternalError,
    ConnectionClosed,
    ChangedOnTheWay,
    // The client's own certificate.
    OwnCertificateWanted,
    OwnCertificateRefused,
    OwnKeyUnusable,
    OwnBundleNotOpened,
    // The platform itself.
    PlatformFailed,
}

/// A code that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) meaning: Meaning,
}

impl Meaning {
    /// Whether it is about the server's certificate.
    pub(super) fn is_of_server_certificate(self) -> bool {
        use Meaning::*;
        matches!(
            self,
            UnknownAuthority
                | NotValidNow
                | WrongName
                | Revoked
                | RevocationUnknown
                | WrongPurpose
                | BadSignature
                | BadChain
                | BadCertificate
        )
    }

    /// The message.
    pub(super) fn words(self) -> &'static str {
        match self {
            Meaning::UnknownAuthority => "it is not from an authority that is trusted",
            Meaning::NotValidNow => "it has expired, or is not yet valid",
            Meaning::WrongName => "hostname mismatch: it is for another name",
            Meaning::Revoked => "its authority has revoked it",
            Meaning::RevocationUnknown => "the platform could not find out whether it is revoked",
            Meaning::WrongPurpose => "it is not issued for servers (purpose)",
            Meaning::BadSignature => "a signature in its chain is not valid",
            Meaning::BadChain => "its chain breaks the rules for authorities",
            Meaning::BadCertificate => "the platform cannot read it",
            Meaning::NoCommonProtocol => "client and server have no protocol version or cipher in common",
            Meaning::NotTls => "the server answered with something that is not TLS",
            Meaning::ServerRefused => "the server broke off with an alert",
            Meaning::InternalError => "an internal error, of the server or of the platform's TLS",
            Meaning::ConnectionClosed => "the connection was closed",
            Meaning::ChangedOnTheWay => "a message was changed on the way, or one side computes wrongly",
            Meaning::OwnCertificateWanted => "the server wants a client certificate",
            Meaning::OwnCertificateRefused => "the server sent an alert: it does not accept the client certificate",
            Meaning::OwnKeyUnusable => "the platform cannot use the key of the client certificate",
            Meaning::OwnBundleNotOpened => "the password does not open the PKCS#12 bundle",
            Meaning::PlatformFailed => "the platform's TLS failed",
        }
    }

    /// The hint. Errors about a certificate or key whose source is known have a better one.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Meaning::UnknownAuthority => {
                "if the server's authority is a private one, name its certificate with tlsCAFile"
            }
            Meaning::NotValidNow => "check this machine's clock; if it is right, the server needs a new certificate",
            Meaning::WrongName => {
                "connect by one of the names in the certificate, or give the server a certificate for this one"
            }
            Meaning::Revoked => "the server needs a new certificate",
            Meaning::RevocationUnknown => {
                "the authority's list of revoked certificates cannot be had here: `certutil -verify -urlfetch CERTIFICATE` shows why"
            }
            Meaning::WrongPurpose => {
                "the server needs a certificate that is issued for servers (extendedKeyUsage serverAuth)"
            }
            Meaning::BadSignature => {
                "an authority of that name is trusted, with another key: does tlsCAFile name the current certificate of this server's authority?"
            }
            Meaning::BadChain | Meaning::BadCertificate => {
                "`openssl s_client -connect HOST:PORT -showcerts` shows what the server presents"
            }
            Meaning::NoCommonProtocol | Meaning::ServerRefused => {
                "the server may speak older versions of TLS only (1.2 and later are accepted here, unless min_tls_version says \
                 otherwise), or want a client certificate"
            }
            Meaning::NotTls => "the server does not seem to speak TLS on this port: is tls=true right, and the port?",
            Meaning::InternalError => {
                "the server's log has the reason; it may speak older versions of TLS only (1.2 and later are accepted here), or want a \
                 client certificate"
            }
            Meaning::ConnectionClosed => "does the server speak TLS on this port (tls=true), and TLS 1.2 or later?",
            Meaning::ChangedOnTheWay => {
                "try again; if it happens each time, something between client and server changes messages"
            }
            Meaning::OwnCertificateWanted => "give the client a certificate (tlsCertificateKeyFile)",
            Meaning::OwnCertificateRefused => {
                "the server must trust the authority of the client certificate, and the certificate must be valid and issued for clients"
            }
            Meaning::OwnKeyUnusable => {
                "`openssl pkey -in KEY -noout -check` checks the key; this user must be able to store keys"
            }
            Meaning::OwnBundleNotOpened => "check the password; a bundle that was cut short fails likewise",
            Meaning::PlatformFailed => "the system's event log may have the reason",
        }
    }
}

/// What is known of a code.
pub(super) fn known(code: i32) -> Option<Known> {
    let (_, name, meaning) = *CODES.iter().find(|(known, _, _)| *known == code)?;
    Some(Known { name, meaning })
}

/// A code in an error: its name, if it is known, and the number. Codes of macOS are looked up by their decimal
/// number.
pub(super) fn told(code: i32) -> String {
    let number = if is_of_macos(code) { format!("{code:#010x}, {code}") } else { format!("{code:#010x}") };
    match known(code) {
        Some(Known { name, .. }) => format!("{name}, {number}"),
        None => number,
    }
}

/// The code in an error of the platform. The crates give it only as text: that of the standard library ends
/// with `(os error -2146893048)`, that of macOS is written `Error { code: -9807, …` for programmers.
pub(super) fn code_in(display: &str, debug: &str) -> Option<i32> {
    let after = |(_, rest): (&str, &str)| {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '-').unwrap_or(rest.len());
        rest.get(..end)?.parse().ok()
    };
    display.rsplit_once("(os error ").and_then(after).or_else(|| debug.split_once("code: ").and_then(after))
}

/// OSStatus values are small negative numbers, HRESULTs are not.
fn is_of_macos(code: i32) -> bool {
    (-0xf_ffff..0).contains(&code)
}

/// An HRESULT as it is written everywhere.
const fn hresult(code: u32) -> i32 {
    code.cast_signed()
}

use Meaning::*;

/// `winerror.h` of Windows, `SecureTransport.h` and `SecBase.h` of macOS.
const CODES: &[(i32, &str, Meaning)] = &[
    // Verdicts about a chain of certificates.
    (hresult(0x800b_0101), "CERT_E_EXPIRED", NotValidNow),
    (hresult(0x800b_0102), "CERT_E_VALIDITYPERIODNESTING", NotValidNow),
    (hresult(0x800b_0103), "CERT_E_ROLE", BadChain),
    (hresult(0x800b_0104), "CERT_E_PATHLENCONST", BadChain),
    (hresult(0x800b_0105), "CERT_E_CRITICAL", BadChain),
    (hresult(0x800b_0106), "CERT_E_PURPOSE", WrongPurpose),
    (hresult(0x800b_0107), "CERT_E_ISSUERCHAINING", BadChain),
    (hresult(0x800b_0108), "CERT_E_MALFORMED", BadCertificate),
    (hresult(0x800b_0109), "CERT_E_UNTRUSTEDROOT", UnknownAuthority),
    (hresult(0x800b_010a), "CERT_E_CHAINING", UnknownAuthority),
    (hresult(0x800b_010b), "TRUST_E_FAIL", BadChain),
    (hresult(0x800b_010c), "CERT_E_REVOKED", Revoked),
    (hresult(0x800b_010d), "CERT_E_UNTRUSTEDTESTROOT", UnknownAuthority),
    (hresult(0x800b_010e), "CERT_E_REVOCATION_FAILURE", RevocationUnknown),
    (hresult(0x800b_010f), "CERT_E_CN_NO_MATCH", WrongName),
    (hresult(0x800b_0110), "CERT_E_WRONG_USAGE", WrongPurpose),
    (hresult(0x800b_0111), "TRUST_E_EXPLICIT_DISTRUST", UnknownAuthority),
    (hresult(0x800b_0112), "CERT_E_UNTRUSTEDCA", UnknownAuthority),
    (hresult(0x800b_0113), "CERT_E_INVALID_POLICY", BadChain),
    (hresult(0x800b_0114), "CERT_E_INVALID_NAME", BadChain),
    (hresult(0x8009_6004), "TRUST_E_CERT_SIGNATURE", BadSignature),
    (hresult(0x8009_6019), "TRUST_E_BASIC_CONSTRAINTS", BadChain),
    (hresult(0x8009_2002), "CRYPT_E_BAD_ENCODE", BadCertificate),
    (hresult(0x8009_2010), "CRYPT_E_REVOKED", Revoked),
    (hresult(0x8009_2011), "CRYPT_E_NO_REVOCATION_DLL", RevocationUnknown),
    (hresult(0x8009_2012), "CRYPT_E_NO_REVOCATION_CHECK", RevocationUnknown),
    (hresult(0x8009_2013), "CRYPT_E_REVOCATION_OFFLINE", RevocationUnknown),
    (hresult(0x8009_2014), "CRYPT_E_NOT_IN_REVOCATION_DATABASE", RevocationUnknown),
    // SChannel. It leaves the server's certificate to us, so what it says of certificates is an alert of the server about ours.
    (hresult(0x8009_0301), "SEC_E_INVALID_HANDLE", PlatformFailed),
    (hresult(0x8009_0302), "SEC_E_UNSUPPORTED_FUNCTION", NoCommonProtocol),
    (hresult(0x8009_0304), "SEC_E_INTERNAL_ERROR", InternalError),
    (hresult(0x8009_0305), "SEC_E_SECPKG_NOT_FOUND", PlatformFailed),
    (hresult(0x8009_0308), "SEC_E_INVALID_TOKEN", NotTls),
    (hresult(0x8009_030d), "SEC_E_UNKNOWN_CREDENTIALS", OwnKeyUnusable),
    (hresult(0x8009_030e), "SEC_E_NO_CREDENTIALS", OwnKeyUnusable),
    (hresult(0x8009_030f), "SEC_E_MESSAGE_ALTERED", ChangedOnTheWay),
    (hresult(0x8009_0311), "SEC_E_NO_AUTHENTICATING_AUTHORITY", NoCommonProtocol),
    (hresult(0x8009_0317), "SEC_E_CONTEXT_EXPIRED", ConnectionClosed),
    (hresult(0x8009_0318), "SEC_E_INCOMPLETE_MESSAGE", NotTls),
    (hresult(0x8009_0320), "SEC_E_INCOMPLETE_CREDENTIALS", OwnCertificateWanted),
    (0x0009_0320, "SEC_I_INCOMPLETE_CREDENTIALS", OwnCertificateWanted),
    (hresult(0x8009_0322), "SEC_E_WRONG_PRINCIPAL", WrongName),
    (hresult(0x8009_0325), "SEC_E_UNTRUSTED_ROOT", OwnCertificateRefused),
    (hresult(0x8009_0326), "SEC_E_ILLEGAL_MESSAGE", ServerRefused),
    (hresult(0x8009_0327), "SEC_E_CERT_UNKNOWN", OwnCertificateRefused),
    (hresult(0x8009_0328), "SEC_E_CERT_EXPIRED", OwnCertificateRefused),
    (hresult(0x8009_0329), "SEC_E_ENCRYPT_FAILURE", PlatformFailed),
    (hresult(0x8009_0330), "SEC_E_DECRYPT_FAILURE", ChangedOnTheWay),
    (hresult(0x8009_0331), "SEC_E_ALGORITHM_MISMATCH", NoCommonProtocol),
    (hresult(0x8009_0349), "SEC_E_CERT_WRONG_USAGE", OwnCertificateRefused),
    (hresult(0x8009_0352), "SEC_E_ISSUING_CA_UNTRUSTED", OwnCertificateRefused),
    (hresult(0x8009_035d), "SEC_E_INVALID_PARAMETER", PlatformFailed),
    // Stores of keys and certificates: what the client's own goes through.
    (hresult(0x8009_0003), "NTE_BAD_KEY", OwnKeyUnusable),
    (hresult(0x8009_0005), "NTE_BAD_DATA", OwnKeyUnusable),
    (hresult(0x8009_0007), "NTE_BAD_VER", OwnKeyUnusable),
    (hresult(0x8009_0008), "NTE_BAD_ALGID", OwnKeyUnusable),
    (hresult(0x8009_000a), "NTE_BAD_TYPE", OwnKeyUnusable),
    (hresult(0x8009_000d), "NTE_NO_KEY", OwnKeyUnusable),
    (hresult(0x8009_000f), "NTE_EXISTS", OwnKeyUnusable),
    (hresult(0x8009_0010), "NTE_PERM", OwnKeyUnusable),
    (hresult(0x8009_0016), "NTE_BAD_KEYSET", OwnKeyUnusable),
    (hresult(0x8009_0020), "NTE_FAIL", OwnKeyUnusable),
    (hresult(0x8009_0024), "NTE_TEMPORARY_PROFILE", OwnKeyUnusable),
    (hresult(0x8009_0029), "NTE_NOT_SUPPORTED", OwnKeyUnusable),
    (hresult(0x8009_310b), "CRYPT_E_ASN1_BADTAG", OwnKeyUnusable),
    (2, "ERROR_FILE_NOT_FOUND", OwnKeyUnusable),
    (5, "ERROR_ACCESS_DENIED", OwnKeyUnusable),
    (86, "ERROR_INVALID_PASSWORD", OwnBundleNotOpened),
    // Secure Transport.
    (-9800, "errSSLProtocol", NotTls),
    (-9801, "errSSLNegotiation", NoCommonProtocol),
    (-9802, "errSSLFatalAlert", ServerRefused),
    (-9805, "errSSLClosedGraceful", ConnectionClosed),
    (-9806, "errSSLClosedAbort", ConnectionClosed),
    (-9807, "errSSLXCertChainInvalid", UnknownAuthority),
    (-9808, "errSSLBadCert", BadCertificate),
    (-9809, "errSSLCrypto", PlatformFailed),
    (-9810, "errSSLInternal", PlatformFailed),
    (-9812, "errSSLUnknownRootCert", UnknownAuthority),
    (-9813, "errSSLNoRootCert", UnknownAuthority),
    (-9814, "errSSLCertExpired", NotValidNow),
    (-9815, "errSSLCertNotYetValid", NotValidNow),
    (-9816, "errSSLClosedNoNotify", ConnectionClosed),
    (-9818, "errSSLBadCipherSuite", NoCommonProtocol),
    (-9819, "errSSLPeerUnexpectedMsg", ServerRefused),
    (-9820, "errSSLPeerBadRecordMac", ChangedOnTheWay),
    (-9821, "errSSLPeerDecryptionFail", ChangedOnTheWay),
    (-9822, "errSSLPeerRecordOverflow", ServerRefused),
    (-9824, "errSSLPeerHandshakeFail", ServerRefused),
    (-9825, "errSSLPeerBadCert", OwnCertificateRefused),
    (-9826, "errSSLPeerUnsupportedCert", OwnCertificateRefused),
    (-9827, "errSSLPeerCertRevoked", OwnCertificateRefused),
    (-9828, "errSSLPeerCertExpired", OwnCertificateRefused),
    (-9829, "errSSLPeerCertUnknown", OwnCertificateRefused),
    (-9830, "errSSLIllegalParam", ServerRefused),
    (-9831, "errSSLPeerUnknownCA", OwnCertificateRefused),
    (-9832, "errSSLPeerAccessDenied", OwnCertificateRefused),
    (-9833, "errSSLPeerDecodeError", ServerRefused),
    (-9834, "errSSLPeerDecryptError", ServerRefused),
    (-9836, "errSSLPeerProtocolVersion", NoCommonProtocol),
    (-9837, "errSSLPeerInsufficientSecurity", NoCommonProtocol),
    (-9838, "errSSLPeerInternalError", InternalError),
    (-9839, "errSSLPeerUserCancelled", ServerRefused),
    (-9840, "errSSLPeerNoRenegotiation", ServerRefused),
    (-9842, "errSSLClientCertRequested", OwnCertificateWanted),
    (-9843, "errSSLHostNameMismatch", WrongName),
    (-9844, "errSSLConnectionRefused", ConnectionClosed),
    (-9845, "errSSLDecryptionFail", ChangedOnTheWay),
    (-9846, "errSSLBadRecordMac", ChangedOnTheWay),
    (-9847, "errSSLRecordOverflow", NotTls),
    (-9848, "errSSLBadConfiguration", PlatformFailed),
    // Verdicts of macOS about a chain, and about what a keychain takes.
    (-25263, "errSecNoTrustSettings", UnknownAuthority),
    (-25293, "errSecAuthFailed", OwnBundleNotOpened),
    (-25300, "errSecItemNotFound", OwnKeyUnusable),
    (-25318, "errSecCreateChainFailed", UnknownAuthority),
    (-67602, "errSecHostNameMismatch", WrongName),
    (-67609, "errSecInvalidExtendedKeyUsage", WrongPurpose),
    (-67654, "errSecTrustSettingDeny", UnknownAuthority),
    (-67818, "errSecCertificateExpired", NotValidNow),
    (-67819, "errSecCertificateNotValidYet", NotValidNow),
    (-67820, "errSecCertificateRevoked", Revoked),
    (-67843, "errSecNotTrusted", UnknownAuthority),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io;

    use super::*;

    #[test]
    fn each_code_stands_once_and_leads_to_words_and_a_remedy() {
        let codes: BTreeSet<i32> = CODES.iter().map(|(code, _, _)| *code).collect();
        let names: BTreeSet<&str> = CODES.iter().map(|(_, name, _)| *name).collect();
        assert_eq!((codes.len(), names.len()), (CODES.len(), CODES.len()));
        for (code, name, meaning) in CODES {
            assert_eq!(known(*code), Some(Known { name, meaning: *meaning }));
            assert!(told(*code).starts_with(name) && told(*code).contains("0x"), "{}", told(*code));
            assert!(meaning.words().len() > 10 && meaning.hint().len() > 10, "{meaning:?}");
            for switch in ["tlsInsecure", "tlsAllowInvalid", "danger"] {
                assert!(!meaning.hint().contains(switch), "{meaning:?}");
            }
        }
    }

    #[test]
    fn the_ones_that_are_met_most() {
        for (code, told_as, meaning) in [
            (0x800b_0109, "CERT_E_UNTRUSTEDROOT, 0x800b0109", UnknownAuthority),
            (0x800b_0101, "CERT_E_EXPIRED, 0x800b0101", NotValidNow),
            (0x800b_010f, "CERT_E_CN_NO_MATCH, 0x800b010f", WrongName),
            (0x8009_0322, "SEC_E_WRONG_PRINCIPAL, 0x80090322", WrongName),
            (0x800b_010e, "CERT_E_REVOCATION_FAILURE, 0x800b010e", RevocationUnknown),
            (0x8009_0331, "SEC_E_ALGORITHM_MISMATCH, 0x80090331", NoCommonProtocol),
            (0x8009_0308, "SEC_E_INVALID_TOKEN, 0x80090308", NotTls),
            (0xffff_d9b1, "errSSLXCertChainInvalid, 0xffffd9b1, -9807", UnknownAuthority),
        ] {
            let code = hresult(code);
            assert_eq!((told(code).as_str(), known(code).unwrap().meaning), (told_as, meaning));
            assert_eq!(meaning.is_of_server_certificate(), !matches!(meaning, NoCommonProtocol | NotTls));
        }
        assert_eq!((told(hresult(0x8009_9999)).as_str(), known(hresult(0x8009_9999))), ("0x80099999", None));
    }

    #[test]
    fn the_code_is_found_in_every_language_and_without_a_text() {
        let code = hresult(0x800b_0109);
        for text in ["", "Eine Zertifikatkette wurde zwar verarbeitet (siehe oben). ", "证书链 "] {
            assert_eq!(code_in(&format!("{text}(os error {code})"), ""), Some(code));
        }
        assert_eq!(code_in(&io::Error::from_raw_os_error(code).to_string(), ""), Some(code));
        let of_macos = r#"Error { code: -9807, message: "certificate chain: code: 1" }"#;
        assert_eq!(code_in("no code", of_macos), Some(-9807));
        assert_eq!(code_in("unexpected EOF during handshake", "Custom { kind: UnexpectedEof }"), None);
        assert_eq!(code_in("(os error 99999999999)", "code: x"), None);
    }
}
