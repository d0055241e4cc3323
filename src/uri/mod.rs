//! The connection string, taken apart: scheme, user info, hosts, database and options, as the Connection String
//! specification defines them. There is no look-up and no file access here, and the meaning of the options is in
//! [`options`](crate::options).
//!
//! Errors give the position of the fault in bytes and say what to do. They never show the text at that position: after a mistake
//! in percent-encoding, a piece of a password can be anywhere in the string.

mod address;
mod percent;

pub(crate) use percent::encode_but;
pub use percent::{percent_decode, percent_encode};

use crate::address::ServerAddress;
use crate::characters;
use crate::error::{Error, FaultKind, Result, Stage};
use crate::secret::Secret;
use crate::warning::{Warning, WarningKind, Warnings};

/// The parts of a connection string.
///
/// ```
/// use mongo_blocking::uri::ConnectionString;
///
/// let uri = ConnectionString::parse("mongodb://ann:pass%2Fword@db1.example.com,[::1]:27018/shop?w=majority")?;
/// assert_eq!(uri.username(), Some("ann"));
/// assert_eq!(uri.password().unwrap().expose(), "pass/word");
/// assert_eq!(uri.hosts()[1].to_string(), "[::1]:27018");
/// assert_eq!(uri.database(), Some("shop"));
///
/// let error = ConnectionString::parse("mongodb://ann:p@ss@db1.example.com").unwrap_err();
/// assert!(error.hint().unwrap().contains("%40"), "{error}");
/// # Ok::<(), mongo_blocking::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ConnectionString {
    pub(crate) srv: bool,
    pub(crate) user_info: Option<UserInfo>,
    pub(crate) hosts: Vec<ServerAddress>,
    pub(crate) database: Option<String>,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) warnings: Warnings,
    /// Whether the names of unknown options may be shown: not where they may be the rest of the user info.
    pub(crate) may_show_names: bool,
}

/// The user info before the `@`. Without a `:` there is no password; the name may be empty.
#[derive(Clone, Debug)]
pub(crate) struct UserInfo {
    pub(crate) username: String,
    pub(crate) password: Option<Secret>,
    /// Whether either has a `+` that is not percent-encoded.
    pub(crate) plus: bool,
}

/// One option of the query, decoded.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) value: Secret,
    /// Where its name begins.
    pub(crate) at: usize,
}

/// Without the name: it may be the tail of a secret that was not percent-encoded.
impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pair(byte {})", self.at)
    }
}

impl UserInfo {
    /// Whether the password is one of those that guides print, as `<password>` or `<db_password>`.
    fn has_placeholder(&self) -> bool {
        let Some(password) = self.password.as_ref().map(Secret::expose) else { return false };
        let name = password.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
        name.is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic() || b"_- ".contains(&byte))
        })
    }
}

impl ConnectionString {
    /// Takes a connection string apart.
    ///
    /// Accepted with a [warning](ConnectionString::warnings): white space or a byte order mark around the string, a
    /// scheme in capitals, empty pairs in the query (`/?&w=1`), and `;` between options where there is no `&`. A `+` is
    /// a plus everywhere, never a space.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) at [`Stage::ConnectionString`], if the string is not a connection string, has
    /// more than 65,536 bytes, or has more than 256 hosts.
    pub fn parse(text: &str) -> Result<Self> {
        let mut warnings = Warnings::default();
        let whole = trimmed(text, &mut warnings)?;
        let (srv, rest) = scheme(whole, &mut warnings)?;
        let (authority, tail) = rest.split_before(&['/', '?']);
        let (user_info, hosts) = match authority.rsplit_once('@') {
            Some((user_info, hosts)) => (Some(read_user_info(user_info)?), hosts),
            None => (None, authority),
        };
        let suspicious = user_info.is_none() && tail.text.contains('@');
        refuse_second_scheme(hosts, tail)?;
        if user_info.as_ref().is_some_and(UserInfo::has_placeholder) {
            warnings.add(
                WarningKind::Spelling,
                "the password looks like a placeholder in angle brackets; put the password in its place, without the brackets",
            );
        }
        let hosts = address::read_list(hosts).map_err(|error| remind_of_escapes(error, suspicious, tail))?;
        if srv {
            check_srv_host(&hosts, authority)?;
        }
        let (path, query) = tail.split_before(&['?']);
        let database = read_database(path)?;
        let pairs = read_query(query, &mut warnings)?;
        if suspicious {
            warnings.add(
                WarningKind::Spelling,
                "there is an '@' after the hosts and none before them; if a password comes before it, \
                 percent-encode '/' in it as %2F and '?' as %3F",
            );
        }
        Ok(ConnectionString { srv, user_info, hosts, database, pairs, warnings, may_show_names: !suspicious })
    }

    /// Whether the scheme is `mongodb+srv`: the only host names DNS records that name the servers.
    pub fn is_srv(&self) -> bool {
        self.srv
    }

    /// The user name, decoded; empty for `mongodb://@host`, `None` without an `@`.
    pub fn username(&self) -> Option<&str> {
        self.user_info.as_ref().map(|info| info.username.as_str())
    }

    /// The password, decoded; `None` without a `:` in the user info.
    pub fn password(&self) -> Option<&Secret> {
        self.user_info.as_ref()?.password.as_ref()
    }

    /// The hosts, at least one. With [`is_srv`](Self::is_srv) there is one, and its port has no meaning.
    pub fn hosts(&self) -> &[ServerAddress] {
        &self.hosts
    }

    /// The database after the hosts, decoded.
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// The options in their order: name and value, both decoded.
    pub fn options(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.pairs.iter().map(|pair| (pair.name.as_str(), &pair.value))
    }

    /// The warnings about the spelling of the string.
    pub fn warnings(&self) -> &[Warning] {
        self.warnings.as_slice()
    }
}

/// A part of the connection string and where it begins.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) text: &'a str,
    pub(crate) at: usize,
}

impl<'a> Piece<'a> {
    /// The parts before and from the byte `index`.
    fn split_at(self, index: usize) -> (Piece<'a>, Piece<'a>) {
        let (before, after) = self.text.split_at_checked(index).unwrap_or((self.text, ""));
        (Piece { text: before, at: self.at }, Piece { text: after, at: self.at.saturating_add(before.len()) })
    }

    /// Without the first `count` bytes.
    fn skip(self, count: usize) -> Piece<'a> {
        self.split_at(count).1
    }

    /// Splits in front of the first of these characters, or at the end.
    fn split_before(self, characters: &[char]) -> (Piece<'a>, Piece<'a>) {
        self.split_at(self.text.find(characters).unwrap_or(self.text.len()))
    }

    /// Splits around the first `separator`.
    fn split_once(self, separator: char) -> Option<(Piece<'a>, Piece<'a>)> {
        let (before, after) = self.split_at(self.text.find(separator)?);
        Some((before, after.skip(separator.len_utf8())))
    }

    /// Splits around the last `separator`.
    fn rsplit_once(self, separator: char) -> Option<(Piece<'a>, Piece<'a>)> {
        let (before, after) = self.split_at(self.text.rfind(separator)?);
        Some((before, after.skip(separator.len_utf8())))
    }

    /// All parts between `separator`s.
    fn split(self, separator: char) -> impl Iterator<Item = Piece<'a>> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let piece = rest?;
            let (first, after) = match piece.split_once(separator) {
                Some((first, after)) => (first, Some(after)),
                None => (piece, None),
            };
            rest = after;
            Some(first)
        })
    }

    fn decoded(self) -> Result<String> {
        percent::decode(self)
    }
}

/// An error at a byte of the connection string.
pub(crate) fn error_at(at: usize, message: &str) -> Error {
    Error::new(FaultKind::InvalidArgument, Stage::ConnectionString, format!("{message} (byte {at})"))
}

fn trimmed<'a>(text: &'a str, warnings: &mut Warnings) -> Result<Piece<'a>> {
    if text.len() > MAX_LENGTH {
        let message = format!("the connection string is {} bytes long, the limit is {MAX_LENGTH}", text.len());
        return Err(Error::new(FaultKind::InvalidArgument, Stage::ConnectionString, message));
    }
    let begins = text.trim_start_matches(is_invisible);
    let inner = begins.trim_end_matches(is_invisible);
    if inner.len() != text.len() {
        let message = "white space or invisible characters around the connection string were ignored";
        warnings.add(WarningKind::Spelling, message);
    }
    Ok(Piece { text: inner, at: text.len() - begins.len() })
}

/// What a copied string brings along unseen.
fn is_invisible(c: char) -> bool {
    c.is_whitespace() || characters::is_invisible(c)
}

fn scheme<'a>(whole: Piece<'a>, warnings: &mut Warnings) -> Result<(bool, Piece<'a>)> {
    for (prefix, srv) in SCHEMES {
        let Some(start) = whole.text.get(..prefix.len()).filter(|start| start.eq_ignore_ascii_case(prefix)) else {
            continue;
        };
        if start != prefix {
            warnings.add(WarningKind::Spelling, format!("the scheme is written in lower case: {prefix}"));
        }
        let rest = whole.skip(prefix.len());
        // An apostrophe is a character of URIs, and may be the end of a value.
        return match rest.text.chars().next_back().filter(|last| *last != '\'' && QUOTES.contains(last)) {
            Some(last) => {
                let end = rest.at + rest.text.len() - last.len_utf8();
                Err(error_at(end, "a quotation mark ends the connection string").with_hint(QUOTES_HINT))
            }
            None => Ok((srv, rest)),
        };
    }
    let start = whole.text.to_ascii_lowercase();
    if whole.text.starts_with(QUOTES) {
        return Err(error_at(whole.at, "a quotation mark begins the connection string").with_hint(QUOTES_HINT));
    }
    if start.starts_with("mongodb:\\/") || start.starts_with("mongodb+srv:\\/") {
        return Err(error_at(whole.at, "the connection string is escaped as in JSON: '\\/' stands for '/'")
            .with_hint("write '/' without the backslash"));
    }
    // The text before it may be a secret, so only the position of its end is named.
    let found = SCHEMES.iter().filter_map(|(prefix, _)| start.find(prefix)).min();
    if let Some(index) = found {
        return Err(error_at(whole.at, "other text comes before mongodb:// in the connection string").with_hint(
            format!("begin at byte {}: a variable's name and the like are not part of it", whole.at + index),
        ));
    }
    if let Some(what) = scheme_mistake(&start) {
        return Err(error_at(whole.at, what).with_hint("a connection string begins with mongodb:// or mongodb+srv://"));
    }
    Err(error_at(whole.at, "a connection string begins with mongodb:// or mongodb+srv://")
        .with_hint("a host without a scheme can be given in code, with ClientOptions::builder().host(…)"))
}

/// What is wrong with a scheme that is nearly right.
fn scheme_mistake(start: &str) -> Option<&'static str> {
    if start.split_once("://").is_some_and(|(name, _)| NEARLY_SCHEMES.contains(&name)) {
        return Some("the scheme is misspelled");
    }
    let after_name = start.strip_prefix("mongodb+srv").or_else(|| start.strip_prefix("mongodb"))?;
    if after_name.starts_with(":/") {
        return Some("there is only one '/' after the scheme, where two are needed");
    }
    after_name.starts_with("//").then_some("there is no ':' between the scheme and '//'")
}

/// `mongodb://user:password@http://host/`: the address of a web page instead of a host.
fn refuse_second_scheme(hosts: Piece<'_>, tail: Piece<'_>) -> Result<()> {
    match hosts.text.rsplit(',').next().and_then(|host| host.strip_suffix(':')) {
        Some(scheme)
            if tail.text.starts_with("//")
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) =>
        {
            let at = hosts.at + hosts.text.len() - scheme.len() - 1;
            Err(error_at(at, "a second scheme, such as http://, comes before the host")
                .with_hint("after mongodb:// and the user info, write the host's name alone"))
        }
        _ => Ok(()),
    }
}

fn read_user_info(info: Piece<'_>) -> Result<UserInfo> {
    if let Some((before, _)) = info.split_once('@') {
        return Err(error_at(before.at + before.text.len(), "the user info contains an unescaped '@'")
            .with_hint("percent-encode '@' in the user name or password as %40"));
    }
    let (username, password) = match info.split_once(':') {
        Some((username, password)) => (username, Some(password)),
        None => (info, None),
    };
    if let Some((before, _)) = password.and_then(|password| password.split_once(':')) {
        return Err(error_at(before.at + before.text.len(), "the user info contains more than one ':'")
            .with_hint("percent-encode ':' in the user name or password as %3A"));
    }
    Ok(UserInfo {
        username: username.decoded()?,
        password: password.map(Piece::decoded).transpose()?.map(Secret::from),
        plus: info.text.contains('+'),
    })
}

/// Where an `@` comes too late, a `/` or `?` of the password was taken for the end of the hosts.
fn remind_of_escapes(error: Error, suspicious: bool, tail: Piece<'_>) -> Error {
    if suspicious {
        let what = if tail.text.starts_with('?') { "'?' in it as %3F" } else { "'/' in it as %2F" };
        return error.with_hint(format!("if a user name or password comes before the '@', percent-encode {what}"));
    }
    error
}

fn check_srv_host(hosts: &[ServerAddress], authority: Piece<'_>) -> Result<()> {
    let [ServerAddress::Tcp { host, .. }] = hosts else {
        return Err(error_at(authority.at, "mongodb+srv takes exactly one host name, and no socket path"));
    };
    let name = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    if name.text.contains(':') || host.parse::<std::net::IpAddr>().is_ok() {
        return Err(error_at(name.at, "mongodb+srv takes a host name without a port: the DNS records name the ports"));
    }
    Ok(())
}

fn read_database(path: Piece<'_>) -> Result<Option<String>> {
    let path = path.skip(1); // the slash
    if path.text.is_empty() {
        return Ok(None);
    }
    if let Some(index) = path.text.find(|c| forbidden_in_database(c) || c == '@') {
        return Err(error_at(path.at + index, "the name of the database contains a character that is not allowed").with_hint(
            "'/', '\\', ' ', '\"' and '$' are not allowed in it; the path of a Unix socket, a user name or a password must have \
             '/' percent-encoded as %2F; the source $external is written as authSource=$external",
        ));
    }
    let name = path.decoded()?;
    if name.contains(forbidden_in_database) {
        return Err(error_at(path.at, "the name of the database contains '/', '\\', ' ', '\"', '$' or NUL"));
    }
    if let Some(character) = characters::invisible_in(&name) {
        return Err(error_at(path.at, &format!("the name of the database contains {character}"))
            .with_hint("write the name anew: such characters come along when it is copied"));
    }
    Ok(Some(name))
}

/// The characters that the Connection String specification forbids in the name of a database.
pub(crate) fn forbidden_in_database(c: char) -> bool {
    matches!(c, '/' | '\\' | ' ' | '"' | '$' | '\0')
}

/// Reads options without a question mark before them (a TXT record).
#[cfg_attr(not(feature = "srv"), allow(dead_code, reason = "only DNS makes use of it"))]
pub(crate) fn read_options(text: &str, warnings: &mut Warnings) -> Result<Vec<Pair>> {
    read_pairs(Piece { text, at: 0 }, warnings)
}

fn read_query(query: Piece<'_>, warnings: &mut Warnings) -> Result<Vec<Pair>> {
    read_pairs(query.skip(1), warnings) // the question mark
}

fn read_pairs(query: Piece<'_>, warnings: &mut Warnings) -> Result<Vec<Pair>> {
    if query.text.is_empty() {
        return Ok(Vec::new());
    }
    let separator = if !query.text.contains('&') && query.text.contains(';') { ';' } else { '&' };
    if separator == ';' {
        warnings.add(WarningKind::Deprecated, "';' between options is an old form; write '&'");
    }
    let mut pairs = Vec::new();
    for pair in query.split(separator) {
        if pair.text.is_empty() {
            warnings.add(WarningKind::Spelling, "an empty option between two separators was skipped");
            continue;
        }
        if pairs.len() == MAX_OPTIONS {
            return Err(error_at(pair.at, &format!("more than {MAX_OPTIONS} options")));
        }
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.text.is_empty()) else {
            return Err(error_at(pair.at, "an option needs a name, '=' and a value")
                .with_hint("in a value, percent-encode '&' as %26 and ';' as %3B"));
        };
        if let Some(at) = mixed_separator(value) {
            return Err(error_at(at, "options are separated both by '&' and by ';'")
                .with_hint("separate all by '&'; in a value, percent-encode ';' as %3B"));
        }
        pairs.push(Pair { name: name.decoded()?, value: Secret::from(value.decoded()?), at: pair.at });
    }
    Ok(pairs)
}

/// Where a value seems to go on with `;name=`.
fn mixed_separator(value: Piece<'_>) -> Option<usize> {
    let (before, after) = value.split_once(';')?;
    let (name, _) = after.split_once('=')?;
    let like_a_name = !name.text.is_empty() && name.text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    like_a_name.then_some(before.at + before.text.len())
}

/// For a host name with letters beyond ASCII.
pub(crate) const ASCII_HOST_HINT: &str = "write the name in its ASCII form, which begins with xn--: a converter for internationalized domain names (IDNA) shows it";
/// Quotation marks that a configuration file or a text editor puts around a string.
const QUOTES: [char; 11] = ['"', '\'', '`', '“', '”', '„', '‘', '’', '«', '»', '´'];
const QUOTES_HINT: &str =
    "leave the quotation marks out; where a file keeps them as part of the value, remove them there";
const SCHEMES: [(&str, bool); 2] = [("mongodb://", false), ("mongodb+srv://", true)];
/// How the schemes are misspelled.
const NEARLY_SCHEMES: [&str; 7] =
    ["mongo", "mongod", "mongdb", "mongodb-srv", "mongodb_srv", "mongodbsrv", "mongo+srv"];
/// The longest connection string: enough for hundreds of hosts and a session token.
const MAX_LENGTH: usize = 65_536;
/// Several times as many as there are.
const MAX_OPTIONS: usize = 500;
