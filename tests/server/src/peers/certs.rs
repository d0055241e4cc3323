//! A certificate authority for one test run: it makes server and client certificates as PEM text.

use openssl::asn1::{Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName, SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Extension, X509Name, X509NameBuilder};

/// A certificate authority made on the spot.
#[derive(Debug)]
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate, PEM.
    pub certificate: String,
    /// The key, PKCS#8 PEM.
    pub key: String,
}

impl Issued {
    /// Both in one text, as mongod's `--tlsCertificateKeyFile` and the drivers' `tlsCertificateKeyFile` want it.
    pub fn both(&self) -> String {
        format!("{}{}", self.certificate, self.key)
    }
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertPurpose {
    /// A server; the name is its host name, `localhost`, and 127.0.0.1 and ::1 are in it only if the name is `localhost`.
    Server,
    /// A client.
    Client,
    /// Signing OCSP answers for the authority that issued it.
    OcspAnswers,
}

/// What else a certificate says of itself.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// Where OCSP responders are: URLs.
    pub responders: Vec<String>,
    /// Whether it promises a stapled OCSP answer (must-staple).
    pub must_staple: bool,
    /// Whether it has no name in subjectAltName and no extendedKeyUsage, as certificates had long ago: its common name is all.
    pub common_name_only: bool,
    /// More names of the host.
    pub names: Vec<String>,
    /// An email address in subjectAltName, in place of the host's name.
    pub email: Option<String>,
}

/// When a certificate is valid.
#[derive(Clone, Copy)]
enum Valid {
    Now,
    Before,
    Later,
    Seconds(u64),
}

impl Authority {
    /// Makes an authority, with a key on the curve P-256.
    ///
    /// # Panics
    /// If OpenSSL refuses, which is a fault of the set-up.
    pub fn new() -> Authority {
        make_authority("mongo-blocking test authority", None, new_key()).expect("a test authority")
    }

    /// The same, with an RSA key, whose signatures are all of one length.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn with_rsa_key() -> Authority {
        make_authority("mongo-blocking test authority", None, new_rsa_key()).expect("a test authority")
    }

    /// The same as [`Authority::new`], of this name.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn named(name: &str) -> Authority {
        make_authority(name, None, new_key()).expect("a test authority")
    }

    /// The same authority, with a certificate by another one that expired yesterday.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn expired_below(&self, above: &Authority) -> Authority {
        self.certified(Some(above), -3).expect("a test authority")
    }

    /// The same authority, with a certificate of its own that expired yesterday.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn expired(&self) -> Authority {
        self.certified(None, -3).expect("a test authority")
    }

    /// The same authority, with a certificate by another one.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn cross_signed_by(&self, other: &Authority) -> Authority {
        self.certified(Some(other), 0).expect("a test authority")
    }

    /// The same name and key in another certificate, which begins so many days from now and lasts for two.
    fn certified(&self, above: Option<&Authority>, begins: i64) -> Result<Authority, ErrorStack> {
        let name = self.certificate.subject_name();
        let mut builder =
            start(&self.key, &name.to_owned()?, above.map_or(name, |above| above.certificate.subject_name()))?;
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let day = |days: i64| Asn1Time::from_unix(i64::try_from(now).unwrap_or_default() + days * 86_400);
        builder.set_not_before(&*day(begins)?)?;
        builder.set_not_after(&*day(begins + 2)?)?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
        let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
        builder.append_extension(identifier)?;
        builder.sign(above.map_or(&self.key, |above| &above.key), MessageDigest::sha256())?;
        Ok(Authority { certificate: builder.build(), key: self.key.clone() })
    }

    /// Its certificate, PEM.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn pem(&self) -> String {
        text(self.certificate.to_pem())
    }

    /// Issues a certificate for a day, with a key on the curve P-256. `name` is the host name or the client's common name.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn issue(&self, purpose: CertPurpose, name: &str) -> Issued {
        self.make_leaf(purpose, name, key_for(purpose), Valid::Now).expect("a test certificate")
    }

    /// The same, with an RSA key, which takes far longer to make.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn issue_rsa(&self, purpose: CertPurpose, name: &str) -> Issued {
        self.make_leaf(purpose, name, new_rsa_key(), Valid::Now).expect("a test certificate")
    }

    /// The same as [`Authority::issue`], but it expires in so many seconds.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn issue_for_seconds(&self, purpose: CertPurpose, name: &str, seconds: u64) -> Issued {
        self.make_leaf(purpose, name, key_for(purpose), Valid::Seconds(seconds)).expect("a test certificate")
    }

    /// The same as [`Authority::issue`], with something more in it.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn issue_with(&self, purpose: CertPurpose, name: &str, extras: &Extras) -> Issued {
        self.make_leaf_with(purpose, name, key_for(purpose), Valid::Now, extras).expect("a test certificate")
    }

    /// Its certificate and its key, for the `openssl` command.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn issued(&self) -> Issued {
        Issued { certificate: self.pem(), key: text(self.key.private_key_to_pem_pkcs8()) }
    }

    /// The same as [`Authority::issue`], but expired yesterday.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn issue_expired(&self, purpose: CertPurpose, name: &str) -> Issued {
        self.make_leaf(purpose, name, key_for(purpose), Valid::Before).expect("a test certificate")
    }

    /// The same as [`Authority::issue`], but valid from tomorrow on.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn issue_for_later(&self, purpose: CertPurpose, name: &str) -> Issued {
        self.make_leaf(purpose, name, key_for(purpose), Valid::Later).expect("a test certificate")
    }

    /// A client's certificate whose subject is this name, in DER.
    ///
    /// # Panics
    /// As [`Authority::new`], and where that is no name.
    pub fn issue_to(&self, subject: &[u8]) -> Issued {
        let make = || {
            let (key, subject) = (key_for(CertPurpose::Client)?, X509Name::from_der(subject)?);
            let mut builder = start(&key, &subject, self.certificate.subject_name())?;
            builder.append_extension(ExtendedKeyUsage::new().client_auth().build()?)?;
            builder.sign(&self.key, MessageDigest::sha256())?;
            Ok::<_, ErrorStack>(Issued {
                certificate: text(builder.build().to_pem()),
                key: text(key.private_key_to_pem_pkcs8()),
            })
        };
        make().expect("a test certificate")
    }

    /// A PKCS#12 bundle of a certificate and its key.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn bundle(issued: &Issued, password: &str) -> Vec<u8> {
        let make = || {
            let mut builder = Pkcs12::builder();
            let key = PKey::private_key_from_pem(issued.key.as_bytes())?;
            builder.cert(&*X509::from_pem(issued.certificate.as_bytes())?).pkey(&*key);
            builder.build2(password)?.to_der()
        };
        make().expect("a test bundle")
    }

    /// A server's certificate that vouches for itself.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn self_signed(name: &str) -> Issued {
        make_self_signed(name).expect("a test certificate")
    }

    /// An authority below this one.
    ///
    /// # Panics
    /// As [`Authority::new`].
    pub fn intermediate(&self) -> Authority {
        make_authority("mongo-blocking intermediate", Some(self), new_key()).expect("a test authority")
    }

    fn make_leaf(
        &self,
        purpose: CertPurpose,
        name: &str,
        key: Result<PKey<Private>, ErrorStack>,
        valid: Valid,
    ) -> Result<Issued, ErrorStack> {
        self.make_leaf_with(purpose, name, key, valid, &Extras::default())
    }

    fn make_leaf_with(
        &self,
        purpose: CertPurpose,
        name: &str,
        key: Result<PKey<Private>, ErrorStack>,
        valid: Valid,
        extras: &Extras,
    ) -> Result<Issued, ErrorStack> {
        let key = key?;
        // MongoDB takes whoever shares its own organisation for a member of its cluster, and not for a user.
        let organisation = if purpose == CertPurpose::Client { "mongo-blocking users" } else { ORGANISATION };
        let mut builder = start(&key, &subject(name, organisation)?, self.certificate.subject_name())?;
        let mut usage = ExtendedKeyUsage::new();
        match purpose {
            CertPurpose::Server => usage.server_auth(),
            CertPurpose::Client => usage.client_auth(),
            CertPurpose::OcspAnswers => usage.other("OCSPSigning"),
        };
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let day = |days: i64| Asn1Time::from_unix(i64::try_from(now).unwrap_or_default() + days * 86_400);
        match valid {
            Valid::Now => {}
            Valid::Before => {
                builder.set_not_before(&*day(-3)?)?;
                builder.set_not_after(&*day(-1)?)?;
            }
            Valid::Seconds(seconds) => {
                let end = i64::try_from(now + seconds).unwrap_or_default();
                builder.set_not_after(&*Asn1Time::from_unix(end)?)?;
            }
            Valid::Later => {
                builder.set_not_before(&*day(1)?)?;
                builder.set_not_after(&*day(3)?)?;
            }
        }
        builder.append_extension(BasicConstraints::new().build()?)?;
        if !extras.common_name_only {
            builder.append_extension(usage.build()?)?;
        }
        if let Some(email) = &extras.email {
            let names = SubjectAlternativeName::new().email(email).build(&builder.x509v3_context(None, None))?;
            builder.append_extension(names)?;
        } else if purpose == CertPurpose::Server && !extras.common_name_only {
            let mut names = SubjectAlternativeName::new();
            names.dns(name);
            extras.names.iter().for_each(|name| {
                names.dns(name);
            });
            if name == "localhost" {
                names.ip("127.0.0.1").ip("::1");
            }
            let names = names.build(&builder.x509v3_context(Some(&self.certificate), None))?;
            builder.append_extension(names)?;
        }
        if !extras.responders.is_empty() {
            let value = Asn1OctetString::new_from_bytes(&responders(&extras.responders))?;
            let oid = Asn1Object::from_str("1.3.6.1.5.5.7.1.1")?;
            builder.append_extension(X509Extension::new_from_der(&oid, false, &value)?)?;
        }
        if extras.must_staple {
            let value = Asn1OctetString::new_from_bytes(STATUS_REQUEST)?;
            let oid = Asn1Object::from_str("1.3.6.1.5.5.7.1.24")?;
            builder.append_extension(X509Extension::new_from_der(&oid, false, &value)?)?;
        }
        let issuer =
            AuthorityKeyIdentifier::new().keyid(true).build(&builder.x509v3_context(Some(&self.certificate), None))?;
        builder.append_extension(issuer)?;
        builder.sign(&self.key, MessageDigest::sha256())?;
        Ok(Issued { certificate: text(builder.build().to_pem()), key: text(key.private_key_to_pem_pkcs8()) })
    }
}

impl Default for Authority {
    fn default() -> Self {
        Authority::new()
    }
}

fn make_self_signed(name: &str) -> Result<Issued, ErrorStack> {
    let key = new_key()?;
    let subject = subject(name, ORGANISATION)?;
    let mut builder = start(&key, &subject, &subject)?;
    let names = SubjectAlternativeName::new().dns(name).build(&builder.x509v3_context(None, None))?;
    builder.append_extension(names)?;
    builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
    builder.sign(&key, MessageDigest::sha256())?;
    Ok(Issued { certificate: text(builder.build().to_pem()), key: text(key.private_key_to_pem_pkcs8()) })
}

fn make_authority(
    name: &str,
    above: Option<&Authority>,
    key: Result<PKey<Private>, ErrorStack>,
) -> Result<Authority, ErrorStack> {
    let key = key?;
    let name = subject(name, ORGANISATION)?;
    let mut builder = start(&key, &name, above.map_or(&*name, |above| above.certificate.subject_name()))?;
    builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
    builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
    let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
    builder.append_extension(identifier)?;
    builder.sign(above.map_or(&key, |above| &above.key), MessageDigest::sha256())?;
    Ok(Authority { certificate: builder.build(), key })
}

fn start(
    key: &PKey<Private>,
    subject: &X509Name,
    issuer: &openssl::x509::X509NameRef,
) -> Result<X509Builder, ErrorStack> {
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    builder.set_not_after(&*Asn1Time::days_from_now(1)?)?;
    Ok(builder)
}

fn subject(common_name: &str, organisation: &str) -> Result<X509Name, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("O", organisation)?;
    name.append_entry_by_text("CN", common_name)?;
    Ok(name.build())
}

/// AuthorityInfoAccess with id-ad-ocsp, DER.
fn responders(urls: &[String]) -> Vec<u8> {
    let mut all = Vec::new();
    for url in urls {
        let oid = [6, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 1];
        all.extend(der(0x30, &[&oid[..], &der(0x86, url.as_bytes())].concat()));
    }
    der(0x30, &all)
}

fn der(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("a short value").to_be_bytes();
    [&[tag, 0x82][..], &length, body].concat()
}

fn new_key() -> Result<PKey<Private>, ErrorStack> {
    PKey::from_ec_key(EcKey::generate(&*EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?)?)
}

/// A client's key on Windows must be RSA: SChannel takes no other from PEM.
fn key_for(purpose: CertPurpose) -> Result<PKey<Private>, ErrorStack> {
    match purpose {
        CertPurpose::Client if cfg!(windows) => new_rsa_key(),
        _ => new_key(),
    }
}

fn new_rsa_key() -> Result<PKey<Private>, ErrorStack> {
    PKey::from_rsa(Rsa::generate(2048)?)
}

fn text(pem: Result<Vec<u8>, ErrorStack>) -> String {
    String::from_utf8(pem.expect("PEM")).expect("PEM is text")
}

/// The TLS feature status_request: SEQUENCE { INTEGER 5 }.
const STATUS_REQUEST: &[u8] = &[0x30, 3, 2, 1, 5];
/// To whom servers and authorities belong.
const ORGANISATION: &str = "mongo-blocking tests";
