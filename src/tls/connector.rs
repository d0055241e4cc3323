//! What a client keeps for making TLS channels, whichever backend makes them.

use std::fmt;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use super::channel::TlsStream;
use super::failure::Failure;
use super::files::{Files, Seen};
use super::target::Target;
use super::{Context, SharedParts, identity};
use crate::error::Result;
use crate::locks;
use crate::options::TlsSettings;
use crate::system::System;
use crate::warning::{Warning, WarningKind, WarningSink, Warnings};

/// What a client keeps for making TLS channels.
///
/// The files that the options name are checked before each channel. If one has changed, all are read again. The next channel then
/// presents the new certificate, trusts the new authorities, and resumes no earlier session. If the files cannot be used (half
/// written, or a certificate without its key), the old contents stay in use, and one warning is given. They are read again before
/// the next channel.
pub(crate) struct Connector {
    options: TlsSettings,
    shared: SharedParts,
    /// The warnings from when it was made.
    warnings: Warnings,
    current: Mutex<Current>,
}

/// What the next channel is made with.
struct Current {
    context: Arc<Context>,
    seen: Arc<Seen>,
    /// The last warning about files that cannot be used.
    complaint: Option<String>,
}

impl Connector {
    /// Reads and validates the files that the options name.
    pub(crate) fn new(
        options: &TlsSettings,
        system: &Arc<dyn System>,
        warning_sink: &WarningSink,
    ) -> Result<Connector> {
        // Before any file is read: the option is refused whether or not its file can be read.
        #[cfg(any(windows, target_os = "macos", mongo_blocking_native_tls))]
        super::native::refuse_revocation_options(options)?;
        identity::refuse_orphans(options)?;
        let shared =
            SharedParts { system: system.clone(), warning_sink: warning_sink.clone(), ocsp_cache: Arc::default() };
        let (files, seen) = Files::read(options, &**system)?;
        let mut warnings = Warnings::default();
        let context = Arc::new(Context::new(options, &files, &shared, &mut warnings)?);
        let current = Mutex::new(Current { context, seen: Arc::new(seen), complaint: None });
        Ok(Connector { options: options.clone(), shared, warnings, current })
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

    /// What to make a channel with, by the files as they are now. They are looked at and read without the lock: a file system may
    /// take its time, and other threads go on with what was read before.
    fn context(&self) -> Arc<Context> {
        loop {
            let (context, seen, complained) = {
                let current = locks::lock(&self.current);
                (current.context.clone(), current.seen.clone(), current.complaint.is_some())
            };
            if !complained && seen.is_current(&self.options, &*self.shared.system) {
                return context;
            }
            let found = self.read_again(&seen);
            // `None`: another thread has read them meanwhile. What it found counts, unless they have changed since.
            if let Some((context, news)) = locks::lock(&self.current).take(&seen, found) {
                // Without the lock, because this calls the program's handler.
                self.report(news);
                return context;
            }
        }
    }

    fn read_again(&self, seen: &Seen) -> Result<Renewed> {
        let mut warnings = Warnings::default();
        let (files, now) = Files::read(&self.options, &*self.shared.system)?;
        let context = if now.same_content(seen) {
            None
        } else {
            Some(Arc::new(Context::new(&self.options, &files, &self.shared, &mut warnings)?))
        };
        Ok(Renewed { seen: now, context, warnings })
    }

    fn report(&self, news: News) {
        match news {
            News::None => {}
            News::Replaced(warnings) => {
                warnings.as_slice().iter().for_each(|warning| self.shared.warning_sink.notify(warning));
            }
            News::Unusable(complaint) => self.shared.warning_sink.warn(WarningKind::NotRenewed, complaint),
        }
    }
}

/// The files, read again.
struct Renewed {
    seen: Seen,
    /// `None` if they hold what they held before.
    context: Option<Arc<Context>>,
    warnings: Warnings,
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
    /// Takes over what was found, and returns what to make the next channel with. `None` if `before` was replaced meanwhile.
    fn take(&mut self, before: &Arc<Seen>, found: Result<Renewed>) -> Option<(Arc<Context>, News)> {
        if !Arc::ptr_eq(before, &self.seen) {
            return None;
        }
        let news = match found {
            Ok(renewed) => {
                self.seen = Arc::new(renewed.seen);
                self.complaint = None;
                match renewed.context {
                    Some(context) => {
                        self.context = context;
                        News::Replaced(renewed.warnings)
                    }
                    None => News::None,
                }
            }
            Err(error) => {
                let complaint = format!("{}; what was read before stays in use", error.told());
                match self.complaint.replace(complaint.clone()) {
                    Some(before) if before == complaint => News::None,
                    _ => News::Unusable(complaint),
                }
            }
        };
        Some((self.context.clone(), news))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}
