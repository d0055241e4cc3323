//! Makes a fresh transport a connection that is ready: hello, then authentication.
//!
//! [`Handshake::run`] is the whole of it, top to bottom. It is pure but for the [`SendCommand`] that it is given, so a
//! test can be the server. [`metadata`] describes the client, [`reply`] reads what the server reports.

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
use crate::error::{Error, ErrorKind, RETRYABLE_ERROR, Result, SYSTEM_OVERLOADED_ERROR, Stage, codes};
use crate::options::{ClientOptions, DriverInfo, ServerApi};
use crate::system::System;

use environment::Environment;
pub(crate) use metadata::Metadata;
pub(crate) use reply::Hello;

/// One round trip: sends a command to a database, and returns the whole reply, also with `ok: 0`.
pub(crate) type SendCommand<'a> = dyn FnMut(&str, &RawDocument) -> Result<RawDocumentBuf> + 'a;

/// The part of the handshake that is the same for all connections of a client.
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
pub(crate) struct Established {
    pub(crate) hello: Hello,
    /// What the connection keeps of its authentication, for the next one.
    pub(crate) login: LoginState,
}

impl Handshake {
    /// Validates the parts of the options that a handshake uses, and looks at the environment, once.
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

    /// Whether there is a credential, so that every connection except an arbiter's is authenticated.
    pub(crate) fn authenticates(&self) -> bool {
        self.credential.is_some()
    }

    /// Ends what authentication waits for, other than the server.
    pub(crate) fn close(&self) {
        self.context.close();
    }

    /// Adds the metadata of a library that wraps this one, for connections that are made from now on.
    pub(crate) fn append_metadata(&self, info: DriverInfo) -> Result<()> {
        self.metadata.append(info)
    }

    /// Hello, then authentication. An arbiter holds no users, so there authentication is left out.
    pub(crate) fn run(&self, target: &AuthTarget<'_>, send: &mut SendCommand<'_>) -> Result<Established> {
        let mut login = self.credential.as_ref().map(|credential| Login::new(credential, &self.context, target));
        let mut done = self.say_hello(login.as_mut(), send)?;

        if let Some(mut login) = login.filter(|_| done.hello.description.server_type != ServerType::RsArbiter) {
            let speculative = done.hello.speculative.take();
            let offered = done.hello.supported_mechanisms.as_deref();
            let exchange = &mut |database: &str, command: &RawDocument| self.send_auth_command(database, command, send);
            let (mechanism, speculative) = login.begin(offered, speculative.as_deref())?;
            let outcome = auth::authenticate(mechanism, speculative, exchange);
            done.login = outcome.map_err(|error| login.explain_refusal(error, offered))?;
        }
        Ok(done)
    }

    /// Authenticates a connection once more, because its server asks for it: no hello, no speculation.
    pub(crate) fn reauthenticate(
        &self,
        target: &AuthTarget<'_>,
        state: &mut LoginState,
        send: &mut SendCommand<'_>,
    ) -> Result<()> {
        let Some(credential) = &self.credential else { return Err(no_credential()) };
        let mut login = Login::again(credential, &self.context, target, state);
        let exchange = &mut |database: &str, command: &RawDocument| self.send_auth_command(database, command, send);
        let (mechanism, _) = login.begin(None, None)?;
        let outcome = auth::authenticate(mechanism, None, exchange);
        *state = outcome.map_err(|error| login.explain_refusal(error, None))?;
        Ok(())
    }

    /// Sends one command of an authentication, which declares the API version like any command.
    fn send_auth_command(
        &self,
        database: &str,
        command: &RawDocument,
        send: &mut SendCommand<'_>,
    ) -> Result<RawDocumentBuf> {
        let Some(api) = &self.server_api else { return send(database, command) };
        let mut command = command.to_owned();
        append_server_api(&mut command, api);
        let reply = send(database, &command);
        command.into_bytes().zeroize();
        reply
    }

    fn say_hello(&self, login: Option<&mut Login<'_>>, send: &mut SendCommand<'_>) -> Result<Established> {
        let command = self.hello_command(login)?;
        let reply = send("admin", &command);
        command.into_bytes().zeroize(); // A token may have travelled with it.
        let reply = reply.map_err(overload)?;
        let hello = Hello::read(&reply).map_err(|error| self.explain_unknown_command(error))?;
        hello.description.check_wire_version()?;
        if self.load_balanced && hello.service_id.is_none() {
            let message =
                "loadBalanced=true is set, and the server sent no serviceId: it is not behind a load balancer";
            return Err(Error::new(ErrorKind::NotSupported, Stage::Hello, message)
                .with_hint("take loadBalanced out, or start mongos with its load balancer port"));
        }
        Ok(Established { hello, login: LoginState::default() })
    }

    /// The first command of a connection: the only one that carries these arguments.
    fn hello_command(&self, login: Option<&mut Login<'_>>) -> Result<RawDocumentBuf> {
        let mut command = match self.begins_with_hello() {
            true => rawdoc! { "hello": 1 },
            false => rawdoc! { "isMaster": 1, "helloOk": true },
        };
        command.append(cstr!("backpressure"), "2");
        command.append(cstr!("client"), &*self.metadata.document());
        command.append(cstr!("compression"), RawArrayBuf::new());
        if self.load_balanced {
            command.append(cstr!("loadBalanced"), true);
        }
        if let Some(login) = login {
            if let Some(user) = login.user_to_ask_about() {
                command.append(cstr!("saslSupportedMechs"), user);
            }
            if let Some(start) = login.speculate()? {
                command.append(cstr!("speculativeAuthenticate"), &*start);
                start.into_bytes().zeroize();
            }
        }
        self.declare_api(&mut command);
        Ok(command)
    }

    /// Whether the first command is `hello` rather than its legacy form.
    fn begins_with_hello(&self) -> bool {
        self.server_api.is_some() || self.load_balanced
    }

    /// Only options that need `hello` send it first, and old servers do not know it.
    fn explain_unknown_command(&self, error: Error) -> Error {
        match error.code() {
            Some(codes::COMMAND_NOT_FOUND) if self.begins_with_hello() => error
                .with_hint("the server is too old for what was asked: a server API version needs MongoDB 5.0 or later"),
            _ => error,
        }
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

/// A network failure during hello may come from an overloaded server, and gets the label for that.
fn overload(error: Error) -> Error {
    let error = error.with_stage(Stage::Hello);
    if !error.is_network_error() {
        return error;
    }
    error.with_label(SYSTEM_OVERLOADED_ERROR).with_label(RETRYABLE_ERROR)
}

#[cfg(test)]
mod tests;
