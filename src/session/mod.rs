//! Sessions: what ties the commands of an operation, and operations, together on the servers (Driver Sessions, Causal Consistency,
//! Snapshot Reads, Transactions).
//!
//! A server knows a session by its id, the `lsid` of commands. Such [`ServerSession`]s are used again and again, one operation at a
//! time: [`Sessions`] is a client's pool of them, together with the highest cluster time that its servers have reported. A
//! [`SessionState`] is what a session of the program's remembers, its [`Transaction`] among other things, and an [`OperationSession`] is the session that one operation
//! runs in: one of the program's, or one that is taken for this operation alone.

mod cluster_time;
mod operation;
mod pool;
mod server_session;
mod state;
#[cfg(test)]
mod tests;
mod transaction;

pub use cluster_time::ClusterTime;
pub(crate) use operation::OperationSession;
pub(crate) use pool::Sessions;
pub(crate) use server_session::ServerSession;
pub(crate) use state::SessionState;
pub use transaction::TransactionState;
pub(crate) use transaction::{Pin, Transaction};
