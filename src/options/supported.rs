//! Options that are understood and not supported: refused when a client is made, never ignored.

use super::kerberos;
use super::spec::{OptionId, State};
use super::{ClientSettings, ServerAddress};
use crate::credential::Credential;
use crate::error::{Error, Result};

impl ClientSettings {
    /// Whether this version of the driver supports all that these options ask for. Making a client checks this first.
    ///
    /// # Errors
    /// [`ErrorKind::NotSupported`](crate::error::ErrorKind::NotSupported), and the name of what is not.
    ///
    /// ```
    /// use mongo_blocking::options::ClientSettings;
    ///
    /// let options = ClientSettings::parse("mongodb://localhost/?compressors=zlib")?;
    /// assert!(options.check_supported().unwrap_err().to_string().contains("compressors is not supported"));
    /// # Ok::<(), mongo_blocking::Error>(())
    /// ```
    pub fn check_supported(&self) -> Result<()> {
        if self.given.srv_host.is_some() && !cfg!(feature = "srv") {
            return Err(needs_feature("mongodb+srv", "srv"));
        }
        if let Some(host) = &self.given.srv_host {
            check_ascii(host, "a look-up in DNS")?;
        }
        if self.tls.is_some() {
            self.hosts.iter().try_for_each(check_host_name)?;
        }
        if let Some(credential) = &self.credential {
            check_mechanism(credential)?;
        }
        for (option, value) in self.given.settings.given() {
            let spec = option.spec();
            if spec.state != State::Works && !spec.asks_for_nothing(value) && matters(self, option) {
                return Err(Error::not_supported(format!("{} is not supported", spec.name)));
            }
        }
        Ok(())
    }
}

/// A level for zlib has no meaning where nothing is compressed.
fn matters(options: &ClientSettings, option: OptionId) -> bool {
    option != OptionId::ZlibCompressionLevel || !options.compressors().is_empty()
}

/// A certificate has the ASCII form of a host name only (RFC 5280, 7.2).
fn check_host_name(address: &ServerAddress) -> Result<()> {
    match address {
        ServerAddress::Tcp { host, .. } => check_ascii(host, "TLS"),
        ServerAddress::Unix { .. } => Ok(()),
    }
}

fn check_ascii(host: &str, who: &str) -> Result<()> {
    if host.is_ascii() {
        return Ok(());
    }
    Err(Error::invalid_argument(format!("the host name {host} has letters beyond ASCII, which {who} does not allow"))
        .with_hint(crate::uri::ASCII_HOST_HINT))
}

fn check_mechanism(credential: &Credential) -> Result<()> {
    needed_feature(credential).map_or(Ok(()), Err)?;
    match credential {
        Credential::Gssapi(gssapi) => kerberos::check_store(gssapi),
        _ => Ok(()),
    }
}

/// The error for a credential whose mechanism needs a cargo feature that is off.
pub(crate) fn needed_feature(credential: &Credential) -> Option<Error> {
    let (mechanism, feature, is_on) = match credential {
        Credential::Scram(_) | Credential::X509(_) | Credential::Plain(_) | Credential::Cr(_) => return None,
        Credential::Gssapi(_) => ("GSSAPI", "gssapi", cfg!(feature = "gssapi")),
        Credential::Aws(_) => ("MONGODB-AWS", "aws", cfg!(feature = "aws")),
        Credential::Oidc(_) => ("MONGODB-OIDC", "oidc", cfg!(feature = "oidc")),
    };
    if is_on { None } else { Some(needs_feature(&format!("authMechanism={mechanism}"), feature)) }
}

fn needs_feature(what: &str, feature: &str) -> Error {
    let headers = match feature {
        "gssapi" => "; on Unix, building it needs Kerberos' headers and libclang (libkrb5-dev, libclang-dev)",
        _ => "",
    };
    Error::not_supported(format!("{what} needs the cargo feature `{feature}`, which is off in this build")).with_hint(
        format!("in Cargo.toml: mongo-blocking = {{ version = \"...\", features = [\"{feature}\"] }}{headers}"),
    )
}
