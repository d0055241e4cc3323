//! The options in the query of a connection string: read through the table, with a warning for everything unusual.
//!
//! An option about security never makes a connection weaker by being mistyped. A path or a password that is empty or
//! invalid is an error. A switch that is empty or invalid is ignored with a warning, as the URI Options specification
//! has it; but any option for TLS that is named, a misspelt one too, asks for TLS.

use super::ServerAddress;
use super::option_map::OptionMap;
use super::raw::RawOptions;
use super::spec::{Invalid, Meaning, OptionId, OptionSpec, Repeated};
use super::table::find;
use super::value::{Understood, Value, ValueKind};
use crate::error::{Error, Result};
use crate::uri::{ConnectionString, Pair, error_at};
use crate::warning::{WarningKind, Warnings};

/// What the query of a connection string, or a TXT record, sets.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) options: OptionMap,
    /// An option for TLS that was named and set nothing, as an error calls it: its value was ignored, or its name is
    /// misspelt.
    pub(super) ignored_tls_option: Option<String>,
}

/// Reads the query. Whether the options go together is checked later, when those in code are known too.
pub(super) fn read(pairs: &[Pair], may_show_names: bool, warnings: &mut Warnings) -> Result<Query> {
    let mut reader = Reader { query: Query::default(), ignored: Vec::new(), warnings };
    let mut old = Vec::new();
    let mut after_secret = false;
    for pair in pairs {
        let Some((spec, meaning)) = find(&pair.name) else {
            reader.ignore_unknown(pair, may_show_names && !after_secret)?;
            continue;
        };
        after_secret = matches!(spec.kind, ValueKind::Secret | ValueKind::Properties);
        match meaning {
            Meaning::Same => reader.take(spec, pair)?,
            _ => old.push((spec, meaning, pair)),
        }
    }
    let new = reader.query.options.clone();
    for (spec, meaning, pair) in old {
        reader.take_old(spec, meaning, pair, &new)?;
    }
    Ok(reader.query)
}

impl RawOptions {
    /// Takes a connection string. Options given before win over it.
    pub(super) fn take_uri(&mut self, uri: ConnectionString) -> Result<()> {
        let mut warnings = uri.warnings.clone();
        let Query { options: mut settings, ignored_tls_option } = read(&uri.pairs, uri.may_show_names, &mut warnings)?;
        self.ignored_tls_option = self.ignored_tls_option.take().or(ignored_tls_option);
        if let Some(database) = uri.database {
            self.uri_database.get_or_insert_with(|| database.clone());
            settings.set(OptionId::DefaultDatabase, Value::Text(database));
        }
        self.login_asked = uri.user_info.is_some();
        if let Some(info) = uri.user_info {
            self.plus_in_uri = info.plus;
            settings.set(OptionId::Username, Value::Text(info.username));
            if let Some(password) = info.password {
                settings.set(OptionId::Password, Value::Secret(password));
            }
        }
        let known = std::mem::take(&mut self.settings); // of options that became a builder again: as good as code
        settings.overlay(known);
        self.settings = settings;
        if self.hosts.is_empty() && self.srv_host.is_none() {
            match uri.hosts.first() {
                Some(ServerAddress::Tcp { host, .. }) if uri.srv => self.srv_host = Some(host.clone()),
                _ => self.hosts = uri.hosts,
            }
        }
        self.uri_warnings = warnings;
        Ok(())
    }
}

struct Reader<'a> {
    query: Query,
    /// The switches for TLS of which a value was ignored.
    ignored: Vec<OptionId>,
    warnings: &'a mut Warnings,
}

impl Reader<'_> {
    fn take(&mut self, spec: &OptionSpec, pair: &Pair) -> Result<()> {
        if spec.option == OptionId::TlsKeyFile {
            let message = "ssl_keyfile is an old option; \
                           put certificate and key into one file and name it in tlsCertificateKeyFile";
            self.warnings.add(WarningKind::Deprecated, message);
        }
        let Some(value) = self.understand(spec, spec.name, pair)? else { return Ok(()) };
        self.keep(spec, pair, value)
    }

    /// An old name counts only where the new one is not given. About TLS, the two must agree.
    fn take_old(&mut self, spec: &OptionSpec, meaning: Meaning, pair: &Pair, new: &OptionMap) -> Result<()> {
        let name = alias_of(spec, &pair.name);
        self.warnings.add(WarningKind::Deprecated, format!("{name} is an old name of {}", spec.name));
        let value = match meaning {
            Meaning::CertReqs => return self.take_cert_reqs(pair),
            Meaning::OldInverted => match self.understand(spec, name, pair)? {
                Some(Value::Bool(value)) => Value::Bool(!value),
                _ => return Ok(()),
            },
            Meaning::Same | Meaning::Old => match self.understand(spec, name, pair)? {
                Some(value) => value,
                None => return Ok(()),
            },
        };
        match new.get(spec.option) {
            Some(newer) if spec.repeated == Repeated::MustAgree && !newer.same_as(&value) => {
                Err(contradiction(spec, name, pair))
            }
            Some(_) => {
                let message = format!("{name} was ignored, since {} is given too", spec.name);
                self.warnings.add(WarningKind::RepeatedOption, message);
                Ok(())
            }
            None if meaning == Meaning::OldInverted => self.take_switch(spec, name, pair, value),
            None => self.keep(spec, pair, value),
        }
    }

    /// CERT_NONE switches off the check of the host name too, as it always has. The others ask for the default.
    fn take_cert_reqs(&mut self, pair: &Pair) -> Result<()> {
        let certificates = OptionId::TlsAllowInvalidCertificates.spec();
        match pair.value.expose() {
            "CERT_NONE" => {
                self.take_switch(certificates, "ssl_cert_reqs", pair, Value::Bool(true))?;
                let host_names = OptionId::TlsAllowInvalidHostnames.spec();
                self.take_switch(host_names, "ssl_cert_reqs", pair, Value::Bool(true))
            }
            "CERT_OPTIONAL" | "CERT_REQUIRED" => {
                // Asking for the default must not collide with the options that exclude tlsAllowInvalidCertificates.
                let disabled = [OptionId::TlsDisableOcspEndpointCheck, OptionId::TlsDisableCertificateRevocationCheck];
                if disabled.iter().any(|option| self.query.options.has(*option)) {
                    return Ok(());
                }
                self.take_switch(certificates, "ssl_cert_reqs", pair, Value::Bool(false))
            }
            _ => Err(error_at(pair.at, "ssl_cert_reqs must be CERT_NONE, CERT_OPTIONAL or CERT_REQUIRED")),
        }
    }

    /// Sets a switch of TLS from an old spelling.
    fn take_switch(&mut self, spec: &OptionSpec, name: &str, pair: &Pair, value: Value) -> Result<()> {
        match self.query.options.get(spec.option) {
            Some(before) if !before.same_as(&value) => Err(contradiction(spec, name, pair)),
            _ => {
                self.refuse_beside_ignored(spec, pair)?;
                self.query.options.set(spec.option, value);
                Ok(())
            }
        }
    }

    /// The value, or `None` where it was ignored with a warning. `name` is the name that was used.
    fn understand(&mut self, spec: &OptionSpec, name: &str, pair: &Pair) -> Result<Option<Value>> {
        let text = pair.value.expose();
        match spec.kind.read(text) {
            Ok(Understood { value, remark }) => {
                if let Some(remark) = remark {
                    let kind = if spec.kind.is_bool() { WarningKind::Deprecated } else { WarningKind::InvalidValue };
                    self.warnings.add(kind, format!("{name} (byte {}): {remark}", pair.at));
                }
                Ok(Some(value))
            }
            Err(expected) => {
                let message = format!("{name} must be {expected}");
                let fatal = match spec.invalid {
                    Invalid::Error => true,
                    Invalid::ErrorUnlessEmpty => !text.is_empty(),
                    Invalid::Warning => false,
                };
                if fatal {
                    let error = error_at(pair.at, &message);
                    return Err(if text.is_empty() {
                        error.with_hint("it is empty: is a variable unset that the connection string uses?")
                    } else {
                        error
                    });
                }
                self.warnings.add(WarningKind::InvalidValue, format!("{message}; it was ignored (byte {})", pair.at));
                self.ignore(spec, name, pair)?;
                Ok(None)
            }
        }
    }

    /// Remembers that an option for TLS was named whose value was ignored.
    fn ignore(&mut self, spec: &OptionSpec, name: &str, pair: &Pair) -> Result<()> {
        if !spec.option.is_about_tls() {
            return Ok(());
        }
        self.ignored.push(spec.option);
        self.query.ignored_tls_option.get_or_insert_with(|| name.to_owned());
        if self.query.options.has(spec.option) { self.refuse_beside_ignored(spec, pair) } else { Ok(()) }
    }

    /// A switch that is given twice must have the same value both times. Ignored values do not count.
    fn refuse_beside_ignored(&self, spec: &OptionSpec, pair: &Pair) -> Result<()> {
        if self.ignored.contains(&spec.option) {
            let message = format!("{} is given more than once, and not each time as true or false", spec.name);
            Err(error_at(pair.at, &message))
        } else {
            Ok(())
        }
    }

    /// An unknown option is ignored with a warning. One whose name looks like one of an option for TLS asks for TLS.
    fn ignore_unknown(&mut self, pair: &Pair, show: bool) -> Result<()> {
        if pair.name.get(..HTML_AMPERSAND.len()).is_some_and(|start| start.eq_ignore_ascii_case(HTML_AMPERSAND)) {
            return Err(error_at(pair.at, "the connection string is escaped for HTML: '&amp;' stands for '&'")
                .with_hint("write '&' between the options"));
        }
        if !looks_like_tls(&pair.name) {
            self.warnings.add(WarningKind::UnknownOption, unknown(pair, show));
            return Ok(());
        }
        let message = format!("{}; its name looks like one of an option for TLS, so TLS is on", unknown(pair, show));
        self.warnings.add(WarningKind::UnknownOption, message);
        let called = if show && is_plain_name(pair) {
            pair.name.clone()
        } else {
            format!("an option with an unknown name (byte {})", pair.at)
        };
        self.query.ignored_tls_option.get_or_insert(called);
        Ok(())
    }

    fn keep(&mut self, spec: &OptionSpec, pair: &Pair, value: Value) -> Result<()> {
        self.refuse_beside_ignored(spec, pair)?;
        let options = &mut self.query.options;
        if let Some(before) = options.get(spec.option) {
            match spec.repeated {
                Repeated::Item => {}
                Repeated::Error => return Err(error_at(pair.at, &format!("{} is given twice", spec.name))),
                Repeated::MustAgree if !before.same_as(&value) => return Err(contradiction(spec, spec.name, pair)),
                Repeated::MustAgree if spec.option == OptionId::Tls => {} // tls and ssl are often given together
                Repeated::MustAgree | Repeated::LastHolds => {
                    let message = format!("{} is given more than once; the last value is used", spec.name);
                    self.warnings.add(WarningKind::RepeatedOption, message);
                    options.set(spec.option, value);
                    return Ok(());
                }
            }
        }
        options.add(spec.option, value);
        Ok(())
    }
}

/// Whether an unknown name may be meant for an option for TLS: it contains `tls` or `ssl`, or begins with these letters
/// in another order (`tsl`).
fn looks_like_tls(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut first: Vec<char> = name.chars().take(3).collect();
    first.sort_unstable();
    name.contains("tls") || name.contains("ssl") || first == ['l', 's', 't'] || first == ['l', 's', 's']
}

fn contradiction(spec: &OptionSpec, name: &str, pair: &Pair) -> Error {
    if name == spec.name && spec.option != OptionId::Tls {
        return error_at(pair.at, &format!("{name} is given more than once, with different values"));
    }
    let other = if name == spec.name { "tls or ssl" } else { spec.name };
    error_at(pair.at, &format!("{name} contradicts {other}, given elsewhere in the connection string"))
}

fn alias_of(spec: &OptionSpec, name: &str) -> &'static str {
    spec.aliases.iter().find(|alias| alias.name.eq_ignore_ascii_case(name)).map_or(spec.name, |alias| alias.name)
}

/// A name is shown only if it looks like one, and cannot be the end of a secret that was not percent-encoded.
fn unknown(pair: &Pair, show: bool) -> String {
    if show && is_plain_name(pair) {
        return format!("there is no option {}; it was ignored", pair.name);
    }
    format!("an option with an unknown name was ignored (byte {})", pair.at)
}

fn is_plain_name(pair: &Pair) -> bool {
    pair.name.len() <= MAX_NAME && pair.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// How a `&` of an HTML page that was copied as source begins the next name.
const HTML_AMPERSAND: &str = "amp;";
/// The longest known name has 36 characters.
const MAX_NAME: usize = 64;
