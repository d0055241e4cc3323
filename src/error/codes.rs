//! The server's error codes that the driver acts on, by the names in the server's own list.

/// A collection, or a database, that does not exist.
pub(crate) const NAMESPACE_NOT_FOUND: i32 = 26;
/// The login of a connection is no longer valid; the server wants another one on the same connection.
pub(crate) const REAUTHENTICATION_REQUIRED: i32 = 391;
