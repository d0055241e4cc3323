//! What happens between a fresh stream and a connection that is ready: hello, then authentication.
//!
//! [`Handshake::run`] is the whole of it, top to bottom. It is pure but for the [`Exchange`] that carries its messages, so a
//! test can play the server. [`metadata`] says who the client is, [`reply`] reads what the server is.

mod environment;
mod metadata;
mod reply;

use std::sync::Arc;

use bson::raw::cstr;
use bson::{RawArrayBuf, RawDocument, RawDocumentBuf, rawdoc};
use zeroize::Zeroize;

use crate::auth::{self, AuthContext, AuthTarget, Login, LoginState};
use crate::credential::Credential;
use crate::description::ServerType;
use crate::error::{Error, ErrorKind, RETRYABLE_ERROR, Result, SYSTEM_OVERLOADED_ERROR, Stage};
use crate::options::{ClientOptions, DriverInfo, ServerApi};
use crate::system::System;

use environment::Environment;
pub(crate) use metadata::Metadata;
pub(crate) use reply::Hello;

/// One round trip: a command for a database, in a form, and the server's whole reply. `ok: 0` is not judged by it.
pub(crate) type Exchange<'a> = dyn FnMut(Form, &str, &RawDocument) -> Result<RawDocumentBuf> + 'a;

/// How a command travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As OP_QUERY on `<database>.$cmd`: the legacy hello, before we know that the server understands OP_MSG.
    Query,
    /// As OP_MSG: everything else.
    Msg,
}

/// What a client keeps to open connections with.
#[derive(Debug)]
pub(crate) struct Handshake {
    metadata: Metadata,
    server_api: Option<ServerApi>,
    load_balanced: bool,
    credential: Option<Credential>,
    context: AuthContext,
}

/// A handshake that succeeded.
#[derive(Debug)]
pub(crate) struct Handshaken {
    pub(crate) hello: Hello,
    /// What is to be kept of the login.
    pub(crate) login: LoginState,
}

impl Handshake {
    /// Judges the parts of the options that a handshake uses, and looks at the environment, once.
    ///
    /// Fails on an application name or wrapper information that cannot be sent, on a credential that cannot work, and where
    /// the operating system has no random bytes.
    pub(crate) fn new(options: &ClientOptions, system: &Arc<dyn System>) -> Result<Self> {
        let metadata = Metadata::new(options.app_name.as_deref(), &options.driver_info, &Environment(&**system))?;
        let context = AuthContext::new(options, system)?;
        if let Some(credential) = &options.credential {
            auth::check(credential, &context)?;
            check_certificate(credential, options)?;
        }
        Ok(Handshake {
            metadata,
            server_api: options.server_api.clone(),
            load_balanced: false,
            credential: options.credential.clone(),
            context,
        })
    }

    /// Whether there is a credential, so that every connection but an arbiter's is logged in.
    pub(crate) fn logs_in(&self) -> bool {
        self.credential.is_some()
    }

    /// Ends what logins wait for, other than the server.
    pub(crate) fn close(&self) {
        self.context.close();
    }

    /// Adds what a wrapping library says of itself; only connections opened from now on tell it.
    pub(crate) fn append_metadata(&self, info: DriverInfo) -> Result<()> {
        self.metadata.append(info)
    }

    /// Makes a stream a connection that is ready for commands: hello, then authentication. An arbiter holds no users, so
    /// there the login is left out.
    pub(crate) fn run(&self, target: &AuthTarget<'_>, exchange: &mut Exchange<'_>) -> Result<Handshaken> {
        let mut login = self.credential.as_ref().map(|credential| Login::new(credential, &self.context, target));
        let mut done = self.say_hello(login.as_mut(), exchange)?;

        if let Some(login) = login.filter(|_| done.hello.description.server_type != ServerType::RsArbiter) {
            let speculative = done.hello.speculative.take();
            let offered = done.hello.supported_mechanisms.as_deref();
            let carry = &mut |database: &str, command: &RawDocument| self.carry(database, command, exchange);
            done.login = login.finish(offered, speculative.as_deref(), carry)?;
        }
        Ok(done)
    }

    /// Logs a connection in once more, because its server asks for it: no hello, no speculation.
    pub(crate) fn reauthenticate(
        &self,
        target: &AuthTarget<'_>,
        state: &mut LoginState,
        exchange: &mut Exchange<'_>,
    ) -> Result<()> {
        let Some(credential) = &self.credential else { return Err(no_credential()) };
        let login = Login::again(credential, &self.context, target, state);
        let carry = &mut |database: &str, command: &RawDocument| self.carry(database, command, exchange);
        *state = login.finish(None, None, carry)?;
        Ok(())
    }

    /// One step of a login: it declares the API version like any command.
    fn carry(&self, database: &str, command: &RawDocument, exchange: &mut Exchange<'_>) -> Result<RawDocumentBuf> {
        let Some(api) = &self.server_api else { return exchange(Form::Msg, database, command) };
        let mut command = command.to_owned();
        append_server_api(&mut command, api);
        let reply = exchange(Form::Msg, database, &command);
        command.into_bytes().zeroize();
        reply
    }

    fn say_hello(&self, login: Option<&mut Login<'_>>, exchange: &mut Exchange<'_>) -> Result<Handshaken> {
        let (form, command) = self.hello_command(login)?;
        let reply = exchange(form, "admin", &command);
        command.into_bytes().zeroize(); // A token may have travelled with it.
        let reply = reply.map_err(overload)?;
        let hello = Hello::read(&reply).map_err(|error| no_such_command(error, form))?;
        hello.description.check_wire_version()?;
        if self.load_balanced && hello.service_id.is_none() {
            let message =
                "loadBalanced=true is set, and the server sent no serviceId: it is not behind a load balancer";
            return Err(Error::new(ErrorKind::NotSupported, Stage::Hello, message)
                .with_hint("take loadBalanced out, or start mongos with its load balancer port"));
        }
        Ok(Handshaken { hello, login: LoginState::default() })
    }

    /// The first command of a connection: the only one that carries these arguments.
    fn hello_command(&self, login: Option<&mut Login<'_>>) -> Result<(Form, RawDocumentBuf)> {
        let modern = self.server_api.is_some() || self.load_balanced;
        let (form, mut command) = match modern {
            true => (Form::Msg, rawdoc! { "hello": 1 }),
            false => (Form::Query, rawdoc! { "isMaster": 1, "helloOk": true }),
        };
        command.append(cstr!("backpressure"), "2");
        command.append(cstr!("client"), &*self.metadata.document());
        command.append(cstr!("compression"), RawArrayBuf::new());
        if self.load_balanced {
            command.append(cstr!("loadBalanced"), true);
        }
        if let Some(login) = login {
            if let Some(user) = login.supported_mechanisms() {
                command.append(cstr!("saslSupportedMechs"), user);
            }
            if let Some(start) = login.speculate()? {
                command.append(cstr!("speculativeAuthenticate"), &*start);
                start.into_bytes().zeroize();
            }
        }
        self.declare_api(&mut command);
        Ok((form, command))
    }

    fn declare_api(&self, command: &mut RawDocumentBuf) {
        if let Some(api) = &self.server_api {
            append_server_api(command, api);
        }
    }
}

/// Declares the version of the Stable API in a command.
pub(crate) fn append_server_api(command: &mut RawDocumentBuf, api: &ServerApi) {
    command.append(cstr!("apiVersion"), api.version.as_str());
    if let Some(strict) = api.strict {
        command.append(cstr!("apiStrict"), strict);
    }
    if let Some(deprecation_errors) = api.deprecation_errors {
        command.append(cstr!("apiDeprecationErrors"), deprecation_errors);
    }
}

/// Without TLS and a certificate MONGODB-X509 can only fail, so it fails before anything is connected.
fn check_certificate(credential: &Credential, options: &ClientOptions) -> Result<()> {
    let what = match (credential, &options.tls) {
        (Credential::X509(_), None) => "MONGODB-X509 needs TLS, and TLS is off",
        (Credential::X509(_), Some(tls)) if !tls.has_identity() => {
            "MONGODB-X509 needs a client certificate, and none is given"
        }
        _ => return Ok(()),
    };
    Err(Error::invalid_argument(what)
        .with_hint("name the file with the certificate and its key in tlsCertificateKeyFile"))
}

fn no_credential() -> Error {
    let message = "the server asks for another login, and this client has no credential";
    Error::new(ErrorKind::Authentication, Stage::Command, message)
}

/// Only what needs the modern `hello` sends it first, and old servers do not know it.
fn no_such_command(error: Error, form: Form) -> Error {
    match (form, error.code()) {
        (Form::Msg, Some(COMMAND_NOT_FOUND)) => {
            error.with_hint("the server is too old for what was asked: a server API version needs MongoDB 5.0 or later")
        }
        _ => error,
    }
}

/// A network that fails during hello is the sign of an overloaded server, and is labelled so.
fn overload(error: Error) -> Error {
    let error = error.with_stage(Stage::Hello);
    match error.is_network_error() {
        true => error.with_label(SYSTEM_OVERLOADED_ERROR).with_label(RETRYABLE_ERROR),
        false => error,
    }
}

/// The server's code for a command that it does not know.
const COMMAND_NOT_FOUND: i32 = 59;

#[cfg(test)]
mod tests;
