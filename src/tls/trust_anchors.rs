//! The authorities that are trusted instead of the system's, from `tlsCAFile` or from memory.

use std::time::SystemTime;

use zeroize::Zeroizing;

use super::certificate::Certificate;
use super::files::{CA_FILE, Files};
use super::identity::unreadable_certificate;
use super::pem::{self, Block, Origin};
use crate::error::{Error, Result};
use crate::options::TlsSettings;
use crate::warning::{WarningKind, Warnings};

/// Where the authorities come from, and their text.
pub(super) struct TrustAnchors<'a> {
    pub(super) origin: Origin<'a>,
    text: Zeroizing<String>,
}

impl<'a> TrustAnchors<'a> {
    /// Takes what the options name, or `None` where they name nothing.
    pub(super) fn read(options: &'a TlsSettings, files: &Files) -> Result<Option<Self>> {
        let (origin, bytes) = match (&options.ca_pem, &options.ca_file, &files.authorities) {
            (Some(pem), _, _) => (IN_CODE, pem.expose()),
            (None, Some(path), Some(bytes)) => (Origin::File(CA_FILE, path), bytes.as_slice()),
            _ => return Ok(None),
        };
        Ok(Some(TrustAnchors { origin, text: pem::text(origin, bytes)? }))
    }

    /// The certificates, each as `read` makes it from PEM. There is a warning for one that is not valid `now`. One that cannot be read is an error for the
    /// whole file, because a missing authority would be hard to find later.
    pub(super) fn each<C, E>(
        &self,
        now: SystemTime,
        warnings: &mut Warnings,
        read: impl Fn(&Block<'_>) -> Result<C, E>,
    ) -> Result<Vec<C>>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let blocks = pem::certificates(self.origin, pem::blocks(&self.text))?;
        let unreadable = |place: usize| self.unreadable(place, blocks.len());
        let mut certificates = Vec::new();
        for (place, block) in blocks.iter().enumerate() {
            certificates.push(read(block).map_err(|error| unreadable(place).with_source(error))?);
        }
        self.warn_of_validity(&blocks, now, warnings);
        Ok(certificates)
    }

    fn unreadable(&self, place: usize, count: usize) -> Error {
        self.origin.about(unreadable_certificate(place, count))
    }

    fn warn_of_validity(&self, blocks: &[Block<'_>], now: SystemTime, warnings: &mut Warnings) {
        let facts = blocks.iter().filter_map(Block::der).filter_map(|der| Certificate::read(&der));
        let not_valid = facts.filter_map(|facts| {
            let reason = facts.not_valid_at(now)?;
            Some(format!("{} {reason}", facts.subject))
        });
        let mut told: Vec<String> = not_valid.collect();
        let more = told.len().saturating_sub(MAX_TOLD);
        told.truncate(MAX_TOLD);
        if more > 0 {
            told.push(format!("and {more} more"));
        }
        if !told.is_empty() {
            let what =
                self.origin.about(format_args!("holds a certificate that is not valid now: {}", told.join("; ")));
            warnings.add(WarningKind::Validity, what.message());
        }
    }
}

const IN_CODE: Origin<'_> = Origin::Code("tls_ca_pem");
/// Old bundles of the whole web hold many that have expired.
const MAX_TOLD: usize = 3;
