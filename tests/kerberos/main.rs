//! GSSAPI against a real KDC: two realms that trust each other, an acceptor that this project did not write behind the fake server, and
//! other people's drivers at the same fake server. Each login runs in a process of its own, since Kerberos is configured by the
//! environment.

mod cases;
mod child;
mod guide;
mod hostile;
mod leaks;
mod names;
mod others;
mod realm;
#[cfg(unix)]
mod windows;
