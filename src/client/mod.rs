//! The client: the handle on a deployment from which databases and collections are reached.
//!
//! [`inner`] is what the clones of a client share, [`execute`] how an operation is sent, [`retry`] whether
//! it is sent again, [`monitoring`] reports it, [`session`] ties operations together,
//! and [`transaction`] makes them one.

mod end_sessions;
mod execute;
mod inner;
mod monitoring;
mod retry;
mod session;
#[cfg(test)]
mod tests;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::Result;
use crate::event::sdam::TopologyDescription;
use crate::operation::ping::Ping;
use crate::options::{ClientOptions, DriverInfo, ReadConcern, SelectionCriteria, WriteConcern};
use crate::system::RealSystem;
use crate::warning::{Warning, WarningSink};

pub(crate) use inner::{ClientInner, CursorHandle};
pub use session::{ClientSession, ExplicitSession, ImplicitSession, StartSession};
pub(crate) use session::{cursor_session_setter, session_setter};
pub use transaction::{AbortTransaction, CommitTransaction, StartTransaction};

/// How long [`Client::close`] gives the servers to end open cursors and sessions.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// A handle on a MongoDB deployment, with a pool of connections.
///
/// It is cheap to clone, and every clone shares the pool; many threads may use it at once. By default it keeps no thread of
/// its own. It connects when it is first used. When the last clone, and the last cursor and session, is dropped, its sockets are closed. Before
/// that the servers are told which sessions have ended, if there is an idle connection to do so, for half a second at most;
/// [`Client::close`] takes more care.
///
/// It survives `fork`: the child connects anew and leaves its parent's connections and cursors alone. As everywhere, no other
/// thread may be in the midst of using the client at that moment. `ObjectId::new` counts on from the same place in both, so
/// give documents that both of them insert an `_id` of your own.
///
/// ```no_run
/// use mongo_blocking::Client;
/// use mongo_blocking::bson::doc;
///
/// # fn main() -> mongo_blocking::Result<()> {
/// let client = Client::with_uri_str("mongodb://user:pencil@localhost/")?;
/// client.database("admin").run_command(doc! { "ping": 1 }).run()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<ClientInner>);

impl Client {
    /// A client for a connection string, `mongodb://…` or `mongodb+srv://…`. Nothing is connected yet; for `mongodb+srv`, DNS is
    /// asked for the hosts, which takes `connectTimeoutMS` at most.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for a connection string or an option that cannot be right,
    /// [`ErrorKind::InvalidTlsConfig`](crate::error::ErrorKind::InvalidTlsConfig) for certificates and keys that cannot be used, and
    /// [`ErrorKind::NotSupported`](crate::error::ErrorKind::NotSupported) for what is not supported. For `mongodb+srv`,
    /// [`ErrorKind::DnsResolve`](crate::error::ErrorKind::DnsResolve) and [`ErrorKind::Io`](crate::error::ErrorKind::Io) where DNS
    /// names no hosts, and [`ErrorKind::InvalidResponse`](crate::error::ErrorKind::InvalidResponse) where its records break the rules of
    /// the Initial DNS Seedlist Discovery specification.
    pub fn with_uri_str(uri: impl AsRef<str>) -> Result<Self> {
        Client::with_options(ClientOptions::parse(uri.as_ref()).run()?)
    }

    /// A client for options. Nothing is connected yet; for `mongodb+srv`, DNS is asked for the hosts, each time a client is made.
    ///
    /// ```no_run
    /// # fn f() -> mongo_blocking::Result<()> {
    /// use mongo_blocking::Client;
    /// use mongo_blocking::options::ClientOptions;
    ///
    /// let options = ClientOptions::builder().uri("mongodb://localhost/").app_name("reports").build();
    /// let client = Client::with_options(options)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `InvalidArgument` for options that contradict each other, `InvalidTlsConfig` for certificates and keys that cannot be used, and
    /// `NotSupported` for what is not supported; for `mongodb+srv` as for [`with_uri_str`](Client::with_uri_str).
    pub fn with_options(options: impl Into<ClientOptions>) -> Result<Self> {
        let options = options.into().settings()?;
        options.check_supported()?;
        // The client's only way to the machine and the process that it runs in.
        let system = RealSystem::shared();
        #[cfg(feature = "srv")]
        let options = options.resolve_srv_on(&system)?;
        options.check_supported()?; // of several hosts, and what a TXT record asks for, only DNS tells
        let inner = ClientInner::new(options, system)?;
        let options = inner.options();
        let sink = WarningSink::new(options.warning_handler().cloned());
        options.warnings().iter().for_each(|warning| sink.notify(warning));
        Ok(Client(Arc::new(inner)))
    }

    /// Asks the server whether it is there (`ping` on `admin`). The first call connects, and logs in where the options have a credential.
    ///
    /// It says nothing about permissions: a server with access control answers a `ping` without a login, too. A program that forgot its
    /// credential learns of it at its first other command, by the error code 13 (`Unauthorized`).
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// client.ping()?;
    /// println!("the server answers");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [The errors of every action](crate::action#errors).
    pub fn ping(&self) -> Result<()> {
        self.execute(&mut Ping, None)
    }

    /// What the client knows about its deployment now: the servers, their types and round trip times, and the last error of each.
    ///
    /// Nothing is asked for. Until the first operation nothing is known but the hosts of the options.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// client.ping()?;
    /// for (address, server) in client.topology().servers() {
    ///     println!("{address} is {}", server.server_type());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn topology(&self) -> TopologyDescription {
        self.0.topology().description()
    }

    /// The warnings about the options and the files that they name.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// for warning in client.warnings() {
    ///     eprintln!("{warning}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn warnings(&self) -> &[Warning] {
        self.0.options().warnings()
    }

    /// Adds the name of a library that wraps this driver to the client metadata of the connections made from now on.
    ///
    /// Open connections stay as they are. What was added before is not added again; an empty version or platform counts as
    /// absent.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::options::DriverInfo;
    ///
    /// client.append_metadata(DriverInfo { name: "my-wrapper".into(), version: Some("1.2".into()), platform: None })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for a string that contains `|`, and for an
    /// empty name.
    pub fn append_metadata(&self, info: DriverInfo) -> Result<()> {
        self.0.append_metadata(info)
    }

    /// Which servers reads go to unless a database, a collection or an operation says otherwise. `None` is not returned; the
    /// official driver may.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) {
    /// println!("{:?}", client.selection_criteria());
    /// # }
    /// ```
    pub fn selection_criteria(&self) -> Option<&SelectionCriteria> {
        Some(&self.0.options().selection_criteria)
    }

    /// The read concern of its operations, if one is set.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) {
    /// println!("{:?}", client.read_concern());
    /// # }
    /// ```
    pub fn read_concern(&self) -> Option<&ReadConcern> {
        self.0.options().read_concern.as_ref()
    }

    /// The write concern of its operations, if one is set.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) {
    /// println!("{:?}", client.write_concern());
    /// # }
    /// ```
    pub fn write_concern(&self) -> Option<&WriteConcern> {
        self.0.options().write_concern.as_ref()
    }

    /// [`Client::close`] as an action, under the name that the official driver has for it.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) {
    /// client.shutdown().run();
    /// # }
    /// ```
    pub fn shutdown(self) -> Shutdown {
        Shutdown { client: self }
    }

    /// Connects before the first operation needs it, where `minPoolSize` is more than 0: a server is looked for and asked whether it
    /// is there, and a helper thread makes the other connections. What fails goes to the `log` crate; the first operation then fails
    /// for the same reason.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) {
    /// client.warm_connection_pool().run();
    /// # }
    /// ```
    pub fn warm_connection_pool(&self) -> WarmConnectionPool<'_> {
        WarmConnectionPool { client: self }
    }

    /// Ends open cursors and sessions on the servers, within 2 seconds at most, and closes every connection, those in use
    /// included. So it ends calls that other threads are in: they and all later operations of this client and its clones fail with
    /// [`ErrorKind::Shutdown`](crate::error::ErrorKind::Shutdown). A program that follows a collection with a tailable cursor ends like
    /// this: another thread calls `close`. The example `tail` does so at the end of its input.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// client.close();
    /// assert!(client.ping().is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(&self) {
        self.0.close(Deadline::after(CLOSE_LIMIT));
    }

    /// What executes operations.
    pub(crate) fn inner(&self) -> &ClientInner {
        &self.0
    }
}

/// The action that [`Client::shutdown`] makes.
///
/// It waits for nothing: where the official driver waits for open cursors, they are ended here, as by `immediate(true)` there.
#[must_use = "nothing is closed until `run`"]
#[derive(Debug)]
pub struct Shutdown {
    client: Client,
}

impl Shutdown {
    /// Taken for the sake of programs that say it: nothing is waited for either way.
    pub fn immediate(self, _immediate: bool) -> Self {
        self
    }

    /// Closes the client and its clones.
    pub fn run(self) {
        self.client.close();
    }
}

/// The action that [`Client::warm_connection_pool`] makes.
#[must_use = "nothing is connected until `run`"]
#[derive(Debug)]
pub struct WarmConnectionPool<'a> {
    client: &'a Client,
}

impl WarmConnectionPool<'_> {
    /// Connects.
    pub fn run(self) {
        if self.client.0.options().min_pool_size() > 0
            && let Err(error) = self.client.ping()
        {
            log::warn!("warm_connection_pool: {error:#}");
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hosts: Vec<String> = self.0.options().hosts.iter().map(ToString::to_string).collect();
        f.debug_struct("Client").field("hosts", &hosts).finish_non_exhaustive()
    }
}
