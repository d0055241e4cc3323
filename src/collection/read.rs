//! Reads: `find`, `find_one`, `aggregate`, `count_documents`, `estimated_document_count`, `distinct`.

use std::marker::PhantomData;
use std::time::Duration;

use bson::{Bson, Document, RawBson, RawDocumentBuf, doc};
use serde::de::DeserializeOwned;

use super::Collection;
use crate::cursor::{Cursor, CursorSettings};
use crate::error::Result;
use crate::operation;
use crate::operation::body::not_bson;
use crate::operation::count::number;
use crate::operation::reply::malformed;
use crate::options::action::setters;
use crate::options::{
    AggregateOptions, Collation, CountOptions, CursorType, DistinctOptions, EstimatedDocumentCountOptions,
    FindOneOptions, FindOptions, Hint, ReadConcern, ReadPreference, WriteConcern,
};

impl<T> Collection<T> {
    /// Finds the documents that match the filter; an empty filter matches all.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// for animal in animals.find(doc! { "legs": { "$gt": 2 } }).sort(doc! { "name": 1 }).limit(5).run()? {
    ///     println!("{}", animal?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn find(&self, filter: Document) -> Find<'_, T> {
        Find { collection: self, filter, options: FindOptions::default() }
    }

    /// Finds the first document that matches the filter.
    pub fn find_one(&self, filter: Document) -> FindOne<'_, T> {
        FindOne { collection: self, filter, options: FindOneOptions::default() }
    }

    /// Runs the stages of a pipeline over the collection.
    pub fn aggregate(&self, pipeline: impl IntoIterator<Item = Document>) -> Aggregate<'_, Document> {
        Aggregate {
            client: self.client(),
            database: &self.shared.database,
            collection: Some(&self.shared.name),
            settings: &self.shared.settings,
            pipeline: pipeline.into_iter().collect(),
            options: AggregateOptions::default(),
            documents: PhantomData,
        }
    }

    /// Counts the documents that match the filter, one by one (an aggregation).
    pub fn count_documents(&self, filter: Document) -> CountDocuments<'_, T> {
        CountDocuments { collection: self, filter, options: CountOptions::default() }
    }

    /// How many documents the collection has according to its metadata: quick, and after an unclean stop not quite exact.
    pub fn estimated_document_count(&self) -> EstimatedDocumentCount<'_, T> {
        EstimatedDocumentCount { collection: self, options: EstimatedDocumentCountOptions::default() }
    }

    /// The different values that a field has among the documents that match the filter.
    pub fn distinct(&self, field: impl Into<String>, filter: Document) -> Distinct<'_, T> {
        Distinct { collection: self, field: field.into(), filter, options: DistinctOptions::default() }
    }
}

/// What [`Collection::find`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct Find<'a, T> {
    collection: &'a Collection<T>,
    filter: Document,
    options: FindOptions,
}

impl<T> Find<'_, T> {
    setters! {
        FindOptions {
            sort: Document, projection: Document, skip: u64, limit: i64, batch_size: u32, hint into Hint,
            comment into Bson, max_time: Duration, max: Document, min: Document, return_key: bool,
            show_record_id: bool, collation: Collation, let_vars: Document, allow_disk_use: bool,
            cursor_type: CursorType, max_await_time: Duration, no_cursor_timeout: bool,
            allow_partial_results: bool, read_concern: ReadConcern, read_preference: ReadPreference,
        }
    }

    /// Opens the cursor and fetches the first batch.
    ///
    /// # Errors
    /// What keeps us from the server, and the server's refusal of the query.
    pub fn run(mut self) -> Result<Cursor<T>> {
        let settings = &self.collection.shared.settings;
        self.options.read_concern = self.options.read_concern.or_else(|| settings.read_concern.clone());
        self.options.read_preference.get_or_insert_with(|| settings.read_preference.clone());
        let cursor_settings = CursorSettings {
            batch_size: self.options.batch_size,
            max_await_time: self.options.max_await_time,
            comment: comment(self.options.comment.as_ref())?,
            tailable: self.options.cursor_type.unwrap_or_default() != CursorType::NonTailable,
        };
        let client = self.collection.client();
        let reply =
            operation::find::find(client.deployment(), self.collection.namespace()?, &self.filter, &self.options)?;
        Cursor::new(client, reply, cursor_settings)
    }
}

/// What [`Collection::find_one`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct FindOne<'a, T> {
    collection: &'a Collection<T>,
    filter: Document,
    options: FindOneOptions,
}

impl<T> FindOne<'_, T> {
    setters! {
        FindOneOptions {
            sort: Document, projection: Document, skip: u64, hint into Hint, comment into Bson, max_time: Duration,
            max: Document, min: Document, return_key: bool, show_record_id: bool, collation: Collation,
            let_vars: Document, allow_disk_use: bool, allow_partial_results: bool, read_concern: ReadConcern,
            read_preference: ReadPreference,
        }
    }

    /// The document, or `None` where none matches.
    ///
    /// # Errors
    /// What keeps us from the server, the server's refusal, and a document that does not fit `T`.
    pub fn run(self) -> Result<Option<T>>
    where
        T: DeserializeOwned + 'static,
    {
        let own = self.options;
        let options = FindOptions {
            sort: own.sort,
            projection: own.projection,
            skip: own.skip,
            limit: Some(-1),
            hint: own.hint,
            comment: own.comment,
            max_time: own.max_time,
            max: own.max,
            min: own.min,
            return_key: own.return_key,
            show_record_id: own.show_record_id,
            collation: own.collation,
            let_vars: own.let_vars,
            allow_disk_use: own.allow_disk_use,
            allow_partial_results: own.allow_partial_results,
            read_concern: own.read_concern,
            read_preference: own.read_preference,
            ..FindOptions::default()
        };
        Find { collection: self.collection, filter: self.filter, options }.run()?.next().transpose()
    }
}

/// What [`Collection::aggregate`] and [`Database::aggregate`](crate::Database::aggregate) return. The results are decoded as
/// `T`, which is [`Document`] unless [`Aggregate::with_type`] says otherwise.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct Aggregate<'a, T> {
    pub(crate) client: &'a crate::client::Client,
    pub(crate) database: &'a str,
    pub(crate) collection: Option<&'a str>,
    pub(crate) settings: &'a super::Settings,
    pub(crate) pipeline: Vec<Document>,
    pub(crate) options: AggregateOptions,
    pub(crate) documents: PhantomData<fn() -> T>,
}

impl<'a, T> Aggregate<'a, T> {
    setters! {
        AggregateOptions {
            allow_disk_use: bool, batch_size: u32, bypass_document_validation: bool, collation: Collation,
            comment into Bson, hint into Hint, let_vars: Document, max_time: Duration, max_await_time: Duration,
            read_concern: ReadConcern, read_preference: ReadPreference, write_concern: WriteConcern,
        }
    }

    /// The results as another type.
    pub fn with_type<U>(self) -> Aggregate<'a, U> {
        Aggregate {
            client: self.client,
            database: self.database,
            collection: self.collection,
            settings: self.settings,
            pipeline: self.pipeline,
            options: self.options,
            documents: PhantomData,
        }
    }

    /// Runs the pipeline and fetches the first batch of its results.
    ///
    /// # Errors
    /// What keeps us from the server, and the server's refusal of the pipeline.
    pub fn run(mut self) -> Result<Cursor<T>> {
        self.options.read_concern = self.options.read_concern.or_else(|| self.settings.read_concern.clone());
        self.options.write_concern = self.options.write_concern.or_else(|| self.settings.write_concern.clone());
        self.options.read_preference.get_or_insert_with(|| self.settings.read_preference.clone());
        let cursor_settings = CursorSettings {
            batch_size: self.options.batch_size,
            max_await_time: self.options.max_await_time,
            comment: comment(self.options.comment.as_ref())?,
            tailable: false,
        };
        super::check_database_name(self.database)?;
        self.collection.map_or(Ok(()), super::check_collection_name)?;
        let reply = operation::aggregate::aggregate(
            self.client.deployment(),
            self.database,
            self.collection,
            &self.pipeline,
            &self.options,
        )?;
        Cursor::new(self.client, reply, cursor_settings)
    }
}

/// What [`Collection::count_documents`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct CountDocuments<'a, T> {
    collection: &'a Collection<T>,
    filter: Document,
    options: CountOptions,
}

impl<T> CountDocuments<'_, T> {
    setters! {
        CountOptions {
            skip: u64, limit: u64, hint into Hint, collation: Collation, comment into Bson, max_time: Duration,
            read_concern: ReadConcern, read_preference: ReadPreference,
        }
    }

    /// How many there are.
    ///
    /// # Errors
    /// What keeps us from the server, and the server's refusal of the filter.
    pub fn run(self) -> Result<u64> {
        let own = self.options;
        let long = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut pipeline = vec![doc! { "$match": self.filter }];
        if let Some(skip) = own.skip {
            pipeline.push(doc! { "$skip": long(skip) });
        }
        if let Some(limit) = own.limit {
            pipeline.push(doc! { "$limit": long(limit) });
        }
        pipeline.push(doc! { "$group": { "_id": 1, "n": { "$sum": 1 } } });
        let options = AggregateOptions {
            hint: own.hint,
            collation: own.collation,
            comment: own.comment,
            max_time: own.max_time,
            read_concern: own.read_concern,
            read_preference: own.read_preference,
            ..AggregateOptions::default()
        };
        let action = self.collection.aggregate(pipeline).with_options(options).with_type::<RawDocumentBuf>();
        let mut counted = action.run()?;
        // Of an empty collection there is no group.
        if !counted.advance()? {
            return Ok(0);
        }
        number(counted.current().get("n").map_err(malformed)?)
            .ok_or_else(|| crate::Error::invalid_reply(crate::error::Stage::Decode, "the count is not a number"))
    }
}

/// What [`Collection::estimated_document_count`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct EstimatedDocumentCount<'a, T> {
    collection: &'a Collection<T>,
    options: EstimatedDocumentCountOptions,
}

impl<T> EstimatedDocumentCount<'_, T> {
    setters! {
        EstimatedDocumentCountOptions {
            comment into Bson, max_time: Duration, read_concern: ReadConcern, read_preference: ReadPreference,
        }
    }

    /// How many there are, as far as the metadata know.
    ///
    /// # Errors
    /// What keeps us from the server, and the server's refusal.
    pub fn run(mut self) -> Result<u64> {
        let settings = &self.collection.shared.settings;
        self.options.read_concern = self.options.read_concern.or_else(|| settings.read_concern.clone());
        self.options.read_preference.get_or_insert_with(|| settings.read_preference.clone());
        let deployment = self.collection.client().deployment();
        operation::count::count(deployment, self.collection.namespace()?, &self.options)
    }
}

/// What [`Collection::distinct`] returns.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct Distinct<'a, T> {
    collection: &'a Collection<T>,
    field: String,
    filter: Document,
    options: DistinctOptions,
}

impl<T> Distinct<'_, T> {
    setters! {
        DistinctOptions {
            collation: Collation, comment into Bson, hint into Hint, max_time: Duration, read_concern: ReadConcern,
            read_preference: ReadPreference,
        }
    }

    /// The values, in no particular order.
    ///
    /// # Errors
    /// What keeps us from the server, and the server's refusal.
    pub fn run(mut self) -> Result<Vec<Bson>> {
        let settings = &self.collection.shared.settings;
        self.options.read_concern = self.options.read_concern.or_else(|| settings.read_concern.clone());
        self.options.read_preference.get_or_insert_with(|| settings.read_preference.clone());
        let deployment = self.collection.client().deployment();
        let namespace = self.collection.namespace()?;
        operation::distinct::distinct(deployment, namespace, &self.field, &self.filter, &self.options)
    }
}

/// The comment as `getMore` sends it.
pub(crate) fn comment(comment: Option<&Bson>) -> Result<Option<RawBson>> {
    comment.map(|comment| RawBson::try_from(comment.clone()).map_err(not_bson)).transpose()
}
