//! The options as they were given, in a connection string and in code, before they are validated.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::option_map::OptionMap;
use super::rows::options;
use super::tls_types::{TlsBytes, TlsIdentity};
use super::{DriverInfo, HedgedReadOptions, Monitoring, SelectionCriteria, ServerAddress, ServerApi, TlsVersion};
use crate::credential::{AllowedHosts, OidcCommand, SharedAwsProvider, SharedOidcCallback};
use crate::event::cmap::CmapEvent;
use crate::event::sdam::SdamEvent;
use crate::event::{CommandEvent, EventHandler};
use crate::policy::SecurityPolicy;
use crate::resolver::SharedResolver;
use crate::warning::{Warning, Warnings};

macro_rules! in_code {
    (
        ids $ids:tt specs $specs:tt fields $fields:tt
        in_code { $($(#[$docs:meta])* $field:ident: $type:ty;)* }
        $($rest:tt)*
    ) => {
        /// What only code can give, and one field of the options holds.
        #[derive(Clone, Debug, Default)]
        pub(super) struct InCode {
            $(pub(super) $field: $type,)*
        }
    };
}

options!(in_code);

/// All that was given.
#[derive(Clone, Debug, Default)]
pub(super) struct RawOptions {
    pub(super) settings: OptionMap,
    pub(super) in_code: InCode,
    /// An option for TLS that the connection string names and that set nothing, as an error calls it.
    pub(super) ignored_tls_option: Option<String>,
    pub(super) hosts: Vec<ServerAddress>,
    /// The host name of a `mongodb+srv` connection string.
    pub(super) srv_host: Option<String>,
    /// What the SRV records of that name said, once they were asked for.
    pub(super) seedlist: Option<Seedlist>,
    /// The options before those of a TXT record were added.
    pub(super) settings_before_txt: Option<OptionMap>,
    pub(super) resolver: Option<SharedResolver>,
    /// The connection string's own database, which is the users' source where `authSource` is not given. A default
    /// database that code sets is not.
    pub(super) uri_database: Option<String>,
    /// Whether the connection string has an `@`: that asks for a login, even with nothing before it.
    pub(super) login_asked: bool,
    /// Whether the connection string's user info has a `+`, which some programs write for a space.
    pub(super) plus_in_uri: bool,
    pub(super) driver_info: Vec<DriverInfo>,
    /// Of the read preference that code gives: no option of a connection string says it.
    pub(super) hedged_reads: Option<HedgedReadOptions>,
    /// A predicate, which goes before every read preference.
    pub(super) predicate: Option<SelectionCriteria>,
    pub(super) aws_provider: Option<SharedAwsProvider>,
    pub(super) tls_ca_pem: Option<TlsBytes>,
    pub(super) tls_identity: Option<TlsIdentity>,
    pub(super) oidc: RawOidcOptions,
    pub(super) min_tls_version: Option<TlsVersion>,
    /// Warnings about the connection string, or about a value in code.
    pub(super) uri_warnings: Warnings,
}

/// What the SRV records named.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "srv"), allow(dead_code, reason = "only SRV records need it"))]
pub(crate) struct Seedlist {
    pub(crate) hosts: Vec<ServerAddress>,
    /// The shortest time for which one of the records may be kept.
    pub(crate) lowest_ttl: Duration,
    /// When they came.
    pub(crate) at: Instant,
}

/// The sources of tokens for MONGODB-OIDC that only code can give.
#[derive(Clone, Debug, Default)]
pub(super) struct RawOidcOptions {
    pub(super) callback: Option<SharedOidcCallback>,
    pub(super) human_callback: Option<SharedOidcCallback>,
    pub(super) allowed_hosts: Option<AllowedHosts>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) token_command: Option<OidcCommand>,
}

impl RawOidcOptions {
    /// Whether any of them was given.
    pub(super) fn is_given(&self) -> bool {
        self.first().is_some()
    }

    /// The builder method of the first of them that was given.
    pub(super) fn first(&self) -> Option<&'static str> {
        let given = [
            (self.callback.is_some(), "oidc_callback"),
            (self.human_callback.is_some(), "oidc_human_callback"),
            (self.allowed_hosts.is_some(), "oidc_allowed_hosts"),
            (self.token_file.is_some(), "oidc_token_file"),
            (self.token_command.is_some(), "oidc_token_command"),
        ];
        given.into_iter().find(|(is_given, _)| *is_given).map(|(_, setter)| setter)
    }
}

impl RawOptions {
    /// The options without those of a TXT record.
    pub(super) fn settings_as_given(&self) -> &OptionMap {
        self.settings_before_txt.as_ref().unwrap_or(&self.settings)
    }

    /// Without what DNS added.
    pub(super) fn without_dns(mut self) -> Self {
        self.seedlist = None;
        self.settings = self.settings_before_txt.take().unwrap_or(self.settings);
        self
    }
}
