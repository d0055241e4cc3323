//! A cursor that is read in the session that it was opened in.

use bson::{Document, RawDocument};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Cursor;
use crate::client::ClientSession;
use crate::error::{Error, Result};

/// The documents that a query in a session found. It is read in the same session, which is passed each time.
///
/// Otherwise it is as [`Cursor`]. It can outlive its session; then its documents cannot be read any longer.
///
/// ```no_run
/// # fn f(client: mongo_blocking::Client) -> mongo_blocking::Result<()> {
/// use mongo_blocking::bson::{Document, doc};
///
/// let mut session = client.start_session().run()?;
/// let animals = client.database("zoo").collection::<Document>("animals");
/// let mut cursor = animals.find(doc! { "legs": 4 }).session(&mut session).run()?;
/// while let Some(animal) = cursor.next(&mut session).transpose()? {
///     animals.update_one(doc! { "_id": animal.get("_id") }, doc! { "$inc": { "seen": 1 } }).session(&mut session).run()?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct SessionCursor<T> {
    cursor: Cursor<T>,
    /// The id of the session that it was opened in.
    session_id: Document,
}

/// The documents of a [`SessionCursor`], one after the other. An error is the last one.
pub struct SessionCursorIter<'cursor, 'session, T> {
    cursor: &'cursor mut SessionCursor<T>,
    session: &'session mut ClientSession,
    /// Whether an error was the last item.
    failed: bool,
}

impl<T> SessionCursor<T> {
    pub(crate) fn new(cursor: Cursor<T>, session: &ClientSession) -> Self {
        SessionCursor { cursor, session_id: session.id().clone() }
    }

    /// Moves to the next document, which [`SessionCursor::current`] then lends. Returns `false` at the end of the cursor; of
    /// one of type [`Tailable`](crate::options::CursorType::Tailable) also where there is no further document now. One of type
    /// [`TailableAwait`](crate::options::CursorType::TailableAwait) waits for it.
    ///
    /// ```no_run
    /// # use mongo_blocking::{ClientSession, SessionCursor, bson::Document};
    /// # fn f(mut cursor: SessionCursor<Document>, mut session: ClientSession) -> mongo_blocking::Result<()> {
    /// while cursor.advance(&mut session)? {
    ///     println!("{:?}", cursor.current().get_str("name"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Cursor::advance`]; [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for another session
    /// than the one that the cursor was opened in.
    pub fn advance(&mut self, session: &mut ClientSession) -> Result<bool> {
        self.check(session)?;
        self.cursor.advance_in(Some(session))
    }

    /// The document that [`SessionCursor::advance`] moved to, in the batch's own memory.
    ///
    /// ```no_run
    /// # use mongo_blocking::{ClientSession, SessionCursor, bson::Document};
    /// # fn f(mut cursor: SessionCursor<Document>, mut session: ClientSession) -> mongo_blocking::Result<()> {
    /// if cursor.advance(&mut session)? {
    ///     println!("{} bytes", cursor.current().as_bytes().len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// Before `advance` has returned `true`.
    pub fn current(&self) -> &RawDocument {
        self.cursor.current()
    }

    /// The document that [`SessionCursor::advance`] moved to, as a value that may borrow from it.
    ///
    /// ```no_run
    /// # use mongo_blocking::{ClientSession, SessionCursor, bson::Document};
    /// # fn f(mut cursor: SessionCursor<Document>, mut session: ClientSession) -> mongo_blocking::Result<()> {
    /// if cursor.advance(&mut session)? {
    ///     println!("{}", cursor.deserialize_current()?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Cursor::deserialize_current`].
    ///
    /// # Panics
    /// Before `advance` has returned `true`.
    pub fn deserialize_current<'a>(&'a self) -> Result<T>
    where
        T: Deserialize<'a>,
    {
        self.cursor.deserialize_current()
    }

    /// Whether the server still holds the cursor, so that there may be more to come. `false` does not say that all was read, see
    /// [`Cursor::is_alive`].
    ///
    /// ```no_run
    /// # use mongo_blocking::{ClientSession, SessionCursor, bson::Document};
    /// # fn f(mut cursor: SessionCursor<Document>, mut session: ClientSession) -> mongo_blocking::Result<()> {
    /// if !cursor.advance(&mut session)? && cursor.is_alive() {
    ///     println!("there may be more later");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_alive(&self) -> bool {
        self.cursor.is_alive()
    }

    /// The same cursor with another type to decode into.
    ///
    /// ```no_run
    /// # use mongo_blocking::{ClientSession, SessionCursor, bson::Document};
    /// # fn f(cursor: SessionCursor<Document>) {
    /// use mongo_blocking::bson::RawDocumentBuf;
    ///
    /// let undecoded = cursor.with_type::<RawDocumentBuf>();
    /// # }
    /// ```
    pub fn with_type<U>(self) -> SessionCursor<U> {
        SessionCursor { cursor: self.cursor.with_type(), session_id: self.session_id }
    }

    fn check(&self, session: &ClientSession) -> Result<()> {
        if *session.id() == self.session_id {
            return Ok(());
        }
        Err(Error::invalid_argument("the cursor was opened in another session")
            .with_hint("pass the session that its action was given"))
    }
}

impl<T: DeserializeOwned> SessionCursor<T> {
    /// The next document.
    ///
    /// ```no_run
    /// # use mongo_blocking::{ClientSession, SessionCursor, bson::Document};
    /// # fn f(mut cursor: SessionCursor<Document>, mut session: ClientSession) -> mongo_blocking::Result<()> {
    /// while let Some(document) = cursor.next(&mut session).transpose()? {
    ///     println!("{document}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn next(&mut self, session: &mut ClientSession) -> Option<Result<T>> {
        match self.check(session) {
            Ok(()) => self.cursor.next_in(Some(session)),
            Err(error) => Some(Err(error)),
        }
    }

    /// The next document if there is one now, as [`Cursor::next_if_any`].
    ///
    /// ```no_run
    /// # use mongo_blocking::{ClientSession, SessionCursor, bson::Document};
    /// # fn f(mut cursor: SessionCursor<Document>, mut session: ClientSession) -> mongo_blocking::Result<()> {
    /// loop {
    ///     match cursor.next_if_any(&mut session)? {
    ///         Some(document) => println!("{document}"),
    ///         None if !cursor.is_alive() => break,
    ///         None => {} // There may be more later.
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Cursor::next_if_any`]; [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for another session
    /// than the one that the cursor was opened in.
    pub fn next_if_any(&mut self, session: &mut ClientSession) -> Result<Option<T>> {
        self.check(session)?;
        self.cursor.next_if_any_in(Some(session))
    }

    /// The documents that are left, one after the other. The session is free again when the iterator is dropped.
    ///
    /// ```no_run
    /// # use mongo_blocking::{ClientSession, SessionCursor, bson::Document};
    /// # fn f(mut cursor: SessionCursor<Document>, mut session: ClientSession) -> mongo_blocking::Result<()> {
    /// for document in cursor.iter(&mut session) {
    ///     println!("{}", document?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn iter<'session>(&mut self, session: &'session mut ClientSession) -> SessionCursorIter<'_, 'session, T> {
        SessionCursorIter { cursor: self, session, failed: false }
    }
}

impl<T: DeserializeOwned> Iterator for SessionCursorIter<'_, '_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        let SessionCursorIter { cursor, session, failed } = self;
        // A session that does not fit would be refused again and again.
        if *failed {
            return None;
        }
        let next = cursor.next(session);
        *failed = matches!(next, Some(Err(_)));
        next
    }
}

impl<T> std::fmt::Debug for SessionCursor<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.cursor.fmt(f)
    }
}
