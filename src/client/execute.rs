//! How an operation is executed, from the choice of a server to the reply, and again where that may help:
//! [`ClientInner::execute`], top to bottom.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::RawDocument;
use bson::raw::cstr;

use super::inner::ClientInner;
use super::monitoring::ActiveCommand;
use super::retry::{Answer, Failure, Retries};
use crate::bson_ext::find_field;
use crate::deadline::Deadline;
use crate::error::codes::REAUTHENTICATION_REQUIRED;
use crate::error::{Error, FaultKind, Result, Stage};
use crate::handshake::server_api_fields;
use crate::operation::{Access, Command, Namespace, Operation, Target};
use crate::options::{ReadPreference, ServerAddress};
use crate::pool::{PinnedConnection, PooledConnection, Purpose};
use crate::server::Server;
use crate::session::{OperationSession, Pin};
use crate::topology::{CommandFailure, Selected, read_preference_document};
use crate::wire::Reply;

const MAX_TIME: &str = "maxTimeMS";

impl ClientInner {
    /// Executes an operation, by `deadline` at the latest: attempt after attempt, as long as [`Retries`] allows another one.
    /// All attempts run in the same session.
    ///
    /// `pin` is for an operation on a cursor behind a load balancer: what opens the cursor leaves its connection there, and what
    /// follows is sent on that one. A transaction of the session has a pin of its own.
    pub(crate) fn execute<O: Operation>(
        &self,
        operation: &mut O,
        session: &mut OperationSession<'_>,
        deadline: Deadline,
        pin: Option<&Arc<PinnedConnection>>,
    ) -> Result<O::Output> {
        let mut retries = Retries::new(self.options(), operation, session.is_in_transaction());
        let deadline = session.limit(deadline);
        loop {
            let mut failure = match self.attempt(operation, session, deadline, pin, &mut retries) {
                Ok(mut answer) => match retries.write_concern_failure(&mut answer) {
                    None => return read(operation, answer).map_err(|error| session.failed(error)),
                    Some(error) => Failure { error, answer: Some(answer) },
                },
                Err(error) => Failure::from(error),
            };
            if session.is_in_transaction() {
                failure.error = session.failed(retries.labelled(failure.error));
            }
            match retries.after(failure, deadline, || self.jitter.next()) {
                Ok(pause) => {
                    session.tries_again();
                    self.topology().pause(pause);
                }
                Err(Failure { answer: Some(answer), .. }) => {
                    return read(operation, answer).map_err(|error| session.failed(error));
                }
                Err(Failure { error, answer: None }) => return Err(error),
            }
        }
    }

    /// What a connection has brought back: the session hears of it, and a reply with `ok: 0` becomes an error.
    pub(super) fn answered(
        &self,
        received: Result<Reply>,
        connection: &PooledConnection,
        session: &mut OperationSession<'_>,
    ) -> Result<Reply> {
        match &received {
            Ok(reply) => session.replied(reply, &self.sessions),
            Err(_) if connection.is_broken() => session.mark_dirty(),
            Err(_) => {}
        }
        received.and_then(|reply| match reply.command_error() {
            Some(refused) => Err(refused.with_address(&connection.info().address)),
            None => Ok(reply),
        })
    }

    /// Sends an operation once.
    ///
    /// A reply with `ok: 0` is an error; what a reply with `ok: 1` means is up to the operation. Where the server asks for
    /// another login, the connection is logged in again and the command is sent once more.
    fn attempt<O: Operation>(
        &self,
        operation: &mut O,
        session: &mut OperationSession<'_>,
        deadline: Deadline,
        pin: Option<&Arc<PinnedConnection>>,
        retries: &mut Retries,
    ) -> Result<Answer> {
        // A server that suits the operation, a connection to it, and the command as this server understands it.
        let bound = session.bind(operation.target(), operation.access())?;
        let (target, pin) = match &bound {
            Pin::Nothing => (operation.target(), pin),
            Pin::Router(address) => (Target::Pinned(address), pin),
            Pin::Connection(pin) => (operation.target(), Some(pin)),
        };
        let (selected, mut connection) = self.check_out(target, deadline, pin, retries)?;
        let server = &selected.server;
        let by_predicate = matches!(operation.target(), Target::Predicate(_));
        let reads_of_primary = operation.access() == Access::Read && operation.target().is_primary();
        let mut command = operation.build(connection.description())?;
        if by_predicate && selected.server_type.is_member() {
            // A secondary that was chosen by a predicate would refuse otherwise.
            command.read_preference = Some(&ReadPreference::PrimaryPreferred { options: None });
        }
        let limits_server = self.complete(&mut command, &selected, &connection, session, deadline)?;
        // A getMore works with what the command that opened its cursor left of the limit.
        let limit_is_ours = limits_server || (command.name == "getMore" && self.limits_operations());
        if let Some(buffer) = command.reply_buffer.take() {
            connection.recycle(buffer);
        }

        retries.sends(&mut command, connection.description(), session)?;
        let in_transaction = session.is_in_transaction();
        connection.set_yields(reads_of_primary || retries.is_numbered() || in_transaction);
        if in_transaction {
            session.pin(server.address(), &mut connection);
        }
        let mut began = connection.since();
        let mut logged_in_again = false;
        let reply = loop {
            // Out and back.
            let active = ActiveCommand::started(self.options(), &connection, &command);
            let limit = self.command_deadline(deadline, command.await_time);
            let received = if command.acknowledged {
                connection.run(&command.message(), limit, began)
            } else {
                connection.send(&command.message(), limit, began).map(|()| Reply::of_unacknowledged())
            };

            // What the reply, or its absence, means: for the command, for the server, and for the login.
            let error = match self.answered(received, &connection, session) {
                Ok(reply) => {
                    self.look_at_state(server, &connection, &reply);
                    active.succeeded(&reply);
                    break reply;
                }
                Err(error) => error,
            };
            self.report(server, &connection, &error, error.server_response());
            let error = active.failed(error);
            if error.code() != Some(REAUTHENTICATION_REQUIRED) || logged_in_again {
                return Err(explain(error, operation.namespace(), limit_is_ours));
            }
            self.reauthenticate(server, &mut connection, deadline)?;
            logged_in_again = true;
            began = Instant::now();
            if limits_server {
                // The second time the server has less time than at first.
                replace_max_time(&mut command, time_left(deadline, selected.minimum_round_trip_time)?)?;
            }
        };
        // Other threads may use the connection while the reply is read, unless the cursor needs it.
        match pin {
            Some(pin) if names_cursor(reply.document()) => connection.pin_to(pin, Purpose::Cursor),
            _ => connection.unpin(),
        }
        Ok(Answer { reply, server: server.address().clone(), limit_is_ours })
    }

    /// A server that suits the target, and a connection to it.
    fn check_out(
        &self,
        target: Target<'_>,
        operation: Deadline,
        pin: Option<&Arc<PinnedConnection>>,
        retries: &mut Retries,
    ) -> Result<(Selected, PooledConnection)> {
        let now = Instant::now();
        let selection = self.topology().selection_deadline(now, operation);
        // With a limit on the whole operation, that one counts; without it, each step has its own.
        let (queue, connect) = match operation.instant() {
            Some(_) => (operation, selection),
            None => {
                let queue = Deadline::after_option(self.options().wait_queue_timeout()).named("waitQueueTimeoutMS");
                (queue, Deadline::NEVER)
            }
        };
        let mut selected = self.topology().select(target, retries.deprioritised(), selection, now)?;
        retries.selected(&selected);
        if let Some(pin) = pin {
            match (pin.check_out(selected.chosen), target) {
                (Some(connection), _) => return Ok((selected, connection)),
                (None, Target::Pinned(address)) => return Err(no_pinned_connection(address)),
                (None, _) => {}
            }
        }
        let opened = selected.opened.take();
        // The topology hears of an attempt that failed from the pool.
        let checked_out = selected.server.check_out(queue, connect, opened, selected.chosen);
        let mut connection = checked_out.map_err(|failure| failure.error)?;
        self.learn_cluster_time(&mut connection);
        self.topology().check(&selected.server, connection.description())?;
        Ok((selected, connection))
    }

    /// Learns what time it was in the cluster when the connection logged in.
    fn learn_cluster_time(&self, connection: &mut PooledConnection) {
        if let Some(time) = connection.take_cluster_time() {
            self.sessions.cluster_time_reported(&time);
        }
    }

    /// Tells the topology that a command failed on a connection that was established.
    fn report(&self, server: &Arc<Server>, connection: &PooledConnection, error: &Error, reply: Option<&RawDocument>) {
        // That another server is primary now is known already.
        if connection.is_superseded() {
            return;
        }
        let failure = CommandFailure {
            error,
            reply,
            handshake_completed: true,
            generation: connection.generation(),
            service_id: connection.service_id(),
        };
        self.topology().command_failed(server, &failure);
    }

    /// A reply with `ok: 1` may carry a write concern error that reports a change of state.
    fn look_at_state(&self, server: &Arc<Server>, connection: &PooledConnection, reply: &Reply) {
        if reply.may_have_write_concern_error()
            && let reply = reply.document()
            && matches!(find_field(reply, "writeConcernError"), Ok(Some(_)))
        {
            let message = "the write concern error of a reply reports that the server changed its state";
            let error = Error::new(FaultKind::ServerSelection, Stage::Command, message).with_address(server.address());
            self.report(server, connection, &error, Some(reply));
        }
    }

    /// Adds to a command what depends on the client, the server and the moment. True: it got a `maxTimeMS` from `timeoutMS`.
    fn complete(
        &self,
        command: &mut Command<'_>,
        selected: &Selected,
        connection: &PooledConnection,
        session: &mut OperationSession<'_>,
        deadline: Deadline,
    ) -> Result<bool> {
        let server = connection.description();
        if let Some(preference) = command.read_preference
            && let Some(document) = read_preference_document(selected.topology_type, server.server_type, preference)
        {
            command.body.append(cstr!("$readPreference"), document);
        }
        self.add_context(command, connection, session, selected.session_timeout)?;
        if !self.limits_operations() || command.name == "getMore" || !command.acknowledged {
            return Ok(false);
        }
        let left = time_left(deadline, selected.minimum_round_trip_time)?;
        if command.is_composed_by_caller && matches!(command.body.get(MAX_TIME), Ok(Some(_))) {
            return Ok(false);
        }
        command.body.append(cstr!("maxTimeMS"), left);
        Ok(true)
    }

    /// Adds to a command what depends on the client, its connection and its session. `session_timeout` is how long servers keep
    /// sessions. Of a command that the program has not composed it takes the limits that `timeoutMS` overrides.
    pub(super) fn add_context(
        &self,
        command: &mut Command<'_>,
        connection: &PooledConnection,
        session: &mut OperationSession<'_>,
        session_timeout: Option<Duration>,
    ) -> Result<()> {
        if let Some(api) = self.options().server_api() {
            server_api_fields(api).for_each(|(key, value)| command.body.append(key, value));
        }
        session.complete(command, connection.description(), session_timeout, &self.sessions, connection.since())?;
        // The maxTimeMS of a getMore is how long the server may wait for documents.
        if self.options().timeout().is_some() && !command.is_composed_by_caller && command.name != "getMore" {
            command.body.remove_overridden_limits()?;
        }
        Ok(())
    }

    /// Logs the connection in again. A login that fails means for the server what it means on a new connection: no other
    /// connection of that generation is used again.
    fn reauthenticate(
        &self,
        server: &Arc<Server>,
        connection: &mut PooledConnection,
        deadline: Deadline,
    ) -> Result<()> {
        let (generation, service_id) = (connection.generation(), connection.service_id());
        let logged_in = self.factory().reauthenticate(connection, deadline);
        self.learn_cluster_time(connection);
        logged_in.inspect_err(|error| {
            // The operation's own limit says nothing about the server.
            if connection.is_superseded() || (error.is_timeout() && deadline.expired()) {
                return;
            }
            let failure = CommandFailure { error, reply: None, handshake_completed: false, generation, service_id };
            self.topology().command_failed(server, &failure);
        })
    }
}

/// Whether a reply says that a cursor is open after it.
fn names_cursor(reply: &RawDocument) -> bool {
    reply.get_document("cursor").and_then(|cursor| cursor.get_i64("id")).is_ok_and(|id| id != 0)
}

/// The cursor's connection is closed, or another thread closes the client.
fn no_pinned_connection(address: &ServerAddress) -> Error {
    let message =
        "the connection of the cursor is closed, and behind a load balancer only that connection leads to its server";
    Error::new(FaultKind::Io, Stage::CheckOut, message).with_address(address)
}

/// Has an operation read the reply. The connection is back in its pool by now, for other threads.
fn read<O: Operation>(operation: &mut O, answer: Answer) -> Result<O::Output> {
    let Answer { reply, server, limit_is_ours } = answer;
    let read = operation.read(reply, &server);
    read.map_err(|error| explain(error.with_address(&server), operation.namespace(), limit_is_ours))
}

/// The error of an operation, with the collection. The server's own time limit is `timeoutMS` where that was what it was given.
fn explain(error: Error, namespace: Option<Namespace<'_>>, limit_is_ours: bool) -> Error {
    let error = match namespace {
        Some(namespace) => error.with_namespace(namespace),
        None => error,
    };
    if limit_is_ours { error.into_timeout() } else { error }
}

/// How long the server may work on a command that must end by this deadline, in milliseconds: the reply has a way to go.
fn time_left(deadline: Deadline, round_trip_time: Duration) -> Result<i64> {
    let left = deadline.remaining().unwrap_or_default();
    if left.is_zero() {
        return Err(Error::new(FaultKind::Timeout, Stage::Command, "timeoutMS ran out before the command was sent"));
    }
    let left = left.saturating_sub(round_trip_time);
    if left.is_zero() {
        let message = "timeoutMS leaves no more than the round trip to the server, so the command was not sent";
        return Err(Error::new(FaultKind::Timeout, Stage::Command, message));
    }
    Ok(i64::try_from(left.as_millis().max(1)).unwrap_or(i64::MAX))
}

fn replace_max_time(command: &mut Command<'_>, left: i64) -> Result<()> {
    command.body.remove(MAX_TIME)?;
    command.body.append(cstr!("maxTimeMS"), left);
    Ok(())
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_command_that_is_sent_again_gets_the_time_that_is_left_in_the_place_of_the_old_limit() {
        let mut command = Command::new("find", "db", rawdoc! { "find": "things", "maxTimeMS": 5_i64, "skip": 1 });
        replace_max_time(&mut command, 3).unwrap();
        assert_eq!(command.body.finish(), rawdoc! { "find": "things", "skip": 1, "maxTimeMS": 3_i64 });
    }

    /// A raw command of the program's is not validated before this.
    #[test]
    fn a_command_that_is_not_valid_bson_is_not_sent_again_with_less_than_the_program_wrote() {
        let mut bytes = rawdoc! { "ping": 1, "text": "four", "maxTimeMS": 5_i64 }.into_bytes();
        let text = bytes.windows(4).position(|part| part == b"text").unwrap() - 1;
        bytes[text] = 0x7e;
        let mut command = Command::new("ping", "db", RawDocumentBuf::from_bytes(bytes.clone()).unwrap());
        let error = replace_max_time(&mut command, 3).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::BsonSerialization { .. }), "{error:?}");
        assert_eq!(command.body.as_bytes(), bytes);
    }
}
