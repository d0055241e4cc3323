//! One step of a case and what it is expected to give.

use bson::{Bson, Document};

use super::reader::{Object, Result, Rule, Value};
use super::some_of;

#[derive(Clone, Debug)]
pub struct Operation {
    pub name: String,
    /// The entity it is called on, or `testRunner`.
    pub object: String,
    pub arguments: Document,
    pub ignores_result_and_error: bool,
    pub expected_error: Option<ExpectedError>,
    pub expected_result: Option<Bson>,
    pub save_as: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct ExpectedError {
    pub is_client_error: Option<bool>,
    pub is_timeout_error: Option<bool>,
    pub contains: Option<String>,
    pub code: Option<i64>,
    pub code_name: Option<String>,
    pub labels: Vec<String>,
    pub labels_omitted: Vec<String>,
    pub response: Option<Document>,
    pub result: Option<Bson>,
    pub write_errors: Option<Document>,
    pub write_concern_errors: Option<Vec<Document>>,
}

pub fn read(value: Value<'_>) -> Result<Operation> {
    let mut object = value.object()?;
    let read = Operation {
        name: object.required("name")?.string()?,
        object: object.required("object")?.string()?,
        arguments: object.optional("arguments").map_or(Ok(Document::new()), |v| v.document())?,
        ignores_result_and_error: object.optional("ignoreResultAndError").map_or(Ok(false), |v| v.boolean())?,
        expected_error: object.optional("expectError").map(expected_error).transpose()?,
        expected_result: object.optional("expectResult").map(|v| v.bson()),
        save_as: object.optional("saveResultAsEntity").map(|v| v.string()).transpose()?,
    };
    for (one, other) in EXCLUSIVE {
        if object.has(one) && object.has(other) {
            return object.fault(one, Rule::Conflict(other));
        }
    }
    object.end()?;
    Ok(read)
}

fn expected_error(value: Value<'_>) -> Result<ExpectedError> {
    let mut object: Object<'_> = value.filled_object()?;
    if let Some(is_error) = object.optional("isError")
        && !is_error.boolean()?
    {
        return is_error.fault(Rule::Enum);
    }
    let read = ExpectedError {
        is_client_error: object.optional("isClientError").map(|v| v.boolean()).transpose()?,
        is_timeout_error: object.optional("isTimeoutError").map(|v| v.boolean()).transpose()?,
        contains: object.optional("errorContains").map(|v| v.string()).transpose()?,
        code: object.optional("errorCode").map(|v| v.integer()).transpose()?,
        code_name: object.optional("errorCodeName").map(|v| v.string()).transpose()?,
        labels: some_of(&mut object, "errorLabelsContain", |v| v.string())?,
        labels_omitted: some_of(&mut object, "errorLabelsOmit", |v| v.string())?,
        response: object.optional("errorResponse").map(|v| v.document()).transpose()?,
        result: object.optional("expectResult").map(|v| v.bson()),
        write_errors: object.optional("writeErrors").map(|v| v.document()).transpose()?,
        write_concern_errors: object
            .optional("writeConcernErrors")
            .map(|v| v.each(|error| error.document()))
            .transpose()?,
    };
    object.end()?;
    Ok(read)
}

const EXCLUSIVE: &[(&str, &str)] = &[
    ("expectError", "expectResult"),
    ("expectError", "saveResultAsEntity"),
    ("ignoreResultAndError", "expectResult"),
    ("ignoreResultAndError", "expectError"),
    ("ignoreResultAndError", "saveResultAsEntity"),
];
