//! Makes a fresh transport a connection that is ready: hello, then authentication.
//!
//! [`Handshake::say_hello`] and [`Handshake::authenticate`] are the whole of it: what the hello tells about the server is known
//! before the authentication, which may never be wanted. Both are pure but for the [`SendCommand`] that they are given, so a test
//! can be the server. [`metadata`] describes the client, [`reply`] reads what the server reports.

mod environment;
mod metadata;
mod reply;

use std::sync::Arc;
use std::time::Duration;

use bson::raw::{CStr, cstr};
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use zeroize::Zeroize;

use crate::auth::{self, AuthContext, AuthTarget, Login, LoginState, Speculation};
use crate::credential::Credential;
use crate::description::{ServerType, TopologyVersion};
use crate::error::{Error, FaultKind, RETRYABLE_ERROR, Result, SYSTEM_OVERLOADED_ERROR, Stage, codes};
use crate::options::{ClientSettings, DriverInfo, ServerApi};
use crate::serde_util::whole_millis;
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
    in_function_service: bool,
}

/// What a connection is opened for, which decides what its hello says of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HelloFor {
    /// Operations: the server is asked for the user's mechanisms.
    Operation {
        /// Whether the start of the authentication travels along.
        speculate: bool,
    },
    /// Checks of the server: it is never authenticated, and no user is named.
    Check,
}

/// A connection whose hello was answered, and that is not authenticated yet.
#[derive(Debug)]
pub(crate) struct AfterHello {
    pub(crate) hello: Hello,
    speculation: Speculation,
}

/// A handshake that succeeded.
#[cfg(any(test, fuzzing))]
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) hello: Hello,
    /// What the connection keeps of its authentication, for the next one.
    #[cfg_attr(fuzzing, allow(dead_code, reason = "the tests read it"))]
    pub(crate) login: LoginState,
}

impl Handshake {
    /// Validates the parts of the options that a handshake uses, and looks at the environment, once.
    ///
    /// Fails on an application name or wrapper information that cannot be sent, on a credential that cannot work, and where
    /// the operating system has no random bytes.
    pub(crate) fn new(options: &ClientSettings, system: &Arc<dyn System>) -> Result<Self> {
        let metadata = Metadata::new(options.app_name(), &options.driver_info, &Environment(&**system))?;
        let context = AuthContext::new(options, system)?;
        if let Some(credential) = &options.credential {
            auth::check(credential, &context)?;
            check_certificate(credential, options)?;
        }
        Ok(Handshake {
            metadata,
            server_api: options.server_api().cloned(),
            load_balanced: options.load_balanced(),
            credential: options.credential.clone(),
            context,
            in_function_service: Environment(&**system).function_service().is_some(),
        })
    }

    /// Whether the process runs in a function service, which may suspend it between two calls.
    pub(crate) fn in_function_service(&self) -> bool {
        self.in_function_service
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

    /// Takes over the metadata that was added in the parent process.
    pub(crate) fn take_over_metadata(&self, parent: &Handshake) {
        self.metadata.take_over(&parent.metadata);
    }

    /// Hello, then authentication.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn run(&self, target: &AuthTarget<'_>, send: &mut SendCommand<'_>) -> Result<Established> {
        let after_hello = self.say_hello(HelloFor::Operation { speculate: true }, target, send)?;
        let hello = after_hello.hello.clone();
        let login = self.authenticate(after_hello, target, send)?;
        Ok(Established { hello, login })
    }

    /// The first command of a connection.
    pub(crate) fn say_hello(
        &self,
        purpose: HelloFor,
        target: &AuthTarget<'_>,
        send: &mut SendCommand<'_>,
    ) -> Result<AfterHello> {
        let credential = self.credential.as_ref().filter(|_| purpose != HelloFor::Check);
        let mut login = credential.map(|credential| Login::new(credential, &self.context, target));
        let command = self.hello_command(purpose, login.as_mut())?;
        let reply = send("admin", &command);
        command.into_bytes().zeroize(); // A token may have travelled with it.
        let reply = reply.map_err(overload)?;
        let mut hello = Hello::read(&reply).map_err(|error| self.explain_unknown_command(error))?;
        if !self.load_balanced {
            // Generations are counted for each service only behind a load balancer.
            hello.service_id = None;
        } else if hello.service_id.is_none() {
            let message = "Driver attempted to initialize in load balancing mode, but the server does not support this \
                           mode. Its hello has no serviceId.";
            return Err(Error::new(FaultKind::IncompatibleServer, Stage::Hello, message)
                .with_hint("take loadBalanced out, or start mongos with its load balancer port"));
        }
        let speculation = login.map(Login::into_speculation).unwrap_or_default();
        Ok(AfterHello { hello, speculation })
    }

    /// Authenticates a connection after its hello, if there is a credential. An arbiter holds no users, so there
    /// authentication is left out. A server without a common protocol version is refused.
    pub(crate) fn authenticate(
        &self,
        after_hello: AfterHello,
        target: &AuthTarget<'_>,
        send: &mut SendCommand<'_>,
    ) -> Result<LoginState> {
        let AfterHello { hello, speculation } = after_hello;
        hello.description.check_wire_version()?;
        let Some(credential) = &self.credential else { return Ok(LoginState::default()) };
        if hello.description.server_type == ServerType::RsArbiter {
            return Ok(LoginState::default());
        }
        let mut login = Login::resume(credential, &self.context, target, speculation);
        let offered = hello.supported_mechanisms.as_deref();
        let exchange = &mut |database: &str, command: &RawDocument| self.send_auth_command(database, command, send);
        let (mechanism, speculative) = login.begin(offered, hello.speculative.as_deref())?;
        let outcome = auth::authenticate(mechanism, speculative, exchange);
        outcome.map_err(|error| login.explain_refusal(error, offered))
    }

    /// The command of a check on a connection that has said hello before.
    pub(crate) fn check_command(&self, hello_ok: bool) -> RawDocumentBuf {
        let mut command = if hello_ok || self.begins_with_hello() {
            rawdoc! { "hello": 1 }
        } else {
            rawdoc! { "isMaster": 1, "helloOk": true }
        };
        self.declare_api(&mut command);
        command
    }

    /// The command of a check that the server answers when its view of itself is another than this, or after `most`.
    pub(crate) fn awaiting_check_command(
        &self,
        hello_ok: bool,
        known: TopologyVersion,
        most: Duration,
    ) -> RawDocumentBuf {
        let mut command = self.check_command(hello_ok);
        command.append(cstr!("topologyVersion"), rawdoc! { "processId": known.process_id, "counter": known.counter });
        command.append(cstr!("maxAwaitTimeMS"), whole_millis(most));
        command
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
        server_api_fields(api).for_each(|(key, value)| command.append(key, value));
        let reply = send(database, &command);
        command.into_bytes().zeroize();
        reply
    }

    /// The first command of a connection: the only one that carries these arguments.
    fn hello_command(&self, purpose: HelloFor, login: Option<&mut Login<'_>>) -> Result<RawDocumentBuf> {
        let mut command = if self.begins_with_hello() {
            rawdoc! { "hello": 1 }
        } else {
            rawdoc! { "isMaster": 1, "helloOk": true }
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
            if purpose == (HelloFor::Operation { speculate: true })
                && let Some(start) = login.speculate()?
            {
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
            server_api_fields(api).for_each(|(key, value)| command.append(key, value));
        }
    }
}

/// The fields of a command that declare the version of the Stable API.
pub(crate) fn server_api_fields(api: &ServerApi) -> impl Iterator<Item = (&'static CStr, RawBsonRef<'_>)> {
    let version = Some((cstr!("apiVersion"), api.version.as_str().into()));
    let strict = api.strict.map(|strict| (cstr!("apiStrict"), strict.into()));
    let deprecation_errors = api.deprecation_errors.map(|errors| (cstr!("apiDeprecationErrors"), errors.into()));
    [version, strict, deprecation_errors].into_iter().flatten()
}

/// Without TLS and a certificate MONGODB-X509 can only fail, so it fails before anything is connected.
fn check_certificate(credential: &Credential, options: &ClientSettings) -> Result<()> {
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
    Error::new(FaultKind::Authentication, Stage::Command, message)
}

/// A network failure during hello may come from an overloaded server, and gets the label for that.
pub(crate) fn overload(error: Error) -> Error {
    let error = error.with_stage(Stage::Hello);
    if !error.is_network_error() {
        return error;
    }
    error.with_label(SYSTEM_OVERLOADED_ERROR).with_label(RETRYABLE_ERROR)
}

#[cfg(test)]
mod tests;
