//! The server's half of SCRAM (RFC 5802, RFC 7677), with the knobs that make it dishonest.

use openssl::base64::{decode_block, encode_block};

use crate::behaviour::{Behaviours, ScramTamper};
use crate::users::{self, Mechanism, Stored, User};

/// One conversation, from the client's first message on.
#[derive(Debug)]
pub(crate) struct Conversation {
    user: (String, String),
    stored: Stored,
    skip_empty_exchange: bool,
    state: State,
}

/// Named for what it waits for.
#[derive(Debug)]
enum State {
    ClientFinal { client_first_bare: String, server_first: String, nonce: String },
    EmptyExchange,
    Over,
}

/// What goes back to the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Say {
    pub(crate) payload: String,
    pub(crate) done: bool,
    /// The proof was right: the connection is this user's from here on.
    pub(crate) logged_in: bool,
}

/// Why a conversation ended. Clients are told no more than "Authentication failed.", as mongod does.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) String);

impl Conversation {
    /// Reads the client's first message and answers it.
    pub(crate) fn start(
        known: &[User],
        database: &str,
        mechanism: Mechanism,
        payload: &[u8],
        skip_empty_exchange: bool,
        behaviours: &Behaviours,
    ) -> Result<(Conversation, Say), Refused> {
        let text = utf8(payload)?;
        let bare = text.strip_prefix("n,,").or_else(|| text.strip_prefix("y,,"));
        let bare = bare.ok_or_else(|| refused("the GS2 header is not n,,"))?;
        let (name, nonce) = bare.split_once(',').ok_or_else(|| refused("client-first has no nonce"))?;
        let name = unescape(name.strip_prefix("n=").ok_or_else(|| refused("client-first has no user"))?)?;
        let nonce = nonce.strip_prefix("r=").ok_or_else(|| refused("client-first has no nonce"))?;
        if nonce.is_empty() || nonce.contains(',') {
            return Err(refused("client-first has a bad nonce or something after it"));
        }
        let user = users::find(known, database, &name).ok_or_else(|| refused("unknown user"))?;
        let stored = user.stored(mechanism).ok_or_else(|| refused("no credentials for it"))?.clone();
        let (combined, server_first) = server_first(nonce, &stored, behaviours)?;
        let done = behaviours.scram().any(|t| matches!(t, ScramTamper::DoneTooEarly));
        let state = State::ClientFinal {
            client_first_bare: bare.to_owned(),
            server_first: server_first.clone(),
            nonce: combined,
        };
        let user = (user.name.clone(), user.database.clone());
        let say = Say { payload: server_first, done, logged_in: done };
        Ok((Conversation { user, stored, skip_empty_exchange, state }, say))
    }

    /// Reads the client's next message and answers it.
    pub(crate) fn step(&mut self, payload: &[u8], behaviours: &Behaviours) -> Result<Say, Refused> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::ClientFinal { client_first_bare, server_first, nonce } => {
                let verifier = self.verify(utf8(payload)?, &client_first_bare, &server_first, &nonce)?;
                Ok(self.server_final(&verifier, behaviours))
            }
            State::EmptyExchange if payload.is_empty() => {
                let endless = behaviours.scram().any(|t| matches!(t, ScramTamper::Endless));
                if endless {
                    self.state = State::EmptyExchange;
                }
                Ok(Say { payload: String::new(), done: !endless, logged_in: !endless })
            }
            State::EmptyExchange => Err(refused("the last exchange has a payload")),
            State::Over => Err(refused("the conversation is over")),
        }
    }

    /// Name and database of the user.
    pub(crate) fn user(&self) -> &(String, String) {
        &self.user
    }

    /// Checks the client's proof; the honest verifier in base64 comes back.
    fn verify(&self, text: &str, first_bare: &str, server_first: &str, nonce: &str) -> Result<String, Refused> {
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or_else(|| refused("client-final has no proof"))?;
        if without_proof != format!("c=biws,r={nonce}") && without_proof != format!("c=eSws,r={nonce}") {
            return Err(refused("client-final does not repeat the header and the nonce"));
        }
        let proof = decode_block(proof).map_err(|_| refused("the proof is not base64"))?;
        let mechanism = self.stored.mechanism;
        let message = format!("{first_bare},{server_first},{without_proof}");
        let signature = mechanism.hmac(&self.stored.stored_key, message.as_bytes()).map_err(failed)?;
        if proof.len() != signature.len() {
            return Err(refused("the proof has a wrong length"));
        }
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(p, s)| p ^ s).collect();
        if mechanism.hash(&client_key).map_err(failed)? != self.stored.stored_key {
            return Err(refused("the proof is wrong"));
        }
        let verifier = mechanism.hmac(&self.stored.server_key, message.as_bytes()).map_err(failed)?;
        Ok(encode_block(&verifier))
    }

    fn server_final(&mut self, verifier: &str, behaviours: &Behaviours) -> Say {
        let mut payload = format!("v={verifier}");
        let mut done = self.skip_empty_exchange && !behaviours.extra_exchange();
        for tamper in behaviours.scram() {
            match tamper {
                ScramTamper::VerifierWrong => {
                    payload = format!("v={}", encode_block(&vec![7; self.stored.server_key.len()]));
                }
                ScramTamper::VerifierMissing => (payload, done) = (String::new(), true),
                ScramTamper::ServerError(text) => (payload, done) = (format!("e={text}"), true),
                ScramTamper::ServerFinal(text) => payload = text.replace("{verifier}", verifier),
                ScramTamper::Endless => done = false,
                _ => {}
            }
        }
        if !done {
            self.state = State::EmptyExchange;
        }
        Say { payload, done, logged_in: done }
    }
}

/// The combined nonce and the server's first message.
fn server_first(nonce: &str, stored: &Stored, behaviours: &Behaviours) -> Result<(String, String), Refused> {
    let mut combined = format!("{nonce}{}", users::random_base64(24).map_err(failed)?);
    let mut salt = encode_block(&stored.salt);
    let mut iterations = stored.iterations.to_string();
    let mut literal = None;
    for tamper in behaviours.scram() {
        match tamper {
            ScramTamper::NonceNotExtended => combined = nonce.to_owned(),
            ScramTamper::NonceReplaced => combined = users::random_base64(48).map_err(failed)?,
            ScramTamper::Iterations(n) => iterations = n.to_string(),
            ScramTamper::SaltEmpty => salt.clear(),
            ScramTamper::SaltHuge(bytes) => salt = encode_block(&vec![0x5a; *bytes]),
            ScramTamper::ServerFirst(text) => literal = Some(text),
            _ => {}
        }
    }
    let message = match literal {
        None => format!("r={combined},s={salt},i={iterations}"),
        Some(text) => text.replace("{nonce}", &combined).replace("{salt}", &salt).replace("{iterations}", &iterations),
    };
    Ok((combined, message))
}

/// A user name as SCRAM writes it: `=2C` is a comma, `=3D` an equals sign, anything else after `=` is wrong.
fn unescape(name: &str) -> Result<String, Refused> {
    let mut parts = name.split('=');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (sign, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(refused("the user name has an unescaped =")),
        };
        plain.push(sign);
        plain.push_str(rest);
    }
    Ok(plain)
}

fn utf8(payload: &[u8]) -> Result<&str, Refused> {
    std::str::from_utf8(payload).map_err(|_| refused("the payload is not UTF-8"))
}

fn refused(why: &str) -> Refused {
    Refused(why.to_owned())
}

fn failed(error: openssl::error::ErrorStack) -> Refused {
    Refused(format!("OpenSSL: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the authentication specification, user "user", password "pencil", salt and nonces as there.
    #[test]
    fn published_vector() {
        for (mechanism, salt, iterations, client_nonce, nonce, proof, verifier) in [
            (
                Mechanism::ScramSha1,
                "rQ9ZY3MntBeuP3E1TDVC4w==",
                10_000,
                "fyko+d2lbbFgONRv9qkxdawL",
                "fyko+d2lbbFgONRv9qkxdawLHo+Vgk7qvUOKUwuWLIWg4l/9SraGMHEE",
                "MC2T8BvbmWRckDw8oWl5IVghwCY=",
                "v=UMWeI25JD1yNYZRMpZ4VHvhZ9e0=",
            ),
            (
                Mechanism::ScramSha256,
                "W22ZaJ0SNY7soEsUEjb6gQ==",
                4096,
                "rOprNGfwEbeRWgbNEkqO",
                "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
                "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            ),
        ] {
            let salt_bytes = decode_block(salt).unwrap();
            let salted = mechanism.salted_password("user", "pencil", &salt_bytes, iterations).unwrap();
            let client_key = mechanism.hmac(&salted, b"Client Key").unwrap();
            let stored = Stored {
                mechanism,
                salt: salt_bytes,
                iterations,
                stored_key: mechanism.hash(&client_key).unwrap(),
                server_key: mechanism.hmac(&salted, b"Server Key").unwrap(),
            };
            let state = State::ClientFinal {
                client_first_bare: format!("n=user,r={client_nonce}"),
                server_first: format!("r={nonce},s={salt},i={iterations}"),
                nonce: nonce.to_owned(),
            };
            let user = ("user".to_owned(), "admin".to_owned());
            let mut conversation = Conversation { user, stored, skip_empty_exchange: true, state };
            let message = format!("c=biws,r={nonce},p={proof}");
            let said = conversation.step(message.as_bytes(), &Behaviours::default()).unwrap();
            assert_eq!(said, Say { payload: verifier.to_owned(), done: true, logged_in: true });
        }
    }

    #[test]
    fn names_are_unescaped() {
        assert_eq!(unescape("a=2Cb=3Dc").unwrap(), "a,b=c");
        assert!(unescape("a=b").is_err());
        assert!(unescape("a=").is_err());
    }
}
