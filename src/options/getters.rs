//! What the options say: a getter for each line of the table.

use std::net::SocketAddr;
use std::time::Duration;

use super::option_map::Seen;
use super::rows::options;
use super::spec::OptionId;
use super::{
    ClientSettings, DriverInfo, Monitoring, ReadConcern, ReadPreference, ServerAddress, ServerApi, TlsSettings,
    WriteConcern,
};
use crate::credential::Credential;
use crate::event::cmap::CmapEvent;
use crate::event::sdam::SdamEvent;
use crate::event::{CommandEvent, EventHandler};
use crate::policy::SecurityPolicy;
use crate::resolver::SharedResolver;
use crate::secret::Secret;
use crate::warning::Warning;

macro_rules! getters {
    (ids $ids:tt specs $specs:tt fields $fields:tt in_code $in_code:tt setters $setters:tt getters { $({ $($getter:tt)* })* }) => {
        /// The options that one value fills.
        impl ClientSettings {
            $(getter! { $($getter)* })*
        }
    };
}

macro_rules! getter {
    ($(#[$docs:meta])* $name:ident, $option:ident, $seen:ty) => {
        $(#[$docs])*
        pub fn $name(&self) -> $seen {
            Seen::seen(&self.given.settings, OptionId::$option)
        }
    };
    ($(#[$docs:meta])* $name:ident, $option:ident,) => {}; // by hand, below
}

options!(getters);

impl ClientSettings {
    /// The warnings about these options. Each client that is made of them logs them.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Where the servers listen. Empty with [`srv_host`](Self::srv_host): then DNS names them.
    pub fn hosts(&self) -> &[ServerAddress] {
        &self.hosts
    }

    /// The host name of a `mongodb+srv` connection string.
    pub fn srv_host(&self) -> Option<&str> {
        self.given.srv_host.as_deref()
    }

    /// The credential to log in with; `None`: no login.
    pub fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// `authSource`, as it was given; [`Credential::source`] returns the one that is used.
    pub fn auth_source(&self) -> Option<&str> {
        self.given.settings.text(OptionId::AuthSource)
    }

    /// What libraries that wrap this driver say about themselves.
    pub fn driver_info(&self) -> &[DriverInfo] {
        &self.driver_info
    }

    /// The version of the Stable API that every command declares.
    pub fn server_api(&self) -> Option<&ServerApi> {
        self.given.in_code.server_api.as_ref()
    }

    /// The TLS options; `None`: no TLS.
    pub fn tls(&self) -> Option<&TlsSettings> {
        self.tls.as_ref()
    }

    /// `timeoutMS`; zero: no limit; `None`: the older limits apply.
    pub fn timeout(&self) -> Option<Duration> {
        self.given.settings.duration(OptionId::TimeoutMs)
    }

    /// `replicaSet`.
    pub fn replica_set(&self) -> Option<&str> {
        Seen::seen(&self.given.settings, OptionId::ReplicaSet)
    }

    /// `heartbeatFrequencyMS`.
    pub fn heartbeat_frequency(&self) -> Duration {
        Seen::seen(&self.given.settings, OptionId::HeartbeatFrequencyMs)
    }

    /// Who checks the servers.
    pub fn monitoring(&self) -> Monitoring {
        self.given.in_code.monitoring
    }

    /// The domain that the hosts named by DNS must be below, where it is not that of the connection string.
    pub fn srv_allowed_hosts_suffix(&self) -> Option<&str> {
        self.given.in_code.srv_allowed_hosts_suffix.as_deref()
    }

    /// The name servers to ask for the records of a `mongodb+srv` connection string; empty: those of the system.
    pub fn name_servers(&self) -> &[SocketAddr] {
        &self.given.in_code.name_servers
    }

    /// What answers questions about names in place of the driver and the system.
    pub(crate) fn resolver(&self) -> Option<&SharedResolver> {
        self.given.resolver.as_ref()
    }

    /// `readPreference`, `readPreferenceTags` and `maxStalenessSeconds`; primary where a predicate stands in their place.
    pub fn read_preference(&self) -> &ReadPreference {
        self.selection_criteria.preference_or_primary()
    }

    /// `readConcernLevel`.
    pub fn read_concern(&self) -> Option<&ReadConcern> {
        self.read_concern.as_ref()
    }

    /// `w`, `wTimeoutMS` and `journal`.
    pub fn write_concern(&self) -> Option<&WriteConcern> {
        self.write_concern.as_ref()
    }

    /// The function that is called with each command that starts, succeeds or fails.
    pub fn command_event_handler(&self) -> Option<&EventHandler<CommandEvent>> {
        self.given.in_code.command_event_handler.as_ref()
    }

    /// The function that is called with each event of the connection pools.
    pub fn cmap_event_handler(&self) -> Option<&EventHandler<CmapEvent>> {
        self.given.in_code.cmap_event_handler.as_ref()
    }

    /// The function that is called with each event of server discovery.
    pub fn sdam_event_handler(&self) -> Option<&EventHandler<SdamEvent>> {
        self.given.in_code.sdam_event_handler.as_ref()
    }

    /// The function that is called with each warning.
    pub fn warning_handler(&self) -> Option<&EventHandler<Warning>> {
        self.given.in_code.warning_handler.as_ref()
    }

    /// Which risks are refused instead of warned about.
    pub fn policy(&self) -> &SecurityPolicy {
        &self.given.in_code.policy
    }
}
