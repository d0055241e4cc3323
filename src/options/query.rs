//! The options of a connection string, by their names: read through the table, with a warning for all that is odd.

use super::table::{Invalid, Meaning, OptionId, OptionSpec, Repeated, find};
use super::value::{OptionMap, Understood, Value, ValueKind};
use crate::error::{Error, Result};
use crate::uri::{ConnectionString, Pair, error_at};
use crate::warning::{WarningKind, Warnings};

/// What the query of a connection string sets. `SERVICE_NAME` of the wrong mechanism and the like are judged later, together
/// with what code sets.
pub(super) fn read(uri: &ConnectionString, warnings: &mut Warnings) -> Result<OptionMap> {
    let mut reader = Reader { settings: OptionMap::default(), warnings };
    let mut old = Vec::new();
    let mut after_secret = false;
    for pair in &uri.pairs {
        let Some((spec, meaning)) = find(&pair.name) else {
            let show = uri.may_show_names && !after_secret;
            reader.warnings.add(WarningKind::UnknownOption, unknown(pair, show));
            continue;
        };
        after_secret = matches!(spec.kind, ValueKind::Secret | ValueKind::Properties);
        match meaning {
            Meaning::Same => reader.take(spec, pair)?,
            _ => old.push((spec, meaning, pair)),
        }
    }
    let new = reader.settings.clone();
    for (spec, meaning, pair) in old {
        reader.take_old(spec, meaning, pair, &new)?;
    }
    Ok(reader.settings)
}

struct Reader<'a> {
    settings: OptionMap,
    warnings: &'a mut Warnings,
}

impl Reader<'_> {
    fn take(&mut self, spec: &OptionSpec, pair: &Pair) -> Result<()> {
        if spec.option == OptionId::TlsKeyFile {
            let message = "ssl_keyfile is an old option; put certificate and key into one file and name it in tlsCertificateKeyFile";
            self.warnings.add(WarningKind::Deprecated, message);
        }
        let Some(value) = self.understand(spec, pair)? else { return Ok(()) };
        self.keep(spec, pair, value)
    }

    /// An old name holds only where the new one is not given. About TLS, the two must agree.
    fn take_old(&mut self, spec: &OptionSpec, meaning: Meaning, pair: &Pair, new: &OptionMap) -> Result<()> {
        let name = find_alias(spec, &pair.name);
        self.warnings.add(WarningKind::Deprecated, format!("{name} is an old name of {}", spec.name));
        let value = match meaning {
            Meaning::CertReqs => return self.take_cert_reqs(pair),
            Meaning::OldInverted => match self.understand(spec, pair)? {
                Some(Value::Bool(value)) => Value::Bool(!value),
                _ => return Ok(()),
            },
            Meaning::Same | Meaning::Old => match self.understand(spec, pair)? {
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

    /// CERT_NONE switches off the check of the host's name too, as it always has. The others ask for what holds anyway.
    fn take_cert_reqs(&mut self, pair: &Pair) -> Result<()> {
        let certificates = OptionId::TlsAllowInvalidCertificates.spec();
        match pair.value.expose() {
            "CERT_NONE" => {
                self.take_switch(certificates, "ssl_cert_reqs", pair, Value::Bool(true))?;
                self.take_switch(OptionId::TlsAllowInvalidHostnames.spec(), "ssl_cert_reqs", pair, Value::Bool(true))
            }
            "CERT_OPTIONAL" | "CERT_REQUIRED" => {
                // Asking for what holds anyway must not collide with the options that exclude tlsAllowInvalidCertificates.
                let disabled = [OptionId::TlsDisableOcspEndpointCheck, OptionId::TlsDisableCertificateRevocationCheck];
                if disabled.iter().any(|option| self.settings.has(*option)) {
                    return Ok(());
                }
                self.take_switch(certificates, "ssl_cert_reqs", pair, Value::Bool(false))
            }
            _ => {
                let message = "ssl_cert_reqs was ignored: CERT_NONE, CERT_OPTIONAL or CERT_REQUIRED was expected";
                self.warnings.add(WarningKind::InvalidValue, message);
                Ok(())
            }
        }
    }

    /// Sets a switch of TLS from an old spelling.
    fn take_switch(&mut self, spec: &OptionSpec, name: &str, pair: &Pair, value: Value) -> Result<()> {
        match self.settings.get(spec.option) {
            Some(before) if !before.same_as(&value) => Err(contradiction(spec, name, pair)),
            _ => {
                self.settings.set(spec.option, value);
                Ok(())
            }
        }
    }

    /// The value, or `None` where it was ignored with a warning.
    fn understand(&mut self, spec: &OptionSpec, pair: &Pair) -> Result<Option<Value>> {
        let text = pair.value.expose();
        match spec.kind.read(text) {
            Ok(Understood { value, remark }) => {
                if let Some(remark) = remark {
                    let kind = if spec.kind.is_bool() { WarningKind::Deprecated } else { WarningKind::InvalidValue };
                    self.warnings.add(kind, format!("{} (byte {}): {remark}", spec.name, pair.at));
                }
                Ok(Some(value))
            }
            Err(expected) => {
                let message = format!("{} must be {expected}", spec.name);
                let fatal = match spec.invalid {
                    Invalid::Error => true,
                    Invalid::ErrorUnlessEmpty => !text.is_empty(),
                    Invalid::Warning => false,
                };
                if fatal {
                    return Err(error_at(pair.at, &message));
                }
                self.warnings.add(WarningKind::InvalidValue, format!("{message}; it was ignored (byte {})", pair.at));
                Ok(None)
            }
        }
    }

    fn keep(&mut self, spec: &OptionSpec, pair: &Pair, value: Value) -> Result<()> {
        if let Some(before) = self.settings.get(spec.option) {
            match spec.repeated {
                Repeated::Item => {}
                Repeated::Error => return Err(error_at(pair.at, &format!("{} is given twice", spec.name))),
                Repeated::MustAgree if !before.same_as(&value) => return Err(contradiction(spec, spec.name, pair)),
                Repeated::MustAgree if spec.option == OptionId::Tls => {} // tls and ssl together are nothing odd
                Repeated::MustAgree | Repeated::LastHolds => {
                    let message = format!("{} is given more than once; the last one holds", spec.name);
                    self.warnings.add(WarningKind::RepeatedOption, message);
                    self.settings.set(spec.option, value);
                    return Ok(());
                }
            }
        }
        self.settings.add(spec.option, value);
        Ok(())
    }
}

fn contradiction(spec: &OptionSpec, name: &str, pair: &Pair) -> Error {
    let other = if name == spec.name && spec.option == OptionId::Tls { "tls or ssl" } else { spec.name };
    error_at(pair.at, &format!("{name} contradicts {other}, given elsewhere in the connection string"))
}

fn find_alias(spec: &OptionSpec, name: &str) -> &'static str {
    spec.aliases.iter().find(|alias| alias.name.eq_ignore_ascii_case(name)).map_or(spec.name, |alias| alias.name)
}

/// A name is shown only if it looks like one, and cannot be the tail of a badly escaped secret.
fn unknown(pair: &Pair, show: bool) -> String {
    let like_a_name =
        pair.name.len() <= 64 && pair.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if show && like_a_name {
        return format!("there is no option {}; it was ignored", pair.name);
    }
    format!("an option with an unknown name was ignored (byte {})", pair.at)
}
