//! What a client keeps for making TLS channels, whichever backend makes them.

use std::error::Error as _;
use std::fmt;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use super::channel::TlsStream;
use super::failure::Failure;
use super::files::{Files, Seen};
use super::target::Target;
use super::{Context, OcspCache, identity};
use crate::error::Result;
use crate::locks;
use crate::options::TlsOptions;
use crate::warning::{Warning, WarningKind, WarningSink, Warnings};

/// What a client keeps for making TLS channels.
///
/// The files that the options name are checked before each channel. If one has changed, all are read again. The next channel then
/// presents the new certificate, trusts the new authorities, and resumes no earlier session. If the files cannot be used (half
/// written, or a certificate without its key), the old contents stay in use, and one warning is given. They are read again before
/// the next channel.
pub(crate) struct Connector {
    options: TlsOptions,
    warning_sink: WarningSink,
    /// OCSP answers about servers. They stay valid when the client's certificate changes.
    ocsp_cache: Arc<OcspCache>,
    /// The warnings from when it was made.
    warnings: Warnings,
    current: Mutex<Current>,
}

/// What the next channel is made with.
struct Current {
    context: Arc<Context>,
    seen: Seen,
    /// The last warning about files that cannot be used.
    complaint: Option<String>,
}

impl Connector {
    /// Reads and validates the files that the options name.
    pub(crate) fn new(options: &TlsOptions, warning_sink: &WarningSink) -> Result<Connector> {
        // Before any file is read: the option is refused whether or not its file can be read.
        #[cfg(any(windows, target_os = "macos", mongo_blocking_native_tls))]
        super::native::refuse_revocation_options(options)?;
        identity::refuse_orphans(options)?;
        let (files, seen) = Files::read(options)?;
        let (ocsp_cache, mut warnings) = (Arc::<OcspCache>::default(), Warnings::default());
        let context = Arc::new(Context::new(options, &files, &ocsp_cache, warning_sink, &mut warnings)?);
        let current = Mutex::new(Current { context, seen, complaint: None });
        Ok(Connector { options: options.clone(), warning_sink: warning_sink.clone(), ocsp_cache, warnings, current })
    }

    /// The warnings about the files, from when this was made.
    pub(crate) fn warnings(&self) -> &[Warning] {
        self.warnings.as_slice()
    }

    /// Makes a channel over a connected stream.
    pub(crate) fn connect<S>(&self, target: &Target<'_>, stream: S) -> Result<TlsStream<S>, Failure>
    where
        S: Read + Write + fmt::Debug,
    {
        let context = self.context();
        let (channel, facts) = context.connect(target, stream)?;
        Ok(TlsStream::new(channel, facts, context.presented().cloned()))
    }

    /// What to make a channel with, by the files as they are now.
    fn context(&self) -> Arc<Context> {
        let (context, news) = {
            let mut current = locks::lock(&self.current);
            let news = current.follow(self);
            (Arc::clone(&current.context), news)
        };
        // Without the lock, because this calls the program's handler.
        match news {
            News::None => {}
            News::Replaced(warnings) => {
                warnings.as_slice().iter().for_each(|warning| self.warning_sink.notify(warning))
            }
            News::Unusable(complaint) => self.warning_sink.warn(WarningKind::NotRenewed, complaint),
        }
        context
    }
}

/// The result of checking the files.
enum News {
    /// Nothing new to report.
    None,
    /// Changed files are in use now, with these warnings.
    Replaced(Warnings),
    /// They changed, and cannot be used.
    Unusable(String),
}

impl Current {
    fn follow(&mut self, connector: &Connector) -> News {
        let Connector { options, warning_sink, ocsp_cache, .. } = connector;
        if self.complaint.is_none() && self.seen.is_current(options) {
            return News::None;
        }
        let mut warnings = Warnings::default();
        let renewed = Files::read(options).and_then(|(files, seen)| {
            let same = seen.same_content(&self.seen);
            let context =
                if same { None } else { Some(Context::new(options, &files, ocsp_cache, warning_sink, &mut warnings)?) };
            Ok((context, seen))
        });
        match renewed {
            Ok((context, seen)) => {
                self.seen = seen;
                self.complaint = None;
                let Some(context) = context else { return News::None };
                self.context = Arc::new(context);
                News::Replaced(warnings)
            }
            Err(error) => {
                let cause = error.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
                let complaint = format!("{}{cause}; what was read before stays in use", error.message());
                if self.complaint.as_ref() == Some(&complaint) {
                    return News::None;
                }
                self.complaint = Some(complaint.clone());
                News::Unusable(complaint)
            }
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}
