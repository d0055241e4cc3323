//! Cursors: the documents that a query found, batch by batch.

mod batch;
mod pace;
mod session_cursor;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{Bson, RawBson, RawDocument};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::client::{Client, ClientSession, CursorHandle};
use crate::deadline::Deadline;
use crate::document::{decode, decode_owned};
use crate::error::codes::CURSOR_NOT_FOUND;
use crate::error::{Error, ErrorKind, Result, SYSTEM_OVERLOADED_ERROR, Stage};
use crate::operation::body::not_bson;
use crate::operation::get_more::GetMore;
use crate::operation::{CursorReply, Operation};
use crate::options::CursorType;
use crate::session::{OperationSession, ServerSession};

#[cfg(any(test, fuzzing))]
pub(crate) use batch::documents_of;
use batch::{Batch, read_batch};
use pace::Pace;
pub use session_cursor::{SessionCursor, SessionCursorIter};

/// How long a server holds the request of a cursor that awaits, where the program does not say.
const DEFAULT_AWAIT_TIME: Duration = Duration::from_secs(1);
/// How long a cursor that ends here waits for the server to confirm its end.
const KILL_LIMIT: Duration = Duration::from_secs(2);
/// How many empty batches in a row a cursor takes that neither waits for new documents nor has a time limit. A server sends some while
/// it looks for more; sent without end, they would hold the thread for ever.
const MAX_EMPTY_BATCHES: usize = 1000;

/// The documents that a query found. It fetches batch after batch as it is read, and ends on the server when it is dropped.
///
/// As an iterator it decodes each document into `T`. Without decoding, [`Cursor::advance`] and [`Cursor::current`] lend the
/// documents out of the batch's own memory.
///
/// One that is dropped while a panic unwinds sends nothing, since that could call functions of the program's, such as an event
/// handler, and a second panic would end the process: [`Client::close`] ends it, or the server's own time limit of ten minutes.
///
/// A *tailable* cursor, on a capped collection, stays open after the last document. The iteration of one of type
/// [`TailableAwait`](CursorType::TailableAwait) waits for the next document, until an error comes: [`ErrorKind::Timeout`] where nothing
/// came within `timeoutMS`, [`ErrorKind::Shutdown`] once [`Client::close`] was called. [`Cursor::next_if_any`] asks the server once, so
/// that a program can look at something else between. The iteration of one of type [`Tailable`](CursorType::Tailable), which the server
/// never holds back, ends where there is nothing new for now; as long as [`Cursor::is_alive`] says so, it may be begun again. With a
/// `limit`, both end after so many documents.
///
/// On an empty collection, and where no document matches, the server opens no tailable cursor: the iteration ends at once, without an
/// error, and [`Cursor::is_alive`] is `false`. A program that waits for the first document has to send its query again after a while.
///
/// Where a server answers the requests of an awaiting cursor at once and has nothing, they are sent after pauses of 1 to 100 ms.
///
/// # Nesting
///
/// Servers store documents of up to about 180 levels. Decoding recurses, so how many levels are decoded is limited: 256, and for
/// types (all but [`Document`](bson::Document)) 64 in a build without optimisation. A document of more levels is decoded where the
/// type does not go deeper than half of that: `RawDocumentBuf` and borrowed documents always are, since what they hold is not
/// decoded, and so are structs whose fields are shallow. Otherwise the error is [`ErrorKind::BsonDeserialization`].
///
/// On threads with little stack, lower the limit:
/// [`max_document_nesting`](crate::options::ClientOptionsBuilder::max_document_nesting). What a level takes, in KiB of stack, as
/// measured on x86-64 Linux with bson 3.1:
///
/// | decoded as | with optimisation | without |
/// | --- | --- | --- |
/// | `Document` | 1.7 | 6.5 |
/// | a struct whose field is boxed | 1.3 | 9.0 |
/// | `Document` within a type (`Utf8Lossy<Document>`, a field) | 2.5 | 25 |
///
/// A thread with 256 KiB has room for 80 levels of the last with optimisation, and for 6 without.
///
/// ```no_run
/// # fn main() -> mongo_blocking::Result<()> {
/// use mongo_blocking::Client;
/// use mongo_blocking::bson::{Document, doc};
///
/// let client = Client::with_uri_str("mongodb://localhost/")?;
/// let animals = client.database("zoo").collection::<Document>("animals");
/// for animal in animals.find(doc! { "legs": 4 }).run()? {
///     println!("{}", animal?);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Cursor<T> {
    client: Client,
    /// 0 when the server has closed it.
    id: i64,
    /// Where it is. `None` for a cursor on nothing.
    handle: Option<CursorHandle>,
    /// The session that the driver took for it, as long as it is open.
    session: Option<Box<ServerSession>>,
    batch: Batch,
    settings: CursorSettings,
    pace: Pace,
    failed: bool,
    documents: PhantomData<fn() -> T>,
}

/// What a cursor asks for in each batch after the first.
#[derive(Clone, Debug, Default)]
pub(crate) struct CursorSettings {
    /// Documents a batch.
    pub(crate) batch_size: Option<u32>,
    /// Documents that the limit of the query has left. The server keeps to the limit; servers up to 4.4 keep the cursor open after the
    /// last document unless they are asked for no more than is left.
    pub(crate) limit_left: Option<u64>,
    /// How long the server waits for new documents (tailable cursors with awaitData).
    pub(crate) max_await_time: Option<Duration>,
    /// The name of the option that says so, where that is what it says.
    pub(crate) await_option: Option<&'static str>,
    /// The comment of each `getMore`.
    pub(crate) comment: Option<RawBson>,
    /// What an empty batch means.
    pub(crate) cursor_type: CursorType,
}

impl CursorSettings {
    /// No more than the limit of the query leaves.
    fn next_batch_size(&self) -> Option<u32> {
        let left =
            self.limit_left.filter(|left| *left > 0).map_or(u32::MAX, |left| u32::try_from(left).unwrap_or(u32::MAX));
        self.batch_size.map(|size| size.min(left))
    }

    /// How long the server may hold a request, waiting for new documents.
    fn await_time(&self) -> Option<Duration> {
        let awaits = self.cursor_type == CursorType::TailableAwait;
        self.max_await_time.or_else(|| awaits.then_some(DEFAULT_AWAIT_TIME))
    }

    /// Refuses a time that no server could keep to.
    fn check(&self, limit: Option<Duration>) -> Result<()> {
        let (Some(wait), Some(option)) = (self.max_await_time, self.await_option) else { return Ok(()) };
        if wait.is_zero() {
            let hint = "leave it out: then the server waits for a second; Cursor::next_if_any asks once";
            return Err(Error::invalid_argument(format!("{option} must be more than zero")).with_hint(hint));
        }
        if limit.is_some_and(|limit| !limit.is_zero() && wait >= limit) {
            let message = format!("{option} must be less than timeoutMS, the limit on the whole wait");
            return Err(Error::invalid_argument(message));
        }
        Ok(())
    }

    /// The comment as `getMore` sends it.
    pub(crate) fn comment(comment: Option<&Bson>) -> Result<Option<RawBson>> {
        comment.map(|comment| RawBson::try_from(comment.clone()).map_err(not_bson)).transpose()
    }
}

/// How often the server is asked where its batches are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// As the type of the cursor has it.
    UntilSome,
    OneBatch,
}

impl<T> Cursor<T> {
    /// Executes what opens a cursor.
    pub(crate) fn open<O: Operation<Output = CursorReply>>(
        client: &Client,
        operation: &mut O,
        mut session: OperationSession<'_>,
        settings: CursorSettings,
    ) -> Result<Self> {
        let inner = client.inner();
        settings.check(inner.options().timeout())?;
        // Another connection may lead to another server, which does not know the cursor.
        let needs_own = inner.options().load_balanced() && session.pinned_connection().is_none();
        let own = needs_own.then(Arc::default);
        let opened = inner.execute(operation, &mut session, inner.operation_deadline(), own.as_ref())?;
        // That of a transaction may be another one than before, since its first command may have been sent several times.
        let pin = session.pinned_connection().or(own);
        let CursorReply { reply, server } = opened;
        let batch = read_batch(reply.document(), "firstBatch").map_err(|error| error.with_address(&server))?;
        let (database, collection) =
            batch.namespace.and_then(|namespace| namespace.split_once('.')).ok_or_else(|| {
                Error::invalid_reply(Stage::Decode, "the reply's cursor.ns is not a namespace").with_address(&server)
            })?;
        let handle = CursorHandle::new(database, collection, server, pin);
        let (id, rest) = (batch.id, batch.documents);
        let mut server_session = None;
        if id != 0 {
            client.inner().cursor_opened(id, handle.clone());
            server_session = session.into_server_session();
        }
        Ok(Cursor {
            client: client.clone(),
            id,
            handle: Some(handle),
            session: server_session,
            batch: Batch::new(reply, rest),
            settings,
            pace: Pace::default(),
            failed: false,
            documents: PhantomData,
        })
    }

    /// A cursor on nothing.
    pub(crate) fn empty(client: &Client) -> Self {
        Cursor {
            client: client.clone(),
            id: 0,
            handle: None,
            session: None,
            batch: Batch::none(),
            settings: CursorSettings::default(),
            pace: Pace::default(),
            failed: false,
            documents: PhantomData,
        }
    }

    /// Moves to the next document, which [`Cursor::current`] then lends. Returns `false` at the end of the cursor; of one of type
    /// [`Tailable`](CursorType::Tailable) also where there is no further document now. One of type
    /// [`TailableAwait`](CursorType::TailableAwait) waits for it, without end unless `timeoutMS` is set.
    ///
    /// ```no_run
    /// # fn f(mut cursor: mongo_blocking::Cursor<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// while cursor.advance()? {
    ///     println!("{:?}", cursor.current().get_str("name"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A failed `getMore`, after which the cursor has ended: [`ErrorKind::Command`], or
    /// [the errors of every action](crate::action#errors);
    /// [`ErrorKind::Shutdown`] once the client was closed;
    /// [`ErrorKind::InvalidResponse`] for a batch that is not valid BSON, and, of a cursor that is not tailable, for 1,000 empty batches
    /// in a row where no time limit (`timeoutMS`) would end them.
    pub fn advance(&mut self) -> Result<bool> {
        self.advance_in(None)
    }

    /// The same in the session that the cursor was opened in.
    pub(crate) fn advance_in(&mut self, session: Option<&mut ClientSession>) -> Result<bool> {
        self.move_on(session, Patience::UntilSome)
    }

    fn move_on(&mut self, session: Option<&mut ClientSession>, patience: Patience) -> Result<bool> {
        if self.failed {
            return Ok(false);
        }
        let moved = self.try_advance(session, patience);
        if moved.is_err() {
            self.failed = true;
        }
        moved.map_err(|error| self.located(error))
    }

    /// The document that [`Cursor::advance`] moved to, in the batch's own memory.
    ///
    /// ```no_run
    /// # fn f(mut cursor: mongo_blocking::Cursor<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// if cursor.advance()? {
    ///     println!("{} bytes", cursor.current().as_bytes().len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// Before `advance` has returned `true`.
    pub fn current(&self) -> &RawDocument {
        self.batch.current().expect("Cursor::current is for after advance() has returned true")
    }

    /// The document that [`Cursor::advance`] moved to, as a value that may borrow from it.
    ///
    /// It goes through serde, which reads a stored `{ "$oid": ".." }` and its like as Extended JSON where the type leaves it the
    /// choice; the iterator takes a `Document` over as it is.
    ///
    /// ```no_run
    /// # fn f() -> mongo_blocking::Result<()> {
    /// use mongo_blocking::Client;
    /// use mongo_blocking::bson::doc;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Animal<'a> {
    ///     name: &'a str,
    /// }
    ///
    /// let client = Client::with_uri_str("mongodb://localhost/")?;
    /// let animals = client.database("zoo").collection::<Animal>("animals");
    /// let mut cursor = animals.find(doc! {}).run()?;
    /// while cursor.advance()? {
    ///     println!("{}", cursor.deserialize_current()?.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::BsonDeserialization`] where the document does not fit the type: [`Error::path`] names the field,
    /// [`Error::document_id`] the document.
    ///
    /// # Panics
    /// Before `advance` has returned `true`.
    pub fn deserialize_current<'a>(&'a self) -> Result<T>
    where
        T: Deserialize<'a>,
    {
        decode(self.current(), self.client.inner().nesting_limits()).map_err(|error| self.located(error))
    }

    /// Whether the server still holds the cursor, so that there may be more to come.
    ///
    /// The server closes a cursor with its last batch, so `false` does not say that its documents have been read. Look at it where there
    /// was no document: a loop of `while cursor.is_alive()` would leave the last batch unread.
    ///
    /// ```no_run
    /// # fn f(mut cursor: mongo_blocking::Cursor<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// let document = cursor.next().transpose()?;
    /// if document.is_none() && cursor.is_alive() {
    ///     println!("there may be more later");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_alive(&self) -> bool {
        self.id != 0 && !self.failed
    }

    /// Whether documents of the present batch are left, which cost no round trip.
    ///
    /// ```no_run
    /// # fn f(mut cursor: mongo_blocking::Cursor<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// while cursor.has_next() {
    ///     println!("{:?}", cursor.next().transpose()?); // without asking the server
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn has_next(&self) -> bool {
        !self.failed && self.batch.has_rest()
    }

    /// The same cursor with another type to decode into.
    ///
    /// ```no_run
    /// # fn f(mut cursor: mongo_blocking::Cursor<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::RawDocumentBuf;
    ///
    /// for document in cursor.with_type::<RawDocumentBuf>() {
    ///     println!("{} bytes", document?.as_bytes().len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_type<U>(mut self) -> Cursor<U> {
        let id = std::mem::take(&mut self.id);
        Cursor {
            client: self.client.clone(),
            id,
            handle: self.handle.take(),
            session: self.session.take(),
            batch: std::mem::replace(&mut self.batch, Batch::none()),
            settings: self.settings.clone(),
            pace: self.pace,
            failed: self.failed,
            documents: PhantomData,
        }
    }

    fn try_advance(&mut self, mut session: Option<&mut ClientSession>, patience: Patience) -> Result<bool> {
        // One limit for all the batches that this call may fetch: a server that sends empty ones would else never be done.
        let mut limit = None;
        let mut empty_batches = 0;
        loop {
            if self.batch.advance()? {
                if let Some(left) = &mut self.settings.limit_left {
                    *left = left.saturating_sub(1);
                }
                return Ok(true);
            }
            if self.id == 0 {
                return Ok(false);
            }
            if self.settings.limit_left == Some(0) {
                // A server that keeps a cursor open for what is inserted later keeps it beyond the limit, too.
                self.kill();
                return Ok(false);
            }
            let deadline = *limit.get_or_insert_with(|| self.client.inner().operation_deadline());
            self.fetch(session.as_deref_mut(), deadline)?;
            if self.has_next() {
                continue;
            }
            if patience == Patience::OneBatch || self.settings.cursor_type == CursorType::Tailable {
                return Ok(false);
            }
            empty_batches += 1;
            let waits = self.settings.cursor_type == CursorType::TailableAwait;
            if !waits && empty_batches == MAX_EMPTY_BATCHES && self.id != 0 && !self.client.inner().limits_operations()
            {
                let message = format!("the server sent {MAX_EMPTY_BATCHES} empty batches in a row");
                return Err(Error::invalid_reply(Stage::Decode, message)
                    .with_hint("where that is right, set timeoutMS: then the time limit counts, not the batches"));
            }
        }
    }

    /// The error with the server and the collection.
    fn located(&self, error: Error) -> Error {
        match &self.handle {
            Some(handle) => error.with_address(&handle.server).with_namespace(handle.namespace()),
            None => error,
        }
    }

    fn fetch(&mut self, session: Option<&mut ClientSession>, deadline: Deadline) -> Result<()> {
        let Some(handle) = &self.handle else { return Ok(()) };
        let inner = self.client.inner();
        if !inner.pause(self.pace.left().min(deadline.remaining().unwrap_or(Duration::MAX))) {
            return Err(Error::client_closed(Stage::Command));
        }
        let asked = Instant::now();
        let mut get_more = GetMore {
            namespace: handle.namespace(),
            server: &handle.server,
            cursor_id: self.id,
            batch_size: self.settings.next_batch_size(),
            max_await_time: self.settings.max_await_time,
            await_time: self.settings.await_time(),
            comment: self.settings.comment.as_ref(),
            reply_buffer: self.batch.take_buffer(),
        };
        let mut session = match session {
            Some(_) => self.client.operation_session(session)?,
            None => OperationSession::of_cursor(inner.sessions(), self.session.take()),
        };
        let outcome = inner.execute(&mut get_more, &mut session, deadline, handle.pin.as_ref());
        self.session = session.into_server_session();
        let reply = match outcome {
            Ok(reply) => reply,
            Err(error) => {
                // A server that replied has closed the cursor itself, unless it has not read the command because of overload; behind a
                // broken connection it may still hold it. Behind a load balancer the specification wants it closed in any case.
                let unread = error.contains_label(SYSTEM_OVERLOADED_ERROR);
                if matches!(error.kind(), ErrorKind::Command(_)) && !unread && handle.pin.is_none() {
                    self.ended();
                }
                self.batch = Batch::none();
                return Err(self.explained(error));
            }
        };
        let next = read_batch(reply.document(), "nextBatch")?;
        let (id, rest) = (next.id, next.documents);
        self.batch = Batch::new(reply, rest);
        if self.settings.cursor_type == CursorType::TailableAwait {
            self.pace.answered(!self.batch.has_rest(), asked, self.settings.await_time().unwrap_or_default());
        }
        if id == 0 {
            self.ended();
        } else if id != self.id {
            // Servers that speak the protocol beside MongoDB keep state in it: the last one counts.
            let before = std::mem::replace(&mut self.id, id);
            if let Some(handle) = &self.handle {
                self.client.inner().cursor_ended(before, handle);
                self.client.inner().cursor_opened(id, handle.clone());
            }
        }
        Ok(())
    }

    /// What an error of a `getMore` means for the cursor.
    fn explained(&self, error: Error) -> Error {
        let inner = self.client.inner();
        if inner.is_closed() {
            // Closing ends cursors and sessions before connections. What a server says of them is a consequence of that.
            log::debug!("a cursor of a client that was closed: {error:#}");
            return Error::client_closed(error.stage());
        }
        if error.code() == Some(CURSOR_NOT_FOUND) {
            return error.with_hint(NOT_FOUND);
        }
        let awaits = self.settings.cursor_type == CursorType::TailableAwait;
        let both = inner.options().timeout().zip(self.settings.await_time());
        let is_shorter = both.is_some_and(|(limit, wait)| awaits && limit <= wait);
        match error.kind() {
            ErrorKind::Timeout { .. } if is_shorter => {
                let option = self.settings.await_option.unwrap_or("max_await_time");
                error.with_hint(format!(
                    "the server holds the request until there is something new, for a second unless {option} says otherwise: set a \
                     {option} that is less than timeoutMS"
                ))
            }
            _ => error,
        }
    }

    /// The server no longer holds it, so nothing needs its session.
    fn ended(&mut self) {
        let id = std::mem::take(&mut self.id);
        if let Some(handle) = &self.handle {
            self.client.inner().cursor_ended(id, handle);
        }
        self.give_session_back();
    }

    /// Ends it on the server, if that holds it.
    fn kill(&mut self) {
        let inner = self.client.inner();
        // It goes back to its pool when this function ends, after the command if one is sent.
        let mut session = OperationSession::of_cursor(inner.sessions(), self.session.take());
        // While a panic unwinds, nothing may call functions of the program's. The client keeps the cursor in its list.
        if self.id == 0 || std::thread::panicking() {
            return;
        }
        let ids = [std::mem::take(&mut self.id)];
        self.handle.iter().for_each(|handle| inner.cursor_ended(ids[0], handle));
        let Some(handle) = self.handle.as_ref().filter(|handle| handle.is_ours() && !inner.is_closed()) else { return };
        if !handle.is_reachable() {
            return;
        }
        if let Err(error) = inner.kill_cursors(handle, &ids, &mut session, Deadline::after(KILL_LIMIT)) {
            log::debug!("the cursor was left to the server's own time limit: {error:#}");
        }
    }

    fn give_session_back(&mut self) {
        if let Some(session) = self.session.take() {
            self.client.inner().sessions().give_back(session, Instant::now());
        }
    }
}

impl<T: DeserializeOwned> Iterator for Cursor<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        self.next_in(None)
    }
}

impl<T: DeserializeOwned> Cursor<T> {
    /// The next document if there is one now: the server is asked once at most. `None` means that there is nothing new, or that the
    /// cursor is at its end, which [`Cursor::is_alive`] tells. A server holds the request of a
    /// [`TailableAwait`](CursorType::TailableAwait) cursor until there is something, for `max_await_time` or else a second. `timeoutMS`
    /// has to be longer than that: a shorter one makes each idle wait an error, [`ErrorKind::Timeout`], which ends the cursor.
    ///
    /// Where a server is overloaded (code 462) and asks for it, the request may be sent again, as that of every read.
    ///
    /// ```no_run
    /// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// use mongo_blocking::bson::{Document, doc};
    /// use mongo_blocking::options::CursorType;
    ///
    /// static STOP: AtomicBool = AtomicBool::new(false);
    ///
    /// let log = client.database("shop").collection::<Document>("log");
    /// let mut lines = log.find(doc! {}).cursor_type(CursorType::TailableAwait).run()?;
    /// while !STOP.load(Ordering::Relaxed) {
    ///     match lines.next_if_any()? {
    ///         Some(line) => println!("{line}"),
    ///         None if !lines.is_alive() => break,
    ///         None => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Cursor::advance`], and [`ErrorKind::BsonDeserialization`] where the document does not fit the type.
    pub fn next_if_any(&mut self) -> Result<Option<T>> {
        self.next_if_any_in(None)
    }

    /// The same in the session that the cursor was opened in.
    fn next_if_any_in(&mut self, session: Option<&mut ClientSession>) -> Result<Option<T>> {
        self.read_on(session, Patience::OneBatch).transpose()
    }

    /// The next document, in the session that the cursor was opened in.
    pub(crate) fn next_in(&mut self, session: Option<&mut ClientSession>) -> Option<Result<T>> {
        self.read_on(session, Patience::UntilSome)
    }

    fn read_on(&mut self, session: Option<&mut ClientSession>, patience: Patience) -> Option<Result<T>> {
        match self.move_on(session, patience) {
            Ok(true) => {
                let decoded = decode_owned(self.current(), self.client.inner().nesting_limits());
                Some(decoded.map_err(|error| self.located(error)))
            }
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl<T> Drop for Cursor<T> {
    fn drop(&mut self) {
        self.kill();
    }
}

impl<T> std::fmt::Debug for Cursor<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("id", &self.id).field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// What ends a cursor on the server before it has been read.
const NOT_FOUND: &str = "the server no longer has the cursor: it was not read for ten minutes (cursorTimeoutMillis; read smaller \
                         batches, or set no_cursor_timeout), it was killed, its collection was dropped, or something between client and \
                         server sends commands to different servers";
