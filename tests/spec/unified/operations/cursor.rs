//! Operations on a cursor that an earlier operation left open.

use std::sync::{Mutex, PoisonError};

use bson::{Bson, Document};
use mongo_blocking::Cursor;

use super::{Outcome, Ran, Trouble, unknown};
use crate::unified::arguments::Arguments;

pub fn run(place: &Mutex<Option<Cursor<Document>>>, name: &str, arguments: &mut Arguments) -> Ran {
    arguments.end()?;
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    if name == "close" {
        *place = None;
        return Ok(Outcome::Nothing);
    }
    let cursor = place.as_mut().ok_or_else(|| Trouble::of_runner("the cursor was closed before"))?;
    match name {
        "iterateOnce" => cursor.next().transpose().map(given).map_err(Trouble::from),
        "iterateUntilDocumentOrError" => until_document(cursor),
        _ => unknown("cursor", name),
    }
}

/// A tailable cursor may have nothing for now; another has come to its end.
fn until_document(cursor: &mut Cursor<Document>) -> Ran {
    loop {
        match cursor.next() {
            Some(document) => return Ok(given(Some(document?))),
            None if cursor.is_alive() => {}
            None => return Err(Trouble::of_runner("the cursor is at its end")),
        }
    }
}

fn given(document: Option<Document>) -> Outcome {
    document.map_or(Outcome::Nothing, |document| Outcome::Value(Bson::Document(document)))
}
