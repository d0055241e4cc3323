//! The drivers' common fixtures, run case by case. One test for each folder; its report says what was run, what passed, and
//! what was skipped and why.

mod auth_legacy;
mod connection_string;
mod every_file;
mod folders;
mod oidc;
mod options;
mod read_write_concern;
mod runner;
mod seedlist;
#[cfg(target_os = "linux")]
mod seedlist_live;
mod server_versions;
mod unified;
mod uri_options;
