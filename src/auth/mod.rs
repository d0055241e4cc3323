//! Authentication: each mechanism is a straight-line state machine that knows no socket.
//!
//! From top to bottom: a [`Login`] chooses the mechanism and makes the start that travels with `hello`; [`authenticate`] runs the
//! conversation; [`Mechanism`](mechanism::Mechanism) is what each mechanism looks like. [`sasl`] puts a
//! byte mechanism (SCRAM, PLAIN, GSSAPI, MONGODB-AWS, MONGODB-OIDC) into commands; [`x509`] is one command, [`cr`] two.
//! [`AuthContext`] is made once for a client and has a part for each mechanism; [`AuthTarget`] is the server of one login.
//!
//! A mechanism makes commands and validates replies. It does not know how they are sent. So the same code serves the
//! speculative start with `hello`, the conversation after it, the fuzz targets and the replay of recorded conversations.

#[cfg(feature = "aws")]
mod aws;
mod context;
mod conversation;
mod cr;
#[cfg(any(test, fuzzing, feature = "gssapi"))]
#[cfg_attr(not(feature = "gssapi"), allow(dead_code, reason = "the mechanism's tests need no library"))]
mod gssapi;
mod login;
mod mechanism;
#[cfg(feature = "oidc")]
mod oidc;
mod plain;
mod sasl;
mod scram;
mod target;
#[cfg(test)]
pub(crate) mod tests;
mod x509;

#[cfg(feature = "aws")]
pub use aws::aws_source_report;
#[cfg(all(feature = "aws", any(test, fuzzing)))]
pub(crate) use aws::find_aws_keys;
pub(crate) use context::AuthContext;
pub(crate) use conversation::authenticate;
#[cfg(any(test, fuzzing))]
pub(crate) use gssapi::answer_to_layers;
pub(crate) use login::{Login, LoginState, Speculation, check};
#[cfg(all(feature = "oidc", any(test, fuzzing)))]
pub(crate) use oidc::{azure_token, gcp_token, read_identity_provider};
pub(crate) use target::AuthTarget;
