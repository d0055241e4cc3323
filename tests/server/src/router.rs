//! What a fake server that presents itself as mongos remembers: cursors and transactions live in the mongos that opened them, and
//! another one does not know them. Behind a load balancer they live in the connection that they began on.
//!
//! The answers in a transaction have a `recoveryToken`, with which another router commits or aborts it.

use std::collections::HashMap;
use std::sync::Mutex;

use bson::{Bson, Document, doc};

use crate::answers::{error, integer, truth};
use crate::script::lock;
use crate::wire::{self, Request};

/// What a router does with a command.
pub(crate) enum Verdict {
    /// It hands it on.
    Takes,
    /// The command belongs to a cursor or a transaction of another router.
    Refuses(Document),
    /// It is to find out what has become of another router's transaction. A real one waits until that has ended; here it is ended by
    /// `abort`. If that succeeds, the transaction was not committed, and `refusal` is the answer.
    Recovers { abort: Document, refusal: Document },
}

/// The cursors and transactions that began here.
#[derive(Debug, Default)]
pub(crate) struct Router(Mutex<Begun>);

#[derive(Debug, Default)]
struct Begun {
    /// And the connections that they began on.
    cursors: HashMap<i64, usize>,
    /// The number of the last transaction of each session, by the session's identifier, and the connection that it began on.
    transactions: HashMap<Vec<u8>, (i64, usize)>,
}

impl Router {
    /// What is to be done with a command. `bound`: cursors and transactions of another connection are foreign, too.
    pub(crate) fn judge(&self, request: &Request, connection: usize, bound: bool) -> Verdict {
        let body = &request.body;
        let mut begun = lock(&self.0);
        let is_own =
            |begun: &Begun, id: i64| begun.cursors.get(&id).is_some_and(|opened_on| !bound || *opened_on == connection);
        if let Some(transaction) = Transaction::of(body) {
            // With its token, a transaction of this router ends on any of its connections.
            let is_known = |begun: &Begun| {
                let own = begun.transactions.get(&transaction.session);
                let here = |on| !bound || transaction.has_token || on == connection;
                own.is_some_and(|(number, on)| *number == transaction.number && here(*on))
            };
            if transaction.starts {
                begun.transactions.insert(transaction.session, (transaction.number, connection));
            } else if !is_known(&begun) {
                let why = "this router has not seen the transaction begin, or on another connection";
                let mut refusal = error(251, why);
                refusal.extend(doc! {"codeName": "NoSuchTransaction", "errorLabels": ["TransientTransactionError"]});
                return match (request.name(), transaction.has_token) {
                    ("abortTransaction", true) => Verdict::Takes,
                    ("commitTransaction", true) => {
                        let mut abort = doc! {"abortTransaction": 1, "autocommit": false, "$db": "admin"};
                        let same = body.iter().filter(|(key, _)| *key == "lsid" || *key == "txnNumber");
                        abort.extend(same.map(|(key, value)| (key.clone(), value.clone())));
                        Verdict::Recovers { abort, refusal }
                    }
                    _ => Verdict::Refuses(refusal),
                };
            }
        }
        let refusal = match request.name() {
            "getMore" if !integer(body.get("getMore")).is_some_and(|id| is_own(&begun, id)) => {
                Some(error(43, "this router has not opened the cursor, or on another connection"))
            }
            "killCursors" => {
                let ids: Vec<i64> =
                    body.get_array("cursors").into_iter().flatten().filter_map(|id| integer(Some(id))).collect();
                let (own, foreign): (Vec<i64>, Vec<i64>) = ids.into_iter().partition(|id| is_own(&begun, *id));
                begun.cursors.retain(|id, _| !own.contains(id));
                let none: [i64; 0] = [];
                (own.is_empty() && !foreign.is_empty()).then(|| {
                    doc! {"cursorsKilled": &none[..], "cursorsNotFound": foreign, "cursorsAlive": &none[..], "cursorsUnknown": &none[..], "ok": 1.0}
                })
            }
            _ => None,
        };
        refusal.map_or(Verdict::Takes, Verdict::Refuses)
    }

    /// Notes the cursor of an answer.
    pub(crate) fn note(&self, answer: &Document, connection: usize) {
        let id = answer.get_document("cursor").ok().and_then(|cursor| integer(cursor.get("id")));
        if let Some(id) = id.filter(|id| *id != 0) {
            lock(&self.0).cursors.insert(id, connection);
        }
    }
}

/// The request as the server behind is to get it, if it is part of a transaction: it has no use for the token.
pub(crate) fn without_token(request: &Request) -> std::io::Result<Option<Request>> {
    if Transaction::of(&request.body).is_none_or(|transaction| !transaction.has_token) {
        return Ok(None);
    }
    let mut body = request.body.clone();
    body.remove("recoveryToken");
    body.insert("$db", &request.database);
    wire::parse(wire::command_bytes(request.request_id, &body)?).map(Some)
}

/// The answer with a token, if it is one to a command in a transaction that has succeeded.
pub(crate) fn with_token(request: &Request, message: Vec<u8>) -> std::io::Result<Vec<u8>> {
    let Ok(mut answer) = Document::from_reader(message.get(21..).unwrap_or_default()) else { return Ok(message) };
    if Transaction::of(&request.body).is_none() || !truth(answer.get("ok")) {
        return Ok(message);
    }
    answer.insert("recoveryToken", token());
    Ok(wire::reply_bytes(request, &wire::raw(&answer)?, &wire::Forge::default()))
}

/// A real one names a shard.
fn token() -> Document {
    doc! {"recoveryShardId": "the shard behind the router"}
}

struct Transaction {
    session: Vec<u8>,
    number: i64,
    starts: bool,
    /// Whether it is the end of a transaction, with what leads another router to it.
    has_token: bool,
}

impl Transaction {
    /// A retryable write has a number too, but no `autocommit`.
    fn of(body: &Document) -> Option<Transaction> {
        body.get_bool("autocommit").ok().filter(|autocommit| !autocommit)?;
        let Bson::Binary(session) = body.get_document("lsid").ok()?.get("id")? else { return None };
        let number = integer(body.get("txnNumber"))?;
        Some(Transaction {
            session: session.bytes.clone(),
            number,
            starts: body.get_bool("startTransaction").unwrap_or(false),
            has_token: body.get_document("recoveryToken").is_ok_and(|own| *own == token()),
        })
    }
}

/// Whether a fail point is for commands that the fake server answers itself, and not the server behind it.
pub(crate) fn is_own_fail_point(command: &Document) -> bool {
    let data = command.get_document("data").ok();
    let commands = data.and_then(|data| data.get_array("failCommands").ok());
    let mut names = commands.into_iter().flatten().filter_map(Bson::as_str);
    names.any(|name| OWN_COMMANDS.iter().any(|own| own.eq_ignore_ascii_case(name)))
}

const OWN_COMMANDS: [&str; 4] = ["hello", "isMaster", "saslStart", "saslContinue"];
