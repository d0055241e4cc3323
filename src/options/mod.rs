//! The options of a client, from a connection string or in code. They are validated before anything is connected.
//!
//! [`ClientOptions::parse`] reads a connection string, [`ClientOptions::builder`] takes everything in code; both can be
//! combined, and code wins. One table holds every option; parsing, builder, validation, warnings and documentation come
//! from it. [`options_table`] shows it.

pub(crate) mod action;
mod builder;
mod builder_macro;
mod concern;
mod credential;
mod getters;
mod kerberos;
mod markdown;
mod option_map;
#[cfg_attr(not(feature = "srv"), allow(dead_code, reason = "only DNS makes use of it"))]
mod parent_domain;
mod protection;
mod query;
mod raw;
#[cfg_attr(not(feature = "srv"), allow(dead_code, reason = "only DNS makes use of it"))]
mod seedlist;
mod serde_util;
mod spec;
mod supported;
mod table;
mod tls;
mod tls_types;
mod to_uri;
mod validate;
mod value;

use std::time::Duration;

pub use action::*;
pub use builder::ClientOptionsBuilder;
pub use concern::{
    Acknowledgment, Collation, CollationAlternate, CollationBuilder, CollationCaseFirst, CollationMaxVariable,
    CollationStrength, HedgedReadOptions, HedgedReadOptionsBuilder, ReadConcern, ReadConcernLevel, ReadPreference,
    ReadPreferenceMode, ReadPreferenceOptions, ReadPreferenceOptionsBuilder, SelectionCriteria, TagSet, WriteConcern,
    WriteConcernBuilder,
};
pub use markdown::options_table;
#[cfg(feature = "srv")]
pub(crate) use parent_domain::{ParentDomain, is_host_name, normalized};
#[cfg(feature = "aws")]
pub(crate) use protection::{AWS_SESSION_TOKEN, is_local, unprotected};
#[cfg(feature = "srv")]
pub(crate) use raw::Seedlist;
pub(crate) use tls_types::TlsIdentity;
pub use tls_types::{TlsOptions, TlsVersion};

pub use crate::uri::{ServerAddress, percent_decode, percent_encode};

use crate::credential::Credential;
use crate::error::Result;
use crate::event::cmap::CmapEvent;
use crate::event::sdam::SdamEvent;
use crate::event::{CommandEvent, EventHandler};
use crate::policy::SecurityPolicy;
use crate::warning::Warning;

/// The options of a client.
///
/// A value of this type is valid: parsing and building validate all options together. An option that this version of the
/// driver knows but does not support is refused when a client is made.
///
/// ```
/// use mongo_blocking::options::ClientOptions;
///
/// let options = ClientOptions::parse("mongodb://ann:secret@db.example.com/shop?w=majority&connectTimeoutMS=2000")?;
/// assert_eq!(options.default_database(), Some("shop"));
/// assert_eq!(options.connect_timeout().as_secs(), 2);
/// assert!(options.warnings().is_empty());
/// # Ok::<(), mongo_blocking::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientOptions {
    pub(crate) hosts: Vec<ServerAddress>,
    pub(crate) credential: Option<Credential>,
    pub(crate) default_database: Option<String>,
    pub(crate) app_name: Option<String>,
    pub(crate) driver_info: Vec<DriverInfo>,
    pub(crate) server_api: Option<ServerApi>,
    pub(crate) tls: Option<TlsOptions>,
    pub(crate) connect_timeout: Duration,
    pub(crate) socket_timeout: Option<Duration>,
    pub(crate) server_selection_timeout: Duration,
    pub(crate) server_selection_try_once: Option<bool>,
    pub(crate) wait_queue_timeout: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_pool_size: u32,
    pub(crate) min_pool_size: u32,
    pub(crate) max_connecting: u32,
    pub(crate) max_idle_time: Option<Duration>,
    pub(crate) direct_connection: Option<bool>,
    pub(crate) replica_set: Option<String>,
    pub(crate) local_threshold: Duration,
    pub(crate) heartbeat_frequency: Duration,
    pub(crate) selection_criteria: SelectionCriteria,
    pub(crate) read_concern: Option<ReadConcern>,
    pub(crate) write_concern: Option<WriteConcern>,
    pub(crate) retry_reads: Option<bool>,
    pub(crate) retry_writes: Option<bool>,
    pub(crate) scram_max_iterations: u32,
    pub(crate) max_document_nesting: u32,
    pub(crate) command_event_handler: Option<EventHandler<CommandEvent>>,
    pub(crate) cmap_event_handler: Option<EventHandler<CmapEvent>>,
    pub(crate) sdam_event_handler: Option<EventHandler<SdamEvent>>,
    pub(crate) warning_handler: Option<EventHandler<Warning>>,
    pub(crate) policy: SecurityPolicy,
    pub(crate) warnings: Vec<Warning>,
    /// What was given, from which all of the above was made.
    given: raw::RawOptions,
}

impl ClientOptions {
    /// Reads a connection string.
    ///
    /// Unknown options, some invalid values and old names become [warnings](ClientOptions::warnings).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for an invalid form or
    /// port, options that exclude one another, a value of `tls` or `ssl`, of an option for authentication, of `appName`
    /// or of `w`. The error points at the byte, says what to do, and shows no part of the user info.
    ///
    /// ```
    /// use mongo_blocking::options::ClientOptions;
    ///
    /// let options = ClientOptions::parse("mongodb://localhost/?maxPoolSize=many")?;
    /// assert_eq!(options.max_pool_size(), 100);
    /// assert_eq!(options.warnings().len(), 1);
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn parse(uri: &str) -> Result<Self> {
        ClientOptions::builder().uri(uri).build()
    }

    /// Begins options in code. Without a host they mean `localhost:27017`.
    pub fn builder() -> ClientOptionsBuilder {
        ClientOptionsBuilder::default()
    }

    /// These options as a builder, to change some of them. What DNS added to them is left out.
    ///
    /// ```
    /// use std::time::Duration;
    /// use mongo_blocking::options::ClientOptions;
    ///
    /// let options = ClientOptions::parse("mongodb://localhost/?connectTimeoutMS=2000&appName=shop")?
    ///     .into_builder()
    ///     .connect_timeout(Duration::from_secs(5))
    ///     .build()?;
    /// assert_eq!(options.connect_timeout(), Duration::from_secs(5));
    /// assert_eq!(options.app_name(), Some("shop"));
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn into_builder(self) -> ClientOptionsBuilder {
        ClientOptionsBuilder::from_given(self.given.without_dns())
    }
}

/// The version of the Stable API that every command declares.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerApi {
    /// The version: `"1"`.
    pub version: String,
    /// Whether the server refuses what is not part of that version.
    pub strict: Option<bool>,
    /// Whether the server refuses what that version deprecates.
    pub deprecation_errors: Option<bool>,
}

impl ServerApi {
    /// Version 1, the only one so far, with the server's defaults for the other fields.
    pub fn v1() -> Self {
        ServerApi { version: "1".to_owned(), strict: None, deprecation_errors: None }
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

/// What a library that wraps this driver adds to the client metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverInfo {
    /// The wrapper's name.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// More about its platform.
    pub platform: Option<String>,
}
