//! Command events, with the redaction that the Command Logging and Monitoring specification asks for.

use std::time::Instant;

use bson::raw::{CStr, cstr};
use bson::{Document, RawArrayBuf, RawDocument, RawDocumentBuf};

use crate::document::{NestingLimits, decode_tree};
use crate::error::{CommandError, Error, ErrorKind, Result, Stage};
use crate::event::{
    CommandEvent, CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent, ConnectionInfo, EventHandler,
};
use crate::operation::Command;
use crate::operation::reply::decode_reply;
use crate::options::ClientSettings;
use crate::pool::PooledConnection;
use crate::wire::Reply;

/// Commands whose body, reply and failure may carry credentials.
const SENSITIVE: &[&str] = &[
    "authenticate",
    "saslStart",
    "saslContinue",
    "getnonce",
    "createUser",
    "updateUser",
    "copydbgetnonce",
    "copydbsaslstart",
    "copydb",
];
/// Commands that are sensitive only if they carry `speculativeAuthenticate`.
const HELLO: &[&str] = &["hello", "isMaster", "ismaster"];

/// A command under way, whose end is reported to the event handler; `None` without a handler.
pub(super) struct ActiveCommand<'a>(Option<Reported<'a>>);

/// What all events of one command have in common.
struct Reported<'a> {
    handler: &'a EventHandler<CommandEvent>,
    database: String,
    command_name: String,
    request_id: i32,
    connection: ConnectionInfo,
    sensitive: bool,
    /// How deep the command and its reply are decoded.
    limits: NestingLimits,
    began: Instant,
}

impl<'a> ActiveCommand<'a> {
    /// Reports that the command is about to be sent.
    pub(super) fn started(options: &'a ClientSettings, connection: &PooledConnection, command: &Command<'_>) -> Self {
        let Some(handler) = options.command_event_handler() else { return ActiveCommand(None) };
        let limits = NestingLimits::lowered(options.max_document_nesting());
        let sensitive = is_sensitive(command.name, &command.body);
        let reported = Reported {
            handler,
            database: command.database.to_owned(),
            command_name: command.name.to_owned(),
            request_id: connection.next_request_id(),
            connection: connection.info().clone(),
            sensitive,
            limits,
            began: Instant::now(),
        };
        handler.call(&CommandEvent::Started(CommandStartedEvent {
            command: if sensitive { Document::new() } else { shown(decode_tree(&full_command(command), limits)) },
            db: reported.database.clone(),
            command_name: reported.command_name.clone(),
            request_id: reported.request_id,
            service_id: reported.connection.service_id,
            connection: reported.connection.clone(),
        }));
        ActiveCommand(Some(reported))
    }

    /// Reports that it succeeded.
    pub(super) fn succeeded(self, reply: &Reply) {
        let Some(reported) = self.0 else { return };
        reported.handler.call(&CommandEvent::Succeeded(CommandSucceededEvent {
            duration: reported.began.elapsed(),
            reply: if reported.sensitive {
                Document::new()
            } else {
                shown(decode_reply(reply.document(), reported.limits))
            },
            db: reported.database,
            command_name: reported.command_name,
            request_id: reported.request_id,
            service_id: reported.connection.service_id,
            connection: reported.connection,
        }));
    }

    /// Reports that it failed, and returns the error. The event gets an error of its own, without what the command must not show.
    pub(super) fn failed(self, error: Error) -> Error {
        let Some(reported) = self.0 else { return error };
        reported.handler.call(&CommandEvent::Failed(CommandFailedEvent {
            duration: reported.began.elapsed(),
            failure: redact_error(&error, reported.sensitive),
            db: reported.database,
            command_name: reported.command_name,
            request_id: reported.request_id,
            service_id: reported.connection.service_id,
            connection: reported.connection,
        }));
        error
    }
}

/// What is nested too deep, or has too many elements, is shown empty: the limits are those of decoding.
fn shown(decoded: Result<Document>) -> Document {
    decoded.unwrap_or_default()
}

/// The command as one document: the body, the sequence as an array, and the database.
fn full_command(command: &Command<'_>) -> RawDocumentBuf {
    let mut document = command.body.to_owned();
    if let Some(sequence) = &command.sequence {
        let mut array = RawArrayBuf::new();
        let mut rest = sequence.documents;
        while let Some((length, _)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(i32::from_le_bytes(*length)).unwrap_or(0);
            let Some((head, tail)) = rest.split_at_checked(length.max(4)) else { break };
            let Ok(one) = RawDocument::from_bytes(head) else { break };
            array.push(one);
            rest = tail;
        }
        if let Ok(key) = <&CStr>::try_from(sequence.identifier) {
            document.append(key, array);
        }
    }
    document.append(cstr!("$db"), command.database);
    document
}

/// The error as an event shows it. Of a sensitive command only code, code name and labels are kept.
fn redact_error(error: &Error, sensitive: bool) -> Error {
    let mut kind = error.kind().clone();
    if let (true, ErrorKind::Command(failure)) = (sensitive, &mut kind) {
        *failure = CommandError {
            code: failure.code,
            code_name: failure.code_name.clone(),
            message: String::new(),
            base_backoff: failure.base_backoff,
            response: redact_response(failure),
        };
    }
    let message = if sensitive { "(not shown: the command carries credentials)" } else { error.message() };
    let mut redacted = Error::new(kind, Stage::Command, message.to_owned());
    for label in error.labels() {
        redacted = redacted.with_label(label.to_owned());
    }
    match error.address() {
        Some(address) => redacted.with_address(address),
        None => redacted,
    }
}

fn redact_response(failure: &CommandError) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    for key in [cstr!("code"), cstr!("codeName"), cstr!("errorLabels")] {
        if let Ok(Some(value)) = failure.response.get(key.as_str()) {
            document.append(key, value);
        }
    }
    document
}

fn is_sensitive(name: &str, body: &RawDocument) -> bool {
    SENSITIVE.contains(&name) || (HELLO.contains(&name) && matches!(body.get("speculativeAuthenticate"), Ok(Some(_))))
}
