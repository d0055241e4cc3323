//! `bulk_write` on a collection: many writes of all kinds in as few commands as the server's limits allow.

use bson::{Bson, Document, RawDocumentBuf};
use serde::Serialize;

use super::Collection;
use super::write::{NewForm, UpdateStatement, delete_statement, inherit, replacement, update_statement};
use crate::error::{Error, Result};
use crate::operation::write::{Settings, WriteBatcher, WriteKind};
use crate::options::action::setters;
use crate::options::{
    BulkWriteOptions, DeleteOptions, ReplaceOptions, UpdateModifications, UpdateOptions, WriteConcern,
};
use crate::results::BulkWriteResult;

/// One write of a bulk write.
///
/// Of the options, those that concern the whole command (`comment`, `let_vars`, `write_concern`,
/// `bypass_document_validation`) belong into [`BulkWriteOptions`]; here they are refused.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WriteModel<T> {
    /// Insert this document.
    InsertOne(T),
    /// Change the first match.
    UpdateOne {
        /// What must match.
        filter: Document,
        /// The change.
        update: UpdateModifications,
        /// The rest.
        options: UpdateOptions,
    },
    /// Change all matches.
    UpdateMany {
        /// What must match.
        filter: Document,
        /// The change.
        update: UpdateModifications,
        /// The rest.
        options: UpdateOptions,
    },
    /// Replace the first match.
    ReplaceOne {
        /// What must match.
        filter: Document,
        /// What takes its place.
        replacement: T,
        /// The rest.
        options: ReplaceOptions,
    },
    /// Delete the first match.
    DeleteOne {
        /// What must match.
        filter: Document,
        /// The rest.
        options: DeleteOptions,
    },
    /// Delete all matches.
    DeleteMany {
        /// What must match.
        filter: Document,
        /// The rest.
        options: DeleteOptions,
    },
}

impl<T> WriteModel<T> {
    /// Insert this document.
    pub fn insert_one(document: T) -> Self {
        WriteModel::InsertOne(document)
    }

    /// Change the first match.
    pub fn update_one(filter: Document, update: impl Into<UpdateModifications>) -> Self {
        WriteModel::UpdateOne { filter, update: update.into(), options: UpdateOptions::default() }
    }

    /// Change all matches.
    pub fn update_many(filter: Document, update: impl Into<UpdateModifications>) -> Self {
        WriteModel::UpdateMany { filter, update: update.into(), options: UpdateOptions::default() }
    }

    /// Replace the first match.
    pub fn replace_one(filter: Document, replacement: T) -> Self {
        WriteModel::ReplaceOne { filter, replacement, options: ReplaceOptions::default() }
    }

    /// Delete the first match.
    pub fn delete_one(filter: Document) -> Self {
        WriteModel::DeleteOne { filter, options: DeleteOptions::default() }
    }

    /// Delete all matches.
    pub fn delete_many(filter: Document) -> Self {
        WriteModel::DeleteMany { filter, options: DeleteOptions::default() }
    }

    fn kind(&self) -> WriteKind {
        match self {
            WriteModel::InsertOne(_) => WriteKind::Insert,
            WriteModel::UpdateOne { .. } | WriteModel::UpdateMany { .. } | WriteModel::ReplaceOne { .. } => {
                WriteKind::Update
            }
            WriteModel::DeleteOne { .. } | WriteModel::DeleteMany { .. } => WriteKind::Delete,
        }
    }
}

impl<T> Collection<T> {
    /// Does many writes, in order or in whatever order suits.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::WriteModel;
    /// use mongo_blocking::bson::doc;
    ///
    /// let done = animals
    ///     .bulk_write([
    ///         WriteModel::insert_one(doc! { "name": "Zoe" }),
    ///         WriteModel::update_one(doc! { "name": "Zoe" }, doc! { "$set": { "legs": 4 } }),
    ///         WriteModel::delete_many(doc! { "legs": 0 }),
    ///     ])
    ///     .run()?;
    /// assert_eq!(done.inserted_count, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn bulk_write(&self, models: impl IntoIterator<Item = WriteModel<T>>) -> BulkWrite<'_, T> {
        BulkWrite { collection: self, models: models.into_iter().collect(), options: BulkWriteOptions::default() }
    }
}

/// What [`Collection::bulk_write`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct BulkWrite<'a, T> {
    collection: &'a Collection<T>,
    models: Vec<WriteModel<T>>,
    options: BulkWriteOptions,
}

impl<T: Serialize> BulkWrite<'_, T> {
    setters! {
        BulkWriteOptions {
            ordered: bool, bypass_document_validation: bool, let_vars: Document, comment into Bson,
            write_concern: WriteConcern,
        }
    }

    /// Sends them.
    ///
    /// # Errors
    /// [`ErrorKind::BulkWrite`](crate::error::ErrorKind::BulkWrite) where some were refused, with the place and reason of each
    /// and what was done all the same; no writes at all; a write that cannot be right, before anything is sent; and what keeps
    /// us from the server.
    pub fn run(mut self) -> Result<BulkWriteResult> {
        inherit(&mut self.options.write_concern, self.collection);
        if self.models.is_empty() {
            return Err(Error::invalid_argument("bulk_write was given no writes"));
        }
        let statements = self.models.iter().map(statement).collect::<Result<Vec<_>>>()?;
        let settings = Settings {
            ordered: self.options.ordered.unwrap_or(true),
            bypass_document_validation: self.options.bypass_document_validation,
            let_vars: self.options.let_vars.as_ref(),
            comment: self.options.comment.as_ref(),
            write_concern: self.options.write_concern.as_ref(),
        };
        let mut order: Vec<usize> = (0..self.models.len()).collect();
        if !settings.ordered {
            // All of one kind travel together.
            order.sort_by_key(|place| self.models.get(*place).map(|model| model.kind() as u8));
        }
        let mut writer =
            WriteBatcher::new(self.collection.client().deployment(), self.collection.namespace()?, settings)?;
        for place in order {
            let (Some(model), Some(statement)) = (self.models.get(place), statements.get(place)) else { continue };
            let added = match (model, statement) {
                (WriteModel::InsertOne(document), _) => writer.insert(place, document),
                (_, Some(statement)) => writer.statement(place, model.kind(), statement),
                (_, None) => Ok(true),
            };
            match added {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return writer.give_up(error).bulk_write(),
            }
        }
        writer.finish().bulk_write()
    }
}

/// The write as an entry of its command; `None` for an insert, whose document goes straight into the message.
fn statement<T: Serialize>(model: &WriteModel<T>) -> Result<Option<RawDocumentBuf>> {
    Ok(Some(match model {
        WriteModel::InsertOne(_) => return Ok(None),
        WriteModel::UpdateOne { filter, update, options } => updating(filter, update, false, options)?,
        WriteModel::UpdateMany { filter, update, options } => updating(filter, update, true, options)?,
        WriteModel::ReplaceOne { filter, replacement: document, options } => {
            let own = [options.comment.is_some(), options.let_vars.is_some(), options.write_concern.is_some()];
            refuse_command_options(own, options.bypass_document_validation)?;
            update_statement(&UpdateStatement {
                filter,
                update: NewForm::Replacement(replacement(document)?),
                multi: false,
                upsert: options.upsert,
                collation: options.collation.as_ref(),
                array_filters: None,
                hint: options.hint.as_ref(),
                sort: options.sort.as_ref(),
            })?
        }
        WriteModel::DeleteOne { filter, options } => deleting(filter, 1, options)?,
        WriteModel::DeleteMany { filter, options } => deleting(filter, 0, options)?,
    }))
}

fn updating(
    filter: &Document,
    update: &UpdateModifications,
    multi: bool,
    options: &UpdateOptions,
) -> Result<RawDocumentBuf> {
    let own = [options.comment.is_some(), options.let_vars.is_some(), options.write_concern.is_some()];
    refuse_command_options(own, options.bypass_document_validation)?;
    if multi && options.sort.is_some() {
        return Err(Error::invalid_argument("sort is for UpdateOne: UpdateMany changes every match"));
    }
    update_statement(&UpdateStatement {
        filter,
        update: NewForm::Update(update),
        multi,
        upsert: options.upsert,
        collation: options.collation.as_ref(),
        array_filters: options.array_filters.as_ref(),
        hint: options.hint.as_ref(),
        sort: options.sort.as_ref(),
    })
}

fn deleting(filter: &Document, limit: i32, options: &DeleteOptions) -> Result<RawDocumentBuf> {
    let own = [options.comment.is_some(), options.let_vars.is_some(), options.write_concern.is_some()];
    refuse_command_options(own, None)?;
    delete_statement(filter, limit, options.collation.as_ref(), options.hint.as_ref())
}

fn refuse_command_options(set: [bool; 3], bypass: Option<bool>) -> Result<()> {
    if set.contains(&true) || bypass.is_some() {
        return Err(Error::invalid_argument(
            "comment, let_vars, write_concern and bypass_document_validation are options of the whole bulk write, not of one write in it",
        ));
    }
    Ok(())
}
