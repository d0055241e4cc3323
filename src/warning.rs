//! What deserves a second look but is no error.

use std::fmt;

use crate::event::EventHandler;

/// A warning: something was accepted that is probably a mistake, or failed without making an operation fail.
///
/// [`ClientOptions::validate`](crate::options::ClientOptions::validate) returns those about the options; each also goes
/// to the `log` crate at level `warn`. A warning never shows a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    kind: WarningKind,
    message: String,
}

/// What a [`Warning`] is about, to branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningKind {
    /// An option that this driver does not know; it has no effect.
    UnknownOption,
    /// A value that is invalid for its option; the default is used.
    InvalidValue,
    /// An option given more than once.
    RepeatedOption,
    /// An old name or form that still works.
    Deprecated,
    /// An option that is understood and has no effect yet.
    NoEffect,
    /// A choice that weakens security.
    Insecure,
    /// A wrong spelling that was understood.
    Spelling,
    /// A look-up of a name that failed, and what is used instead; or one that does not go through the proxy.
    LookUp,
    /// Whether a server's certificate is revoked could not be determined; the connection was made nevertheless.
    Revocation,
    /// A certificate given to the client that has expired, or is not valid yet.
    Validity,
    /// A server that reports about its deployment what cannot be right.
    Deployment,
    /// A file with certificates or a key that changed and cannot be used; what it held before stays in use.
    NotRenewed,
}

impl Warning {
    fn new(kind: WarningKind, message: impl Into<String>) -> Self {
        Warning { kind, message: message.into() }
    }

    /// What it is about.
    pub fn kind(&self) -> WarningKind {
        self.kind
    }

    /// Its text.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Where warnings go that arise while a client works: to the log, and to the program's own handler.
#[derive(Clone, Debug, Default)]
pub(crate) struct WarningSink(Option<EventHandler<Warning>>);

impl WarningSink {
    pub(crate) fn new(handler: Option<EventHandler<Warning>>) -> Self {
        WarningSink(handler)
    }

    /// Logs a warning and hands it to the handler.
    pub(crate) fn notify(&self, warning: &Warning) {
        log::warn!("{warning}");
        if let Some(handler) = &self.0 {
            handler.call(warning);
        }
    }

    /// The same with a warning that is new.
    pub(crate) fn warn(&self, kind: WarningKind, message: impl Into<String>) {
        self.notify(&Warning::new(kind, message));
    }
}

/// Warnings in the order in which they arose, without repetitions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warnings(Vec<Warning>);

impl From<Vec<Warning>> for Warnings {
    fn from(warnings: Vec<Warning>) -> Self {
        Warnings(warnings)
    }
}

impl Warnings {
    /// Adds a warning, unless the same is there already. The client that is made of the options logs it.
    pub(crate) fn add(&mut self, kind: WarningKind, message: impl Into<String>) {
        let message = message.into();
        if !self.0.iter().any(|known| known.kind == kind && known.message == message) {
            self.0.push(Warning::new(kind, message));
        }
    }

    pub(crate) fn as_slice(&self) -> &[Warning] {
        &self.0
    }

    pub(crate) fn into_vec(self) -> Vec<Warning> {
        self.0
    }
}
