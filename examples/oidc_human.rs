//! MONGODB-OIDC for a person: a page of the identity provider opens in the browser, and the token comes back to this program.
//!
//! ```sh
//! cargo run --example oidc_human -- "mongodb://cluster.example.mongodb.net/?tls=true&authMechanism=MONGODB-OIDC" https://login.example.com
//! ```
//!
//! The last argument is the issuer to trust: the server names the identity provider, and a server that lies would name one of its own
//! to have a password typed in there. `BROWSER` names the program that opens a page, where it is not the system's.
//!
//! It is the authorization code flow of OAuth 2.0 for native programs: RFC 8252 (a browser, and a redirect to a port of this
//! machine), with PKCE (RFC 7636) and a `state` (RFC 6749, 10.12), at the endpoints that the issuer's metadata name.

mod common;

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::Failure;
use mongo_blocking::options::ClientOptions;
use mongo_blocking::{IdpServerInfo, IdpServerResponse, OidcCallback, OidcCallbackContext};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn main() -> ExitCode {
    let (Some(uri), Some(issuer)) = (env::args().nth(1), env::args().nth(2)) else {
        eprintln!("usage: oidc_human mongodb://HOST/?tls=true&authMechanism=MONGODB-OIDC ISSUER");
        return ExitCode::from(2);
    };
    let person = Person { issuer, open: open_a_page };
    let options = ClientOptions::builder().uri(uri).oidc_human_callback(person).build();
    match common::log_in(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Somebody at this machine.
pub struct Person {
    /// The only identity provider to go to.
    pub issuer: String,
    /// Shows a page.
    pub open: fn(&str) -> io::Result<()>,
}

impl OidcCallback for Person {
    fn token(&self, context: &OidcCallbackContext) -> Result<IdpServerResponse, Failure> {
        let until = Instant::now() + context.timeout;
        let info = context.idp_info.as_ref().ok_or("the server named no identity provider")?;
        if info.issuer != self.issuer {
            return Err(format!(
                "the server names the identity provider {:?}, which is not the trusted one",
                info.issuer
            )
            .into());
        }
        let client_id = info.client_id.as_deref().ok_or("the server did not say what this program is called there")?;
        let metadata = common::get(&format!("{}/.well-known/openid-configuration", info.issuer), left(until)?)?;
        if metadata["issuer"].as_str() != Some(&info.issuer) {
            return Err("the metadata are those of another issuer".into());
        }
        if let Some(refresh) = &context.refresh_token {
            let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose()), ("client_id", client_id)];
            // A refresh token that has run out is no reason to give up: there is the browser.
            if let Ok(answer) = common::post(endpoint(&metadata, "token_endpoint")?, &form, left(until)?) {
                return response(&answer);
            }
        }
        self.by_browser(info, client_id, &metadata, until)
    }
}

impl Person {
    fn by_browser(
        &self,
        info: &IdpServerInfo,
        client_id: &str,
        metadata: &Value,
        until: Instant,
    ) -> Result<IdpServerResponse, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let redirect_uri = format!("http://127.0.0.1:{}/redirect", listener.local_addr()?.port());
        let (state, verifier) = (random()?, random()?);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let scope = scopes(info, metadata);
        let page = with_query(
            endpoint(metadata, "authorization_endpoint")?,
            &[
                ("response_type", "code"),
                ("client_id", client_id),
                ("redirect_uri", &redirect_uri),
                ("scope", &scope),
                ("state", &state),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
            ],
        );
        println!("log in on the page that opens now, or here: {page}");
        // Whoever has no browser here has it elsewhere, perhaps.
        let _ = (self.open)(&page);
        let code = wait_for_code(&listener, &state, until)?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &redirect_uri),
            ("client_id", client_id),
            ("code_verifier", &verifier),
        ];
        response(&common::post(endpoint(metadata, "token_endpoint")?, &form, left(until)?)?)
    }
}

/// The scopes that the server asks for; with `openid` and, for a refresh token, `offline_access`, where the provider has that.
fn scopes(info: &IdpServerInfo, metadata: &Value) -> String {
    let mut scopes = vec!["openid"];
    let supported = metadata["scopes_supported"].as_array();
    if supported.is_some_and(|supported| supported.iter().any(|scope| scope == "offline_access")) {
        scopes.push("offline_access");
    }
    scopes.extend(info.request_scopes.iter().flatten().map(String::as_str));
    scopes.join(" ")
}

/// Waits until the browser comes back with the code. What else knocks at the port is shown the door.
fn wait_for_code(listener: &TcpListener, state: &str, until: Instant) -> Result<String, Failure> {
    listener.set_nonblocking(true)?;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                if let Some(outcome) = answer_browser(stream, state, until) {
                    return outcome;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                left(until)?;
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn answer_browser(mut stream: TcpStream, state: &str, until: Instant) -> Option<Result<String, Failure>> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(left(until).ok()?.min(Duration::from_secs(5)))).ok()?;
    let mut line = String::new();
    BufReader::new((&stream).take(MAX_LINE)).read_line(&mut line).ok()?;
    let query = line.strip_prefix("GET /redirect?")?.split(' ').next()?;
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).and_then(|(_, value)| percent_decode(value))
    };
    // Only the page that we opened knows the state.
    if value("state").as_deref() != Some(state) {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return None;
    }
    let text = "You can close this page.";
    let length = text.len();
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    );
    Some(match (value("code"), value("error")) {
        (Some(code), None) => Ok(code),
        (_, error) => Err(format!("the identity provider says: {:?}", error.unwrap_or_default()).into()),
    })
}

fn response(answer: &Value) -> Result<IdpServerResponse, Failure> {
    let token = answer["access_token"].as_str().ok_or("the identity provider gave no access_token")?;
    let mut response = IdpServerResponse::new(token);
    response.expires_in_seconds = answer["expires_in"].as_i64();
    response.refresh_token = answer["refresh_token"].as_str().map(Into::into);
    Ok(response)
}

/// Codes and tokens go over TLS, or stay on this machine.
fn endpoint<'a>(metadata: &'a Value, name: &str) -> Result<&'a str, Failure> {
    let url = metadata[name].as_str().ok_or_else(|| format!("the metadata have no {name}"))?;
    let here = ["http://127.0.0.1:", "http://localhost:"];
    match url.starts_with("https://") || here.iter().any(|start| url.starts_with(start)) {
        true => Ok(url),
        false => Err(format!("the {name} is not https").into()),
    }
}

fn open_a_page(url: &str) -> io::Result<()> {
    let mut command = match (env::var_os("BROWSER"), env::consts::OS) {
        (Some(browser), _) => Command::new(browser),
        (None, "macos") => Command::new("open"),
        (None, "windows") => {
            let mut command = Command::new("rundll32");
            command.arg("url.dll,FileProtocolHandler");
            command
        }
        (None, _) => Command::new("xdg-open"),
    };
    command.arg(url).spawn().map(drop)
}

fn left(until: Instant) -> Result<Duration, Failure> {
    until.checked_duration_since(Instant::now()).ok_or_else(|| "nobody logged in on the page in time".into())
}

/// 43 characters that nobody can guess.
fn random() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn with_query(url: &str, pairs: &[(&str, &str)]) -> String {
    let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", percent_encode(value))).collect();
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}{}", query.join("&"))
}

fn percent_encode(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                (u8::from_str_radix(std::str::from_utf8(&[*high, *low]).ok()?, 16).ok()?, after)
            }
            (b'+', after) => (b' ', after),
            (byte, after) => (byte, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// The longest first line of a browser's request.
const MAX_LINE: u64 = 16 * 1024;
