//! Writes: `insert_one`, `insert_many`, `update_one`, `update_many`, `replace_one`, `delete_one`, `delete_many`, `drop`.

use std::borrow::Borrow;

use bson::raw::cstr;
use bson::{Bson, Document, RawBson, RawDocumentBuf};
use serde::Serialize;

use super::{Collection, Shared};
use crate::client::{ClientInner, ClientSession, session_setter};
use crate::deadline::Deadline;
use crate::document::cannot_encode;
use crate::error::codes::NAMESPACE_NOT_FOUND;
use crate::error::{Error, Result};
use crate::operation::body::{Body, raw, raw_array};
use crate::operation::collections as operation;
use crate::operation::write::{Statement, WriteBatcher, WriteKind, WriteOutcome};
use crate::options::action::{
    delete_setters, drop_collection_setters, insert_many_setters, insert_one_setters, replace_setters, update_setters,
};
use crate::options::{
    BulkWriteOptions, Collation, DeleteOptions, DropCollectionOptions, Hint, InsertManyOptions, InsertOneOptions,
    ReplaceOptions, UpdateModifications, UpdateOptions, WriteConcern,
};
use crate::outcome::{BulkWriteResult, DeleteResult, InsertManyResult, InsertOneResult, UpdateResult};
use crate::session::OperationSession;

impl<T> Collection<T> {
    /// Inserts a document. One without `_id` gets a new [`ObjectId`](bson::oid::ObjectId), which the result holds.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// let inserted = animals.insert_one(doc! { "name": "Zoe", "legs": 4 }).run()?;
    /// println!("{}", inserted.inserted_id);
    /// # Ok(())
    /// # }
    /// ```
    pub fn insert_one<D: Borrow<T>>(&self, document: D) -> InsertOne<'_, T, D> {
        InsertOne { collection: self, document, options: InsertOneOptions::default(), session: None }
    }

    /// Inserts documents, in as few commands as the server's limits allow. The iterator is read while they are sent.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// let inserted = animals.insert_many([doc! { "name": "Zoe" }, doc! { "name": "Yan" }]).run()?;
    /// assert_eq!(inserted.inserted_ids.len(), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn insert_many<I>(&self, documents: I) -> InsertMany<'_, T, I>
    where
        I: IntoIterator<Item: Borrow<T>>,
    {
        InsertMany { collection: self, documents, options: InsertManyOptions::default(), session: None }
    }

    /// Changes the first document that matches the filter.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// let updated = animals.update_one(doc! { "name": "Zoe" }, doc! { "$set": { "legs": 4 } }).upsert(true).run()?;
    /// println!("{:?}", updated.upserted_id);
    /// # Ok(())
    /// # }
    /// ```
    pub fn update_one(&self, filter: Document, update: impl Into<UpdateModifications>) -> Update<'_> {
        Update {
            shared: &self.shared,
            filter,
            update: update.into(),
            multi: false,
            options: UpdateOptions::default(),
            session: None,
        }
    }

    /// Changes all documents that match the filter.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// let updated = animals.update_many(doc! { "legs": 4 }, doc! { "$inc": { "visits": 1 } }).run()?;
    /// println!("{} changed", updated.modified_count);
    /// # Ok(())
    /// # }
    /// ```
    pub fn update_many(&self, filter: Document, update: impl Into<UpdateModifications>) -> Update<'_> {
        Update {
            shared: &self.shared,
            filter,
            update: update.into(),
            multi: true,
            options: UpdateOptions::default(),
            session: None,
        }
    }

    /// Replaces the first document that matches the filter by another.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// animals.replace_one(doc! { "name": "Zoe" }, doc! { "name": "Zoe", "legs": 3 }).run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn replace_one(&self, filter: Document, replacement: impl Borrow<T>) -> ReplaceOne<'_>
    where
        T: Serialize,
    {
        let replacement = encode_replacement(replacement.borrow());
        ReplaceOne { shared: &self.shared, filter, replacement, options: ReplaceOptions::default(), session: None }
    }

    /// Deletes the first document that matches the filter.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// animals.delete_one(doc! { "name": "Zoe" }).run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn delete_one(&self, filter: Document) -> Delete<'_> {
        Delete { shared: &self.shared, filter, limit: 1, options: DeleteOptions::default(), session: None }
    }

    /// Deletes all documents that match the filter.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// let deleted = animals.delete_many(doc! { "legs": 0 }).run()?;
    /// println!("{} deleted", deleted.deleted_count);
    /// # Ok(())
    /// # }
    /// ```
    pub fn delete_many(&self, filter: Document) -> Delete<'_> {
        Delete { shared: &self.shared, filter, limit: 0, options: DeleteOptions::default(), session: None }
    }

    /// Drops the collection with its indexes. It is no error if there is none.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// animals.drop().run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn drop(&self) -> DropCollection<'_> {
        DropCollection { shared: &self.shared, options: DropCollectionOptions::default(), session: None }
    }
}

/// The action that [`Collection::insert_one`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct InsertOne<'a, T, D> {
    collection: &'a Collection<T>,
    document: D,
    options: InsertOneOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a, T: Serialize, D: Borrow<T>> InsertOne<'a, T, D> {
    insert_one_setters! {}
    session_setter! {'a}

    /// Sends the write.
    ///
    /// # Errors
    /// [`ErrorKind::Write`](crate::error::ErrorKind::Write) where the server refuses the document (code 11000: a duplicate
    /// key), [`ErrorKind::Write`](crate::error::ErrorKind::Write) where it cannot satisfy the write concern;
    /// [the errors of every action](crate::action#errors). Each has the document's `_id`
    /// ([`Error::document_id`](crate::Error::document_id)), since the document may be there all the same.
    pub fn run(self) -> Result<InsertOneResult> {
        let options = with_defaults(self.options.into(), &self.collection.shared, self.session.as_deref())?;
        let client = self.collection.client();
        let limits = client.inner().nesting_limits();
        let mut batch = WriteBatcher::new(self.collection.checked_namespace()?, &options, limits)?;
        batch.insert(0, self.document.borrow())?;
        let mut session = client.operation_session(self.session)?;
        let id = batch.first_id().cloned();
        let outcome = send_rest(client.inner(), batch, &mut session, client.inner().operation_deadline()).single();
        // Whatever went wrong, the document may be there, and the driver may have made its `_id`.
        let mut result = outcome.map_err(|error| match id.and_then(|id| RawBson::try_from(id).ok()) {
            Some(id) => error.with_document_id(id),
            None => error,
        })?;
        let inserted_id = result.inserted_ids.remove(&0).unwrap_or(Bson::Null);
        Ok(InsertOneResult { inserted_id })
    }
}

/// The action that [`Collection::insert_many`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct InsertMany<'a, T, I> {
    collection: &'a Collection<T>,
    documents: I,
    options: InsertManyOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a, T: Serialize, I: IntoIterator<Item: Borrow<T>>> InsertMany<'a, T, I> {
    insert_many_setters! {}
    session_setter! {'a}

    /// Sends the documents.
    ///
    /// # Errors
    /// [`ErrorKind::InsertMany`](crate::error::ErrorKind::InsertMany) where some documents were not inserted, with index
    /// and reason for each and with what was inserted;
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) where there are no documents; [the errors
    /// of every action](crate::action#errors).
    pub fn run(self) -> Result<InsertManyResult> {
        let options = with_defaults(self.options.into(), &self.collection.shared, self.session.as_deref())?;
        let mut documents = self.documents.into_iter().peekable();
        if documents.peek().is_none() {
            return Err(Error::invalid_argument("insert_many was given no documents"));
        }
        let inner = self.collection.client().inner();
        let deadline = inner.operation_deadline();
        let mut session = self.collection.client().operation_session(self.session)?;
        let mut batch = WriteBatcher::new(self.collection.checked_namespace()?, &options, inner.nesting_limits())?;
        // No connection is held while the iterator runs: it may need one itself, to read what is inserted here.
        for (index, document) in documents.enumerate() {
            if let Err(error) = batch.insert(index, document.borrow()) {
                return give_up(inner, batch, &mut session, deadline, error).insert_many();
            }
            send_full(inner, &mut batch, &mut session, deadline);
            if batch.has_stopped() {
                break;
            }
        }
        send_rest(inner, batch, &mut session, deadline).insert_many()
    }
}

/// The action that [`Collection::update_one`] and [`Collection::update_many`] make.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct Update<'a> {
    shared: &'a Shared,
    filter: Document,
    update: UpdateModifications,
    multi: bool,
    options: UpdateOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a> Update<'a> {
    update_setters! {}
    session_setter! {'a}

    /// Sends the write.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for an update without operators,
    /// [`ErrorKind::Write`](crate::error::ErrorKind::Write) where the server refuses the update,
    /// [`ErrorKind::Write`](crate::error::ErrorKind::Write) where it cannot satisfy the write concern; [the
    /// errors of every action](crate::action#errors).
    pub fn run(self) -> Result<UpdateResult> {
        if self.multi && self.options.sort.is_some() {
            return Err(Error::invalid_argument("sort is for update_one: update_many changes every match"));
        }
        let statement = update_statement(&self.filter, NewForm::Update(&self.update), self.multi, &self.options)?;
        send_one(self.shared, self.options, self.session, &statement).map(update_result)
    }
}

/// The action that [`Collection::replace_one`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct ReplaceOne<'a> {
    shared: &'a Shared,
    filter: Document,
    replacement: Result<RawDocumentBuf>,
    options: ReplaceOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a> ReplaceOne<'a> {
    replace_setters! {}
    session_setter! {'a}

    /// Sends the write.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for a replacement that begins with an
    /// operator, [`ErrorKind::Write`](crate::error::ErrorKind::Write) where the server refuses it,
    /// [`ErrorKind::Write`](crate::error::ErrorKind::Write) where it cannot satisfy the write concern; [the
    /// errors of every action](crate::action#errors).
    pub fn run(self) -> Result<UpdateResult> {
        let options = UpdateOptions::from(self.options);
        let replacement = NewForm::Replacement(self.replacement?);
        let statement = update_statement(&self.filter, replacement, false, &options)?;
        send_one(self.shared, options, self.session, &statement).map(update_result)
    }
}

/// The action that [`Collection::delete_one`] and [`Collection::delete_many`] make.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct Delete<'a> {
    shared: &'a Shared,
    filter: Document,
    limit: i32,
    options: DeleteOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a> Delete<'a> {
    delete_setters! {}
    session_setter! {'a}

    /// Sends the write.
    ///
    /// # Errors
    /// [`ErrorKind::Write`](crate::error::ErrorKind::Write) where the server refuses it,
    /// [`ErrorKind::Write`](crate::error::ErrorKind::Write) where it cannot satisfy the write concern; [the
    /// errors of every action](crate::action#errors).
    pub fn run(self) -> Result<DeleteResult> {
        let statement = delete_statement(&self.filter, self.limit, &self.options)?;
        let result = send_one(self.shared, self.options.into(), self.session, &statement)?;
        Ok(DeleteResult { deleted_count: result.deleted_count })
    }
}

/// The action that [`Collection::drop`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct DropCollection<'a> {
    shared: &'a Shared,
    options: DropCollectionOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a> DropCollection<'a> {
    drop_collection_setters! {}
    session_setter! {'a}

    /// Drops the collection.
    ///
    /// # Errors
    /// [`ErrorKind::Command`](crate::error::ErrorKind::Command) where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(mut self) -> Result<()> {
        let defaults = &self.shared.defaults;
        defaults.fill_in_write(&mut self.options.write_concern, self.session.as_deref())?;
        let mut drop =
            operation::DropCollection { namespace: self.shared.checked_namespace()?, options: &self.options };
        match self.shared.client.execute(&mut drop, self.session) {
            Err(error) if error.code() == Some(NAMESPACE_NOT_FOUND) => Ok(()),
            outcome => outcome,
        }
    }
}

/// What takes the place of the documents.
pub(super) enum NewForm<'a> {
    Update(&'a UpdateModifications),
    Replacement(RawDocumentBuf),
}

/// One entry of the `updates` of an update command.
pub(super) fn update_statement(
    filter: &Document,
    update: NewForm<'_>,
    multi: bool,
    options: &UpdateOptions,
) -> Result<Statement> {
    let mut body = Body::empty();
    body.append(cstr!("q"), raw(filter)?);
    match update {
        NewForm::Update(update) => {
            check_update(update)?;
            match update {
                UpdateModifications::Document(update) => body.append(cstr!("u"), raw(update)?),
                UpdateModifications::Pipeline(stages) => body.append(cstr!("u"), raw_array(stages)?),
            }
        }
        NewForm::Replacement(document) => body.append(cstr!("u"), document),
    }
    body.flag(cstr!("multi"), multi.then_some(true));
    body.flag(cstr!("upsert"), options.upsert);
    body.collation(options.collation.as_ref());
    body.documents(cstr!("arrayFilters"), options.array_filters.as_ref())?;
    body.hint(options.hint.as_ref())?;
    body.document(cstr!("sort"), options.sort.as_ref())?;
    Ok(Statement { kind: WriteKind::Update, multi, document: body.finish() })
}

/// One entry of the `deletes` of a delete command. A limit of 0 means all.
pub(super) fn delete_statement(filter: &Document, limit: i32, options: &DeleteOptions) -> Result<Statement> {
    let mut body = Body::empty();
    body.append(cstr!("q"), raw(filter)?);
    body.append(cstr!("limit"), limit);
    body.collation(options.collation.as_ref());
    body.hint(options.hint.as_ref())?;
    Ok(Statement { kind: WriteKind::Delete, multi: limit == 0, document: body.finish() })
}

/// An update consists of operators: without them the server would take it for a replacement.
pub(super) fn check_update(update: &UpdateModifications) -> Result<()> {
    match update {
        UpdateModifications::Document(update) if !update.keys().next().is_some_and(|key| key.starts_with('$')) => {
            Err(Error::invalid_argument("an update must begin with an operator such as $set")
                .with_hint("to put another document in the place of this one, use replace_one"))
        }
        UpdateModifications::Pipeline(stages) if stages.is_empty() => {
            Err(Error::invalid_argument("an update pipeline must have at least one stage"))
        }
        _ => Ok(()),
    }
}

/// A replacement has no operators: with them the server would take it for an update.
pub(super) fn encode_replacement<T: Serialize>(document: &T) -> Result<RawDocumentBuf> {
    let document = bson::serialize_to_raw_document_buf(document).map_err(|error| cannot_encode(document, error))?;
    if let Some(Ok((key, _))) = document.iter().next()
        && key.as_str().starts_with('$')
    {
        return Err(Error::invalid_argument("a replacement must not begin with an operator")
            .with_hint("to change parts of the document, use update_one"));
    }
    Ok(document)
}

/// The options with the collection's write concern, unless they have one. In a transaction they must not have one.
pub(super) fn with_defaults(
    mut options: BulkWriteOptions,
    shared: &Shared,
    session: Option<&ClientSession>,
) -> Result<BulkWriteOptions> {
    shared.defaults.fill_in_write(&mut options.write_concern, session)?;
    Ok(options)
}

/// Sends commands as long as the batch has more than one of them can hold.
pub(super) fn send_full(
    inner: &ClientInner,
    batch: &mut WriteBatcher<'_>,
    session: &mut OperationSession<'_>,
    deadline: Deadline,
) {
    while batch.is_full() && !batch.has_stopped() {
        if let Err(error) = inner.execute(batch, session, deadline, None) {
            batch.fail(error);
        }
    }
}

/// Sends what is left.
pub(super) fn send_rest<'a>(
    inner: &ClientInner,
    mut batch: WriteBatcher<'a>,
    session: &mut OperationSession<'_>,
    deadline: Deadline,
) -> WriteOutcome<'a> {
    while batch.has_statements() && !batch.has_stopped() {
        if let Err(error) = inner.execute(&mut batch, session, deadline, None) {
            batch.fail(error);
        }
    }
    batch.into_outcome().limited_by_timeout(inner.limits_operations())
}

/// Ends because of a statement that cannot be sent. In order, what stands before it is sent first.
pub(super) fn give_up<'a>(
    inner: &ClientInner,
    mut batch: WriteBatcher<'a>,
    session: &mut OperationSession<'_>,
    deadline: Deadline,
    error: Error,
) -> WriteOutcome<'a> {
    if !batch.is_ordered() {
        batch.fail(error);
        return batch.into_outcome().limited_by_timeout(inner.limits_operations());
    }
    let mut outcome = send_rest(inner, batch, session, deadline);
    outcome.fail(error);
    outcome
}

/// Sends an update or a delete by itself. Of the options, those of the whole command are used here.
fn send_one(
    shared: &Shared,
    options: UpdateOptions,
    session: Option<&mut ClientSession>,
    statement: &Statement,
) -> Result<BulkWriteResult> {
    let UpdateOptions { bypass_document_validation, let_vars, comment, write_concern, .. } = options;
    let options = BulkWriteOptions {
        bypass_document_validation,
        let_vars,
        comment,
        write_concern,
        ..BulkWriteOptions::default()
    };
    let options = with_defaults(options, shared, session.as_deref())?;
    let client = &shared.client;
    let mut batch = WriteBatcher::new(shared.checked_namespace()?, &options, client.inner().nesting_limits())?;
    batch.add(0, statement);
    let mut session = client.operation_session(session)?;
    send_rest(client.inner(), batch, &mut session, client.inner().operation_deadline()).single()
}

fn update_result(mut result: BulkWriteResult) -> UpdateResult {
    UpdateResult {
        matched_count: result.matched_count,
        modified_count: result.modified_count,
        upserted_id: result.upserted_ids.remove(&0),
    }
}
