//! What a fake server that presents itself as mongos remembers: cursors and transactions live in the mongos that opened them, and
//! another one does not know them. Behind a load balancer a cursor lives in the connection that opened it.

use std::collections::HashMap;
use std::sync::Mutex;

use bson::{Bson, Document, doc};

use crate::answers::{error, integer};
use crate::script::lock;
use crate::wire::Request;

/// The cursors and transactions that began here.
#[derive(Debug, Default)]
pub(crate) struct Router(Mutex<Begun>);

#[derive(Debug, Default)]
struct Begun {
    /// And the connections that they began on.
    cursors: HashMap<i64, usize>,
    /// The number of the last transaction of each session, by the session's identifier.
    transactions: HashMap<Vec<u8>, i64>,
}

impl Router {
    /// The answer to a command that belongs to a cursor or a transaction of another router. `bound`: to a cursor of another
    /// connection, too.
    pub(crate) fn refuses(&self, request: &Request, connection: usize, bound: bool) -> Option<Document> {
        let body = &request.body;
        let mut begun = lock(&self.0);
        let is_own =
            |begun: &Begun, id: i64| begun.cursors.get(&id).is_some_and(|opened_on| !bound || *opened_on == connection);
        if let Some(transaction) = Transaction::of(body) {
            if transaction.starts {
                begun.transactions.insert(transaction.session, transaction.number);
            } else if begun.transactions.get(&transaction.session) != Some(&transaction.number) {
                let why = "this router has not seen the transaction begin";
                let mut refusal = error(251, why);
                refusal.insert("errorLabels", vec!["TransientTransactionError"]);
                return Some(refusal);
            }
        }
        match request.name() {
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
        }
    }

    /// Notes the cursor of an answer.
    pub(crate) fn note(&self, answer: &Document, connection: usize) {
        let id = answer.get_document("cursor").ok().and_then(|cursor| integer(cursor.get("id")));
        if let Some(id) = id.filter(|id| *id != 0) {
            lock(&self.0).cursors.insert(id, connection);
        }
    }
}

struct Transaction {
    session: Vec<u8>,
    number: i64,
    starts: bool,
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
