//! `bulk_write` on a collection: many writes of all kinds in as few commands as the server's limits allow.

use bson::{Bson, Document};
use serde::Serialize;

use super::Collection;
use super::write::{
    NewForm, delete_statement, encode_replacement, give_up, send_full, send_rest, update_statement, with_defaults,
};
use crate::client::{ClientSession, session_setter};
use crate::error::{Error, Result};
use crate::operation::write::{Statement, WriteBatcher, WriteKind};
use crate::options::action::bulk_write_setters;
use crate::options::{
    BulkWriteOptions, Collation, DeleteOptions, Hint, ReplaceOptions, UpdateModifications, UpdateOptions, WriteConcern,
};
use crate::outcome::BulkWriteResult;

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
        /// Further options of this write.
        options: UpdateOptions,
    },
    /// Change all matches.
    UpdateMany {
        /// What must match.
        filter: Document,
        /// The change.
        update: UpdateModifications,
        /// Further options of this write.
        options: UpdateOptions,
    },
    /// Replace the first match.
    ReplaceOne {
        /// What must match.
        filter: Document,
        /// The document that takes its place.
        replacement: T,
        /// Further options of this write.
        options: ReplaceOptions,
    },
    /// Delete the first match.
    DeleteOne {
        /// What must match.
        filter: Document,
        /// Further options of this write.
        options: DeleteOptions,
    },
    /// Delete all matches.
    DeleteMany {
        /// What must match.
        filter: Document,
        /// Further options of this write.
        options: DeleteOptions,
    },
    /// A write that was given an option that its kind does not have. `bulk_write` refuses it.
    Invalid {
        /// Which option, and of what.
        message: String,
    },
}

/// One option of a write, for the kinds that have it. The others become [`WriteModel::Invalid`].
macro_rules! model_setters {
    ($($(#[$about:meta])* $option:ident($value:ident: $type:ty) for $($kind:ident)|*;)*) => {$(
        $(#[$about])*
        pub fn $option(mut self, $value: $type) -> Self {
            match &mut self {
                $(WriteModel::$kind { options, .. } => options.$option = Some($value.into()),)*
                WriteModel::Invalid { .. } => {}
                other => {
                    let message = format!(concat!("{} has no option ", stringify!($option)), other.kind());
                    self = WriteModel::Invalid { message };
                }
            }
            self
        }
    )*};
}

/// Options of one write.
///
/// ```no_run
/// # fn f(books: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
/// use mongo_blocking::WriteModel;
/// use mongo_blocking::bson::doc;
/// use mongo_blocking::error::ErrorKind;
///
/// let new = [doc! { "_id": 1, "title": "Emma" }, doc! { "_id": 2, "title": "Persuasion" }];
/// let upserts = new.map(|book| WriteModel::replace_one(doc! { "_id": book.get("_id") }, book).upsert(true));
/// match books.bulk_write(upserts).ordered(false).run() {
///     Ok(done) => println!("{} new, {} changed", done.upserted_count, done.modified_count),
///     Err(error) => match error.kind() {
///         // The others were written.
///         ErrorKind::BulkWrite(failed) => {
///             failed.write_errors.iter().for_each(|refused| println!("book {}: {}", refused.index, refused.message));
///         }
///         _ => return Err(error),
///     },
/// }
/// # Ok(())
/// # }
/// ```
impl<T> WriteModel<T> {
    model_setters! {
        /// Insert a document if none matches. For updates and replacements.
        upsert(upsert: bool) for UpdateOne | UpdateMany | ReplaceOne;
        /// How strings are compared. For all but inserts.
        collation(collation: Collation) for UpdateOne | UpdateMany | ReplaceOne | DeleteOne | DeleteMany;
        /// The index to use. For all but inserts.
        hint(hint: impl Into<Hint>) for UpdateOne | UpdateMany | ReplaceOne | DeleteOne | DeleteMany;
        /// Which elements of arrays `$[name]` means. For updates.
        array_filters(filters: Vec<Document>) for UpdateOne | UpdateMany;
        /// Which of several matches is taken (MongoDB 8.0 and later). For an update or a replacement of one.
        sort(sort: Document) for UpdateOne | ReplaceOne;
    }

    fn kind(&self) -> &'static str {
        match self {
            WriteModel::InsertOne(_) => "an insert",
            WriteModel::UpdateOne { .. } => "an update of one",
            WriteModel::UpdateMany { .. } => "an update of many",
            WriteModel::ReplaceOne { .. } => "a replacement",
            WriteModel::DeleteOne { .. } | WriteModel::DeleteMany { .. } => "a delete",
            WriteModel::Invalid { .. } => "it",
        }
    }
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
}

impl<T> Collection<T> {
    /// Performs many writes, in their order or, with `ordered(false)`, in any order.
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
        BulkWrite {
            collection: self,
            models: models.into_iter().collect(),
            options: BulkWriteOptions::default(),
            session: None,
        }
    }
}

/// The action that [`Collection::bulk_write`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct BulkWrite<'a, T> {
    collection: &'a Collection<T>,
    models: Vec<WriteModel<T>>,
    options: BulkWriteOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a, T: Serialize> BulkWrite<'a, T> {
    bulk_write_setters! {}
    session_setter! {'a}

    /// Sends the writes.
    ///
    /// # Errors
    /// [`ErrorKind::BulkWrite`](crate::error::ErrorKind::BulkWrite) where some writes failed, with index and reason for
    /// each and with what was done; [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) where there
    /// are no writes, or one is invalid, before anything is sent; [the errors of every action](crate::action#errors).
    pub fn run(self) -> Result<BulkWriteResult> {
        if self.models.is_empty() {
            return Err(Error::invalid_argument("bulk_write was given no writes"));
        }
        let options = with_defaults(self.options, &self.collection.shared, self.session.as_deref())?;
        let writes = self.models.into_iter().enumerate();
        let mut writes = writes.map(|(index, model)| Ok((index, Write::new(model)?))).collect::<Result<Vec<_>>>()?;
        if options.ordered == Some(false) {
            // All of one kind travel together.
            writes.sort_by_key(|(_, write)| write.kind());
        }
        let inner = self.collection.client().inner();
        let deadline = inner.operation_deadline();
        let mut session = self.collection.client().operation_session(self.session)?;
        let mut batch = WriteBatcher::new(self.collection.checked_namespace()?, &options, inner.nesting_limits())?;
        for (index, write) in &writes {
            let added = match write {
                Write::Insert(document) => batch.insert(*index, document),
                Write::Statement(statement) => {
                    batch.add(*index, statement);
                    Ok(())
                }
            };
            if let Err(error) = added {
                return give_up(inner, batch, &mut session, deadline, error).bulk_write();
            }
            send_full(inner, &mut batch, &mut session, deadline);
            if batch.has_stopped() {
                break;
            }
        }
        send_rest(inner, batch, &mut session, deadline).bulk_write()
    }
}

/// A write in its form for the server. A document to insert goes from the caller's value straight into the message.
enum Write<T> {
    Insert(T),
    Statement(Statement),
}

impl<T: Serialize> Write<T> {
    fn new(model: WriteModel<T>) -> Result<Self> {
        Ok(Write::Statement(match model {
            WriteModel::InsertOne(document) => return Ok(Write::Insert(document)),
            WriteModel::Invalid { message } => return Err(Error::invalid_argument(message)),
            WriteModel::UpdateOne { filter, update, options } => {
                check_options(&options)?;
                update_statement(&filter, NewForm::Update(&update), false, &options)?
            }
            WriteModel::UpdateMany { filter, update, options } => {
                check_options(&options)?;
                if options.sort.is_some() {
                    return Err(Error::invalid_argument("sort is for UpdateOne: UpdateMany changes every match"));
                }
                update_statement(&filter, NewForm::Update(&update), true, &options)?
            }
            WriteModel::ReplaceOne { filter, replacement: document, options } => {
                let options = options.into();
                check_options(&options)?;
                update_statement(&filter, NewForm::Replacement(encode_replacement(&document)?), false, &options)?
            }
            WriteModel::DeleteOne { filter, options } => {
                let statement = delete_statement(&filter, 1, &options)?;
                check_options(&options.into())?;
                statement
            }
            WriteModel::DeleteMany { filter, options } => {
                let statement = delete_statement(&filter, 0, &options)?;
                check_options(&options.into())?;
                statement
            }
        }))
    }

    fn kind(&self) -> WriteKind {
        match self {
            Write::Insert(_) => WriteKind::Insert,
            Write::Statement(statement) => statement.kind,
        }
    }
}

/// Refuses options that one write of many cannot have of its own.
fn check_options(options: &UpdateOptions) -> Result<()> {
    let of_the_command = options.comment.is_some()
        || options.let_vars.is_some()
        || options.write_concern.is_some()
        || options.bypass_document_validation.is_some();
    if of_the_command {
        return Err(Error::invalid_argument(
            "comment, let_vars, write_concern and bypass_document_validation are options of the whole bulk write, not of one write in it",
        ));
    }
    Ok(())
}
