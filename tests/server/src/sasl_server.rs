//! The server's half of a SASL mechanism that the fake server does not know by itself.

/// One login's conversation. It never hears of commands: payloads in, payloads out.
pub trait SaslServer: Send {
    /// Judges the client's next message, first the one of `saslStart`.
    ///
    /// # Errors
    /// The refusal that the client gets; the conversation is over then.
    fn step(&mut self, payload: &[u8]) -> Result<SaslReply, SaslError>;
}

/// What the server answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SaslReply {
    /// The bytes for the client.
    pub payload: Vec<u8>,
    /// Whether the conversation is said to be over.
    pub done: bool,
    /// Who is logged in from here on.
    pub user: Option<String>,
}

/// A refusal, as the client gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaslError {
    /// The server's error code; 18 is AuthenticationFailed.
    pub code: i32,
    /// The words.
    pub message: String,
}

impl SaslError {
    /// What a server says to wrong credentials.
    pub fn failed() -> SaslError {
        SaslError { code: 18, message: "Authentication failed.".to_owned() }
    }
}

/// Begins a conversation about a user of the database that is named.
pub(crate) type Start = dyn Fn(&str) -> Box<dyn SaslServer> + Send + Sync;
