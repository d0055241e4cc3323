//! Operations on a cursor that an earlier operation left open.

use std::sync::{Mutex, PoisonError};

use bson::{Bson, Document};

use super::{OpenCursor, Outcome, Ran, Trouble, unknown};
use crate::unified::arguments::Arguments;

pub fn run(place: &Mutex<Option<OpenCursor>>, name: &str, arguments: &mut Arguments) -> Ran {
    arguments.end()?;
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    if name == "close" {
        *place = None;
        return Ok(Outcome::Nothing);
    }
    let cursor = place.as_mut().ok_or_else(|| Trouble::of_runner("the cursor was closed before"))?;
    match name {
        "iterateOnce" => next_if_any(cursor).map(given),
        "iterateUntilDocumentOrError" => until_document(cursor),
        _ => unknown("cursor", name),
    }
}

/// A cursor of type Tailable may have nothing for now; another has come to its end.
fn until_document(cursor: &mut OpenCursor) -> Ran {
    loop {
        let document = next(cursor)?;
        let is_alive = match cursor {
            OpenCursor::Implicit(cursor) => cursor.is_alive(),
            OpenCursor::Explicit(cursor, _) => cursor.is_alive(),
        };
        match document {
            Some(document) => return Ok(given(Some(document))),
            None if is_alive => {}
            None => return Err(Trouble::of_runner("the cursor is at its end")),
        }
    }
}

fn next(cursor: &mut OpenCursor) -> Result<Option<Document>, Trouble> {
    let next = match cursor {
        OpenCursor::Implicit(cursor) => cursor.next(),
        OpenCursor::Explicit(cursor, session) => {
            session.with(|session| cursor.next(session)).map_err(Trouble::OfRunner)?
        }
    };
    next.transpose().map_err(Trouble::from)
}

fn next_if_any(cursor: &mut OpenCursor) -> Result<Option<Document>, Trouble> {
    let next = match cursor {
        OpenCursor::Implicit(cursor) => cursor.next_if_any(),
        OpenCursor::Explicit(cursor, session) => {
            session.with(|session| cursor.next_if_any(session)).map_err(Trouble::OfRunner)?
        }
    };
    next.map_err(Trouble::from)
}

fn given(document: Option<Document>) -> Outcome {
    document.map_or(Outcome::Nothing, |document| Outcome::Value(Bson::Document(document)))
}
