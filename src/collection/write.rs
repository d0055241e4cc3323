//! Writes: `insert_one`, `insert_many`, `update_one`, `update_many`, `replace_one`, `delete_one`, `delete_many`, `drop`.

use std::borrow::Borrow;

use bson::raw::cstr;
use bson::{Bson, Document, RawDocumentBuf};
use serde::Serialize;

use super::Collection;
use crate::error::{Error, Result};
use crate::operation;
use crate::operation::body::{Body, not_bson, raw, raw_array};
use crate::operation::write::{Settings, WriteBatcher, WriteKind, WriteOutcome};
use crate::options::action::setters;
use crate::options::{
    Collation, DeleteOptions, DropCollectionOptions, Hint, InsertManyOptions, InsertOneOptions, ReplaceOptions,
    UpdateModifications, UpdateOptions, WriteConcern,
};
use crate::results::{DeleteResult, InsertManyResult, InsertOneResult, UpdateResult};

impl<T> Collection<T> {
    /// Inserts a document. One without `_id` gets a new [`ObjectId`](bson::oid::ObjectId), which the result tells.
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
        InsertOne { collection: self, document, options: InsertOneOptions::default() }
    }

    /// Inserts documents, in as few commands as the server's limits allow. The iterator is read while they are sent.
    pub fn insert_many<I>(&self, documents: I) -> InsertMany<'_, T, I>
    where
        I: IntoIterator<Item: Borrow<T>>,
    {
        InsertMany { collection: self, documents, options: InsertManyOptions::default() }
    }

    /// Changes the first document that matches the filter.
    pub fn update_one(&self, filter: Document, update: impl Into<UpdateModifications>) -> Update<'_, T> {
        Update { collection: self, filter, update: update.into(), multi: false, options: UpdateOptions::default() }
    }

    /// Changes all documents that match the filter.
    pub fn update_many(&self, filter: Document, update: impl Into<UpdateModifications>) -> Update<'_, T> {
        Update { collection: self, filter, update: update.into(), multi: true, options: UpdateOptions::default() }
    }

    /// Replaces the first document that matches the filter by another.
    pub fn replace_one<D: Borrow<T>>(&self, filter: Document, replacement: D) -> ReplaceOne<'_, T, D> {
        ReplaceOne { collection: self, filter, replacement, options: ReplaceOptions::default() }
    }

    /// Deletes the first document that matches the filter.
    pub fn delete_one(&self, filter: Document) -> Delete<'_, T> {
        Delete { collection: self, filter, limit: 1, options: DeleteOptions::default() }
    }

    /// Deletes all documents that match the filter.
    pub fn delete_many(&self, filter: Document) -> Delete<'_, T> {
        Delete { collection: self, filter, limit: 0, options: DeleteOptions::default() }
    }

    /// Drops the collection with its indexes. It is no error if there is none.
    pub fn drop(&self) -> DropCollection<'_, T> {
        DropCollection { collection: self, options: DropCollectionOptions::default() }
    }
}

/// What [`Collection::insert_one`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct InsertOne<'a, T, D> {
    collection: &'a Collection<T>,
    document: D,
    options: InsertOneOptions,
}

impl<T: Serialize, D: Borrow<T>> InsertOne<'_, T, D> {
    setters! {
        InsertOneOptions { bypass_document_validation: bool, comment into Bson, write_concern: WriteConcern, }
    }

    /// Sends it.
    ///
    /// # Errors
    /// [`ErrorKind::Write`](crate::error::ErrorKind::Write) where the server refused the document (11000: a duplicate key),
    /// and what keeps us from the server.
    pub fn run(mut self) -> Result<InsertOneResult> {
        inherit(&mut self.options.write_concern, self.collection);
        let settings = Settings {
            ordered: true,
            bypass_document_validation: self.options.bypass_document_validation,
            let_vars: None,
            comment: self.options.comment.as_ref(),
            write_concern: self.options.write_concern.as_ref(),
        };
        let mut writer =
            WriteBatcher::new(self.collection.client().deployment(), self.collection.namespace()?, settings)?;
        writer.insert(0, self.document.borrow())?;
        let mut result = writer.finish().single()?;
        let inserted_id = result.inserted_ids.remove(&0).unwrap_or(Bson::Null);
        Ok(InsertOneResult { inserted_id })
    }
}

/// What [`Collection::insert_many`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct InsertMany<'a, T, I> {
    collection: &'a Collection<T>,
    documents: I,
    options: InsertManyOptions,
}

impl<T: Serialize, I: IntoIterator<Item: Borrow<T>>> InsertMany<'_, T, I> {
    setters! {
        InsertManyOptions {
            ordered: bool, bypass_document_validation: bool, comment into Bson, write_concern: WriteConcern,
        }
    }

    /// Sends them.
    ///
    /// # Errors
    /// [`ErrorKind::InsertMany`](crate::error::ErrorKind::InsertMany) where some were refused, with the place and reason of
    /// each and what was inserted all the same; no documents at all; and what keeps us from the server.
    pub fn run(mut self) -> Result<InsertManyResult> {
        inherit(&mut self.options.write_concern, self.collection);
        let settings = Settings {
            ordered: self.options.ordered.unwrap_or(true),
            bypass_document_validation: self.options.bypass_document_validation,
            let_vars: None,
            comment: self.options.comment.as_ref(),
            write_concern: self.options.write_concern.as_ref(),
        };
        let mut documents = self.documents.into_iter().peekable();
        if documents.peek().is_none() {
            return Err(Error::invalid_argument("insert_many was given no documents"));
        }
        let mut writer =
            WriteBatcher::new(self.collection.client().deployment(), self.collection.namespace()?, settings)?
                .between_commands_without_connection();
        for (place, document) in documents.enumerate() {
            match writer.insert(place, document.borrow()) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return writer.give_up(error).insert_many(),
            }
        }
        writer.finish().insert_many()
    }
}

/// What [`Collection::update_one`] and [`Collection::update_many`] return.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct Update<'a, T> {
    collection: &'a Collection<T>,
    filter: Document,
    update: UpdateModifications,
    multi: bool,
    options: UpdateOptions,
}

impl<T> Update<'_, T> {
    setters! {
        UpdateOptions {
            array_filters: Vec<Document>, bypass_document_validation: bool, upsert: bool, collation: Collation,
            hint into Hint, sort: Document, let_vars: Document, comment into Bson, write_concern: WriteConcern,
        }
    }

    /// Sends it.
    ///
    /// # Errors
    /// An update that has no operators; [`ErrorKind::Write`](crate::error::ErrorKind::Write) where the server refused it; and
    /// what keeps us from the server.
    pub fn run(mut self) -> Result<UpdateResult> {
        inherit(&mut self.options.write_concern, self.collection);
        if self.multi && self.options.sort.is_some() {
            return Err(Error::invalid_argument("sort is for update_one: update_many changes every match"));
        }
        let options = &self.options;
        let statement = update_statement(&UpdateStatement {
            filter: &self.filter,
            update: NewForm::Update(&self.update),
            multi: self.multi,
            upsert: options.upsert,
            collation: options.collation.as_ref(),
            array_filters: options.array_filters.as_ref(),
            hint: options.hint.as_ref(),
            sort: options.sort.as_ref(),
        })?;
        let settings = Settings {
            ordered: true,
            bypass_document_validation: options.bypass_document_validation,
            let_vars: options.let_vars.as_ref(),
            comment: options.comment.as_ref(),
            write_concern: options.write_concern.as_ref(),
        };
        update_result(single(self.collection, settings, WriteKind::Update, &statement)?)
    }
}

/// What [`Collection::replace_one`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct ReplaceOne<'a, T, D> {
    collection: &'a Collection<T>,
    filter: Document,
    replacement: D,
    options: ReplaceOptions,
}

impl<T: Serialize, D: Borrow<T>> ReplaceOne<'_, T, D> {
    setters! {
        ReplaceOptions {
            bypass_document_validation: bool, upsert: bool, collation: Collation, hint into Hint, sort: Document,
            let_vars: Document, comment into Bson, write_concern: WriteConcern,
        }
    }

    /// Sends it.
    ///
    /// # Errors
    /// A replacement that begins with an operator; [`ErrorKind::Write`](crate::error::ErrorKind::Write) where the server
    /// refused it; and what keeps us from the server.
    pub fn run(mut self) -> Result<UpdateResult> {
        inherit(&mut self.options.write_concern, self.collection);
        let options = &self.options;
        let statement = update_statement(&UpdateStatement {
            filter: &self.filter,
            update: NewForm::Replacement(replacement(self.replacement.borrow())?),
            multi: false,
            upsert: options.upsert,
            collation: options.collation.as_ref(),
            array_filters: None,
            hint: options.hint.as_ref(),
            sort: options.sort.as_ref(),
        })?;
        let settings = Settings {
            ordered: true,
            bypass_document_validation: options.bypass_document_validation,
            let_vars: options.let_vars.as_ref(),
            comment: options.comment.as_ref(),
            write_concern: options.write_concern.as_ref(),
        };
        update_result(single(self.collection, settings, WriteKind::Update, &statement)?)
    }
}

/// What [`Collection::delete_one`] and [`Collection::delete_many`] return.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct Delete<'a, T> {
    collection: &'a Collection<T>,
    filter: Document,
    limit: i32,
    options: DeleteOptions,
}

impl<T> Delete<'_, T> {
    setters! {
        DeleteOptions {
            collation: Collation, hint into Hint, let_vars: Document, comment into Bson, write_concern: WriteConcern,
        }
    }

    /// Sends it.
    ///
    /// # Errors
    /// [`ErrorKind::Write`](crate::error::ErrorKind::Write) where the server refused it, and what keeps us from the server.
    pub fn run(mut self) -> Result<DeleteResult> {
        inherit(&mut self.options.write_concern, self.collection);
        let options = &self.options;
        let statement = delete_statement(&self.filter, self.limit, options.collation.as_ref(), options.hint.as_ref())?;
        let settings = Settings {
            ordered: true,
            bypass_document_validation: None,
            let_vars: options.let_vars.as_ref(),
            comment: options.comment.as_ref(),
            write_concern: options.write_concern.as_ref(),
        };
        let result = single(self.collection, settings, WriteKind::Delete, &statement)?.single()?;
        Ok(DeleteResult { deleted_count: result.deleted_count })
    }
}

/// What [`Collection::drop`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct DropCollection<'a, T> {
    collection: &'a Collection<T>,
    options: DropCollectionOptions,
}

impl<T> DropCollection<'_, T> {
    setters! {
        DropCollectionOptions { comment into Bson, write_concern: WriteConcern, }
    }

    /// Drops it.
    ///
    /// # Errors
    /// What keeps us from the server, and the server's refusal.
    pub fn run(mut self) -> Result<()> {
        inherit(&mut self.options.write_concern, self.collection);
        let deployment = self.collection.client().deployment();
        operation::collections::drop(deployment, self.collection.namespace()?, &self.options)
    }
}

/// One entry of the `updates` of an update command.
pub(super) struct UpdateStatement<'a> {
    pub(super) filter: &'a Document,
    pub(super) update: NewForm<'a>,
    pub(super) multi: bool,
    pub(super) upsert: Option<bool>,
    pub(super) collation: Option<&'a Collation>,
    pub(super) array_filters: Option<&'a Vec<Document>>,
    pub(super) hint: Option<&'a Hint>,
    pub(super) sort: Option<&'a Document>,
}

/// What the documents are to become.
pub(super) enum NewForm<'a> {
    Update(&'a UpdateModifications),
    Replacement(RawDocumentBuf),
}

pub(super) fn update_statement(statement: &UpdateStatement<'_>) -> Result<RawDocumentBuf> {
    let mut body = Body::empty();
    body.put(cstr!("q"), raw(statement.filter)?);
    match &statement.update {
        NewForm::Update(update) => {
            check_update(update)?;
            match update {
                UpdateModifications::Document(update) => body.put(cstr!("u"), raw(update)?),
                UpdateModifications::Pipeline(stages) => body.put(cstr!("u"), raw_array(stages)?),
            }
        }
        NewForm::Replacement(document) => body.put(cstr!("u"), document.clone()),
    }
    body.flag(cstr!("multi"), statement.multi.then_some(true));
    body.flag(cstr!("upsert"), statement.upsert);
    body.collation(statement.collation);
    body.documents(cstr!("arrayFilters"), statement.array_filters)?;
    body.hint(statement.hint)?;
    body.document(cstr!("sort"), statement.sort)?;
    Ok(body.done())
}

/// One entry of the `deletes` of a delete command. A limit of 0 means all.
pub(super) fn delete_statement(
    filter: &Document,
    limit: i32,
    collation: Option<&Collation>,
    hint: Option<&Hint>,
) -> Result<RawDocumentBuf> {
    let mut body = Body::empty();
    body.put(cstr!("q"), raw(filter)?);
    body.put(cstr!("limit"), limit);
    body.collation(collation);
    body.hint(hint)?;
    Ok(body.done())
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
pub(super) fn replacement<T: Serialize>(document: &T) -> Result<RawDocumentBuf> {
    let document = bson::serialize_to_raw_document_buf(document).map_err(not_bson)?;
    if let Some(Ok((key, _))) = document.iter().next()
        && key.as_str().starts_with('$')
    {
        return Err(Error::invalid_argument("a replacement must not begin with an operator")
            .with_hint("to change parts of the document, use update_one"));
    }
    Ok(document)
}

/// The collection's own write concern, unless the action has one.
pub(super) fn inherit<T>(write_concern: &mut Option<WriteConcern>, collection: &Collection<T>) {
    if write_concern.is_none() {
        write_concern.clone_from(&collection.shared.settings.write_concern);
    }
}

fn single<T>(
    collection: &Collection<T>,
    settings: Settings<'_>,
    kind: WriteKind,
    statement: &RawDocumentBuf,
) -> Result<WriteOutcome> {
    let mut writer = WriteBatcher::new(collection.client().deployment(), collection.namespace()?, settings)?;
    writer.statement(0, kind, statement)?;
    Ok(writer.finish())
}

fn update_result(outcome: WriteOutcome) -> Result<UpdateResult> {
    let mut result = outcome.single()?;
    Ok(UpdateResult {
        // An upsert inserted what nothing matched.
        matched_count: result.matched_count,
        modified_count: result.modified_count,
        upserted_id: result.upserted_ids.remove(&0),
    })
}
