//! Small helpers for answers.

use bson::{Bson, Document, doc};

/// An answer with `ok: 0`.
pub(crate) fn error(code: i32, message: &str) -> Document {
    let mut answer = doc! {"ok": 0.0, "errmsg": message, "code": code};
    if let Some((_, name)) = NAMES.iter().find(|(c, _)| *c == code) {
        answer.insert("codeName", *name);
    }
    answer
}

/// A whole number of any BSON type.
pub(crate) fn integer(value: Option<&Bson>) -> Option<i64> {
    match value? {
        Bson::Int32(n) => Some(i64::from(*n)),
        Bson::Int64(n) => Some(*n),
        Bson::Double(n) if n.fract() == 0.0 => Some(*n as i64),
        _ => None,
    }
}

/// A yes or no, as servers read them: a boolean or a number.
pub(crate) fn truth(value: Option<&Bson>) -> bool {
    matches!(value, Some(Bson::Boolean(true))) || integer(value).is_some_and(|n| n != 0)
}

const NAMES: [(i32, &str); 24] = [
    (2, "BadValue"),
    (6, "HostUnreachable"),
    (7, "HostNotFound"),
    (9, "FailedToParse"),
    (13, "Unauthorized"),
    (14, "TypeMismatch"),
    (16, "InvalidLength"),
    (17, "ProtocolError"),
    (18, "AuthenticationFailed"),
    (26, "NamespaceNotFound"),
    (43, "CursorNotFound"),
    (50, "MaxTimeMSExpired"),
    (59, "CommandNotFound"),
    (89, "NetworkTimeout"),
    (91, "ShutdownInProgress"),
    (186, "ClientMetadataCannotBeMutated"),
    (189, "PrimarySteppedDown"),
    (238, "NotImplemented"),
    (262, "ExceededTimeLimit"),
    (334, "MechanismUnavailable"),
    (391, "ReauthenticationRequired"),
    (10107, "NotWritablePrimary"),
    (11600, "InterruptedAtShutdown"),
    (11602, "InterruptedDueToReplStateChange"),
];
