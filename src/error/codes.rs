//! The server's error codes that the driver acts on, by the names in the server's own list.

/// A unique index has the key already. The second is what old servers reply to updates, the third what mongos did.
pub(crate) const DUPLICATE_KEY: [i32; 3] = [11000, 11001, 12582];
pub(crate) const BAD_VALUE: i32 = 2;
pub(crate) const FAILED_TO_PARSE: i32 = 9;
/// The server refuses a login.
pub(crate) const AUTHENTICATION_FAILED: i32 = 18;
/// A command that this server cannot execute as it is, such as a numbered write with the storage engine MMAPv1.
pub(crate) const ILLEGAL_OPERATION: i32 = 20;
/// A collection, or a database, that does not exist.
pub(crate) const NAMESPACE_NOT_FOUND: i32 = 26;
/// A cursor that the server does not have, or no longer.
pub(crate) const CURSOR_NOT_FOUND: i32 = 43;
/// The time that a command's `maxTimeMS` gave it ran out.
pub(crate) const MAX_TIME_MS_EXPIRED: i32 = 50;
pub(crate) const COMMAND_NOT_FOUND: i32 = 59;
/// No rule of the set has the name that a write concern has as its `w`.
pub(crate) const UNKNOWN_REPL_WRITE_CONCERN: i32 = 79;
/// The set has fewer members than a write concern wants.
pub(crate) const UNSATISFIABLE_WRITE_CONCERN: i32 = 100;
/// The server does not have the mechanism of a login.
pub(crate) const MECHANISM_UNAVAILABLE: i32 = 334;
/// The login of a connection is no longer valid; the server wants another one on the same connection.
pub(crate) const REAUTHENTICATION_REQUIRED: i32 = 391;
/// What Atlas answers in place of `AUTHENTICATION_FAILED`, among other things.
pub(crate) const ATLAS_ERROR: i32 = 8000;
/// A required field of a command is missing.
pub(crate) const FIELD_MISSING: i32 = 40414;
/// A command has a field that it does not know.
pub(crate) const FIELD_UNKNOWN: i32 = 40415;
/// The set cannot tell yet what a majority of its members has.
pub(crate) const READ_CONCERN_MAJORITY_NOT_AVAILABLE_YET: i32 = 134;
/// Errors that are likely to pass, so that a read, or a numbered write on a server before MongoDB 4.4, is tried again: no host, no
/// way to it, or none in time (6, 7, 89, 262, 9001), and a member that changes its state or ends.
pub(crate) const TRANSIENT: [i32; 12] = [6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436];
