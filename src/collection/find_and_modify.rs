//! `find_one_and_delete`, `find_one_and_replace`, `find_one_and_update`: change one document and return it.

use std::borrow::Borrow;
use std::time::Duration;

use bson::{Bson, Document};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Collection;
use super::write::{check_update, inherit, replacement};
use crate::cursor::decode_owned;
use crate::error::Result;
use crate::operation::find_and_modify::{Change, FindAndModify, find_and_modify, value};
use crate::options::action::setters;
use crate::options::{
    Collation, FindOneAndDeleteOptions, FindOneAndReplaceOptions, FindOneAndUpdateOptions, Hint, ReturnDocument,
    UpdateModifications, WriteConcern,
};

impl<T> Collection<T> {
    /// Deletes the first document that matches the filter, and returns it.
    pub fn find_one_and_delete(&self, filter: Document) -> FindOneAndDelete<'_, T> {
        FindOneAndDelete { collection: self, filter, options: FindOneAndDeleteOptions::default() }
    }

    /// Replaces the first document that matches the filter, and returns it as it was, or as it is now.
    pub fn find_one_and_replace<D: Borrow<T>>(&self, filter: Document, replacement: D) -> FindOneAndReplace<'_, T, D> {
        FindOneAndReplace { collection: self, filter, replacement, options: FindOneAndReplaceOptions::default() }
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
        }
    }
}

/// What [`Collection::find_one_and_delete`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct FindOneAndDelete<'a, T> {
    collection: &'a Collection<T>,
    filter: Document,
    options: FindOneAndDeleteOptions,
}

impl<T: DeserializeOwned + 'static> FindOneAndDelete<'_, T> {
    setters! {
        FindOneAndDeleteOptions {
            sort: Document, projection: Document, collation: Collation, hint into Hint, let_vars: Document,
            max_time: Duration, comment into Bson, write_concern: WriteConcern,
        }
    }

    /// The document that was deleted, or `None` where none matched or the write is not acknowledged.
    ///
    /// # Errors
    /// What keeps us from the server, the server's refusal, and a document that does not fit `T`.
    pub fn run(mut self) -> Result<Option<T>> {
        inherit(&mut self.options.write_concern, self.collection);
        let options = &self.options;
        let settings = FindAndModify {
            sort: options.sort.as_ref(),
            projection: options.projection.as_ref(),
            collation: options.collation.as_ref(),
            hint: options.hint.as_ref(),
            let_vars: options.let_vars.as_ref(),
            max_time: options.max_time,
            comment: options.comment.as_ref(),
            write_concern: options.write_concern.as_ref(),
            ..FindAndModify::default()
        };
        run(self.collection, &self.filter, Change::Remove, &settings)
    }
}

/// What [`Collection::find_one_and_replace`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct FindOneAndReplace<'a, T, D> {
    collection: &'a Collection<T>,
    filter: Document,
    replacement: D,
    options: FindOneAndReplaceOptions,
}

impl<T: Serialize + DeserializeOwned + 'static, D: Borrow<T>> FindOneAndReplace<'_, T, D> {
    setters! {
        FindOneAndReplaceOptions {
            bypass_document_validation: bool, return_document: ReturnDocument, upsert: bool, sort: Document,
            projection: Document, collation: Collation, hint into Hint, let_vars: Document, max_time: Duration,
            comment into Bson, write_concern: WriteConcern,
        }
    }

    /// The document, or `None` where none matched or the write is not acknowledged.
    ///
    /// # Errors
    /// A replacement that begins with an operator; what keeps us from the server; the server's refusal; and a document that
    /// does not fit `T`.
    pub fn run(mut self) -> Result<Option<T>> {
        inherit(&mut self.options.write_concern, self.collection);
        let options = &self.options;
        let settings = FindAndModify {
            bypass_document_validation: options.bypass_document_validation,
            return_new: options.return_document == Some(ReturnDocument::After),
            upsert: options.upsert,
            sort: options.sort.as_ref(),
            projection: options.projection.as_ref(),
            collation: options.collation.as_ref(),
            hint: options.hint.as_ref(),
            let_vars: options.let_vars.as_ref(),
            max_time: options.max_time,
            comment: options.comment.as_ref(),
            write_concern: options.write_concern.as_ref(),
            ..FindAndModify::default()
        };
        let replacement = replacement(self.replacement.borrow())?;
        run(self.collection, &self.filter, Change::Replace(replacement.into()), &settings)
    }
}

/// What [`Collection::find_one_and_update`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct FindOneAndUpdate<'a, T> {
    collection: &'a Collection<T>,
    filter: Document,
    update: UpdateModifications,
    options: FindOneAndUpdateOptions,
}

impl<T: DeserializeOwned + 'static> FindOneAndUpdate<'_, T> {
    setters! {
        FindOneAndUpdateOptions {
            array_filters: Vec<Document>, bypass_document_validation: bool, return_document: ReturnDocument,
            upsert: bool, sort: Document, projection: Document, collation: Collation, hint into Hint,
            let_vars: Document, max_time: Duration, comment into Bson, write_concern: WriteConcern,
        }
    }

    /// The document, or `None` where none matched or the write is not acknowledged.
    ///
    /// # Errors
    /// An update that has no operators; what keeps us from the server; the server's refusal; and a document that does not fit
    /// `T`.
    pub fn run(mut self) -> Result<Option<T>> {
        inherit(&mut self.options.write_concern, self.collection);
        check_update(&self.update)?;
        let options = &self.options;
        let settings = FindAndModify {
            array_filters: options.array_filters.as_ref(),
            bypass_document_validation: options.bypass_document_validation,
            return_new: options.return_document == Some(ReturnDocument::After),
            upsert: options.upsert,
            sort: options.sort.as_ref(),
            projection: options.projection.as_ref(),
            collation: options.collation.as_ref(),
            hint: options.hint.as_ref(),
            let_vars: options.let_vars.as_ref(),
            max_time: options.max_time,
            comment: options.comment.as_ref(),
            write_concern: options.write_concern.as_ref(),
        };
        run(self.collection, &self.filter, Change::Update(&self.update), &settings)
    }
}

fn run<T: DeserializeOwned + 'static>(
    collection: &Collection<T>,
    filter: &Document,
    change: Change<'_>,
    settings: &FindAndModify<'_>,
) -> Result<Option<T>> {
    let deployment = collection.client().deployment();
    let Some(reply) = find_and_modify(deployment, collection.namespace()?, filter, change, settings)? else {
        return Ok(None);
    };
    value(&reply)?.map(decode_owned).transpose()
}
