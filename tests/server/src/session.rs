//! One client's connection, from its first byte to its last.

use std::io;
use std::net::TcpStream;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, doc};
use openssl::base64::{decode_block, encode_block};

use crate::answers::{self, error, truth};
use crate::behaviour::{Answer, Behaviour, Behaviours};
use crate::channel::Channel;
use crate::cr;
use crate::failpoint::Effect;
use crate::fake_server::State;
use crate::forward::{UpstreamConnection, binary};
use crate::hello;
use crate::router::{self, Verdict};
use crate::sasl_server::{SaslError, SaslReply, SaslServer};
use crate::scram::{Conversation, Refused, Say};
use crate::script::lock;
use crate::store::Store;
use crate::users::{self, Mechanism};
use crate::wire::{self, Forge, Request};

/// Serves a connection until the client closes it, the rules say so, or the fake server stops.
pub(crate) fn serve(state: &State, tcp: TcpStream, number: usize) {
    let Ok(channel) = Channel::open(tcp, state.tls.as_ref(), state.counters.clone()) else {
        return;
    };
    let mut session = Session {
        state,
        channel,
        number,
        replies: 0,
        conversation: None,
        users: Vec::new(),
        nonce: None,
        app_name: None,
        greeted: false,
        client: None,
        upstream: None,
    };
    // Nothing more can be said to a client whose connection failed or whose message can't be read.
    let _ = session.run_to_end();
}

struct Session<'a> {
    state: &'a State,
    channel: Channel,
    number: usize,
    /// How many replies were sent or held back so far.
    replies: usize,
    /// The login under way and the database it runs against.
    conversation: Option<(Talk, String)>,
    /// Name and database of each user logged in.
    users: Vec<(String, String)>,
    /// What `getnonce` gave last.
    nonce: Option<String>,
    app_name: Option<String>,
    greeted: bool,
    /// What the client said of itself.
    client: Option<Document>,
    upstream: Option<UpstreamConnection>,
}

/// A login under way.
enum Talk {
    Scram(Conversation),
    Other(Box<dyn SaslServer>),
}

/// What became of a command.
enum Outcome {
    Document(Document),
    /// Whole messages, as they are to be sent.
    Messages(Vec<Vec<u8>>),
    /// hello that waits for a change of the topologyVersion.
    Stream {
        /// The answer but for what a test changes.
        first: Document,
        /// The count of changes that the client has seen; `None` if it has seen another topologyVersion.
        seen: Option<i64>,
        waits: Duration,
        repeats: bool,
    },
    Close,
    Stall,
}

impl Session<'_> {
    fn run_to_end(&mut self) -> io::Result<()> {
        let (mut message, mut next_batch) = (Vec::new(), 0);
        while wire::read_message_into(&mut self.channel, &mut message)? {
            if let Some(answer) = self.state.canned.as_ref().and_then(|canned| canned.to(&message, &mut next_batch))
                && self.may("find")
            {
                self.channel.send_canned(answer, &message)?;
                continue;
            }
            let request = wire::parse(std::mem::take(&mut message))?;
            self.state.note(&request, self.number);
            if !self.exchange(&request)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// One command; false when the connection is to be closed.
    fn exchange(&mut self, request: &Request) -> io::Result<bool> {
        let behaviours = lock(&self.state.behaviours).clone();
        let outcome = self.outcome(request, &behaviours)?;
        if !request.wants_reply() {
            return Ok(!matches!(outcome, Outcome::Close));
        }
        match outcome {
            Outcome::Close => Ok(false),
            Outcome::Stall => {
                self.channel.wait_for_end();
                Ok(false)
            }
            Outcome::Document(document) => self.send_document(request, &document, &behaviours),
            Outcome::Stream { first, seen, waits, repeats } => self.stream_hello(request, first, seen, waits, repeats),
            Outcome::Messages(messages) => {
                for message in messages {
                    if !self.send(&message, &behaviours)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    /// Asks the test's handler, then the behaviours, then the fail point; then the command is run.
    fn outcome(&mut self, request: &Request, behaviours: &Behaviours) -> io::Result<Outcome> {
        if let Some(answer) = self.state.handler.as_ref().and_then(|h| h(request, self.number)) {
            return Ok(match answer {
                Answer::Reply(document) => Outcome::Document(document),
                Answer::Bytes(bytes) => Outcome::Messages(vec![bytes]),
                Answer::Close => Outcome::Close,
                Answer::Stall => Outcome::Stall,
            });
        }
        let canned = behaviours.find(|b| match b {
            Behaviour::Answer(name, document) if name == request.name() => Some(document.clone()),
            _ => None,
        });
        if let Some(document) = canned {
            return Ok(Outcome::Document(document));
        }
        if self.app_name.is_none() {
            self.app_name = hello::app_name(&request.body);
        }
        let mut effect = self.fail_point(request.name());
        if let Some(failed) = self.failed(&mut effect) {
            return Ok(failed);
        }
        let outcome = self.run(request, behaviours)?;
        add_write_concern_error(request, outcome, &effect)
    }

    fn fail_point(&self, name: &str) -> Effect {
        lock(&self.state.fail_point).hit(name, self.app_name.as_deref()).unwrap_or_default()
    }

    /// What becomes of a command that a fail point does not let run.
    fn failed(&self, effect: &mut Effect) -> Option<Outcome> {
        if effect.block.is_some_and(|time| self.state.pause(time)) || effect.close {
            return Some(Outcome::Close);
        }
        effect.error.take().map(Outcome::Document)
    }

    fn run(&mut self, request: &Request, behaviours: &Behaviours) -> io::Result<Outcome> {
        let name = request.name();
        let document = match name {
            "hello" | "isMaster" | "ismaster" if self.state.hello_overrides.knows(name) => {
                let answer = self.hello(request, behaviours);
                return Ok(self.waiting_hello(request, answer));
            }
            _ if request.legacy => error(352, "Unsupported OP_QUERY command: only hello is taken that way"),
            "saslStart" => self.sasl_start(&request.body, &request.database, behaviours),
            "getnonce" if !self.state.cr_users.is_empty() => cr::get_nonce(&mut self.nonce),
            "authenticate" if !self.state.cr_users.is_empty() => self.authenticate(request),
            "saslContinue" => self.sasl_continue(&request.body, &request.database, behaviours),
            "configureFailPoint" if self.state.router.is_some() && !router::is_own_fail_point(&request.body) => {
                // There is one fail point of this name: setting it behind us unsets ours.
                lock(&self.state.fail_point).configure(&doc! {"mode": "off"});
                return self.forward(request);
            }
            "configureFailPoint" if request.body.get_str(name).is_ok_and(|point| point == "failCommand") => {
                lock(&self.state.fail_point).configure(&request.body)
            }
            "logout" => {
                self.users.retain(|(_, database)| *database != request.database);
                doc! {"ok": 1.0}
            }
            "connectionStatus" if self.state.upstream_server.is_none() || self.state.is_guarded() => {
                self.connection_status()
            }
            "ping" | "buildInfo" | "buildinfo" if self.state.upstream_server.is_none() => match name {
                "ping" => doc! {"ok": 1.0},
                _ => hello::build_info(&self.state.hello_overrides),
            },
            _ if self.state.upstream_server.is_none() && !Store::knows(name) => no_such_command(name),
            _ if !self.may(name) => error(13, &format!("command {name} requires authentication")),
            _ if self.state.upstream_server.is_some() => return self.forward(request),
            _ => {
                let answer = lock(&self.state.store).run(&request.database, &request.body);
                answer.unwrap_or_else(|| no_such_command(name))
            }
        };
        Ok(Outcome::Document(document))
    }

    fn may(&self, name: &str) -> bool {
        let open_to_all = matches!(name, "ping" | "buildInfo" | "buildinfo" | "whatsmyuri");
        open_to_all || !self.state.is_guarded() || !self.users.is_empty()
    }

    fn hello(&mut self, request: &Request, behaviours: &Behaviours) -> Document {
        let body = &request.body;
        if body.contains_key("client") && self.greeted {
            return error(186, "The client metadata document may only be sent in the first hello");
        }
        self.greeted |= body.contains_key("client");
        self.client = self.client.take().or_else(|| body.get_document("client").ok().cloned());
        let hello_overrides = &self.state.hello_overrides;
        let address = self.state.address.get().map_or("", String::as_str);
        let mut answer = hello_overrides.answer(body, address, self.number);
        if let Ok(asked) = body.get_str("saslSupportedMechs")
            && !behaviours.no_supported_mechanisms()
            && let Some((database, name)) = asked.split_once('.')
            && let Some(user) = users::find(&self.state.users, database, name)
        {
            let names: Vec<Bson> = user.stored.iter().map(|s| s.mechanism.name().into()).collect();
            answer.insert("saslSupportedMechs", names);
        }
        if let Ok(start) = body.get_document("speculativeAuthenticate")
            && hello_overrides.speculates()
            && !behaviours.no_speculation()
            && let Ok(database) = start.get_str("db")
        {
            let mut said = self.sasl_start(start, database, behaviours);
            if said.remove("ok") == Some(Bson::Double(1.0)) {
                answer.insert("speculativeAuthenticate", said);
            }
        }
        hello_overrides.finish(&mut answer);
        answer
    }

    /// The answer at once, unless the client has seen this topologyVersion and waits for the next.
    fn waiting_hello(&self, request: &Request, first: Document) -> Outcome {
        let Some(state) = &self.state.topology_version else { return Outcome::Document(first) };
        let mut now = first.clone();
        let counter = put_topology_version(&mut now, &lock(state));
        let waits = answers::integer(request.body.get("maxAwaitTimeMS")).and_then(|ms| u64::try_from(ms).ok());
        let (Some(waits), Ok(seen)) = (waits, request.body.get_document("topologyVersion")) else {
            return Outcome::Document(now);
        };
        let seen = now.get_document("topologyVersion").is_ok_and(|now| now == seen).then_some(counter);
        let waits = Duration::from_millis(waits);
        Outcome::Stream { first, seen, waits, repeats: request.flags & wire::EXHAUST_ALLOWED != 0 }
    }

    /// Each answer but the first answers the one before it. A change between two answers is sent at once: `seen` counts what was
    /// sent, not what there is when the wait begins. As in mongod, a fail point meets each answer before its wait.
    fn stream_hello(
        &mut self,
        request: &Request,
        first: Document,
        mut seen: Option<i64>,
        waits: Duration,
        repeats: bool,
    ) -> io::Result<bool> {
        let mut answered = request.clone();
        loop {
            let Some(state) = &self.state.topology_version else { return Ok(false) };
            let begun = Instant::now();
            let mut now = lock(state);
            while Some(now.1) == seen && begun.elapsed() < waits && !*lock(&self.state.stopped) {
                let left = waits.saturating_sub(begun.elapsed());
                now = self.state.topology_changed.wait_timeout(now, left).unwrap_or_else(PoisonError::into_inner).0;
            }
            let mut answer = first.clone();
            seen = Some(put_topology_version(&mut answer, &now));
            drop(now);
            if *lock(&self.state.stopped) {
                return Ok(false);
            }
            let forge = Forge { flags: repeats.then_some(wire::MORE_TO_COME), ..Forge::default() };
            let message = wire::reply_bytes(&answered, &wire::raw(&answer)?, &forge);
            let behaviours = lock(&self.state.behaviours).clone();
            if !self.send(&message, &behaviours)? {
                return Ok(false);
            }
            if !repeats {
                return Ok(true);
            }
            answered.request_id = wire::request_id(&message)?;
            let mut effect = self.fail_point(request.name());
            match self.failed(&mut effect) {
                Some(Outcome::Document(error)) => return self.send_document(&answered, &error, &behaviours),
                Some(_) => return Ok(false),
                None => {}
            }
        }
    }

    fn authenticate(&mut self, request: &Request) -> Document {
        match cr::authenticate(&self.state.cr_users, &request.database, &request.body, self.nonce.take()) {
            Ok((user, database)) => {
                let answer = doc! {"dbname": &database, "user": &user, "ok": 1.0};
                self.logged_in((user, database));
                answer
            }
            Err(refusal) => refusal,
        }
    }

    fn sasl_start(&mut self, body: &Document, database: &str, behaviours: &Behaviours) -> Document {
        self.conversation = None;
        let name = body.get_str("mechanism").unwrap_or_default();
        let Some(payload) = payload(body) else {
            return error(14, "payload must be binary, or text in base64");
        };
        if let Some((_, start)) = self.state.mechanisms.iter().find(|(known, _)| known == name) {
            let mut sasl_server = start(database);
            let spoken = sasl_server.step(&payload);
            return self.say_other(body, sasl_server, spoken, database.to_owned());
        }
        let Some(mechanism) = Mechanism::named(name) else {
            return error(334, &format!("Received authentication for mechanism {name} which is not enabled"));
        };
        let skip = body.get_document("options").is_ok_and(|o| truth(o.get("skipEmptyExchange")));
        match Conversation::start(&self.state.users, database, mechanism, &payload, skip, behaviours) {
            Ok((conversation, say)) => self.say(conversation, say, database.to_owned(), CONVERSATION),
            Err(Refused(_)) => error(18, "Authentication failed."),
        }
    }

    fn sasl_continue(&mut self, body: &Document, database: &str, behaviours: &Behaviours) -> Document {
        let Some((talk, of_database)) = self.conversation.take() else {
            return error(17, "No SASL session state found");
        };
        if answers::integer(body.get("conversationId")) != Some(i64::from(CONVERSATION)) {
            return error(17, "sasl: Mismatched conversation id");
        }
        if of_database != database {
            return error(17, "Attempt to switch database target during sasl authentication.");
        }
        let Some(payload) = payload(body) else {
            return error(14, "payload must be binary, or text in base64");
        };
        let mut conversation = match talk {
            Talk::Scram(conversation) => conversation,
            Talk::Other(mut sasl_server) => {
                let spoken = sasl_server.step(&payload);
                return self.say_other(body, sasl_server, spoken, of_database);
            }
        };
        match conversation.step(&payload, behaviours) {
            Ok(say) => {
                let changed =
                    behaviours.scram().any(|t| matches!(t, crate::behaviour::ScramTamper::ConversationIdChanged));
                self.say(conversation, say, of_database, CONVERSATION + i32::from(changed))
            }
            Err(Refused(_)) => error(18, "Authentication failed."),
        }
    }

    fn say(&mut self, conversation: Conversation, say: Say, database: String, id: i32) -> Document {
        if say.logged_in {
            self.logged_in(conversation.user().clone());
        }
        self.conversation = Some((Talk::Scram(conversation), database));
        doc! {"conversationId": id, "done": say.done, "payload": binary(&say.payload), "ok": 1.0}
    }

    /// The answer has the form of the question: MongoDB answers a text with a text.
    fn say_other(
        &mut self,
        asked: &Document,
        sasl_server: Box<dyn SaslServer>,
        spoken: Result<SaslReply, SaslError>,
        database: String,
    ) -> Document {
        let spoken = match spoken {
            Ok(spoken) => spoken,
            Err(SaslError { code, message }) => return error(code, &message),
        };
        if let Some(user) = spoken.user {
            self.logged_in((user, database.clone()));
        }
        self.conversation = Some((Talk::Other(sasl_server), database));
        let payload: Bson = match asked.get_str("payload") {
            Ok(_) => encode_block(&spoken.payload).into(),
            Err(_) => Binary { subtype: BinarySubtype::Generic, bytes: spoken.payload }.into(),
        };
        doc! {"conversationId": CONVERSATION, "done": spoken.done, "payload": payload, "ok": 1.0}
    }

    fn logged_in(&mut self, user: (String, String)) {
        self.state.logins.fetch_add(1, Ordering::SeqCst);
        if !self.users.contains(&user) {
            self.users.push(user);
        }
    }

    fn connection_status(&self) -> Document {
        let users: Vec<Bson> =
            self.users.iter().map(|(name, database)| doc! {"user": name, "db": database}.into()).collect();
        doc! {"authInfo": {"authenticatedUsers": users, "authenticatedUserRoles": []}, "ok": 1.0}
    }

    fn forward(&mut self, request: &Request) -> io::Result<Outcome> {
        let Some(upstream_server) = &self.state.upstream_server else { return Ok(Outcome::Close) };
        let bound = self.state.hello_overrides.service_id.is_some();
        let judged = self.state.router.as_ref().map(|router| router.judge(request, self.number, bound));
        let upstream = match &mut self.upstream {
            Some(upstream) => upstream,
            None => {
                let mut opened = UpstreamConnection::open(upstream_server)?;
                if let Some(client) = self.client.clone().filter(|_| self.state.router.is_some()) {
                    // The server behind knows the client by its name then, as its fail points want.
                    opened.run(&doc! {"hello": 1, "client": client, "$db": "admin"})?;
                }
                lock(&self.state.upstreams).push(opened.handle()?);
                self.upstream.insert(opened)
            }
        };
        match judged {
            None | Some(Verdict::Takes) => {}
            Some(Verdict::Refuses(mut refusal)) => {
                // As all answers of a cluster, it tells the time.
                let answer = upstream.run(&doc! {"ping": 1, "$db": "admin"})?;
                let times = answer.into_iter().filter(|(key, _)| key == "operationTime" || key == "$clusterTime");
                refusal.extend(times);
                return Ok(Outcome::Document(refusal));
            }
            Some(Verdict::Recovers { abort, refusal }) => {
                let answer = upstream.run(&abort)?;
                if truth(answer.get("ok")) {
                    return Ok(Outcome::Document(refusal));
                }
            }
        }
        let mut messages = Vec::new();
        let stripped = self.state.router.as_ref().map_or(Ok(None), |_| router::without_token(request))?;
        upstream.exchange(stripped.as_ref().unwrap_or(request), |message| {
            messages.push(message.to_vec());
            Ok(())
        })?;
        if let Some(router) = &self.state.router {
            messages =
                messages.into_iter().map(|message| router::with_token(request, message)).collect::<Result<_, _>>()?;
            let documents = messages.iter().filter_map(|message| Document::from_reader(message.get(21..)?).ok());
            documents.for_each(|answer| router.note(&answer, self.number));
        }
        Ok(Outcome::Messages(messages))
    }

    fn send_document(&mut self, request: &Request, body: &Document, behaviours: &Behaviours) -> io::Result<bool> {
        let next = self.replies + 1;
        let forge = behaviours.find(|b| match b {
            Behaviour::ForgeReply(at, forge) if *at == next => Some(forge.clone()),
            Behaviour::GarbageAtReply(at) if *at == next => Some(garbage()),
            _ => None,
        });
        let message = wire::reply_bytes(request, &wire::raw(body)?, &forge.unwrap_or_default());
        self.send(&message, behaviours)
    }

    /// Sends a whole message, or as much of it as the behaviours let through; false to close.
    fn send(&mut self, message: &[u8], behaviours: &Behaviours) -> io::Result<bool> {
        self.replies += 1;
        let mut limit = None;
        for behaviour in &behaviours.0 {
            match behaviour {
                Behaviour::CloseAtReply(at) if *at == self.replies => return Ok(false),
                Behaviour::StallAtReply(at) if *at <= self.replies => {
                    self.channel.wait_for_end();
                    return Ok(false);
                }
                Behaviour::Delay(time) if self.state.pause(*time) => return Ok(false),
                Behaviour::CloseAfterBytes(bytes) => limit = Some(*bytes),
                _ => {}
            }
        }
        self.channel.send(message, limit, behaviours.drip())
    }
}

/// The fields that a test changes, and the version that counts the changes, which is given back.
fn put_topology_version(answer: &mut Document, (fields, counter): &(Document, i64)) -> i64 {
    let process = ObjectId::from_bytes(*b"fake process");
    answer.insert("topologyVersion", doc! {"processId": process, "counter": *counter});
    answer.extend(fields.clone());
    *counter
}

/// What a fail point adds to the answer of a command that was run.
fn add_write_concern_error(request: &Request, outcome: Outcome, effect: &Effect) -> io::Result<Outcome> {
    let Some(wanted) = &effect.write_concern_error else {
        return Ok(outcome);
    };
    let mut document = match outcome {
        Outcome::Document(document) => document,
        Outcome::Messages(messages) => {
            let Some(body) = messages.first().and_then(|m| m.get(21..)) else {
                return Ok(Outcome::Messages(messages));
            };
            Document::from_reader(body).map_err(io::Error::other)?
        }
        other => return Ok(other),
    };
    document.insert("writeConcernError", wanted.clone());
    if let Some(labels) = &effect.labels {
        document.insert("errorLabels", labels.clone());
    }
    let message = wire::reply_bytes(request, &wire::raw(&document)?, &Forge::default());
    Ok(Outcome::Messages(vec![message]))
}

/// What a message of SASL carries: binary, or text in base64, as some clients send it.
fn payload(body: &Document) -> Option<Vec<u8>> {
    match body.get("payload")? {
        Bson::Binary(binary) if binary.subtype == BinarySubtype::Generic => Some(binary.bytes.clone()),
        Bson::String(text) if text.is_empty() => Some(Vec::new()),
        Bson::String(text) => decode_block(text).ok(),
        _ => None,
    }
}

fn no_such_command(name: &str) -> Document {
    error(59, &format!("no such command: '{name}'"))
}

/// A document that says it is 20 bytes long and holds an element of no known type.
fn garbage() -> Forge {
    let mut sections = vec![0, 20, 0, 0, 0, 0x7a, b'x', 0];
    sections.resize(21, 0xff);
    Forge { sections: Some(sections), ..Forge::default() }
}

/// mongod counts conversations of a connection one after the other, always from 1.
const CONVERSATION: i32 = 1;
