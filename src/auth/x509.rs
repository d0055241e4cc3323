//! MONGODB-X509: the server identifies the client by the certificate of the TLS handshake. The client sends one command.

use std::mem;

use bson::raw::cstr;
use bson::{RawDocument, RawDocumentBuf, rawdoc};

use super::mechanism::{Mechanism, Step};
use crate::certificate::PresentedCertificate;
use crate::credential::{EXTERNAL, X509Credential};
use crate::error::{Error, ErrorKind, Result, Stage, codes};

/// The one command, and what it waits for.
pub(super) struct X509 {
    username: Option<String>,
    presented: Option<PresentedCertificate>,
    state: State,
}

/// What it waits for.
enum State {
    Start,
    Verdict,
    Over,
}

impl X509 {
    /// `presented` is the certificate that TLS presents.
    pub(super) fn new(credential: &X509Credential, presented: Option<PresentedCertificate>) -> Self {
        X509 { username: credential.username.clone(), presented, state: State::Start }
    }

    fn command(&self) -> RawDocumentBuf {
        let mut command = rawdoc! { "authenticate": 1, "mechanism": NAME };
        if let Some(user) = &self.username {
            command.append(cstr!("user"), user.as_str());
        }
        command
    }

    fn over() -> Error {
        let stage = Stage::Authentication { mechanism: NAME, step: "nothing more" };
        Error::invalid_reply(stage, "the server continues a conversation that is over")
    }
}

impl Mechanism for X509 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn source(&self) -> &str {
        EXTERNAL
    }

    fn step_name(&self) -> &'static str {
        match self.state {
            State::Start | State::Verdict => "verdict",
            State::Over => "nothing more",
        }
    }

    fn start(&mut self) -> Result<RawDocumentBuf> {
        match mem::replace(&mut self.state, State::Over) {
            State::Start => {
                self.state = State::Verdict;
                Ok(self.command())
            }
            State::Verdict | State::Over => Err(X509::over()),
        }
    }

    fn step(&mut self, _reply: &RawDocument) -> Result<Step> {
        match mem::replace(&mut self.state, State::Over) {
            State::Verdict => Ok(Step::Done),
            State::Start | State::Over => Err(X509::over()),
        }
    }

    fn speculative(&mut self) -> Result<Option<RawDocumentBuf>> {
        let mut command = self.start()?;
        command.append(cstr!("db"), EXTERNAL);
        Ok(Some(command))
    }

    /// With the certificate that was presented.
    fn explain_refusal(&self, error: Error) -> Error {
        let (true, Some(code)) = (matches!(error.kind(), ErrorKind::Authentication { .. }), error.code()) else {
            return error;
        };
        let mut message = match &self.username {
            Some(name) => format!("the server refused user {name:?}"),
            None => "the server refused the client certificate".to_owned(),
        };
        if let Some(presented) = &self.presented {
            message += &format!(
                "; the certificate that we presented has the subject {} and is valid until {}",
                presented.subject, presented.expires
            );
        }
        let error = error.with_message(message);
        match code {
            codes::MECHANISM_UNAVAILABLE => error,
            _ if self.username.is_some() => error.with_hint(
                "the user name must be the certificate's subject as RFC 2253 writes it; better leave it out",
            ),
            _ => error.with_hint("the server needs a user on $external whose name is this subject, to the letter"),
        }
    }
}

/// The mechanism's name.
pub(super) const NAME: &str = "MONGODB-X509";
