//! Errors of the Kerberos library, with the names that were used and a remedy.

use super::TICKET_STAGE;
use crate::deadline::Deadline;
use crate::error::{Error, FaultKind, Stage, codes};
use crate::helper_thread::HelperError;

/// A call of the library that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What the call was for, for messages (`getting a ticket`).
    pub(crate) call: &'static str,
    /// The text of its major status.
    pub(crate) major: String,
    /// The text of its minor status, perhaps empty.
    pub(crate) minor: String,
    pub(crate) cause: Cause,
    /// Whether it was about the user's own credentials, not yet about the service.
    pub(crate) of_user: bool,
}

/// The cause, as far as the codes show it. The remedy depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    NoTicket,
    /// The cache or the keytab has credentials, but for another principal.
    OtherPrincipal,
    TicketExpired,
    WrongPassword,
    /// The KDC refused the user name or the password. The library does not report which.
    #[cfg_attr(not(all(feature = "gssapi", windows)), allow(dead_code))] // SSPI alone has it.
    UserOrPassword,
    PasswordExpired,
    Revoked,
    UnknownUser,
    UnknownService,
    UnknownRealm,
    KdcUnreachable,
    NoKey,
    ClockSkew,
    /// A token of the server is not valid.
    BadToken,
    Other,
}

/// What a login tries: it is named in every error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tried {
    /// The user's principal.
    pub(crate) user: String,
    /// The service's principal.
    pub(crate) service: String,
    /// The service's realm, where it was given or the library has one for the host.
    pub(crate) realm: Option<String>,
    /// Where the user's credentials come from, for messages.
    pub(crate) credentials: String,
    pub(crate) origin: Origin,
}

/// What kind of credentials those are, which a remedy depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    Password,
    /// A keytab that was named for this client.
    Keytab,
    /// A ticket cache, or whatever the system has.
    #[default]
    Cache,
}

impl Tried {
    /// The error for a failure of the library.
    pub(super) fn error(&self, stage: Stage, failure: Failure) -> Error {
        let Failure { call, major, minor, cause, of_user } = failure;
        let mut message = format!("{call}: {major}");
        if !minor.is_empty() && minor != major {
            message += &format!(": {minor}");
        }
        let error = self.name(Error::new(FaultKind::Authentication, stage, message));
        match self.remedy(cause, of_user) {
            Some(remedy) => error.with_hint(remedy),
            None => error,
        }
    }

    /// The error with the names in its message.
    pub(super) fn name(&self, error: Error) -> Error {
        let realm = match (&self.realm, realm_of(&self.user)) {
            (Some(realm), _) => format!("realm {realm}"),
            (None, Some(realm)) => format!("the realm that the KDC of {realm} has for the host"),
            (None, None) => "the realm that Kerberos has for the host".to_owned(),
        };
        let message = format!(
            "{} (as {}, to {} in {realm}, with {})",
            error.message(),
            self.user,
            self.service,
            self.credentials
        );
        error.with_message(message)
    }

    /// A refusal by the server, which gives no reason.
    pub(super) fn explain_refusal(&self, refused: Error) -> Error {
        if refused.code() != Some(codes::AUTHENTICATION_FAILED) {
            return refused;
        }
        self.name(refused).with_hint(format!(
            "Kerberos gave a ticket, and the server did not take it: is there a user {} in $external, and does the \
             server's keytab have the current key of {}? the server's log has the reason",
            self.user, self.service
        ))
    }

    fn remedy(&self, cause: Cause, of_user: bool) -> Option<String> {
        let Tried { user, service, .. } = self;
        let users = realm_of(user);
        let realm = if of_user { users } else { self.realm.as_deref().or(users) };
        let realm = realm.unwrap_or("the realm");
        Some(match cause {
            Cause::NoTicket if self.origin == Origin::Keytab => return self.remedy(Cause::NoKey, of_user),
            Cause::NoTicket | Cause::TicketExpired if cfg!(windows) => log_on(user),
            Cause::WrongPassword if cfg!(windows) && self.origin != Origin::Password => log_on(user),
            Cause::UserOrPassword if self.origin != Origin::Password => log_on(user),
            Cause::UserOrPassword => {
                format!("the KDC refused user name or password of {user}: are both right, and the realm after the @?")
            }
            Cause::NoTicket => format!("no ticket: run kinit {user}, or give a password or a keytab"),
            Cause::OtherPrincipal => {
                format!(
                    "these credentials belong to another principal: run kinit {user}, or log in as the principal that klist shows"
                )
            }
            Cause::TicketExpired => format!("the ticket has expired: run kinit {user}"),
            Cause::WrongPassword if self.origin != Origin::Password => {
                format!("the keytab's key of {user} is not the one that the KDC has: it needs a new one (ktadd)")
            }
            Cause::WrongPassword => format!("the password of {user} is wrong"),
            Cause::PasswordExpired => format!("the password of {user} has expired: change it with kpasswd {user}"),
            Cause::Revoked => format!("the KDC has locked {user} out: ask its administrator"),
            Cause::UnknownUser => format!("the KDC does not know {user}: are the name and its realm spelled right?"),
            Cause::UnknownService => format!(
                "server not in Kerberos database: the KDC does not know {service}; is the host in the connection string \
                 the one in the service's principal? SERVICE_NAME, SERVICE_HOST, SERVICE_REALM and CANONICALIZE_HOST_NAME \
                 change what is asked for"
            ),
            Cause::UnknownRealm => {
                format!(
                    "no KDC is known for {realm}: name one in krb5.conf ([realms]) or in DNS; SERVICE_REALM is the server's realm"
                )
            }
            Cause::KdcUnreachable => {
                format!("no KDC of {realm} answers: is it up, and is its address in krb5.conf right?")
            }
            Cause::NoKey => format!("the keytab cannot be read, or has no key of {user}: klist -k shows what is in it"),
            Cause::ClockSkew => {
                "the clocks of this machine, the KDC and the server differ too much: set them".to_owned()
            }
            Cause::BadToken => {
                format!(
                    "the server is not {service}, has another key than the KDC, or its answer was changed on the way"
                )
            }
            Cause::Other => return None,
        })
    }
}

fn log_on(user: &str) -> String {
    format!("no ticket: log on to Windows as {user} with an account of the domain, or give a password")
}

/// The realm in a principal's name.
fn realm_of(principal: &str) -> Option<&str> {
    principal.rsplit_once('@').map(|(_, realm)| realm).filter(|realm| !realm.is_empty())
}

/// The cause behind the codes of a GSSAPI library with MIT's or Heimdal's Kerberos. `acquiring`: while the client's own
/// credentials were fetched, not yet a ticket for the service.
#[cfg_attr(not(all(feature = "gssapi", unix)), allow(dead_code))] // Windows has codes of its own.
pub(super) fn cause(major: u32, minor: u32, acquiring: bool) -> Cause {
    match minor {
        NOT_THE_CACHES_PRINCIPAL => return Cause::OtherPrincipal,
        NOT_THE_KEYTABS_PRINCIPAL => return Cause::NoKey,
        _ => {}
    }
    // The Kerberos library counts its codes from a negative number up; GSSAPI returns them as unsigned numbers.
    match minor.cast_signed().wrapping_sub(KERBEROS_CODES) {
        6 => Cause::UnknownUser,
        7 => Cause::UnknownService,
        1 | 18 => Cause::Revoked,
        23 => Cause::PasswordExpired,
        24 => Cause::WrongPassword,
        31 if acquiring => Cause::WrongPassword,
        31 | 34 | 35 | 36 | 39 | 40 | 41 | 46 => Cause::BadToken,
        32 => Cause::TicketExpired,
        37 | 148 => Cause::ClockSkew,
        141 | 195 => Cause::NoTicket,
        156 => Cause::KdcUnreachable,
        154 | 220 => Cause::UnknownRealm,
        179 | 181 | 182 | 184 | 230 => Cause::NoKey,
        _ => match major & ROUTINE_ERROR {
            NO_CRED => Cause::NoTicket,
            CREDENTIALS_EXPIRED => Cause::TicketExpired,
            DEFECTIVE_TOKEN | BAD_SIGNATURE | BAD_BINDINGS => Cause::BadToken,
            _ => Cause::Other,
        },
    }
}

/// Why the helper thread gave no ticket.
pub(super) fn no_ticket(error: HelperError, limit: Deadline) -> Error {
    let failed = |kind, message: String| Error::new(kind, TICKET_STAGE, message);
    match error {
        HelperError::TimedOut => limit
            .ran_out(TICKET_STAGE, format!("{} ran out while a ticket was fetched", limit.name()))
            .with_hint("do the KDC of the realm and this machine's name servers answer?"),
        HelperError::TooMany(waiting) => {
            let message = format!("{waiting} logins still wait for a KDC, so this one was not begun");
            failed(FaultKind::Authentication, message).with_hint("does the KDC of the realm answer?")
        }
        HelperError::NotStarted(source) => {
            failed(FaultKind::Io, "no thread to get a ticket on".to_owned()).with_source(source)
        }
        HelperError::Panicked => failed(FaultKind::Io, "the thread that fetches tickets ended early".to_owned()),
    }
}

/// Where the Kerberos library's table of codes begins.
const KERBEROS_CODES: i32 = -1_765_328_384;

// Codes of MIT's own above those.
const NOT_THE_CACHES_PRINCIPAL: u32 = 39_756_032;
const NOT_THE_KEYTABS_PRINCIPAL: u32 = 39_756_033;

// Major codes (RFC 2744, section 3.9.1).
const ROUTINE_ERROR: u32 = 0xff_0000;
const BAD_BINDINGS: u32 = 4 << 16;
const BAD_SIGNATURE: u32 = 6 << 16;
const NO_CRED: u32 = 7 << 16;
const DEFECTIVE_TOKEN: u32 = 9 << 16;
const CREDENTIALS_EXPIRED: u32 = 11 << 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn tried() -> Tried {
        Tried {
            user: "ann@CLIENTS.LOCAL".to_owned(),
            service: "mongodb/db.local".to_owned(),
            realm: Some("SERVERS.LOCAL".to_owned()),
            credentials: "the password".to_owned(),
            origin: Origin::Password,
        }
    }

    const STAGE: Stage = Stage::Authentication { mechanism: "GSSAPI", step: "the ticket" };
    const FAILURE: u32 = 13 << 16;

    fn kerberos(code: i32) -> u32 {
        (KERBEROS_CODES + code).cast_unsigned()
    }

    /// The numbers are those of `krb5.h`.
    #[test]
    fn codes_lead_to_causes() {
        for (code, expected) in [
            (6, Cause::UnknownUser),
            (7, Cause::UnknownService),
            (18, Cause::Revoked),
            (23, Cause::PasswordExpired),
            (24, Cause::WrongPassword),
            (32, Cause::TicketExpired),
            (37, Cause::ClockSkew),
            (141, Cause::NoTicket),
            (148, Cause::ClockSkew),
            (154, Cause::UnknownRealm),
            (156, Cause::KdcUnreachable),
            (181, Cause::NoKey),
            (195, Cause::NoTicket),
        ] {
            assert_eq!(cause(FAILURE, kerberos(code), true), expected, "{code}");
        }
        assert_eq!(cause(FAILURE, kerberos(31), true), Cause::WrongPassword);
        assert_eq!(cause(FAILURE, kerberos(31), false), Cause::BadToken);
        assert_eq!(cause(NO_CRED, 0, true), Cause::NoTicket);
        assert_eq!(cause(CREDENTIALS_EXPIRED, u32::MAX, false), Cause::TicketExpired);
        assert_eq!(cause(DEFECTIVE_TOKEN, 0, false), Cause::BadToken);
        assert_eq!(cause(FAILURE, 5, false), Cause::Other);
    }

    /// Each names the principal that it is about, and all of them stand in the message.
    #[test]
    fn every_cause_has_a_remedy() {
        for cause in [
            Cause::NoTicket,
            Cause::OtherPrincipal,
            Cause::TicketExpired,
            Cause::WrongPassword,
            Cause::UserOrPassword,
            Cause::PasswordExpired,
            Cause::Revoked,
            Cause::UnknownUser,
            Cause::UnknownService,
            Cause::UnknownRealm,
            Cause::KdcUnreachable,
            Cause::NoKey,
            Cause::ClockSkew,
            Cause::BadToken,
        ] {
            let failure = Failure {
                call: "no ticket",
                major: "Major".to_owned(),
                minor: "Minor".to_owned(),
                cause,
                of_user: false,
            };
            let error = tried().error(STAGE, failure);
            let names =
                "Major: Minor (as ann@CLIENTS.LOCAL, to mongodb/db.local in realm SERVERS.LOCAL, with the password)";
            assert!(error.message().ends_with(names), "{error}");
            let hint = error.hint().unwrap();
            let named = ["ann@CLIENTS.LOCAL", "mongodb/db.local", "SERVERS.LOCAL", "clocks"];
            assert!(named.iter().any(|name| hint.contains(name)), "{hint}");
        }
    }

    #[test]
    fn a_keytab_needs_no_kinit() {
        let failure =
            Failure { call: "c", major: "m".to_owned(), minor: String::new(), cause: Cause::NoTicket, of_user: true };
        let error = Tried { origin: Origin::Keytab, ..tried() }.error(STAGE, failure);
        assert!(error.hint().unwrap().contains("klist -k"), "{error}");
    }

    #[test]
    fn a_realm_that_is_not_known_is_the_kdcs_to_find() {
        let named = |user: &str| {
            let tried = Tried { realm: None, user: user.to_owned(), ..tried() };
            tried.name(Error::new(FaultKind::Authentication, STAGE, "m")).message().to_owned()
        };
        assert!(named("ann@CLIENTS.LOCAL").contains("in the realm that the KDC of CLIENTS.LOCAL has for the host"));
        assert!(named("ann").contains("in the realm that Kerberos has for the host"));
    }

    #[test]
    fn the_realm_that_lacks_a_kdc_is_named() {
        let hint = |of_user| {
            let (major, minor) = ("m".to_owned(), String::new());
            let failure = Failure { call: "c", major, minor, cause: Cause::KdcUnreachable, of_user };
            tried().error(STAGE, failure).hint().unwrap().to_owned()
        };
        assert!(hint(true).contains("no KDC of CLIENTS.LOCAL"));
        assert!(hint(false).contains("no KDC of SERVERS.LOCAL"));
    }

    #[test]
    fn only_a_refusal_by_the_server_is_explained() {
        let other = Error::new(FaultKind::Io, STAGE, "closed");
        assert_eq!(tried().explain_refusal(other).message(), "closed");
    }

    #[test]
    fn each_reason_for_no_ticket_is_named() {
        let timeout = no_ticket(HelperError::TimedOut, Deadline::NEVER.named("connectTimeoutMS"));
        assert!(timeout.is_timeout() && matches!(timeout.kind(), ErrorKind::Io(_)), "{timeout}");
        assert!(timeout.message().contains("connectTimeoutMS") && timeout.hint().is_some(), "{timeout}");
        let many = no_ticket(HelperError::TooMany(256), Deadline::NEVER.named("timeoutMS"));
        assert!(many.message().contains("256 logins still wait for a KDC") && many.hint().is_some(), "{many}");
        let panicked = no_ticket(HelperError::Panicked, Deadline::NEVER.named("timeoutMS"));
        assert!(panicked.message().contains("early"), "{panicked}");
    }
}
