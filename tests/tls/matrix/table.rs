//! The table: each row is a connection that was tried.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::event::{CommandEvent, EventHandler};
use mongo_blocking::options::{ClientOptions, ClientSettings};
use mongo_blocking::{Client, Warning, WarningKind};

use mongo_blocking_test_server::peers;

use super::listeners::Listener;

/// What a row is expected to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A channel.
    Channel,
    /// No channel, for this reason: the words that the error must have, one of them.
    Refused(&'static [&'static str]),
    /// The server turns the client away, in TLS or (TLS 1.3) before it says anything; the error's hint has these words.
    TurnedAway(&'static str),
}

/// Rows as they gather.
pub struct Table {
    title: &'static str,
    rows: Vec<String>,
    wrong: Vec<String>,
}

impl Table {
    pub fn new(title: &'static str) -> Table {
        Table { title, rows: Vec::new(), wrong: Vec::new() }
    }

    /// Tries a connection string. `listener` says what is at its other end.
    pub fn row(&mut self, case: &str, listener: &str, uri: &str, expected: Expected) {
        self.judge(case, listener, options_of(uri), expected, seen(ClientSettings::parse(uri)));
    }

    /// Tries options that were made in code; `what` names them.
    pub fn row_in_code(
        &mut self,
        case: &str,
        listener: &str,
        what: &str,
        options: Result<ClientSettings, mongo_blocking::Error>,
        expected: Expected,
    ) {
        self.judge(case, listener, what, expected, seen(options));
    }

    /// The same as [`Table::row`], for a row about revocation: `word` must be in what the channel's facts say of it (where the
    /// listener speaks MongoDB, so that there are facts) and in whether there was a warning. Returns how long it took.
    #[cfg_attr(
        any(windows, target_os = "macos", mongo_blocking_native_tls),
        expect(dead_code, reason = "revocation is the platform's there")
    )]
    pub fn row_of_revocation(
        &mut self,
        case: &str,
        listener: &Listener,
        uri: &str,
        expected: Expected,
        word: &str,
    ) -> Duration {
        let facts = Arc::new(Mutex::new((None, 0)));
        let (of_events, of_warnings) = (facts.clone(), facts.clone());
        let on_event = EventHandler::new(move |event: &CommandEvent| {
            if let CommandEvent::Succeeded(event) = event {
                of_events.lock().unwrap().0 = event.connection.tls.as_ref().map(|facts| facts.revocation.clone());
            }
        });
        let on_warning = EventHandler::new(move |warning: &Warning| {
            of_warnings.lock().unwrap().1 += i32::from(warning.kind() == WarningKind::Revocation);
        });
        let began = Instant::now();
        let builder = ClientOptions::builder().uri(uri).command_event_handler(on_event).warning_handler(on_warning);
        let seen = seen(builder.build().settings());
        let took = began.elapsed();
        let (revocation, warnings) = facts.lock().unwrap().clone();
        let mut note = revocation.map_or(String::new(), |revocation| format!("{revocation:?}"));
        if warnings > 0 {
            note += " with a warning";
        }
        let told = matches!(listener, Listener::SServer(_)) || matches!(seen, Seen::Refused(_)) || note.contains(word);
        let seen = match seen {
            Seen::Channel if told && !note.is_empty() => Seen::ChannelWith(note),
            Seen::Channel if !told => Seen::Failed(format!("a channel, but not {word}: {note}")),
            other => other,
        };
        self.judge(case, listener.name(), options_of(uri), expected, seen);
        took
    }

    /// Prints the table.
    ///
    /// # Panics
    /// If a row came to something else than expected.
    pub fn finish(self) {
        let backend = match () {
            () if cfg!(windows) => "SChannel",
            () if cfg!(any(target_os = "macos", mongo_blocking_native_tls)) => "native-tls",
            () => "OpenSSL",
        };
        let head = "case | listener | options | expected | seen";
        peers::report(&format!("{} ({backend})\n{head}\n{}\n", self.title, self.rows.join("\n")));
        assert!(self.wrong.is_empty(), "{} rows are wrong:\n{}", self.wrong.len(), self.wrong.join("\n"));
    }

    fn judge(&mut self, case: &str, listener: &str, options: &str, expected: Expected, seen: Seen) {
        let right = match (expected, &seen) {
            (Expected::Channel, Seen::Channel | Seen::ChannelWith(_)) => true,
            (Expected::Refused(words), Seen::Refused(why)) => words.iter().any(|words| why.contains(words)),
            (Expected::TurnedAway(words), Seen::TurnedAway(why) | Seen::Refused(why)) => why.contains(words),
            _ => false,
        };
        let expected = match expected {
            Expected::Channel => "channel",
            Expected::Refused(_) => "refused",
            Expected::TurnedAway(_) => "turned away",
        };
        let row = format!("{case} | {listener} | {options} | {expected} | {seen}");
        if !right {
            self.wrong.push(row.clone());
        }
        self.rows.push(row);
    }
}

enum Seen {
    Channel,
    /// A channel, of which this is known.
    ChannelWith(String),
    /// TLS itself ended it, in these words.
    Refused(String),
    /// The server hung up, of which this is said.
    TurnedAway(String),
    /// Something else did.
    Failed(String),
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Seen::Channel => f.write_str("channel"),
            Seen::ChannelWith(note) => write!(f, "channel, {}", note.chars().take(90).collect::<String>()),
            Seen::Refused(why) => write!(f, "refused: {}", why.chars().take(90).collect::<String>()),
            Seen::TurnedAway(why) => write!(f, "turned away: {}", why.chars().take(90).collect::<String>()),
            Seen::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

/// A peer that speaks no MongoDB answers the hello with something else: then there was a channel.
fn seen(options: Result<ClientSettings, mongo_blocking::Error>) -> Seen {
    let outcome = options.and_then(Client::with_options).and_then(|client| client.ping());
    match outcome {
        Ok(()) => Seen::Channel,
        Err(error) if error.stage() == Stage::Hello && matches!(error.kind(), ErrorKind::InvalidResponse { .. }) => {
            Seen::Channel
        }
        Err(error) if matches!(error.kind(), ErrorKind::Tls { .. }) => Seen::Refused(error.to_string()),
        Err(error) if matches!((error.kind(), error.stage()), (ErrorKind::Io(_), Stage::Tls | Stage::Hello)) => {
            Seen::TurnedAway(error.to_string())
        }
        Err(error) => Seen::Failed(format!("{error:?}")),
    }
}

fn options_of(uri: &str) -> &str {
    let options = uri.split_once('?').map_or("", |(_, options)| options);
    let rest = options.split_once("tlsCAFile=").map_or(options, |(_, rest)| rest);
    rest.split_once('&').map_or("", |(_, rest)| rest)
}
