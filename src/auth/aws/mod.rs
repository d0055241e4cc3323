//! MONGODB-AWS: the client signs a request to AWS' security token service (STS), but does not send it. The server sends it, and
//! the answer of STS says whose keys signed it.
//!
//! Two messages each way, BSON inside of SASL: the client's nonce; the server's nonce and the name of the service; the
//! signature; the verdict. [`sigv4`] signs, [`region`] reads the name. Where the keys come from is [`sources`], and
//! [`cache`] keeps those that expire. Nothing is sent before there are keys.

mod cache;
mod region;
mod sigv4;
mod sources;
mod time;

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bson::raw::cstr;
use bson::spec::BinarySubtype;
use bson::{RawBinaryRef, RawBsonRef, RawDocument, RawDocumentBuf};
use zeroize::Zeroizing;

use super::sasl::{SaslClient, SaslStep};
use super::target::AuthTarget;
use crate::characters::{self, described};
use crate::credential::{AwsCredential, AwsKeys, AwsSource, AwsSourceReport, SharedAwsProvider};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, FaultKind, Result, Stage};
use crate::options::{AWS_SESSION_TOKEN, is_local, unprotected};
use crate::policy::SecurityPolicy;
use crate::secret::Secret;
use crate::system::{RealSystem, System};
use crate::warning::{WarningKind, WarningSink};

use cache::{Cache, CachedKeys, Key};
use sigv4::Signing;
use sources::{Found, SearchScope};

/// Looks for AWS keys in the same sources as a login with MONGODB-AWS that was given no keys. It reports which source has keys,
/// and why each source before it had none. It does not return the keys, and stores nothing.
///
/// It reads files, and it asks AWS services and metadata endpoints if a file or the environment configures them. `within` limits
/// the whole search.
///
/// # Errors
/// [`ErrorKind::Authentication`] if no source has keys, or if a configured source fails.
/// [`ErrorKind::InvalidArgument`] if a source is configured wrongly.
/// [`ErrorKind::NotSupported`] if a profile needs what this driver cannot do. The message has
/// the reasons.
///
/// ```no_run
/// let report = mongo_blocking::aws_source_report(std::time::Duration::from_secs(10))?;
/// println!("{report}");
/// # Ok::<(), mongo_blocking::Error>(())
/// ```
pub fn aws_source_report(within: Duration) -> Result<AwsSourceReport> {
    let found = sources::find(&RealSystem, SearchScope::Everywhere, Deadline::after(within))?;
    let Found { keys, source, skipped } = checked(found)?;
    Ok(AwsSourceReport {
        source,
        session_token: keys.session_token.is_some(),
        expires: keys.expires,
        access_key_id: keys.access_key_id,
        skipped,
    })
}

/// The keys that a login without keys of its own would use in this system.
#[cfg(any(test, fuzzing))]
pub(crate) fn find_aws_keys(system: &dyn System) -> Result<AwsKeys> {
    sources::find(system, SearchScope::Everywhere, Deadline::NEVER).map(|found| found.keys)
}

/// What the MONGODB-AWS conversations of one client share.
#[derive(Clone)]
pub(super) struct AwsState {
    system: Arc<dyn System>,
    /// Keys that were found, for all clients of the process.
    found: Arc<Cache>,
    /// Keys that the client's provider gave.
    provided: Arc<Cache>,
    /// Which risks are refused.
    policy: SecurityPolicy,
    warnings: WarningSink,
    /// Whether the program was warned that a session token is sent where others may read it.
    warned: Arc<AtomicBool>,
}

impl AwsState {
    pub(super) fn new(system: Arc<dyn System>, policy: SecurityPolicy, warnings: WarningSink) -> Self {
        let (found, provided) = (Cache::of_this_process(), Arc::default());
        AwsState { system, found, provided, policy, warnings, warned: Arc::default() }
    }
}

/// The client's side of the conversation.
pub(super) struct Aws {
    keys: Keys,
    shared: AwsState,
    deadline: Deadline,
    /// Whether the channel lets others read a session token.
    exposed: bool,
    /// Whether an earlier try with the same credential was refused.
    again: bool,
    /// The keys that this conversation used.
    used: Option<Arc<CachedKeys>>,
    state: State,
}

/// Where the keys come from.
#[derive(Clone)]
enum Keys {
    Given(AwsKeys),
    Provided(SharedAwsProvider),
    Found,
}

/// What it waits for.
enum State {
    Unstarted,
    ServerFirst { keys: Arc<CachedKeys>, nonce: [u8; NONCE] },
    Verdict,
    Over,
}

impl Aws {
    /// A login with this credential. Given keys that cannot be sent are refused here, before anything is connected.
    pub(super) fn new(credential: &AwsCredential, shared: &AwsState, target: &AuthTarget<'_>) -> Result<Self> {
        let keys = match (&credential.keys, &credential.provider) {
            (Some(keys), _) => {
                check_keys(keys, AwsSource::Options).map_err(|error| error.with_stage(Stage::Options))?;
                Keys::Given(keys.clone())
            }
            (None, Some(provider)) => Keys::Provided(provider.clone()),
            (None, None) => Keys::Found,
        };
        let deadline =
            Deadline::after(LONGEST_SEARCH).named("the limit of a search for AWS keys").earliest(target.deadline);
        let shared = shared.clone();
        let exposed = !target.verified && !is_local(target.host) && !matches!(keys, Keys::Given(_)); // given keys were checked with the options
        Ok(Aws { keys, shared, deadline, exposed, again: false, used: None, state: State::Unstarted })
    }

    /// The keys of this login: given, cached, or found now.
    fn obtain(&self) -> Result<Arc<CachedKeys>> {
        let AwsState { system, found, provided, .. } = &self.shared;
        let held = match &self.keys {
            Keys::Given(keys) => Arc::new(CachedKeys::new(keys.clone(), AwsSource::Options)),
            Keys::Provided(provider) => {
                provided.keys(Key::PROVIDER, &**system, self.deadline, &|_| checked(ask(provider, self.deadline)?))?
            }
            Keys::Found => found.keys(Key::of(&**system), &**system, self.deadline, &|look| {
                checked(sources::find(&**system, look, self.deadline)?)
            })?,
        };
        self.check_channel(&held.keys)?;
        Ok(held)
    }

    /// A session token is sent in the clear. If the channel does not protect it, this warns the program once, or refuses if the
    /// policy says so.
    fn check_channel(&self, keys: &AwsKeys) -> Result<()> {
        if !self.exposed || keys.session_token.is_none() {
            return Ok(());
        }
        let warning =
            unprotected(AWS_SESSION_TOKEN, &self.shared.policy).map_err(|error| error.with_stage(stage(SEARCH)))?;
        if !self.shared.warned.swap(true, Ordering::Relaxed) {
            self.shared.warnings.warn(WarningKind::Insecure, warning);
        }
        Ok(())
    }

    /// The client's second message: the signature.
    fn answer(&self, challenge: &[u8], keys: &AwsKeys, nonce: &[u8; NONCE]) -> Result<Zeroizing<Vec<u8>>> {
        let ServerFirst { nonce, host, region } =
            server_first(challenge, nonce).map_err(|what| broken(SERVER_FIRST, what))?;
        let date = time::amz_date(self.shared.system.now());
        let nonce = STANDARD.encode(nonce);
        let length = BODY.len().to_string();
        let mut headers = vec![
            ("content-length", length.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
            ("host", host),
            ("x-amz-date", &date),
            ("x-mongodb-gs2-cb-flag", "n"),
            ("x-mongodb-server-nonce", &nonce),
        ];
        if let Some(token) = &keys.session_token {
            headers.push(("x-amz-security-token", token.expose()));
        }
        let authorization = sigv4::authorization(&Signing {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
            body: BODY.as_bytes(),
            date: &date,
            region,
            service: "sts",
            keys,
        });
        let mut message = RawDocumentBuf::new();
        message.append(cstr!("a"), authorization);
        message.append(cstr!("d"), date);
        if let Some(token) = &keys.session_token {
            message.append(cstr!("t"), token.expose());
        }
        Ok(Zeroizing::new(message.into_bytes()))
    }

    fn cache(&self) -> Option<(&Cache, Key)> {
        match self.keys {
            Keys::Given(_) => None,
            Keys::Provided(_) => Some((&self.shared.provided, Key::PROVIDER)),
            Keys::Found => Some((&self.shared.found, Key::of(&*self.shared.system))),
        }
    }
}

impl SaslClient for Aws {
    fn name(&self) -> &'static str {
        NAME
    }

    fn step_name(&self) -> &'static str {
        match self.state {
            State::Unstarted => SEARCH,
            State::ServerFirst { .. } => SERVER_FIRST,
            State::Verdict => "verdict",
            State::Over => "end",
        }
    }

    fn start(&mut self) -> Result<Zeroizing<Vec<u8>>> {
        let State::Unstarted = mem::replace(&mut self.state, State::Over) else {
            return Err(broken("end", "this conversation was started before"));
        };
        let keys = self.obtain()?;
        let mut nonce = [0; NONCE];
        self.shared.system.random(&mut nonce)?;
        let mut message = RawDocumentBuf::new();
        message.append(cstr!("r"), RawBinaryRef { subtype: BinarySubtype::Generic, bytes: &nonce });
        message.append(cstr!("p"), GS2_NO_CHANNEL_BINDING);
        self.used = Some(keys.clone());
        self.state = State::ServerFirst { keys, nonce };
        Ok(Zeroizing::new(message.into_bytes()))
    }

    fn step(&mut self, challenge: &[u8]) -> Result<SaslStep> {
        match mem::replace(&mut self.state, State::Over) {
            State::ServerFirst { keys, nonce } => {
                let answer = self.answer(challenge, &keys.keys, &nonce)?;
                self.state = State::Verdict;
                Ok(SaslStep::Payload(answer))
            }
            State::Verdict => Ok(SaslStep::Finished),
            State::Unstarted | State::Over => Err(broken("end", "this conversation is over")),
        }
    }

    fn expects_done(&self) -> bool {
        true
    }

    /// Cached keys that the server refuses may have been revoked: they are removed, and one more login is tried with new ones.
    fn retry(&self, refused: &Error) -> Option<Self> {
        let (ErrorKind::Authentication { .. }, Some(used), Some((cache, key))) =
            (refused.kind(), &self.used, self.cache())
        else {
            return None;
        };
        cache.drop_keys(key, used);
        (used.was_kept() && !self.again).then(|| Aws {
            keys: self.keys.clone(),
            shared: self.shared.clone(),
            deadline: self.deadline,
            exposed: self.exposed,
            again: true,
            used: None,
            state: State::Unstarted,
        })
    }

    fn explain_unavailable(&self) -> String {
        "MONGODB-AWS needs MongoDB Atlas, or MongoDB Enterprise with it among its authenticationMechanisms".to_owned()
    }

    fn explain_refusal(&self, refused: Error) -> Error {
        let (Some(used), ErrorKind::Authentication { .. }, Some(_)) = (&self.used, refused.kind(), refused.code())
        else {
            return refused;
        };
        let message = format!("the server refused the AWS keys {:?} (from: {})", used.keys.access_key_id, used.source);
        let refused = refused.with_message(message);
        match refused.hint() {
            Some(_) => refused,
            None => refused.with_hint(
                "the server needs a user on $external named by the ARN of these keys' IAM user or role; wrong, expired or \
                 revoked keys, and a clock that is off, are refused likewise",
            ),
        }
    }
}

/// Keys from the program's own provider.
fn ask(provider: &SharedAwsProvider, deadline: Deadline) -> Result<Found> {
    let within = deadline.remaining().unwrap_or(LONGEST_SEARCH);
    match provider.provider().keys(within) {
        Ok(keys) => Ok(Found { keys, source: AwsSource::Provider, skipped: Vec::new() }),
        Err(source) => {
            let message = "the AwsCredentialProvider gave no keys";
            Err(Error::new(FaultKind::Authentication, stage(SEARCH), message).with_source(source))
        }
    }
}

/// Checks keys before they are used or cached.
fn checked(found: Found) -> Result<Found> {
    check_keys(&found.keys, found.source)?;
    Ok(found)
}

/// A character that is not allowed in a header would break the signed request, and signing needs both keys of the pair.
fn check_keys(keys: &AwsKeys, source: AwsSource) -> Result<()> {
    let AwsKeys { access_key_id, secret_access_key, session_token, .. } = keys;
    let wrong = |what: String| {
        Err(Error::new(FaultKind::InvalidArgument, stage(SEARCH), format!("the AWS keys (from: {source}) {what}")))
    };
    if access_key_id.is_empty() || secret_access_key.is_empty() {
        return wrong("need both an access key id and a secret access key".to_owned());
    }
    let token = session_token.as_ref().map(Secret::expose);
    if token.is_some_and(str::is_empty) {
        return wrong("have an empty session token".to_owned());
    }
    let parts = [
        ("an access key id", access_key_id.as_str()),
        ("a secret access key", secret_access_key.expose()),
        ("a session token", token.unwrap_or_default()),
    ];
    for (name, text) in parts {
        if let Some(stray) = characters::stray(text) {
            return wrong(format!("have {name} that {stray}; take that out"));
        }
    }
    let not_in_a_header = |character: &char| !character.is_ascii_graphic();
    let not_in_an_id = |character: &char| not_in_a_header(character) || matches!(character, '/' | ',');
    if let Some(character) = access_key_id.chars().find(not_in_an_id) {
        return wrong(format!("have an access key id with {} in it", described(character)));
    }
    if let Some(character) = token.unwrap_or_default().chars().find(not_in_a_header) {
        return wrong(format!("have a session token with {} in it", described(character)));
    }
    Ok(())
}

/// The server's first message, after every check.
struct ServerFirst<'a> {
    nonce: &'a [u8],
    host: &'a str,
    region: &'a str,
}

fn server_first<'a>(challenge: &'a [u8], ours: &[u8; NONCE]) -> Result<ServerFirst<'a>, &'static str> {
    const NOT_BSON: &str = "the server's first message is not valid BSON";
    let (mut nonce, mut host) = (None, None);
    for element in RawDocument::from_bytes(challenge).map_err(|_| NOT_BSON)? {
        let (name, value) = element.map_err(|_| NOT_BSON)?;
        let twice = match (name.as_str(), value) {
            ("s", RawBsonRef::Binary(RawBinaryRef { subtype: BinarySubtype::Generic, bytes })) => {
                nonce.replace(bytes).is_some()
            }
            ("h", RawBsonRef::String(text)) => host.replace(text).is_some(),
            ("s", _) => return Err("the server's nonce is not binary"),
            ("h", _) => return Err("the server's STS host is not a string"),
            _ => return Err("the server's first message has a field that does not belong there"),
        };
        if twice {
            return Err("the server's first message has a field twice");
        }
    }
    let nonce = nonce.ok_or("the server sent no nonce")?;
    let host = host.ok_or("the server named no STS host")?;
    let (first, _) = nonce.split_first_chunk::<NONCE>().ok_or(NONCE_LENGTH)?;
    if nonce.len() != 2 * NONCE {
        return Err(NONCE_LENGTH);
    }
    if first != ours {
        return Err("the server changed our nonce");
    }
    Ok(ServerFirst { nonce, host, region: region::region(host)? })
}

fn stage(step: &'static str) -> Stage {
    Stage::Authentication { mechanism: NAME, step }
}

fn broken(step: &'static str, what: &'static str) -> Error {
    Error::invalid_reply(stage(step), what)
}

/// The mechanism's name.
const NAME: &str = "MONGODB-AWS";

/// The step before anything is sent.
const SEARCH: &str = "looking for AWS keys";

const SERVER_FIRST: &str = "server nonce and STS host";

/// The request that is signed asks who signs it.
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// The letter n: no channel binding.
const GS2_NO_CHANNEL_BINDING: i32 = b'n' as i32;

/// Bytes of randomness from each side.
const NONCE: usize = 32;
const NONCE_LENGTH: &str = "the server's nonce is not 64 bytes long";

/// The most time to look for keys, where the operation itself has no limit or a longer one.
const LONGEST_SEARCH: Duration = Duration::from_secs(30);

#[cfg(test)]
pub(in crate::auth) mod tests;
