//! The service's name, as Kerberos wants it.

use crate::credential::GssapiCredential;

/// The name of a server's service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// `service@host`: the library finds the realm, and may make the host canonical as its configuration says.
    HostBased(String),
    /// `service/host@REALM`: a complete principal. With nothing after the `@` the KDC finds the realm (a referral), and the
    /// library does not make the host canonical once more.
    Principal(String),
}

impl Service {
    /// The service at `host`, which is canonical by now if that was asked for.
    pub(super) fn new(credential: &GssapiCredential, host: &str) -> Service {
        let name = &credential.service_name;
        let principal =
            |realm: &str| Service::Principal(format!("{}/{}@{}", escaped(name), escaped(host), escaped(realm)));
        match (&credential.service_realm, credential.canonicalize_host_name) {
            (Some(realm), _) => principal(realm),
            (None, Some(_)) => principal(""),
            (None, None) => Service::HostBased(format!("{name}@{host}")),
        }
    }

    #[cfg(test)]
    fn text(&self) -> &str {
        match self {
            Service::HostBased(name) | Service::Principal(name) => name,
        }
    }
}

/// The usual form (`mongodb/host@REALM`), for errors and for SSPI.
pub(super) fn written(credential: &GssapiCredential, host: &str) -> String {
    match &credential.service_realm {
        Some(realm) => format!("{}/{host}@{realm}", credential.service_name),
        None => format!("{}/{host}", credential.service_name),
    }
}

/// With the characters escaped that part a principal's name.
fn escaped(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for character in part.chars() {
        if matches!(character, '@' | '/' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::gssapi::tests::credential;
    use crate::credential::CanonicalizeHostName;

    #[test]
    fn a_service_is_host_based_unless_more_is_said() {
        let mut credential = credential("ann@CLIENTS.LOCAL");
        assert_eq!(Service::new(&credential, "db.local"), Service::HostBased("mongodb@db.local".to_owned()));
        credential.canonicalize_host_name = Some(CanonicalizeHostName::None);
        assert_eq!(Service::new(&credential, "db.local"), Service::Principal("mongodb/db.local@".to_owned()));
        credential.service_realm = Some("SERVERS.LOCAL".to_owned());
        assert_eq!(Service::new(&credential, "db.local").text(), "mongodb/db.local@SERVERS.LOCAL");
        credential.canonicalize_host_name = None;
        credential.service_name = "db".to_owned();
        assert_eq!(Service::new(&credential, "h"), Service::Principal("db/h@SERVERS.LOCAL".to_owned()));
        assert_eq!(written(&credential, "h"), "db/h@SERVERS.LOCAL");
    }

    /// A name server must not be able to choose the realm.
    #[test]
    fn a_host_cannot_smuggle_in_a_realm() {
        let mut credential = credential("ann");
        credential.canonicalize_host_name = Some(CanonicalizeHostName::Forward);
        assert_eq!(Service::new(&credential, "a@EVIL/x\\").text(), r"mongodb/a\@EVIL\/x\\@");
    }
}
