//! TLS: certificates on both sides, sessions, versions, revocation, faults in the handshake, and the connections that TLS runs on.

mod certificate_hints;
mod certificate_input;
mod client_certificates;
mod common_names;
mod handshake_faults;
mod matrix;
mod min_version;
#[cfg(unix)]
mod password_prompts;
mod refused_certificates;
mod resumption;
mod rotation;
mod transports;
mod trusted_certificates;
#[cfg(windows)]
mod windows;
mod x509_subjects;
