//! What the options say, one getter for each line of the table.

use std::net::SocketAddr;
use std::time::Duration;

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

    /// The database that the connection string names after the hosts.
    pub fn default_database(&self) -> Option<&str> {
        self.default_database.as_deref()
    }

    /// `authSource`, as it was given; [`Credential::source`] returns the one that is used.
    pub fn auth_source(&self) -> Option<&str> {
        self.given.settings.text(OptionId::AuthSource)
    }

    /// `appName`.
    pub fn app_name(&self) -> Option<&str> {
        self.app_name.as_deref()
    }

    /// What libraries that wrap this driver say about themselves.
    pub fn driver_info(&self) -> &[DriverInfo] {
        &self.driver_info
    }

    /// The version of the Stable API that every command declares.
    pub fn server_api(&self) -> Option<&ServerApi> {
        self.server_api.as_ref()
    }

    /// The TLS options; `None`: no TLS.
    pub fn tls(&self) -> Option<&TlsSettings> {
        self.tls.as_ref()
    }

    /// `timeoutMS`; zero: no limit; `None`: the older limits apply.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// `connectTimeoutMS`; zero: no limit.
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// `socketTimeoutMS`.
    pub fn socket_timeout(&self) -> Option<Duration> {
        self.socket_timeout
    }

    /// `serverSelectionTimeoutMS`.
    pub fn server_selection_timeout(&self) -> Duration {
        self.server_selection_timeout
    }

    /// `serverSelectionTryOnce`. `None`: it was not given. Then one host without `replicaSet` gives up at once where nothing listens or the
    /// name is unknown, and everything else waits for `serverSelectionTimeoutMS`.
    pub fn server_selection_try_once(&self) -> Option<bool> {
        self.server_selection_try_once
    }

    /// `waitQueueTimeoutMS`.
    pub fn wait_queue_timeout(&self) -> Option<Duration> {
        self.wait_queue_timeout
    }

    /// `maxPoolSize`; 0: no limit.
    pub fn max_pool_size(&self) -> u32 {
        self.max_pool_size
    }

    /// `minPoolSize`.
    pub fn min_pool_size(&self) -> u32 {
        self.min_pool_size
    }

    /// `maxConnecting`.
    pub fn max_connecting(&self) -> u32 {
        self.max_connecting
    }

    /// `maxIdleTimeMS`.
    pub fn max_idle_time(&self) -> Option<Duration> {
        self.max_idle_time
    }

    /// `replicaSet`.
    pub fn replica_set(&self) -> Option<&str> {
        self.replica_set.as_deref()
    }

    /// `directConnection`.
    pub fn direct_connection(&self) -> Option<bool> {
        self.direct_connection
    }

    /// `loadBalanced`.
    pub fn load_balanced(&self) -> bool {
        self.flag(OptionId::LoadBalanced)
    }

    /// `localThresholdMS`.
    pub fn local_threshold(&self) -> Duration {
        self.local_threshold
    }

    /// `heartbeatFrequencyMS`.
    pub fn heartbeat_frequency(&self) -> Duration {
        self.heartbeat_frequency
    }

    /// Who checks the servers.
    pub fn monitoring(&self) -> Monitoring {
        self.monitoring
    }

    /// `serverMonitoringMode`.
    pub fn server_monitoring_mode(&self) -> &str {
        self.given.settings.text(OptionId::ServerMonitoringMode).unwrap_or_default()
    }

    /// `srvMaxHosts`; 0: all.
    pub fn srv_max_hosts(&self) -> u32 {
        self.count(OptionId::SrvMaxHosts)
    }

    /// `srvServiceName`.
    pub fn srv_service_name(&self) -> &str {
        self.given.settings.text(OptionId::SrvServiceName).unwrap_or_default()
    }

    /// The domain that the hosts named by DNS must be below, where it is not that of the connection string.
    pub fn srv_allowed_hosts_suffix(&self) -> Option<&str> {
        self.given.srv_allowed_hosts_suffix.as_deref()
    }

    /// The name servers to ask for the records of a `mongodb+srv` connection string; empty: those of the system.
    pub fn name_servers(&self) -> &[SocketAddr] {
        &self.given.name_servers
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

    /// `retryReads`, where it was given.
    pub fn retry_reads(&self) -> Option<bool> {
        self.retry_reads
    }

    /// `retryWrites`, where it was given.
    pub fn retry_writes(&self) -> Option<bool> {
        self.retry_writes
    }

    /// `maxAdaptiveRetries`.
    pub fn max_adaptive_retries(&self) -> u32 {
        self.count(OptionId::MaxAdaptiveRetries)
    }

    /// `enableOverloadRetargeting`.
    pub fn enable_overload_retargeting(&self) -> bool {
        self.flag(OptionId::EnableOverloadRetargeting)
    }

    /// `compressors`.
    pub fn compressors(&self) -> &[String] {
        self.given.settings.list(OptionId::Compressors)
    }

    /// `zlibCompressionLevel`; -1: zlib's own default.
    pub fn zlib_compression_level(&self) -> i32 {
        let level = self.given.settings.number(OptionId::ZlibCompressionLevel);
        level.and_then(|level| i32::try_from(level).ok()).unwrap_or(-1)
    }

    /// `proxyHost`.
    pub fn proxy_host(&self) -> Option<&str> {
        self.given.settings.text(OptionId::ProxyHost)
    }

    /// `proxyPort`.
    pub fn proxy_port(&self) -> u16 {
        u16::try_from(self.count(OptionId::ProxyPort)).unwrap_or_default()
    }

    /// `proxyUsername`.
    pub fn proxy_username(&self) -> Option<&str> {
        self.given.settings.text(OptionId::ProxyUsername)
    }

    /// `proxyPassword`.
    pub fn proxy_password(&self) -> Option<&Secret> {
        self.given.settings.secret(OptionId::ProxyPassword)
    }

    /// The most rounds of hashing that a server may ask for in SCRAM.
    pub fn scram_max_iterations(&self) -> u32 {
        self.scram_max_iterations
    }

    /// The most levels of a document that are decoded.
    pub fn max_document_nesting(&self) -> u32 {
        self.max_document_nesting
    }

    /// The function that is called with each command that starts, succeeds or fails.
    pub fn command_event_handler(&self) -> Option<&EventHandler<CommandEvent>> {
        self.command_event_handler.as_ref()
    }

    /// The function that is called with each event of the connection pools.
    pub fn cmap_event_handler(&self) -> Option<&EventHandler<CmapEvent>> {
        self.cmap_event_handler.as_ref()
    }

    /// The function that is called with each event of server discovery.
    pub fn sdam_event_handler(&self) -> Option<&EventHandler<SdamEvent>> {
        self.sdam_event_handler.as_ref()
    }

    /// The function that is called with each warning.
    pub fn warning_handler(&self) -> Option<&EventHandler<Warning>> {
        self.warning_handler.as_ref()
    }

    /// Which risks are refused instead of warned about.
    pub fn policy(&self) -> &SecurityPolicy {
        &self.policy
    }

    fn flag(&self, option: OptionId) -> bool {
        self.given.settings.bool(option).unwrap_or_default()
    }

    fn count(&self, option: OptionId) -> u32 {
        self.given.settings.number(option).and_then(|number| u32::try_from(number).ok()).unwrap_or_default()
    }
}
