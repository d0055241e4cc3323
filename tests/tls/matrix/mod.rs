//! What becomes of a TLS connection, case by case: over a real MongoDB where it can play the part, over our own fake server, and
//! over `openssl s_server`. The table is printed: case, listener, options, expected, seen.
//!
//! With `RUSTFLAGS='--cfg mongo_blocking_native_tls'` the same cases run on the other backend.

mod clients;
mod listeners;
#[cfg(not(any(windows, target_os = "macos", mongo_blocking_native_tls)))]
mod revocation;
#[cfg(any(windows, target_os = "macos", mongo_blocking_native_tls))]
mod revocation_refused;
mod table;
mod verification;
