//! Errors that a program makes itself, and errors of other libraries that become ours with `?`.

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bson::error::ErrorKind as BsonErrorKind;

use super::{Error, ErrorKind, FaultKind, Stage, codes};

impl Error {
    /// How long an overloaded server asks to be left alone before the operation is tried again (`baseBackoffMS`, since MongoDB 9.0).
    pub fn base_backoff(&self) -> Option<Duration> {
        match &*self.kind {
            ErrorKind::Command(error) => error.base_backoff,
            _ => self.cause()?.base_backoff(),
        }
    }

    /// An error of the program's own, for its functions that return this type.
    ///
    /// ```
    /// use mongo_blocking::Error;
    ///
    /// let error = Error::custom("out of stock".to_string());
    /// assert_eq!(error.get_custom::<String>().map(String::as_str), Some("out of stock"));
    /// assert!(error.get_custom::<i32>().is_none());
    /// ```
    pub fn custom(value: impl Any + Send + Sync) -> Self {
        Error::new(ErrorKind::Custom(Arc::new(value)), Stage::Program, "an error that the program made")
    }

    /// The value of an error that [`Error::custom`] made, if it has this type.
    pub fn get_custom<E: Any>(&self) -> Option<&E> {
        match &*self.kind {
            ErrorKind::Custom(value) => value.downcast_ref(),
            _ => None,
        }
    }

    /// Whether the server refused a write because a unique index has the key already. Of an `insert_many` or a bulk write: whether
    /// it refused one of the writes for that.
    ///
    /// ```no_run
    /// # fn f(animals: mongo_blocking::Collection<mongo_blocking::bson::Document>) -> mongo_blocking::Result<()> {
    /// use mongo_blocking::bson::doc;
    ///
    /// match animals.insert_one(doc! { "_id": 1 }).run() {
    ///     Err(error) if error.is_duplicate_key() => println!("it is there already"),
    ///     other => drop(other?),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_duplicate_key(&self) -> bool {
        let is = |code: i32| codes::DUPLICATE_KEY.contains(&code);
        match &*self.kind {
            ErrorKind::InsertMany(error) => error.write_errors.iter().flatten().any(|error| is(error.code)),
            ErrorKind::BulkWrite(error) => error.write_errors.iter().any(|error| is(error.code)),
            _ => self.code().is_some_and(is),
        }
    }
}

/// A failure of the program's own input or output: [`ErrorKind::Io`] at [`Stage::Program`].
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        let message = error.to_string();
        Error::new(ErrorKind::from(error), Stage::Program, message)
    }
}

/// [`ErrorKind::Io`].
impl From<io::Error> for ErrorKind {
    fn from(error: io::Error) -> Self {
        ErrorKind::Io(Arc::new(error))
    }
}

/// [`ErrorKind::Io`].
impl From<io::ErrorKind> for ErrorKind {
    fn from(kind: io::ErrorKind) -> Self {
        ErrorKind::Io(Arc::new(kind.into()))
    }
}

/// [`ErrorKind::BsonSerialization`] for an error of a conversion to BSON, else [`ErrorKind::BsonDeserialization`].
impl From<bson::error::Error> for ErrorKind {
    fn from(error: bson::error::Error) -> Self {
        match &error.kind {
            BsonErrorKind::Serialization { .. } => ErrorKind::BsonSerialization(error),
            _ => ErrorKind::BsonDeserialization(error),
        }
    }
}

/// An error of this kind at [`Stage::Program`].
impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        let message = kind.to_string();
        Error::new(kind, Stage::Program, message)
    }
}

/// A failure of the program's own conversion from BSON ([`ErrorKind::BsonDeserialization`]) or to it ([`ErrorKind::BsonSerialization`]).
impl From<bson::error::Error> for Error {
    fn from(error: bson::error::Error) -> Self {
        let (kind, message) = match &error.kind {
            BsonErrorKind::Serialization { .. } => (FaultKind::BsonSerialization, "a value cannot be turned into BSON"),
            _ => (FaultKind::BsonDeserialization, "BSON cannot be turned into the value"),
        };
        Error::new(kind, Stage::Program, message).with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use bson::doc;

    use super::*;
    use crate::error::{BulkWriteError, InsertManyError, WriteError, WriteFailure};

    #[test]
    fn errors_of_other_libraries_are_said_once() {
        let error = Error::from(io::Error::new(io::ErrorKind::NotFound, "no such file"));
        assert!(matches!(error.kind(), ErrorKind::Io(held) if held.kind() == io::ErrorKind::NotFound), "{error:?}");
        assert!(error.stage() == Stage::Program && error.source().is_none());
        assert_eq!(error.to_string(), "program: no such file");
        assert_eq!(format!("{error:#}"), "program: no such file");
        // What is beneath it is not lost.
        let deep = io::Error::other(Error::invalid_argument("above").with_source(io::Error::other("beneath")));
        let error = Error::from(deep);
        assert_eq!(error.to_string(), "program: options: above");
        assert_eq!(error.source().unwrap().to_string(), "beneath");

        let error = Error::from(bson::deserialize_from_document::<i32>(doc! {}).unwrap_err());
        assert!(matches!(error.kind(), ErrorKind::BsonDeserialization(_)) && error.source().is_none(), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with("program: BSON cannot be turned into the value: invalid type: map"), "{text}");
        assert_eq!(format!("{error:#}"), text);
        let error = Error::from(bson::serialize_to_document(&1).unwrap_err());
        assert!(matches!(error.kind(), ErrorKind::BsonSerialization(_)) && error.source().is_none(), "{error:?}");
        assert!(error.to_string().starts_with("program: a value cannot be turned into BSON: "), "{error}");
    }

    #[test]
    fn a_copy_of_an_error_has_all_of_it() {
        let cause = Error::invalid_argument("below").with_label("a");
        let error = Error::custom(7).with_source(cause).with_hint("look").with_label("b");
        let copy = error.clone();
        assert_eq!(format!("{copy:#}"), format!("{error:#}"));
        assert_eq!(copy.get_custom::<i32>(), Some(&7));
        assert!(copy.source().unwrap().is::<Error>() && copy.contains_label(String::from("b")));
    }

    #[test]
    fn a_duplicate_key_is_found_among_several_write_errors() {
        let refused = |code| WriteError {
            index: 0,
            code,
            code_name: None,
            message: String::new(),
            details: None,
            key_pattern: None,
            key_value: None,
            response: None,
        };
        let errors = || vec![refused(121), refused(11000)];
        let kinds = [
            ErrorKind::Write(WriteFailure::WriteError(refused(11001))),
            ErrorKind::InsertMany(InsertManyError { write_errors: Some(errors()), ..Default::default() }),
            ErrorKind::BulkWrite(BulkWriteError { write_errors: errors(), ..Default::default() }),
        ];
        for kind in kinds {
            assert!(Error::new(kind, Stage::Command, "refused").is_duplicate_key());
        }
        assert!(
            !Error::new(ErrorKind::Write(WriteFailure::WriteError(refused(121))), Stage::Command, "refused")
                .is_duplicate_key()
        );
    }
}
