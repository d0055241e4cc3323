//! Logging in, one module a mechanism, and what holds for all of them: logging in again on a connection in use, and where no secret
//! may appear. GSSAPI has a test program of its own, `tests/kerberos`, because it needs its feature.

mod aws;
mod aws_sources;
mod captured_log;
mod mongodb_cr;
mod oidc;
mod plain;
mod reauthentication;
mod secrets_in_memory;
mod secrets_in_output;
mod x509;
