//! Runs a machine: carries its commands through whatever exchange it is given, and judges refusals.

use bson::{RawDocument, RawDocumentBuf};
use zeroize::Zeroize;

use super::{LoginState, Mechanism, Step};
use crate::error::{Error, ErrorKind, Result, Stage, command_error};

/// One round trip: a command for a database, and the server's whole reply. `ok: 0` is not judged by it.
pub(crate) type Exchange<'a> = dyn FnMut(&str, &RawDocument) -> Result<RawDocumentBuf> + 'a;

/// Runs a conversation to its end. With `first`, the server's answer to what [`Mechanism::speculative`] gave, the machine goes
/// on from there.
pub(super) fn run(
    mut machine: Box<dyn Mechanism>,
    first: Option<&RawDocument>,
    exchange: &mut Exchange<'_>,
) -> Result<LoginState> {
    let mut first = first;
    for _ in 0..MAX_RETRIES {
        match converse(machine.as_mut(), first.take(), exchange) {
            Err(refused) => match machine.retry(&refused) {
                Some(fresh) => machine = fresh,
                None => return Err(machine.explain_refusal(refused)),
            },
            Ok(()) => return Ok(state(machine.as_ref())),
        }
    }
    match converse(machine.as_mut(), None, exchange) {
        Err(refused) => Err(machine.explain_refusal(refused)),
        Ok(()) => Ok(state(machine.as_ref())),
    }
}

/// What the connection keeps of a login by this machine.
fn state(machine: &dyn Mechanism) -> LoginState {
    LoginState { mechanism: Some(machine.name()), token: machine.token() }
}

fn converse(machine: &mut dyn Mechanism, first: Option<&RawDocument>, exchange: &mut Exchange<'_>) -> Result<()> {
    let mut next = match first {
        Some(reply) => machine.step(reply)?,
        None => Step::Send(machine.start()?),
    };
    for _ in 0..MAX_ROUNDS {
        let Step::Send(command) = next else { return Ok(()) };
        let reply = exchange(machine.source(), &command);
        command.into_bytes().zeroize(); // PLAIN's password, and tokens, stand in it as they are.
        let reply = reply.map_err(|error| error.with_stage(stage(machine)))?;
        if let Some(refused) = command_error(&reply, Stage::Command) {
            return Err(not_accepted(machine, refused));
        }
        next = machine.step(&reply)?;
    }
    match next {
        Step::Done => Ok(()),
        Step::Send(_) => Err(Error::invalid_reply(stage(machine), "the server does not come to an end")),
    }
}

fn not_accepted(machine: &dyn Mechanism, refused: Error) -> Error {
    if !matches!(refused.kind(), ErrorKind::Command(_)) {
        return refused.with_stage(stage(machine));
    }
    let code = refused.code();
    let error = Error::new(ErrorKind::Authentication, stage(machine), "the server refused the credentials");
    let error = error.with_source(refused);
    match code {
        Some(MECHANISM_UNAVAILABLE) => error.with_hint(unavailable(machine.name())),
        _ => error,
    }
}

/// What a server needs to have the mechanism that it lacks.
fn unavailable(mechanism: &str) -> String {
    match mechanism {
        "GSSAPI" | "PLAIN" | "MONGODB-OIDC" => {
            format!(
                "{mechanism} needs MongoDB Enterprise or Atlas, with {mechanism} among its authenticationMechanisms"
            )
        }
        "MONGODB-AWS" => "MONGODB-AWS needs MongoDB Atlas, or MongoDB Enterprise with it among its \
                          authenticationMechanisms"
            .to_owned(),
        _ => format!("this server does not offer {mechanism} (authenticationMechanisms)"),
    }
}

fn stage(machine: &dyn Mechanism) -> Stage {
    Stage::Authentication { mechanism: machine.name(), step: machine.step_name() }
}

/// The server's code for a mechanism that it lacks.
pub(super) const MECHANISM_UNAVAILABLE: i32 = 334;

/// How often a mechanism may try again with a fresh credential: a token that another thread got, one by a refresh token, and one
/// by asking are three.
const MAX_RETRIES: usize = 3;

/// A bound above each mechanism's own, so that no machine can be kept talking.
const MAX_ROUNDS: usize = 16;
