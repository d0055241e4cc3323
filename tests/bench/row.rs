//! The rows of the table.

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// `ping`, one after the other.
    Ping,
    /// `insert_one` of a struct of 1 KB.
    Insert,
    /// A find of all documents, which are lent without decoding.
    FindRaw,
    /// The same, decoded into a struct.
    FindTyped,
    /// The same, decoded into a `Document`.
    FindDocument,
    /// `ping` in 8 threads through one client; the floor has a socket for each thread.
    Threads,
    /// A new client's first ping: connect, log in with SCRAM-SHA-256, ping, close.
    Login,
}

impl Row {
    /// All of them, in the order of the table.
    pub const ALL: &[Row] =
        &[Row::Ping, Row::Insert, Row::FindRaw, Row::FindTyped, Row::FindDocument, Row::Threads, Row::Login];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Row::Ping => "ping",
            Row::Insert => "insert",
            Row::FindRaw => "find-raw",
            Row::FindTyped => "find-typed",
            Row::FindDocument => "find-document",
            Row::Threads => "threads",
            Row::Login => "login",
        }
    }

    /// The row of this name.
    pub fn named(name: &str) -> Option<Row> {
        Row::ALL.iter().copied().find(|row| row.name() == name)
    }

    /// Its title in the table.
    pub fn title(self, documents: usize) -> String {
        match self {
            Row::Ping => "ping".to_owned(),
            Row::Insert => "insert_one of 1 KB".to_owned(),
            Row::FindRaw => format!("find {documents} x 1 KB, raw"),
            Row::FindTyped => "  the same, typed".to_owned(),
            Row::FindDocument => "  the same, Document".to_owned(),
            Row::Threads => "ping, 8 threads, 1 client".to_owned(),
            Row::Login => "new client's first ping".to_owned(),
        }
    }

    /// How many times the floor it may take, with canned answers and on a replica set.
    pub fn target(self) -> Option<f64> {
        Some(match self {
            Row::Ping => 1.15,
            Row::Insert => 1.3,
            Row::FindRaw => 1.5,
            Row::FindTyped => 5.0,
            Row::FindDocument => 10.0,
            Row::Threads => 1.25,
            Row::Login => 1.15,
        })
    }

    /// Whether one operation is long enough for a slice.
    pub fn is_find(self) -> bool {
        matches!(self, Row::FindRaw | Row::FindTyped | Row::FindDocument)
    }
}

/// How many threads share the client.
pub const THREADS: usize = 8;
