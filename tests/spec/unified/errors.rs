//! Whether an error is the expected one.

use bson::{Bson, Document, doc};
use mongo_blocking::Error;
use mongo_blocking::error::{ErrorKind, WriteConcernError, WriteError, WriteFailure};
use mongo_blocking::results::BulkWriteResult;

use super::file::ExpectedError;
use super::matching::{Lookup, match_root};
use super::results;

pub fn check(expected: &ExpectedError, error: &Error, lookup: &dyn Lookup) -> Result<(), String> {
    let fail = |what: String| Err(format!("{what}: {error:?}"));
    let (is_client_error, is_timeout) = (!is_of_server(error), error.is_network_timeout());
    if expected.is_client_error.is_some_and(|wanted| wanted != is_client_error) {
        return fail(format!("isClientError is {is_client_error}"));
    }
    if expected.is_timeout_error.is_some_and(|wanted| wanted != is_timeout) {
        return fail(format!("isTimeoutError is {is_timeout}"));
    }
    if let Some(wanted) = &expected.contains
        && !messages(error).iter().any(|own| own.to_lowercase().contains(&wanted.to_lowercase()))
    {
        return fail(format!("errorContains {wanted:?} does not hold"));
    }
    if expected.code.is_some_and(|wanted| error.code().map(i64::from) != Some(wanted)) {
        return fail(format!("errorCode is {:?}", error.code()));
    }
    if let Some(wanted) = &expected.code_name
        && !code_names(error).iter().any(|own| own.eq_ignore_ascii_case(wanted))
    {
        return fail(format!("errorCodeName is {:?}", code_names(error)));
    }
    if let Some(missing) = expected.labels.iter().find(|label| !error.contains_label(label)) {
        return fail(format!("the label {missing} is missing"));
    }
    if let Some(extra) = expected.labels_omitted.iter().find(|label| error.contains_label(label)) {
        return fail(format!("the label {extra} must not be there"));
    }
    if let Some(wanted) = &expected.response {
        let Some(response) = error.server_response() else { return fail("no errorResponse".to_owned()) };
        let response = Document::try_from(response).map_err(|e| format!("errorResponse is no BSON: {e}"))?;
        root_fits("errorResponse", wanted, response, lookup)?;
    }
    if let Some(wanted) = &expected.result {
        match_root(wanted, partial_result(error).as_ref(), lookup)
            .map_err(|why| format!("the error's result: {why}"))?;
    }
    if let Some(wanted) = &expected.write_errors {
        check_write_errors(wanted, error, lookup)?;
    }
    if let Some(wanted) = &expected.write_concern_errors {
        check_write_concern_errors(wanted, error, lookup)?;
    }
    Ok(())
}

fn check_write_errors(wanted: &Document, error: &Error, lookup: &dyn Lookup) -> Result<(), String> {
    let own = write_errors(error);
    if own.len() != wanted.len() {
        return Err(format!("{} write errors where {} are expected: {error:?}", own.len(), wanted.len()));
    }
    for (index, wanted) in wanted {
        let Some(found) = own.iter().find(|found| found.index.to_string() == *index) else {
            return Err(format!("no write error of index {index}: {error:?}"));
        };
        let found = Bson::Document(doc! {"code": found.code, "message": &found.message});
        match_root(wanted, Some(&found), lookup).map_err(|why| format!("write error {index}: {why}"))?;
    }
    Ok(())
}

fn check_write_concern_errors(wanted: &[Document], error: &Error, lookup: &dyn Lookup) -> Result<(), String> {
    let own = write_concern_errors(error);
    if own.len() != wanted.len() {
        return Err(format!("{} write concern errors where {} are expected: {error:?}", own.len(), wanted.len()));
    }
    wanted.iter().zip(own).try_for_each(|(wanted, own)| {
        root_fits("write concern error", wanted, doc! {"code": own.code, "message": &own.message}, lookup)
    })
}

fn root_fits(what: &str, wanted: &Document, own: Document, lookup: &dyn Lookup) -> Result<(), String> {
    match_root(&Bson::Document(wanted.clone()), Some(&Bson::Document(own)), lookup)
        .map_err(|why| format!("{what}: {why}"))
}

/// Whether a server's answer is behind it.
fn is_of_server(error: &Error) -> bool {
    use ErrorKind::{BulkWrite, Command, InsertMany, Write};
    matches!(error.kind(), Command(_) | Write(_) | InsertMany(_) | BulkWrite(_))
}

/// What the error says, and of an error that gathers several, what each of them says.
fn messages(error: &Error) -> Vec<String> {
    let of_writes = write_errors(error).iter().map(|error| error.message.clone());
    let of_concern = write_concern_errors(error).into_iter().map(|error| error.message.clone());
    let mut all: Vec<String> = of_writes.chain(of_concern).collect();
    all.push(format!("{error:#}"));
    all
}

fn code_names(error: &Error) -> Vec<String> {
    let of_writes = write_errors(error).iter().filter_map(|error| error.code_name.clone());
    let of_concern = write_concern_errors(error).into_iter().map(|error| error.code_name.clone());
    of_writes.chain(of_concern).chain(error.code_name().map(str::to_owned)).collect()
}

fn write_errors(error: &Error) -> &[WriteError] {
    match error.kind() {
        ErrorKind::Write(WriteFailure::WriteError(error)) => std::slice::from_ref(error),
        ErrorKind::InsertMany(error) => error.write_errors(),
        ErrorKind::BulkWrite(error) => &error.write_errors,
        _ => &[],
    }
}

fn write_concern_errors(error: &Error) -> Vec<&WriteConcernError> {
    match error.kind() {
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => vec![error],
        ErrorKind::InsertMany(error) => error.write_concern_error.iter().collect(),
        ErrorKind::BulkWrite(error) => error.write_concern_errors.iter().collect(),
        _ => Vec::new(),
    }
}

fn partial_result(error: &Error) -> Option<Bson> {
    match error.kind() {
        ErrorKind::InsertMany(error) => Some(results::insert_many(&error.partial_result)),
        ErrorKind::BulkWrite(error) => Some(results::bulk_write(&error.partial_result)),
        // The error of a bulk write stands alone where nothing was done.
        _ => Some(results::bulk_write(&BulkWriteResult::default())),
    }
}
