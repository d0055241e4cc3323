//! Reads: `find`, `find_one`, `aggregate`, `count_documents`, `estimated_document_count`, `distinct`.

use std::marker::PhantomData;
use std::time::Duration;

use bson::{Bson, Document, RawDocumentBuf, doc};
use serde::de::DeserializeOwned;

use super::{Collection, Shared};
use crate::bson_ext;
use crate::client::{ClientSession, ExplicitSession, ImplicitSession, cursor_session_setter, session_setter};
use crate::cursor::{Cursor, CursorSettings, SessionCursor};
use crate::error::{Error, ErrorKind, Result, Stage};
use crate::operation;
use crate::operation::reply::malformed;
use crate::options::action::{
    aggregate_setters, count_setters, distinct_setters, estimated_document_count_setters, find_one_setters,
    find_setters,
};
use crate::options::{
    AggregateOptions, Collation, CountOptions, CursorType, DistinctOptions, EstimatedDocumentCountOptions,
    FindOneOptions, FindOptions, Hint, ReadConcern, SelectionCriteria, WriteConcern,
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
        Find {
            shared: &self.shared,
            filter,
            options: FindOptions::default(),
            session: ImplicitSession,
            documents: PhantomData,
        }
    }

    /// Finds the first document that matches the filter.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// let zoe = animals.find_one(doc! { "name": "Zoe" }).run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn find_one(&self, filter: Document) -> FindOne<'_, T> {
        FindOne {
            shared: &self.shared,
            filter,
            options: FindOneOptions::default(),
            session: None,
            documents: PhantomData,
        }
    }

    /// Runs the stages of a pipeline over the collection.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// let by_legs = animals.aggregate([doc! { "$group": { "_id": "$legs", "count": { "$sum": 1 } } }]).run()?;
    /// for group in by_legs {
    ///     println!("{}", group?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn aggregate(&self, pipeline: impl IntoIterator<Item = Document>) -> Aggregate<'_> {
        self.shared.aggregate(pipeline.into_iter().collect())
    }

    /// Counts the documents that match the filter, one by one (an aggregation).
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// let spiders = animals.count_documents(doc! { "legs": 8 }).run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn count_documents(&self, filter: Document) -> CountDocuments<'_> {
        CountDocuments { shared: &self.shared, filter, options: CountOptions::default(), session: None }
    }

    /// How many documents the collection has according to its metadata: quick, and after an unclean stop not quite exact.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// let about = animals.estimated_document_count().run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn estimated_document_count(&self) -> EstimatedDocumentCount<'_> {
        EstimatedDocumentCount { shared: &self.shared, options: EstimatedDocumentCountOptions::default() }
    }

    /// The different values that a field has among the documents that match the filter.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// let names = animals.distinct("name", doc! { "legs": 4 }).run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn distinct(&self, field: impl AsRef<str>, filter: Document) -> Distinct<'_> {
        Distinct {
            shared: &self.shared,
            field: field.as_ref().to_owned(),
            filter,
            options: DistinctOptions::default(),
            session: None,
        }
    }
}

impl Shared {
    fn aggregate(&self, pipeline: Vec<Document>) -> Aggregate<'_> {
        Aggregate {
            client: &self.client,
            database: &self.database,
            collection: Some(&self.name),
            defaults: &self.defaults,
            pipeline,
            options: AggregateOptions::default(),
            session: ImplicitSession,
            documents: PhantomData,
        }
    }
}

/// The action that [`Collection::find`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct Find<'a, T, S = ImplicitSession> {
    shared: &'a Shared,
    filter: Document,
    options: FindOptions,
    session: S,
    documents: PhantomData<fn() -> T>,
}

impl<'a, T, S> Find<'a, T, S> {
    find_setters! {}
    cursor_session_setter! {'a, Find<T> { shared, filter, options, documents }}

    /// The documents as another type: with a projection, they have other fields than those of the collection.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Name {
    ///     name: String,
    /// }
    ///
    /// for found in animals.find(doc! { "legs": 4 }).projection(doc! { "name": 1 }).with_type::<Name>().run()? {
    ///     println!("{}", found?.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_type<U>(self) -> Find<'a, U, S> {
        Find {
            shared: self.shared,
            filter: self.filter,
            options: self.options,
            session: self.session,
            documents: PhantomData,
        }
    }
}

impl<T> Find<'_, T> {
    /// Opens the cursor and fetches the first batch.
    ///
    /// # Errors
    /// [`ErrorKind::Command`] where the server refuses the query; [the errors of every
    /// action](crate::action#errors).
    pub fn run(self) -> Result<Cursor<T>> {
        find(self.shared, &self.filter, self.options, None)
    }
}

impl<T> Find<'_, T, ExplicitSession<'_>> {
    /// Opens the cursor in the session and fetches the first batch.
    ///
    /// # Errors
    /// As without a session; [`ErrorKind::InvalidArgument`] for a session of another client, [`ErrorKind::SessionsNotSupported`] where
    /// the server has no sessions.
    pub fn run(self) -> Result<SessionCursor<T>> {
        let session = self.session.0;
        Ok(SessionCursor::new(find(self.shared, &self.filter, self.options, Some(&mut *session))?, session))
    }
}

fn find<T>(
    shared: &Shared,
    filter: &Document,
    mut options: FindOptions,
    session: Option<&mut ClientSession>,
) -> Result<Cursor<T>> {
    let FindOptions { read_concern, selection_criteria, .. } = &mut options;
    shared.defaults.fill_in_read(read_concern, selection_criteria, session.as_deref())?;
    let settings = CursorSettings {
        batch_size: options.batch_size,
        limit_left: options.limit.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0),
        max_await_time: options.max_await_time,
        await_option: Some("max_await_time"),
        comment: CursorSettings::comment(options.comment.as_ref())?,
        cursor_type: options.cursor_type.unwrap_or_default(),
    };
    let client = &shared.client;
    let mut find = operation::find::Find::new(shared.checked_namespace()?, filter, &options)?;
    Cursor::open(client, &mut find, client.operation_session(session)?, settings)
}

/// The action that [`Collection::find_one`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct FindOne<'a, T> {
    shared: &'a Shared,
    filter: Document,
    options: FindOneOptions,
    session: Option<&'a mut ClientSession>,
    documents: PhantomData<fn() -> T>,
}

impl<'a, T> FindOne<'a, T> {
    find_one_setters! {}
    session_setter! {'a}

    /// The document as another type: with a projection, it has other fields than those of the collection.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Name {
    ///     name: String,
    /// }
    ///
    /// let found = animals.find_one(doc! { "legs": 4 }).projection(doc! { "name": 1 }).with_type::<Name>().run()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_type<U>(self) -> FindOne<'a, U> {
        FindOne {
            shared: self.shared,
            filter: self.filter,
            options: self.options,
            session: self.session,
            documents: PhantomData,
        }
    }

    /// The document, or `None` where none matches.
    ///
    /// # Errors
    /// [`ErrorKind::Command`] where the server refuses,
    /// [`ErrorKind::BsonDeserialization`] for a document that does not fit `T`; [the errors
    /// of every action](crate::action#errors).
    pub fn run(self) -> Result<Option<T>>
    where
        T: DeserializeOwned,
    {
        let options = FindOptions { limit: Some(-1), ..self.options.into() };
        let mut session = self.session;
        let mut found = find(self.shared, &self.filter, options, session.as_deref_mut())?;
        found.next_in(session).transpose()
    }
}

/// What [`Collection::aggregate`] and [`Database::aggregate`](crate::Database::aggregate) return. The results are decoded as
/// `T`, which is [`Document`] unless [`Aggregate::with_type`] says otherwise.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct Aggregate<'a, S = ImplicitSession, T = Document> {
    pub(crate) client: &'a crate::client::Client,
    pub(crate) database: &'a str,
    pub(crate) collection: Option<&'a str>,
    pub(crate) defaults: &'a super::Defaults,
    pub(crate) pipeline: Vec<Document>,
    pub(crate) options: AggregateOptions,
    pub(crate) session: S,
    pub(crate) documents: PhantomData<fn() -> T>,
}

impl<'a, S, T> Aggregate<'a, S, T> {
    aggregate_setters! {}
    cursor_session_setter! {'a, Aggregate<; T> { client, database, collection, defaults, pipeline, options, documents }}

    /// The results as another type.
    pub fn with_type<U>(self) -> Aggregate<'a, S, U> {
        Aggregate {
            client: self.client,
            database: self.database,
            collection: self.collection,
            defaults: self.defaults,
            pipeline: self.pipeline,
            options: self.options,
            session: self.session,
            documents: PhantomData,
        }
    }

    fn open(mut self, session: Option<&mut ClientSession>) -> Result<Cursor<T>> {
        let AggregateOptions { read_concern, selection_criteria, write_concern, .. } = &mut self.options;
        self.defaults.fill_in_read(read_concern, selection_criteria, session.as_deref())?;
        self.defaults.fill_in_write(write_concern, session.as_deref())?;
        let settings = CursorSettings {
            batch_size: self.options.batch_size,
            limit_left: None,
            max_await_time: self.options.max_await_time,
            await_option: Some("max_await_time"),
            comment: CursorSettings::comment(self.options.comment.as_ref())?,
            cursor_type: CursorType::NonTailable,
        };
        super::check_database_name(self.database)?;
        self.collection.map_or(Ok(()), super::check_collection_name)?;
        let mut aggregate = operation::aggregate::Aggregate {
            database: self.database,
            collection: self.collection,
            pipeline: &self.pipeline,
            options: &self.options,
        };
        Cursor::open(self.client, &mut aggregate, self.client.operation_session(session)?, settings)
    }
}

impl<T> Aggregate<'_, ImplicitSession, T> {
    /// Runs the pipeline and fetches the first batch of its results.
    ///
    /// # Errors
    /// [`ErrorKind::Command`] where the server refuses the pipeline,
    /// [`ErrorKind::Write`] after `$out` or `$merge`; [the errors of every
    /// action](crate::action#errors).
    pub fn run(self) -> Result<Cursor<T>> {
        self.open(None)
    }
}

impl<T> Aggregate<'_, ExplicitSession<'_>, T> {
    /// Runs the pipeline in the session and fetches the first batch of its results.
    ///
    /// # Errors
    /// As without a session; [`ErrorKind::InvalidArgument`] for a session of another client, [`ErrorKind::SessionsNotSupported`] where
    /// the server has no sessions.
    pub fn run(self) -> Result<SessionCursor<T>> {
        let (aggregate, ExplicitSession(session)) = self.replace_session(ImplicitSession);
        Ok(SessionCursor::new(aggregate.open(Some(&mut *session))?, session))
    }
}

/// The action that [`Collection::count_documents`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct CountDocuments<'a> {
    shared: &'a Shared,
    filter: Document,
    options: CountOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a> CountDocuments<'a> {
    count_setters! {}
    session_setter! {'a}

    /// How many there are.
    ///
    /// # Errors
    /// [`ErrorKind::Command`] where the server refuses the filter; [the errors of every
    /// action](crate::action#errors).
    pub fn run(self) -> Result<u64> {
        let own = self.options;
        let long = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let hint = hint_for(&self.filter);
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
            selection_criteria: own.selection_criteria,
            ..AggregateOptions::default()
        };
        let action = self.shared.aggregate(pipeline).with_options(options).with_type::<RawDocumentBuf>();
        let mut session = self.session;
        let mut counted = action.open(session.as_deref_mut()).map_err(|error| match hint {
            Some(hint) if matches!(error.kind(), ErrorKind::Command(_)) => error.with_hint(hint),
            _ => error,
        })?;
        // Of an empty collection there is no group.
        if !counted.advance_in(session)? {
            return Ok(0);
        }
        let count = counted.current().get("n").map_err(malformed)?.and_then(bson_ext::count);
        count.ok_or_else(|| Error::invalid_reply(Stage::Decode, "the count is not a number"))
    }
}

/// What to use instead of an operator that an aggregation does not take, if the filter has one.
fn hint_for(filter: &Document) -> Option<&'static str> {
    filter.iter().find_map(|(key, value)| match (key.as_str(), value) {
        ("$where", _) => Some("count_documents is an aggregation, which does not take $where: use $expr"),
        ("$near", _) => {
            Some("count_documents is an aggregation, which does not take $near: use $geoWithin with $center")
        }
        ("$nearSphere", _) => Some(
            "count_documents is an aggregation, which does not take $nearSphere: use $geoWithin with $centerSphere",
        ),
        (_, Bson::Document(inner)) => hint_for(inner),
        (_, Bson::Array(list)) => list.iter().filter_map(Bson::as_document).find_map(hint_for),
        _ => None,
    })
}

/// The action that [`Collection::estimated_document_count`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct EstimatedDocumentCount<'a> {
    shared: &'a Shared,
    options: EstimatedDocumentCountOptions,
}

impl EstimatedDocumentCount<'_> {
    estimated_document_count_setters! {}

    /// How many there are, as far as the metadata know.
    ///
    /// # Errors
    /// [`ErrorKind::Command`] where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(mut self) -> Result<u64> {
        let EstimatedDocumentCountOptions { read_concern, selection_criteria, .. } = &mut self.options;
        self.shared.defaults.fill_in_read(read_concern, selection_criteria, None)?;
        let mut count = operation::count::Count { namespace: self.shared.checked_namespace()?, options: &self.options };
        self.shared.client.execute(&mut count, None)
    }
}

/// The action that [`Collection::distinct`] makes.
#[must_use = "nothing is sent until `run`"]
#[derive(Debug)]
pub struct Distinct<'a> {
    shared: &'a Shared,
    field: String,
    filter: Document,
    options: DistinctOptions,
    session: Option<&'a mut ClientSession>,
}

impl<'a> Distinct<'a> {
    distinct_setters! {}
    session_setter! {'a}

    /// The values, in no particular order.
    ///
    /// # Errors
    /// [`ErrorKind::Command`] where the server refuses; [the errors of every
    /// action](crate::action#errors).
    pub fn run(mut self) -> Result<Vec<Bson>> {
        let DistinctOptions { read_concern, selection_criteria, .. } = &mut self.options;
        let session = self.session.as_deref();
        self.shared.defaults.fill_in_read(read_concern, selection_criteria, session)?;
        let client = &self.shared.client;
        let mut distinct = operation::distinct::Distinct {
            namespace: self.shared.checked_namespace()?,
            field: &self.field,
            filter: &self.filter,
            options: &self.options,
            limits: client.inner().nesting_limits(),
        };
        client.execute(&mut distinct, self.session)
    }
}
