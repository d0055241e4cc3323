//! The options of a client, from a connection string or in code. They are validated before anything is connected.
//!
//! [`ClientOptions::parse`] reads a connection string, [`ClientOptions::builder`] takes everything in code; both can be
//! combined, and code wins. One table holds every option; parsing, builder, validation, warnings and documentation come
//! from it. [`options_table`] shows it.

pub(crate) mod action;
mod builder;
mod builder_macro;
mod builder_tls;
mod client_options;
mod concern;
mod credential;
mod declare;
mod from_document;
mod getters;
mod into_option;
mod kerberos;
mod login;
mod markdown;
mod monitoring;
pub mod oidc;
mod option_map;
#[cfg_attr(not(feature = "srv"), allow(dead_code, reason = "only DNS makes use of it"))]
mod parent_domain;
mod protection;
mod query;
mod raw;
mod rows;
#[cfg_attr(not(feature = "srv"), allow(dead_code, reason = "only DNS makes use of it"))]
mod seedlist;
mod setting_value;
mod spec;
mod supported;
mod table;
mod tls;
mod tls_given;
mod tls_types;
mod to_uri;
mod validate;
mod value;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use action::*;
pub use builder::{ClientOptionsBuilder, IntoHost};
pub use client_options::{ClientOptions, ConnectionString, ParseConnectionString};
pub use concern::{
    Acknowledgment, Collation, CollationAlternate, CollationBuilder, CollationCaseFirst, CollationMaxVariable,
    CollationStrength, HedgedReadOptions, HedgedReadOptionsBuilder, Predicate, ReadConcern, ReadConcernLevel,
    ReadPreference, ReadPreferenceMode, ReadPreferenceOptions, ReadPreferenceOptionsBuilder, SelectionCriteria, TagSet,
    WriteConcern, WriteConcernBuilder,
};
pub use into_option::IntoOption;
pub use login::{AuthMechanism, Credential, CredentialBuilder};
pub use markdown::options_table;
pub use monitoring::Monitoring;
#[cfg(feature = "srv")]
pub(crate) use parent_domain::{ParentDomain, is_host_name, normalized};
#[cfg(feature = "aws")]
pub(crate) use protection::{AWS_SESSION_TOKEN, is_local, unprotected};
#[cfg(feature = "srv")]
pub(crate) use raw::Seedlist;
#[cfg(not(all(feature = "aws", feature = "oidc", feature = "gssapi")))]
pub(crate) use supported::needed_feature;
pub use tls_given::{Tls, TlsOptions, TlsOptionsBuilder};
pub(crate) use tls_types::TlsIdentity;
pub use tls_types::{TlsSettings, TlsVersion};

pub use crate::address::ServerAddress;
pub use crate::uri::{percent_decode, percent_encode};

use crate::credential::Credential as Login;
use crate::error::{Error, Result};
use crate::warning::Warning;

/// What a client does with its [`ClientOptions`]: options that were judged together, with the default of each that was not given.
///
/// An option that this version of the driver knows but does not support is refused when a client is made.
///
/// ```
/// use mongo_blocking::options::ClientSettings;
///
/// let settings = ClientSettings::parse("mongodb://ann:secret@db.example.com/shop?w=majority&connectTimeoutMS=2000")?;
/// assert_eq!(settings.default_database(), Some("shop"));
/// assert_eq!(settings.connect_timeout().as_secs(), 2);
/// assert!(settings.warnings().is_empty());
/// # Ok::<(), mongo_blocking::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientSettings {
    pub(crate) hosts: Vec<ServerAddress>,
    pub(crate) credential: Option<Login>,
    pub(crate) driver_info: Vec<DriverInfo>,
    pub(crate) tls: Option<TlsSettings>,
    pub(crate) selection_criteria: SelectionCriteria,
    pub(crate) read_concern: Option<ReadConcern>,
    pub(crate) write_concern: Option<WriteConcern>,
    pub(crate) warnings: Vec<Warning>,
    /// What was given, from which all of the above was made.
    given: raw::RawOptions,
}

impl ClientSettings {
    /// What a client does with a connection string: [`ClientOptions::parse`] and [`ClientOptions::settings`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) as for [`ParseConnectionString::run`] and
    /// [`ClientOptions::validate`].
    pub fn parse(uri: &str) -> Result<Self> {
        ClientOptions::parse(uri).run()?.settings()
    }

    /// These options as a builder, to change some of them. What DNS added to them is left out.
    pub fn into_builder(self) -> ClientOptionsBuilder {
        ClientOptionsBuilder::from_given(self.given.without_dns())
    }
}

/// The version of the Stable API that every command declares.
///
/// ```
/// use mongo_blocking::options::{ServerApi, ServerApiVersion};
///
/// let api = ServerApi::builder().version(ServerApiVersion::V1).strict(true).build();
/// assert_eq!(api, ServerApi::v1().with_strict(true));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServerApi {
    /// The version.
    #[serde(rename = "apiVersion")]
    pub version: ServerApiVersion,
    /// Whether the server refuses what is not part of that version.
    #[serde(rename = "apiStrict", default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// Whether the server refuses what that version deprecates.
    #[serde(rename = "apiDeprecationErrors", default, skip_serializing_if = "Option::is_none")]
    pub deprecation_errors: Option<bool>,
}

/// A version of the Stable API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ServerApiVersion {
    /// Version 1, the only one so far.
    #[default]
    #[serde(rename = "1")]
    V1,
}

impl ServerApiVersion {
    /// Its name in a command: `"1"`.
    pub fn as_str(self) -> &'static str {
        match self {
            ServerApiVersion::V1 => "1",
        }
    }
}

impl fmt::Display for ServerApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ServerApiVersion {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "1" => Ok(ServerApiVersion::V1),
            _ => Err(Error::invalid_argument("the only version of the Stable API is \"1\"")),
        }
    }
}

impl Default for ServerApi {
    fn default() -> Self {
        ServerApi::v1()
    }
}

builder_macro::builder!(ServerApi, ServerApiBuilder { strict: bool, deprecation_errors: bool });

impl ServerApiBuilder {
    /// Sets [`version`](ServerApi::version); version 1 unless set.
    pub fn version(mut self, version: ServerApiVersion) -> Self {
        self.0.version = version;
        self
    }
}

impl ServerApi {
    /// Version 1, the only one so far, with the server's defaults for the other fields.
    pub fn v1() -> Self {
        ServerApi { version: ServerApiVersion::V1, strict: None, deprecation_errors: None }
    }

    /// Whether the server refuses what is not part of that version.
    pub fn with_strict(mut self, strict: bool) -> Self {
        self.strict = Some(strict);
        self
    }

    /// Whether the server refuses what that version deprecates.
    pub fn with_deprecation_errors(mut self, errors: bool) -> Self {
        self.deprecation_errors = Some(errors);
        self
    }
}

/// How background monitors learn of changes (`serverMonitoringMode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ServerMonitoringMode {
    /// The server answers when something changes, where it can do so.
    #[serde(alias = "stream")]
    Stream,
    /// The server is asked again and again.
    #[serde(alias = "poll")]
    Poll,
    /// `Poll` where the environment is a function as a service, else `Stream`.
    #[default]
    #[serde(alias = "auto")]
    Auto,
}

impl ServerMonitoringMode {
    const ALL: [ServerMonitoringMode; 3] =
        [ServerMonitoringMode::Stream, ServerMonitoringMode::Poll, ServerMonitoringMode::Auto];

    /// Its name in a connection string.
    pub fn as_str(self) -> &'static str {
        match self {
            ServerMonitoringMode::Stream => "stream",
            ServerMonitoringMode::Poll => "poll",
            ServerMonitoringMode::Auto => "auto",
        }
    }
}

/// What a library that wraps this driver adds to the client metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub struct DriverInfo {
    /// The wrapper's name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// More about its platform.
    pub platform: Option<String>,
}

builder_macro::builder!(DriverInfo, DriverInfoBuilder { version: String, platform: String });

impl DriverInfoBuilder {
    /// Sets [`name`](DriverInfo::name), which must not be empty.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.0.name = name.into();
        self
    }
}
