//! The lists of `tlsCRLFile`.
//!
//! This module reads them. OpenSSL itself checks every certificate of the chain against them during the handshake, so each
//! authority of the chain needs a current list.

use std::path::Path;
use std::time::SystemTime;

use ::openssl::error::ErrorStack;
use ::openssl::ssl::SslFiletype;
use ::openssl::x509::X509Crl;
use ::openssl::x509::store::{X509Lookup, X509StoreBuilderRef};
use ::openssl::x509::verify::X509VerifyFlags;

use super::time;
use crate::error::{Error, Result};
use crate::tls::files::CRL_FILE;
use crate::tls::pem::{self, Origin};

/// The lists of a file that was read.
pub(in crate::tls::openssl) struct Lists {
    /// When the first of them is out of date.
    pub(super) until: Option<SystemTime>,
}

/// Has a store look every certificate up in the lists of a file.
pub(in crate::tls::openssl) fn add(store: &mut X509StoreBuilderRef, path: &Path, bytes: &[u8]) -> Result<Lists> {
    let lists = read(path, bytes)?;
    let failed = |error: ErrorStack| about(path, "holds a list that OpenSSL does not accept").with_source(error);
    if path.to_str().is_none() {
        return Err(about(path, "has a name that is not UTF-8, which OpenSSL's binding cannot open"));
    }
    // The binding can only add lists to a store by the name of a file, so the file is read once more.
    let lookup = store.add_lookup(X509Lookup::file()).map_err(failed)?;
    let loaded = lookup.load_crl_file(path, SslFiletype::PEM).map_err(failed)?;
    if usize::try_from(loaded) != Ok(lists.len()) {
        return Err(about(path, "was changed while it was read"));
    }
    store.set_flags(X509VerifyFlags::CRL_CHECK | X509VerifyFlags::CRL_CHECK_ALL).map_err(failed)?;
    let until = lists.iter().filter_map(|list| time::of_time(list.next_update()?)).min();
    Ok(Lists { until })
}

/// Reads the lists of a file's content.
pub(in crate::tls::openssl) fn read(path: &Path, bytes: &[u8]) -> Result<Vec<X509Crl>> {
    let text = String::from_utf8_lossy(bytes);
    if text.trim().is_empty() {
        return Err(about(path, "is empty"));
    }
    let mut lists = Vec::new();
    for block in pem::blocks(&text).iter().filter(|block| block.is_crl()) {
        if block.is_encrypted() {
            return Err(pem::encrypted(Origin::File(CRL_FILE, path), "list"));
        }
        let number = lists.len() + 1;
        let list = X509Crl::from_pem(block.text.as_bytes()).map_err(|error| {
            about(path, &format!("holds a list, number {number}, that cannot be read")).with_source(error)
        })?;
        lists.push(list);
    }
    let announced = text.matches(BEGINNING).count();
    if lists.len() != announced {
        return Err(about(path, &format!("announces {announced} lists, of which {} could be read", lists.len())));
    }
    if !lists.is_empty() {
        return Ok(lists);
    }
    Err(match pem::binary_format(bytes) {
        Some(_) => about(path, "holds no PEM text")
            .with_hint("a list in DER: `openssl crl -inform der -in FILE -out FILE.pem` converts it"),
        None if text.contains("CERTIFICATE-----") => about(path, "holds a certificate and no list")
            .with_hint("tlsCRLFile names the authority's list of what it revoked; its certificate goes to tlsCAFile"),
        None => about(path, "holds no list").with_hint("it must have a -----BEGIN X509 CRL----- line"),
    })
}

fn about(path: &Path, what: &str) -> Error {
    Origin::File(CRL_FILE, path).about(what)
}

const BEGINNING: &str = "-----BEGIN X509 CRL-----";
