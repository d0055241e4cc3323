//! Runs a login's conversation with the server.

use bson::{RawDocument, RawDocumentBuf};
use zeroize::Zeroize;

use super::login::LoginState;
use super::mechanism::{Mechanism, Step};
use crate::error::{Error, ErrorKind, FaultKind, Result, Stage, codes, command_error};

/// One round trip: a command for a database, and the server's whole reply, which may say `ok: 0`.
pub(crate) type SendAuthCommand<'a> = dyn FnMut(&str, &RawDocument) -> Result<RawDocumentBuf> + 'a;

/// Runs a conversation to its end. `speculative` is the server's answer to a start that travelled with `hello`; the conversation
/// then continues from it.
///
/// A mechanism may try again with a fresh credential after a refusal. The last refusal is explained.
pub(crate) fn authenticate(
    mut mechanism: Box<dyn Mechanism>,
    speculative: Option<&RawDocument>,
    send: &mut SendAuthCommand<'_>,
) -> Result<LoginState> {
    let mut reply = speculative.map(RawDocument::to_owned);
    let (mut retries, mut rounds) = (0, 0);
    loop {
        let step = match &reply {
            Some(reply) => mechanism.step(reply),
            None => mechanism.start().map(Step::Send),
        };
        let error = match step {
            Ok(Step::Done) => {
                return Ok(LoginState { mechanism: Some(mechanism.name()), forget: mechanism.forget() });
            }
            Ok(Step::Send(_)) if rounds == MAX_ROUNDS => {
                Error::invalid_reply(stage(&*mechanism), "the server does not come to an end")
            }
            Ok(Step::Send(command)) => {
                rounds += 1;
                let sent = send(mechanism.source(), &command);
                command.into_bytes().zeroize(); // It may hold a password or a token in the clear.
                match accepted(&*mechanism, sent) {
                    Ok(accepted) => {
                        reply = Some(accepted);
                        continue;
                    }
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        match if retries < MAX_RETRIES { mechanism.retry(&error) } else { None } {
            Some(fresh) => (mechanism, reply, rounds, retries) = (fresh, None, 0, retries + 1),
            None => return Err(mechanism.explain_refusal(error)),
        }
    }
}

/// The reply, unless the server refuses the command.
fn accepted(mechanism: &dyn Mechanism, sent: Result<RawDocumentBuf>) -> Result<RawDocumentBuf> {
    let stage = stage(mechanism);
    let reply = sent.map_err(|error| error.with_stage(stage))?;
    let Some(refused) = command_error(&reply, Stage::Command) else { return Ok(reply) };
    if !matches!(refused.kind(), ErrorKind::Command(_)) {
        return Err(refused.with_stage(stage));
    }
    let code = refused.code();
    let error = Error::new(FaultKind::Authentication, stage, "the server refused the credentials").with_source(refused);
    Err(match code {
        Some(codes::MECHANISM_UNAVAILABLE) => error.with_hint(mechanism.explain_unavailable()),
        _ => error,
    })
}

fn stage(mechanism: &dyn Mechanism) -> Stage {
    Stage::Authentication { mechanism: mechanism.name(), step: mechanism.step_name() }
}

/// How often a mechanism may try again with a fresh credential: a token that another thread got, one by a refresh token, and one
/// by asking are three.
const MAX_RETRIES: usize = 3;

/// A bound above each mechanism's own, so that no conversation goes on for ever.
const MAX_ROUNDS: usize = 16;
