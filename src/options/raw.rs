//! What was given, from a connection string and in code, before it is judged.

use std::path::PathBuf;

use super::table::OptionId;
use super::tls::{TlsBytes, TlsIdentity};
use super::value::{OptionMap, Value};
use super::{DriverInfo, ServerAddress, ServerApi, TlsVersion, query};
use crate::credential::{AllowedHosts, AwsProvider, OidcCommand, OidcProvider};
use crate::error::Result;
use crate::event::{CommandEvent, Handler};
use crate::policy::SecurityPolicy;
use crate::uri::ConnectionString;
use crate::warning::{Warning, Warnings};

/// What was given, taken together.
#[derive(Clone, Debug, Default)]
pub(super) struct RawOptions {
    pub(super) settings: OptionMap,
    pub(super) hosts: Vec<ServerAddress>,
    /// The host name of a `mongodb+srv` connection string.
    pub(super) srv_host: Option<String>,
    /// The connection string's own database, which names the users' source where no `authSource` does; one that code sets does not.
    pub(super) uri_database: Option<String>,
    /// Whether the connection string has an `@`: then a log-in is wanted, even with nothing before it.
    pub(super) login_asked: bool,
    /// Whether the connection string's user info has a `+`, which some programs write for a space.
    pub(super) plus_in_uri: bool,
    pub(super) driver_info: Vec<DriverInfo>,
    pub(super) server_api: Option<ServerApi>,
    pub(super) command_event_handler: Option<Handler<CommandEvent>>,
    pub(super) warning_handler: Option<Handler<Warning>>,
    pub(super) aws_provider: Option<AwsProvider>,
    pub(super) tls_ca_pem: Option<TlsBytes>,
    pub(super) tls_identity: Option<TlsIdentity>,
    pub(super) oidc: RawOidcOptions,
    pub(super) policy: SecurityPolicy,
    pub(super) min_tls_version: Option<TlsVersion>,
    /// What was odd about the connection string, or about a value in code.
    pub(super) uri_warnings: Warnings,
}

/// What gives tokens for MONGODB-OIDC, as far as a connection string cannot say it.
#[derive(Clone, Debug, Default)]
pub(super) struct RawOidcOptions {
    pub(super) callback: Option<OidcProvider>,
    pub(super) human_callback: Option<OidcProvider>,
    pub(super) allowed_hosts: Option<AllowedHosts>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) token_command: Option<OidcCommand>,
}

impl RawOidcOptions {
    /// The setter of something that was given, if anything was.
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
    /// Takes a connection string. What was given before wins over it.
    pub(super) fn take_uri(&mut self, uri: ConnectionString) -> Result<()> {
        let mut warnings = uri.warnings.clone();
        let mut settings = query::read(&uri, &mut warnings)?;
        if let Some(database) = uri.database {
            self.uri_database.get_or_insert_with(|| database.clone());
            settings.set(OptionId::DefaultDatabase, Value::Text(database));
        }
        self.login_asked = uri.user_info.is_some();
        if let Some(info) = uri.user_info {
            self.plus_in_uri = info.plus;
            settings.set(OptionId::Username, Value::Text(info.username));
            if let Some(password) = info.password {
                settings.set(OptionId::Password, Value::Secret(password));
            }
        }
        let known = std::mem::take(&mut self.settings); // of options that became a builder again: as good as code
        settings.overlay(known);
        self.settings = settings;
        if self.hosts.is_empty() && self.srv_host.is_none() {
            match uri.hosts.first() {
                Some(ServerAddress::Tcp { host, .. }) if uri.srv => self.srv_host = Some(host.clone()),
                _ => self.hosts = uri.hosts,
            }
        }
        self.uri_warnings = warnings;
        Ok(())
    }
}
