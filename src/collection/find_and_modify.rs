//! `find_one_and_delete`, `find_one_and_replace`, `find_one_and_update`: change one document and return it.

use std::borrow::Borrow;
use std::time::Duration;

use bson::{Bson, Document, RawDocumentBuf};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Collection;
use super::write::{check_update, encode_replacement};
use crate::client::{ClientSession, session_setter};
use crate::document::decode_owned;
use crate::error::Result;
use crate::operation::CursorReply;
use crate::operation::find_and_modify::{Change, FindAndModify, value};
use crate::options::action::{find_one_and_delete_setters, find_one_and_replace_setters, find_one_and_update_setters};
use crate::options::{
    Collation, FindOneAndDeleteOptions, FindOneAndReplaceOptions, FindOneAndUpdateOptions, Hint, ReturnDocument,
    UpdateModifications, WriteConcern,
};

impl<T> Collection<T> {
    /// Deletes the first document that matches the filter, and returns it.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// let deleted = animals.find_one_and_delete(doc! { "legs": 0 }).sort(doc! { "name": 1 }).run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn find_one_and_delete(&self, filter: Document) -> FindOneAndDelete<'_, T> {
        FindOneAndDelete { collection: self, filter, options: FindOneAndDeleteOptions::default(), session: None }
    }

    /// Replaces the first document that matches the filter, and returns it as it was, or as it is now.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// let before = animals.find_one_and_replace(doc! { "name": "Zoe" }, doc! { "name": "Zoe", "legs": 3 }).run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn find_one_and_replace(&self, filter: Document, replacement: impl Borrow<T>) -> FindOneAndReplace<'_, T>
    where
        T: Serialize,
    {
        FindOneAndReplace {
            collection: self,
            filter,
            replacement: encode_replacement(replacement.borrow()),
            options: FindOneAndReplaceOptions::default(),
            session: None,
        }
    }

    /// Changes the first document that matches the filter, and returns it as it was, or as it is now.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    /// use mongo_blocking::options::ReturnDocument;
    ///
    /// let counted = animals
    ///     .find_one_and_update(doc! { "name": "Zoe" }, doc! { "$inc": { "visits": 1 } })
    ///     .return_document(ReturnDocument::After)
    ///     .run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn find_one_and_update(
        &self,
        filter: Document,
        update: impl Into<UpdateModifications>,
    ) -> FindOneAndUpdate<'_, T> {
        FindOneAndUpdate {
            collection: self,
            filter,
            update: update.into(),
            options: FindOneAndUpdateOptions::default(),
            session: None,
        }
    }
}

/// The action that [`Collection::find_one_and_delete`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct FindOneAndDelete<'a, T> {
    collection: &'a Collection<T>,
    filter: Document,
    options: FindOneAndDeleteOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a, T: DeserializeOwned> FindOneAndDelete<'a, T> {
    find_one_and_delete_setters! {}
    session_setter! {'a}

    /// The document that was deleted, or `None` where none matched or the write is not acknowledged.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses,
    /// [`ErrorKind::BsonDeserialization`](crate::error::ErrorKind::BsonDeserialization) for a document that does not fit `T`; [the errors
    /// of every action](crate::action#errors).
    pub fn run(self) -> Result<Option<T>> {
        run(self.collection, &self.filter, Change::Remove, self.options.into(), self.session)
    }
}

/// The action that [`Collection::find_one_and_replace`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct FindOneAndReplace<'a, T> {
    collection: &'a Collection<T>,
    filter: Document,
    replacement: Result<RawDocumentBuf>,
    options: FindOneAndReplaceOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a, T: DeserializeOwned> FindOneAndReplace<'a, T> {
    find_one_and_replace_setters! {}
    session_setter! {'a}

    /// The document, or `None` where none matched or the write is not acknowledged.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for a replacement that begins with an
    /// operator, [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses,
    /// [`ErrorKind::BsonDeserialization`](crate::error::ErrorKind::BsonDeserialization) for a document that does not fit `T`; [the errors
    /// of every action](crate::action#errors).
    pub fn run(self) -> Result<Option<T>> {
        let change = Change::Replace(self.replacement?);
        run(self.collection, &self.filter, change, self.options.into(), self.session)
    }
}

/// The action that [`Collection::find_one_and_update`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct FindOneAndUpdate<'a, T> {
    collection: &'a Collection<T>,
    filter: Document,
    update: UpdateModifications,
    options: FindOneAndUpdateOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a, T: DeserializeOwned> FindOneAndUpdate<'a, T> {
    find_one_and_update_setters! {}
    session_setter! {'a}

    /// The document, or `None` where none matched or the write is not acknowledged.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for an update without operators,
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses,
    /// [`ErrorKind::BsonDeserialization`](crate::error::ErrorKind::BsonDeserialization) for a document that does not fit `T`; [the errors
    /// of every action](crate::action#errors).
    pub fn run(self) -> Result<Option<T>> {
        check_update(&self.update)?;
        run(self.collection, &self.filter, Change::Update(&self.update), self.options, self.session)
    }
}

fn run<T: DeserializeOwned>(
    collection: &Collection<T>,
    filter: &Document,
    change: Change<'_>,
    mut options: FindOneAndUpdateOptions,
    session: Option<&mut ClientSession>,
) -> Result<Option<T>> {
    collection.shared.defaults.fill_in_write(&mut options.write_concern, session.as_deref())?;
    let mut find_and_modify =
        FindAndModify { namespace: collection.checked_namespace()?, filter, change, options: &options };
    let inner = collection.client().inner();
    let reply = collection.client().execute(&mut find_and_modify, session)?;
    let Some(CursorReply { reply, server }) = reply else { return Ok(None) };
    let decode = |document| decode_owned(document, inner.nesting_limits());
    let decoded = value(&reply).and_then(|document| document.map(decode).transpose());
    decoded.map_err(|error| error.with_address(&server).with_namespace(find_and_modify.namespace))
}
