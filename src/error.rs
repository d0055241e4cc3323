//! The one error type: what failed, at which stage, how long it took, and what to look at.
//!
//! No secret ever appears in an error. An error says exactly what went wrong and, where we know one, the remedy.

pub(crate) mod codes;
mod convert;
mod kind;
mod readable;
mod refusal;
mod server;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bson::error::ErrorKind as BsonErrorKind;
use bson::{RawBson, RawBsonRef, RawDocument};

pub use kind::{ErrorKind, WriteFailure};
pub(crate) use kind::{FaultKind, IntoErrorKind};
pub(crate) use readable::{Readable, cut, harmless_id};
pub(crate) use refusal::{command_error, error_labels};
pub(crate) use server::shown;
pub use server::{BulkWriteError, CommandError, IndexedWriteError, InsertManyError, WriteConcernError, WriteError};

/// The result of everything that can fail in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The label of an error after which a read or write may be tried again. The driver acts on it only together with
/// [`SYSTEM_OVERLOADED_ERROR`].
pub const RETRYABLE_ERROR: &str = "RetryableError";
/// The label of a write error after which the write may be tried again.
pub const RETRYABLE_WRITE_ERROR: &str = "RetryableWriteError";
/// The label of an error that has ended a transaction which may succeed if it is begun anew.
pub const TRANSIENT_TRANSACTION_ERROR: &str = "TransientTransactionError";
/// The label of an error that leaves open whether a transaction was committed with its write concern. The commit may be called again.
pub const UNKNOWN_TRANSACTION_COMMIT_RESULT: &str = "UnknownTransactionCommitResult";
/// The label of an error before which the server wrote nothing.
pub const NO_WRITES_PERFORMED: &str = "NoWritesPerformed";
/// The label of an error after which a change stream can go on.
pub const RESUMABLE_CHANGE_STREAM_ERROR: &str = "ResumableChangeStreamError";
/// The label of an error that suggests the server is overloaded.
pub const SYSTEM_OVERLOADED_ERROR: &str = "SystemOverloadedError";

/// Any failure of this driver. The size of two pointers.
///
/// [`Error::kind`] is there to branch on, [`Error::stage`] tells where it happened, [`Error::hint`] what to do about it.
/// `{error}` is one line with the stage, the server, what happened, the time and the hint, and a line for each server where none could be
/// selected. What a server said is in it, or in a source that is an `Error` too. What another error says that
/// [`source`](std::error::Error::source) returns is not, so that a report that walks along the sources, as that of `anyhow` does, has
/// each text once. `{error:#}` is the line with the causes in it, for a log or a message that does not walk.
///
/// ```
/// use mongo_blocking::error::{ErrorKind, Stage};
///
/// let error = mongo_blocking::Client::with_uri_str("mongodb://user:p@ss@localhost").unwrap_err();
/// assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }));
/// assert_eq!(error.stage(), Stage::ConnectionString);
/// assert!(error.to_string().contains("%40"), "{error}");
///
/// # fn f(error: mongo_blocking::Error) {
/// eprintln!("{error}"); // options: tlsCAFile ca.pem cannot be read: there is no such file [..]
/// eprintln!("{error:#}"); // options: tlsCAFile ca.pem cannot be read: there is no such file: No such file or directory (os error 2) [..]
/// # }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Error {
    /// What went wrong, to branch on. The same as [`Error::kind`], for a program that takes it out.
    pub kind: Box<ErrorKind>,
    context: Box<Context>,
}

/// What else is known about a failure.
#[derive(Clone)]
struct Context {
    stage: Stage,
    /// Unless the kind has the message.
    message: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    labels: HashSet<String>,
    address: Option<String>,
    namespace: Option<String>,
    document: Option<Box<FaultyDocument>>,
    elapsed: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    servers: Vec<String>,
}

/// The document that an error is about.
#[derive(Clone, Debug, Default)]
struct FaultyDocument {
    id: Option<RawBson>,
    index: Option<usize>,
    path: Option<String>,
}

/// Where on the way from a connection string to a document it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Reading the connection string.
    ConnectionString,
    /// Judging the options and what they name (files, certificates).
    Options,
    /// Choosing a server.
    ServerSelection,
    /// Waiting for a connection from the pool.
    CheckOut,
    /// Looking up a name.
    Dns,
    /// Connecting the socket (TCP or Unix).
    Connect,
    /// The TLS handshake.
    Tls,
    /// The first `hello` of a connection.
    Hello,
    /// A step of authentication.
    Authentication {
        /// The mechanism, by its name in `authMechanism`.
        mechanism: &'static str,
        /// What the step waited for or did.
        step: &'static str,
    },
    /// A request over HTTP: to a cloud's service for credentials or tokens, or to an OCSP responder.
    Http,
    /// Building a command.
    Encode,
    /// Sending a command, or waiting for its reply.
    Command,
    /// Reading what the server answered.
    Decode,
    /// In the program itself: an error that it made or converted.
    Program,
}

impl Error {
    pub(crate) fn new(kind: impl IntoErrorKind, stage: Stage, message: impl Into<Cow<'static, str>>) -> Self {
        let message = harmless(message.into());
        let kind = Box::new(kind.into_error_kind(&message));
        let message = if kind.message().is_some() { Cow::Borrowed("") } else { message };
        let context = Box::new(Context {
            stage,
            message,
            hint: None,
            labels: HashSet::new(),
            address: None,
            namespace: None,
            document: None,
            elapsed: None,
            source: None,
            servers: Vec::new(),
        });
        Error { kind, context }
    }

    /// A bad argument of a method.
    pub(crate) fn invalid_argument(message: impl Into<Cow<'static, str>>) -> Self {
        Error::new(FaultKind::InvalidArgument, Stage::Options, message)
    }

    /// What a session's transaction does not allow.
    pub(crate) fn transaction(message: impl Into<Cow<'static, str>>) -> Self {
        Error::new(FaultKind::Transaction, Stage::Options, message)
    }

    /// Something that has no part in this build, or none yet.
    pub(crate) fn not_supported(message: impl Into<Cow<'static, str>>) -> Self {
        Error::new(FaultKind::NotSupported, Stage::Options, message)
    }

    /// Something that the server at hand is too old for.
    pub(crate) fn incompatible_server(message: impl Into<Cow<'static, str>>) -> Self {
        Error::new(FaultKind::IncompatibleServer, Stage::Options, message)
    }

    /// The peer broke the rules of the protocol while we were at `stage`.
    pub(crate) fn invalid_reply(stage: Stage, message: impl Into<Cow<'static, str>>) -> Self {
        Error::new(FaultKind::InvalidResponse, stage, message)
    }

    /// The program has closed the client.
    pub(crate) fn client_closed(stage: Stage) -> Self {
        Error::new(FaultKind::Shutdown, stage, "the client was closed")
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.context.hint = Some(hint.into());
        self
    }

    pub(crate) fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        let message = harmless(message.into());
        match self.kind.message_mut() {
            Some(held) => *held = message.into_owned(),
            None => self.context.message = message,
        }
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.context.source = Some(self.kind.take_source(source.into()));
        self
    }

    /// With the cause of an error whose message this one has in its own, and the time that it took.
    #[cfg(feature = "oidc")]
    pub(crate) fn with_source_of(mut self, other: Error) -> Self {
        self.context.source = other.context.source;
        self.context.elapsed = other.context.elapsed;
        self
    }

    pub(crate) fn with_label(mut self, label: impl Into<String>) -> Self {
        self.context.labels.insert(label.into());
        self
    }

    /// Names the server, unless the error names one already.
    pub(crate) fn with_address(mut self, address: impl fmt::Display) -> Self {
        self.context.address.get_or_insert_with(|| address.to_string());
        self
    }

    /// Names the collection, unless the error names one already.
    pub(crate) fn with_namespace(mut self, namespace: impl fmt::Display) -> Self {
        self.context.namespace.get_or_insert_with(|| cut(&namespace.to_string()));
        self
    }

    /// Keeps the `_id` of the document that it is about, unless there is one already. It is not part of the text.
    pub(crate) fn with_document_id(mut self, id: RawBson) -> Self {
        self.context.document.get_or_insert_default().id.get_or_insert(id);
        self
    }

    /// Keeps where in the caller's list the document is that it is about.
    pub(crate) fn with_document_index(mut self, index: usize) -> Self {
        self.context.document.get_or_insert_default().index = Some(index);
        self
    }

    /// Keeps the field of the document that it is about.
    pub(crate) fn with_path(mut self, path: impl Into<String>) -> Self {
        self.context.document.get_or_insert_default().path = Some(path.into());
        self
    }

    /// Tells how long it took, unless that is known already.
    pub(crate) fn with_elapsed(mut self, elapsed: Duration) -> Self {
        self.context.elapsed.get_or_insert(elapsed);
        self
    }

    pub(crate) fn with_stage(mut self, stage: Stage) -> Self {
        self.context.stage = stage;
        self
    }

    /// Adds a line for each server that could not be selected.
    pub(crate) fn with_servers(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.context.servers = lines.into_iter().map(|line| harmless(line.into()).into_owned()).collect();
        self
    }

    /// What went wrong.
    ///
    /// ```
    /// use mongo_blocking::Client;
    /// use mongo_blocking::error::ErrorKind;
    ///
    /// let error = Client::with_uri_str("mongo://localhost").unwrap_err();
    /// assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }));
    /// ```
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Where it happened.
    ///
    /// ```
    /// use mongo_blocking::Client;
    /// use mongo_blocking::error::Stage;
    ///
    /// let error = Client::with_uri_str("mongo://localhost").unwrap_err();
    /// assert_eq!(error.stage(), Stage::ConnectionString);
    /// ```
    pub fn stage(&self) -> Stage {
        self.context.stage
    }

    /// What went wrong, without the stage, the address and the hint.
    ///
    /// ```
    /// let error = mongo_blocking::Client::with_uri_str("mongodb://localhost:0").unwrap_err();
    /// assert!(error.message().starts_with("a port is a number from 1 to 65535"));
    /// ```
    pub fn message(&self) -> &str {
        self.kind.message().unwrap_or(&self.context.message)
    }

    /// What to look at or do about it, where we know.
    ///
    /// ```
    /// let error = mongo_blocking::Client::with_uri_str("mongodb://ann:p@ss@localhost").unwrap_err();
    /// assert!(error.hint().unwrap().contains("%40"));
    /// ```
    pub fn hint(&self) -> Option<&str> {
        self.context.hint.as_deref()
    }

    /// The server it concerns (`host:port`, or a socket's path), where there is one.
    ///
    /// ```no_run
    /// let client = mongo_blocking::Client::with_uri_str("mongodb://localhost")?;
    /// if let Err(error) = client.ping() {
    ///     eprintln!("{error} (server: {})", error.address().unwrap_or("unknown"));
    /// }
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn address(&self) -> Option<&str> {
        self.context.address.as_deref()
    }

    /// The collection that it concerns (`database.collection`), where there is one.
    ///
    /// ```
    /// # fn f(error: mongo_blocking::Error) {
    /// if error.namespace() == Some("zoo.animals") {
    ///     println!("{error}");
    /// }
    /// # }
    /// ```
    pub fn namespace(&self) -> Option<&str> {
        self.context.namespace.as_deref()
    }

    /// The `_id` of the document that it concerns: one that does not fit its type, or one that `insert_one` was to insert, whose
    /// `_id` the driver may have made. The text of the error has it only where it is an ObjectId or a number, since it may be a
    /// session's secret or a person's address.
    ///
    /// ```
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) {
    /// use mongo_blocking::bson::doc;
    /// use mongo_blocking::error::{ErrorKind, WriteFailure};
    ///
    /// match animals.insert_one(doc! { "name": "Zoe" }).run() {
    ///     Err(error) if matches!(*error.kind, ErrorKind::Write(WriteFailure::WriteConcernError(_))) => {
    ///         println!("inserted as {:?}, but not replicated in time", error.document_id());
    ///     }
    ///     other => drop(other),
    /// }
    /// # }
    /// ```
    pub fn document_id(&self) -> Option<RawBsonRef<'_>> {
        match self.context.document.as_deref().and_then(|document| document.id.as_ref()) {
            Some(id) => Some(id.as_raw_bson_ref()),
            None => self.cause()?.document_id(),
        }
    }

    /// The place in the caller's list, from 0, of the document or write that could not be sent.
    ///
    /// ```
    /// # fn f(error: mongo_blocking::Error, files: Vec<String>) {
    /// if let Some(index) = error.document_index() {
    ///     println!("{} is too large", files[index]);
    /// }
    /// # }
    /// ```
    pub fn document_index(&self) -> Option<usize> {
        match self.context.document.as_deref().and_then(|document| document.index) {
            Some(index) => Some(index),
            None => self.cause()?.document_index(),
        }
    }

    /// The field that does not fit its type, or that BSON cannot hold: `parts[1].at`.
    ///
    /// ```
    /// # fn f(error: mongo_blocking::Error) {
    /// println!("the field is {}", error.path().unwrap_or("not known"));
    /// # }
    /// ```
    pub fn path(&self) -> Option<&str> {
        match self.context.document.as_deref().and_then(|document| document.path.as_deref()) {
            Some(path) => Some(path),
            None => self.cause()?.path(),
        }
    }

    /// How long the failed step took, where it was measured.
    ///
    /// ```no_run
    /// let client = mongo_blocking::Client::with_uri_str("mongodb://localhost/?timeoutMS=500")?;
    /// if let Some(elapsed) = client.ping().err().and_then(|error| error.elapsed()) {
    ///     eprintln!("failed after {elapsed:?}");
    /// }
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn elapsed(&self) -> Option<Duration> {
        self.context.elapsed
    }

    /// Where no server could be selected: a line for each server, with its address, its last error, the stage of that error,
    /// and how long ago it was.
    ///
    /// ```no_run
    /// let client = mongo_blocking::Client::with_uri_str("mongodb://db1.example.com/?serverSelectionTimeoutMS=500")?;
    /// if let Err(error) = client.ping() {
    ///     error.servers().for_each(|line| eprintln!("{line}"));
    /// }
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.context.servers.iter().map(String::as_str)
    }

    /// The error labels that the server or the driver attached.
    ///
    /// ```no_run
    /// let client = mongo_blocking::Client::with_uri_str("mongodb://localhost")?;
    /// if let Err(error) = client.ping() {
    ///     eprintln!("{} labels", error.labels().len());
    /// }
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn labels(&self) -> &HashSet<String> {
        &self.context.labels
    }

    /// Whether the error carries this label.
    ///
    /// ```no_run
    /// let client = mongo_blocking::Client::with_uri_str("mongodb://localhost")?;
    /// if client.ping().is_err_and(|error| error.contains_label("RetryableWriteError")) {
    ///     client.ping()?;
    /// }
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn contains_label(&self, label: impl AsRef<str>) -> bool {
        self.labels().contains(label.as_ref())
    }

    /// The server's error code, where the server sent one. Of several write errors, the first.
    ///
    /// ```no_run
    /// use mongo_blocking::bson::doc;
    ///
    /// let admin = mongo_blocking::Client::with_uri_str("mongodb://localhost")?.database("admin");
    /// let error = admin.run_command(doc! { "noSuchCommand": 1 }).run().unwrap_err();
    /// assert_eq!(error.code(), Some(59));
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn code(&self) -> Option<i32> {
        match &*self.kind {
            ErrorKind::Command(error) => Some(error.code),
            ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
            ErrorKind::Write(WriteFailure::WriteConcernError(error)) => Some(error.code),
            ErrorKind::InsertMany(error) => {
                server::first_code(error.write_errors.as_deref().unwrap_or_default(), error.write_concern_error.iter())
            }
            ErrorKind::BulkWrite(error) => server::first_code(&error.write_errors, error.write_concern_errors.iter()),
            _ => self.cause().and_then(Error::code),
        }
    }

    /// The server's name of its error code, where it sent one.
    ///
    /// ```no_run
    /// use mongo_blocking::bson::doc;
    ///
    /// let admin = mongo_blocking::Client::with_uri_str("mongodb://localhost")?.database("admin");
    /// let error = admin.run_command(doc! { "noSuchCommand": 1 }).run().unwrap_err();
    /// assert_eq!(error.code_name(), Some("CommandNotFound"));
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn code_name(&self) -> Option<&str> {
        match &*self.kind {
            ErrorKind::Command(error) => Some(error.code_name.as_str()),
            ErrorKind::Write(WriteFailure::WriteError(error)) => error.code_name.as_deref(),
            ErrorKind::Write(WriteFailure::WriteConcernError(error)) => Some(error.code_name.as_str()),
            _ => self.cause().and_then(Error::code_name),
        }
        .filter(|name| !name.is_empty())
    }

    /// The server's whole reply, where the failure was in one.
    ///
    /// ```no_run
    /// use mongo_blocking::bson::doc;
    ///
    /// let admin = mongo_blocking::Client::with_uri_str("mongodb://localhost")?.database("admin");
    /// let error = admin.run_command(doc! { "noSuchCommand": 1 }).run().unwrap_err();
    /// assert!(error.server_response().unwrap().get_str("errmsg").is_ok());
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn server_response(&self) -> Option<&RawDocument> {
        match &*self.kind {
            ErrorKind::Command(error) => Some(&error.response),
            ErrorKind::Write(WriteFailure::WriteError(error)) => error.response.as_deref(),
            ErrorKind::Write(WriteFailure::WriteConcernError(error)) => error.response.as_deref(),
            _ => self.cause().and_then(Error::server_response),
        }
    }

    /// Whether this is a failure of the network or a time limit on it, not a server's answer.
    ///
    /// ```no_run
    /// let client = mongo_blocking::Client::with_uri_str("mongodb://localhost")?;
    /// match client.ping() {
    ///     Err(error) if error.is_network_error() => eprintln!("the server cannot be reached: {error}"),
    ///     other => other?,
    /// }
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn is_network_error(&self) -> bool {
        matches!(*self.kind, ErrorKind::Io(_) | ErrorKind::ProxyConnect { .. } | ErrorKind::DnsResolve { .. })
            || self.is_network_timeout()
    }

    /// Whether a time limit on the network ran out.
    ///
    /// ```no_run
    /// let client = mongo_blocking::Client::with_uri_str("mongodb://localhost/?timeoutMS=500")?;
    /// match client.ping() {
    ///     Err(error) if error.is_network_timeout() => eprintln!("no answer within 500 ms"),
    ///     other => other?,
    /// }
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn is_network_timeout(&self) -> bool {
        self.is_timeout()
            && !matches!(self.context.stage, Stage::ServerSelection | Stage::CheckOut)
            && !self.cause().is_some_and(Error::is_server_time_limit)
    }

    /// Whether a time limit ran out: `timeoutMS`, or another one that the driver keeps.
    pub(crate) fn is_timeout(&self) -> bool {
        match &*self.kind {
            ErrorKind::Timeout { .. } => true,
            // A time limit of the system's own has a code: the other side is gone.
            ErrorKind::Io(error) => error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none(),
            _ => false,
        }
    }

    /// Whether the server itself stopped the operation because of `maxTimeMS`: it says so with error code 50 as the refusal of a
    /// command, in a write error or in a write concern error.
    pub(crate) fn is_server_time_limit(&self) -> bool {
        const LIMIT: i32 = codes::MAX_TIME_MS_EXPIRED;
        match &*self.kind {
            ErrorKind::Command(error) => error.code == LIMIT,
            ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == LIMIT,
            ErrorKind::Write(WriteFailure::WriteConcernError(error)) => error.code == LIMIT,
            ErrorKind::InsertMany(error) => {
                error.write_errors.iter().flatten().any(|error| error.code == LIMIT)
                    || error.write_concern_error.as_ref().is_some_and(|error| error.code == LIMIT)
            }
            ErrorKind::BulkWrite(error) => {
                error.write_errors.iter().any(|error| error.code == LIMIT)
                    || error.write_concern_errors.iter().any(|error| error.code == LIMIT)
            }
            _ => false,
        }
    }

    /// The server's own time limit came from `timeoutMS`, so that is the limit that ran out. The server's error is the cause.
    pub(crate) fn into_timeout(self) -> Self {
        if !self.is_server_time_limit() {
            return self;
        }
        let message = "timeoutMS ran out while the server worked on the command (MaxTimeMSExpired)";
        let elapsed = self.context.elapsed;
        let mut error = self.into_cause_of(Error::new(FaultKind::Timeout, Stage::Command, message));
        error.context.elapsed = elapsed;
        error
    }

    /// The other error with this one as its cause, and with its labels, server and collection.
    pub(crate) fn into_cause_of(self, mut error: Error) -> Self {
        error.context.labels.clone_from(&self.context.labels);
        error.context.address.clone_from(&self.context.address);
        error.context.namespace.clone_from(&self.context.namespace);
        error.with_source(self)
    }

    /// What happened with its causes, without stage, address and hint, to be part of another message.
    pub(crate) fn told(&self) -> String {
        let own = match self.words_of_cause() {
            Some(words) => format!("{}: {words}", self.message()),
            None => self.message().to_owned(),
        };
        match self.source() {
            Some(cause) => format!("{own}: {}", cause_text(cause)),
            None => own,
        }
    }

    /// What the cause says, where this error says it itself: an error of BSON that the kind holds, and the server's words where it
    /// refuses a login.
    fn words_of_cause(&self) -> Option<String> {
        match &*self.kind {
            ErrorKind::BsonSerialization(_) | ErrorKind::BsonDeserialization(_) => {
                self.context.source.as_ref()?.downcast_ref().map(words_of_bson)
            }
            ErrorKind::Authentication { .. } => {
                let refused = self.cause().filter(|cause| matches!(*cause.kind, ErrorKind::Command(_)));
                refused.map(|refused| refused.message().to_owned())
            }
            _ => None,
        }
    }

    /// The error of ours beneath this one, if any.
    fn cause(&self) -> Option<&Error> {
        self.context.source.as_ref()?.downcast_ref::<Error>()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.context.stage)?;
        match (&self.context.address, &self.context.namespace) {
            (Some(address), Some(namespace)) => write!(f, " ({address}, {namespace})")?,
            (Some(only), None) | (None, Some(only)) => write!(f, " ({only})")?,
            (None, None) => {}
        }
        write!(f, ": {}", self.message())?;
        if let Some(elapsed) = self.context.elapsed {
            write!(f, " (after {elapsed:.1?})")?;
        }
        if let Some(words) = self.words_of_cause() {
            write!(f, ": {}", harmless(words.into()))?;
        }
        if let Some(source) = self.source().filter(|_| f.alternate()) {
            write!(f, ": {}", harmless(cause_text(source).into()))?;
        }
        if let Some(hint) = &self.context.hint {
            write!(f, " [{hint}]")?;
        }
        self.servers().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.context;
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.kind).field("stage", &inner.stage);
        if self.kind.message().is_none() {
            out.field("message", &inner.message);
        }
        if let Some(hint) = &inner.hint {
            out.field("hint", hint);
        }
        if !inner.labels.is_empty() {
            out.field("labels", &inner.labels.iter().collect::<BTreeSet<_>>()); // in one order
        }
        if let Some(address) = &inner.address {
            out.field("address", address);
        }
        if let Some(namespace) = &inner.namespace {
            out.field("namespace", namespace);
        }
        if let Some(FaultyDocument { index, path, .. }) = inner.document.as_deref() {
            index.iter().for_each(|index| _ = out.field("document_index", index));
            path.iter().for_each(|path| _ = out.field("path", path));
        }
        if let Some(elapsed) = &inner.elapsed {
            out.field("elapsed", elapsed);
        }
        if let Some(source) = &inner.source {
            out.field("source", source);
        }
        if !inner.servers.is_empty() {
            out.field("servers", &inner.servers);
        }
        out.finish()
    }
}

/// The cause is what this error does not say itself. An error of BSON or of the program's input and output, which
/// [`kind`](Error::kind) holds, is said here, and so are the words of a server that refuses a login.
impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match (&self.context.source, &*self.kind) {
            (Some(_), _) if self.words_of_cause().is_some() => None,
            (Some(source), _) => Some(&**source),
            (None, ErrorKind::Io(held)) => held.source(),
            (None, _) => None,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::ConnectionString => "connection string",
            Stage::Options => "options",
            Stage::ServerSelection => "server selection",
            Stage::CheckOut => "connection pool",
            Stage::Dns => "name look-up",
            Stage::Connect => "connect",
            Stage::Tls => "TLS handshake",
            Stage::Hello => "hello",
            Stage::Authentication { mechanism, step } => return write!(f, "authentication ({mechanism}, {step})"),
            Stage::Http => "HTTP request",
            Stage::Encode => "building the command",
            Stage::Command => "command",
            Stage::Decode => "reading the reply",
            Stage::Program => "program",
        })
    }
}

/// A cause as it is shown in a line with the error.
fn cause_text(source: &(dyn StdError + 'static)) -> String {
    match (source.downcast_ref::<Error>(), source.downcast_ref::<bson::error::Error>()) {
        (Some(own), _) => format!("{own:#}"),
        (_, Some(error)) => words_of_bson(error),
        _ => {
            let own = source.to_string();
            match source.source().map(cause_text) {
                // Many errors say their own cause.
                Some(deeper) if !own.contains(&deeper) => format!("{own}: {deeper}"),
                _ => own,
            }
        }
    }
}

/// Of a failed conversion only bson's own words: the rest is about its types.
fn words_of_bson(error: &bson::error::Error) -> String {
    let is_conversion =
        matches!(error.kind, BsonErrorKind::Deserialization { .. } | BsonErrorKind::Serialization { .. });
    match &error.message {
        Some(message) if is_conversion => shown(message),
        _ => error.to_string(),
    }
}

/// Without the control characters that a terminal would obey: a message may quote the server, and a cause may do so too.
fn harmless(text: Cow<'static, str>) -> Cow<'static, str> {
    if text.contains(char::is_control) { text.replace(char::is_control, " ").into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_two_words_wide() {
        assert_eq!(size_of::<Error>(), 2 * size_of::<usize>());
        assert_eq!(size_of::<Result<()>>(), 2 * size_of::<usize>());
    }

    #[test]
    fn an_error_tells_stage_server_time_and_remedy() {
        let error = Error::new(FaultKind::Io, Stage::Connect, "connection refused")
            .with_address("localhost:27017")
            .with_elapsed(Duration::from_millis(12))
            .with_hint("is mongod running?");
        assert_eq!(
            error.to_string(),
            "connect (localhost:27017): connection refused (after 12.0ms) [is mongod running?]"
        );
    }

    #[test]
    fn each_level_says_its_own_part() {
        let below = Error::new(FaultKind::Io, Stage::Connect, "connection refused")
            .with_source(std::io::Error::other("code 111"))
            .with_hint("is mongod running?");
        let error = below.into_cause_of(Error::new(FaultKind::ServerSelection, Stage::ServerSelection, "no server"));
        assert_eq!(error.to_string(), "server selection: no server");
        let below = error.source().unwrap();
        assert_eq!(below.to_string(), "connect: connection refused [is mongod running?]");
        assert_eq!(below.source().unwrap().to_string(), "code 111");
        assert_eq!(
            format!("{error:#}"),
            "server selection: no server: connect: connection refused: code 111 [is mongod running?]"
        );
    }

    #[test]
    fn a_label_is_kept_once() {
        let error = Error::invalid_argument("x").with_label("a").with_label("a");
        assert_eq!(error.labels().len(), 1);
    }
}
