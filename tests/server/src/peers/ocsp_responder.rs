//! What an authority says of the certificates that it issued: lists of those it revoked, and OCSP answers. The `openssl` command
//! makes them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use openssl::x509::X509;

use super::certs::{Authority, Issued};
use super::{Scratch, skip};

/// The book that an authority keeps of its certificates.
#[derive(Debug)]
pub struct OcspResponder {
    scratch: Scratch,
    next: AtomicU32,
}

/// How a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertStatus {
    /// In good standing.
    Good,
    /// Revoked a while ago.
    Revoked,
}

impl OcspResponder {
    /// Opens a book. `None`, after a [`skip`], where there is no `openssl` command.
    ///
    /// # Panics
    /// If its folder cannot be written to.
    pub fn new(authority: &Authority) -> Option<OcspResponder> {
        if let Err(error) = Command::new("openssl").arg("version").output() {
            skip(&format!("the openssl command does not start: {error}"));
            return None;
        }
        let ocsp_responder = OcspResponder { scratch: Scratch::new("registry"), next: AtomicU32::new(0) };
        let own = authority.issued();
        ocsp_responder.write("ca.pem", own.certificate.as_bytes());
        ocsp_responder.write("ca.key", own.key.as_bytes());
        ocsp_responder.write("index.txt", b"");
        ocsp_responder.write("ca.cnf", CONFIGURATION.as_bytes());
        Some(ocsp_responder)
    }

    /// Enters a certificate.
    ///
    /// # Panics
    /// If it is none, or the book cannot be written to.
    pub fn enter(&self, issued: &Issued, standing: CertStatus) {
        let certificate = X509::from_pem(issued.certificate.as_bytes()).expect("a certificate");
        let serial = certificate.serial_number().to_bn().and_then(|serial| serial.to_hex_str()).expect("a serial");
        let (letter, since) = match standing {
            CertStatus::Good => ("V", ""),
            CertStatus::Revoked => ("R", "250101000000Z,keyCompromise"),
        };
        let line = format!("{letter}\t491231235959Z\t{since}\t{}\tunknown\t/CN={}\n", &*serial, &*serial);
        let mut index = fs::OpenOptions::new().append(true).open(self.path("index.txt")).expect("the book");
        index.write_all(line.as_bytes()).expect("the book can be written to");
    }

    /// The list of those that are revoked, PEM; current, unless it is to be `out_of_date`.
    ///
    /// # Panics
    /// If `openssl ca` fails.
    pub fn list(&self, out_of_date: bool) -> String {
        let out = self.fresh("crl");
        let mut command = self.openssl("ca");
        command.args(["-gencrl", "-config", "ca.cnf", "-out"]).arg(&out);
        if out_of_date {
            command.args(["-crl_lastupdate", "20240101000000Z", "-crl_nextupdate", "20240201000000Z"]);
        }
        run(command);
        fs::read_to_string(out).expect("a list")
    }

    /// An OCSP request about a certificate, DER.
    ///
    /// # Panics
    /// If `openssl ocsp` fails.
    pub fn request(&self, about: &Issued, arguments: &[&str]) -> Vec<u8> {
        let (certificate, out) = (self.fresh("pem"), self.fresh("request"));
        fs::write(&certificate, &about.certificate).expect("the folder can be written to");
        let mut command = self.openssl("ocsp");
        // The digest goes before the certificate.
        command.args(arguments).args(["-no_nonce", "-issuer", "ca.pem", "-cert"]).arg(&certificate);
        command.arg("-reqout").arg(&out);
        run(command);
        fs::read(out).expect("a request")
    }

    /// The answer to an OCSP request, DER, signed by the authority itself or by `signer`. The arguments may say how long it
    /// holds (`-ndays`, `-nmin`).
    ///
    /// # Panics
    /// If `openssl ocsp` fails.
    pub fn answer(&self, request: &[u8], signer: Option<&Issued>, arguments: &[&str]) -> Vec<u8> {
        let (asked, out) = (self.fresh("request"), self.fresh("answer"));
        fs::write(&asked, request).expect("the folder can be written to");
        let mut command = self.openssl("ocsp");
        command.args(["-index", "index.txt", "-CA", "ca.pem", "-reqin"]).arg(&asked).arg("-respout").arg(&out);
        match signer {
            None => command.args(["-rsigner", "ca.pem", "-rkey", "ca.key"]),
            Some(signer) => {
                let (certificate, key) = (self.fresh("pem"), self.fresh("key"));
                fs::write(&certificate, &signer.certificate).expect("the folder can be written to");
                fs::write(&key, &signer.key).expect("the folder can be written to");
                command.arg("-rsigner").arg(certificate).arg("-rkey").arg(key)
            }
        };
        command.args(arguments);
        run(command);
        fs::read(out).expect("an answer")
    }

    /// A current answer about a certificate.
    ///
    /// # Panics
    /// As [`OcspResponder::answer`].
    pub fn answer_about(&self, about: &Issued) -> Vec<u8> {
        self.answer(&self.request(about, &[]), None, &["-ndays", "1"])
    }

    /// An answer that a certificate is good, by the authority itself, from one moment to another (`20240101000000Z`). `openssl ocsp`
    /// knows no time but now, so its answer's times are changed, and it is signed again. For an authority with an RSA key.
    ///
    /// # Panics
    /// As [`OcspResponder::answer`].
    pub fn answer_at(&self, about: &Issued, from: &str, until: &str) -> Vec<u8> {
        let mut answer = self.answer(&self.request(about, &[]), None, &["-ndays", "1", "-resp_no_certs"]);
        let times: Vec<usize> =
            (0..answer.len()).filter(|at| answer[*at..].starts_with(&[0x18, 15, b'2', b'0'])).collect();
        let [_produced, this_update, next_update] = times[..] else { panic!("three times: {times:?}") };
        for (at, time) in [(this_update, from), (next_update, until)] {
            answer[at + 2..at + 17].copy_from_slice(time.as_bytes());
        }
        // What is signed comes after the name of the kind of answer, an OCTET STRING, and a SEQUENCE.
        let kind = answer.windows(BASIC.len()).position(|window| window == BASIC).expect("a basic answer");
        let begin = kind + BASIC.len() + 4 + 4;
        let (head, length) = match answer[begin + 1] {
            0x82 => (4, usize::from(answer[begin + 2]) << 8 | usize::from(answer[begin + 3])),
            0x81 => (3, usize::from(answer[begin + 2])),
            short => (2, usize::from(short)),
        };
        let key = fs::read(self.path("ca.key")).expect("the key");
        let key = PKey::private_key_from_pem(&key).expect("the key");
        let mut signer = Signer::new(MessageDigest::sha256(), &key).expect("a signer");
        let signature = signer.sign_oneshot_to_vec(&answer[begin..begin + head + length]).expect("a signature");
        let old = answer.len() - signature.len();
        answer[old..].copy_from_slice(&signature);
        answer
    }

    /// `openssl`, in the book's folder.
    fn openssl(&self, what: &str) -> Command {
        let mut command = Command::new("openssl");
        command.arg(what).current_dir(self.scratch.path());
        command
    }

    fn fresh(&self, ending: &str) -> PathBuf {
        self.path(&format!("{}.{ending}", self.next.fetch_add(1, Ordering::Relaxed)))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("the folder can be written to");
        Path::new(&path).to_owned()
    }
}

fn run(mut command: Command) {
    let done = command.output().expect("openssl starts");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// OBJECT IDENTIFIER id-pkix-ocsp-basic
const BASIC: &[u8] = &[6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
const CONFIGURATION: &str = "\
[ca]
default_ca = authority
[authority]
database = index.txt
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_crl_days = 1
";
