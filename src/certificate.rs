//! Facts about certificates that more than one part of the crate needs.

use std::time::SystemTime;

/// The client certificate that a server was shown: what an error about a refusal says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PresentedCertificate {
    /// Its subject, as RFC 2253 writes it.
    pub(crate) subject: String,
    /// The authority that issued it.
    pub(crate) issuer: String,
    /// The beginning of its validity, as `2026-11-23 05:00:00 UTC`.
    pub(crate) begins: String,
    /// The end of its validity.
    pub(crate) expires: String,
    /// Whether its extendedKeyUsage forbids its use by clients.
    pub(crate) not_for_clients: bool,
    /// How many certificates of its issuers were sent with it.
    pub(crate) issuers_sent: usize,
}

impl PresentedCertificate {
    /// What to do about a server that refuses it, as far as the certificate itself shows a reason.
    pub(crate) fn refusal_hint(&self, now: SystemTime) -> String {
        let PresentedCertificate { subject, issuer, begins, expires, .. } = self;
        // Written like this, the later moment is the greater string.
        let now = moment(now);
        if now > *expires {
            return format!(
                "the client certificate {subject} expired on {expires}: replace it in tlsCertificateKeyFile"
            );
        }
        if now < *begins {
            return format!(
                "the client certificate {subject} is not valid before {begins}: check this machine's clock, and the certificate"
            );
        }
        if self.not_for_clients {
            return format!(
                "the client certificate {subject} is not issued for clients (its extendedKeyUsage lacks clientAuth): \
                 use one that is"
            );
        }
        if self.issuers_sent == 0 && subject != issuer {
            return format!(
                "the client certificate {subject} was sent without its issuer {issuer}: if that is an intermediate authority, add \
                 its certificate to tlsCertificateKeyFile; otherwise the server's CA file must hold {issuer}. The server's log \
                 says why it refused"
            );
        }
        format!(
            "does the server trust {issuer}, which issued the client certificate {subject}? Its log says why it refused"
        )
    }
}

/// A moment as the fields of a [`PresentedCertificate`] have it.
fn moment(time: SystemTime) -> String {
    let text = bson::DateTime::from_system_time(time).try_to_rfc3339_string().unwrap_or_default().replacen('T', " ", 1);
    format!("{} UTC", text.get(..MOMENT_LENGTH).unwrap_or_default())
}

/// For a server that ended the connection where no client certificate was sent.
pub(crate) const NO_CLIENT_CERTIFICATE_HINT: &str =
    "does the server want a client certificate (tlsCertificateKeyFile)? Its log says why it closed the connection";
/// `2026-11-23 05:00:00`
const MOMENT_LENGTH: usize = 19;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_hint_names_the_first_fault_that_shows() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000); // 2001-09-09 01:46:40
        let fine = PresentedCertificate {
            subject: "CN=ann".to_owned(),
            issuer: "CN=authority".to_owned(),
            begins: "2001-01-01 00:00:00 UTC".to_owned(),
            expires: "2002-01-01 00:00:00 UTC".to_owned(),
            not_for_clients: false,
            issuers_sent: 1,
        };
        let expired = PresentedCertificate { expires: "2001-09-09 01:46:39 UTC".to_owned(), ..fine.clone() };
        let early = PresentedCertificate { begins: "2001-09-09 01:46:41 UTC".to_owned(), ..fine.clone() };
        let server = PresentedCertificate { not_for_clients: true, ..fine.clone() };
        let alone = PresentedCertificate { issuers_sent: 0, ..fine.clone() };
        for (certificate, words) in [
            (fine, "does the server trust CN=authority"),
            (expired, "CN=ann expired on 2001-09-09 01:46:39 UTC"),
            (early, "not valid before 2001-09-09 01:46:41 UTC"),
            (server, "lacks clientAuth"),
            (alone, "sent without its issuer CN=authority"),
        ] {
            let hint = certificate.refusal_hint(now);
            assert!(hint.contains(words), "{hint}");
        }
    }
}
