//! How a client keeps informed about its servers.

/// Who checks the servers of a deployment.
///
/// With [`Inline`](Monitoring::Inline) no thread works while no operation does. With [`Background`](Monitoring::Background) a change
/// is known before the next operation needs to know it, and the pools are filled up to `minPoolSize` before the first one.
///
/// ```
/// use mongo_blocking::options::{ClientOptions, Monitoring};
///
/// let options = ClientOptions::builder().uri("mongodb://a,b,c/?replicaSet=rs").monitoring(Monitoring::Background).build();
/// assert_eq!(options.monitoring, Monitoring::Background);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Monitoring {
    /// An operation checks a server whose last check is older than `heartbeatFrequencyMS`, on its own thread or on threads that end with
    /// their check. The default.
    #[default]
    Inline,
    /// A thread for each server checks it all the time, as the Server Monitoring specification describes for multi-threaded drivers.
    /// Where the server announces its changes itself (MongoDB 4.4 and later, unless `serverMonitoringMode` or the environment says
    /// otherwise), a second thread measures round trip times. They start with the client and end with it.
    ///
    /// It has no effect with `loadBalanced=true`. `serverSelectionTryOnce` beside it is
    /// [`InvalidArgument`](crate::error::ErrorKind::InvalidArgument).
    Background,
}
