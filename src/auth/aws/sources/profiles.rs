//! The config file and the shared credentials file, and the profiles that both make together.

use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::ini::{self, Ini};
use super::{invalid, quoted};
use crate::error::{Error, Result};
use crate::system::System;

/// The texts of both files.
pub(super) struct Files {
    config: Opened,
    credentials: Opened,
}

/// A file: what it says, or why it is not there.
struct Opened {
    /// For errors.
    path: PathBuf,
    text: Zeroizing<String>,
    missing: Option<String>,
}

/// Both files, read, and which profile is meant.
pub(super) struct Profiles<'a> {
    files: &'a Files,
    config: Ini<'a>,
    credentials: Ini<'a>,
    /// The profile's name.
    pub(super) name: String,
}

/// One of the profiles.
#[derive(Clone, Copy)]
pub(super) struct Profile<'a> {
    profiles: &'a Profiles<'a>,
    pub(super) name: &'a str,
}

/// Which of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProfileFile {
    Config,
    Credentials,
}

impl Files {
    /// Reads both, as far as they are there. Neither needs to be.
    pub(super) fn open(system: &dyn System) -> Result<Files> {
        Ok(Files {
            config: Opened::open(system, "AWS_CONFIG_FILE", "~/.aws/config")?,
            credentials: Opened::open(system, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")?,
        })
    }
}

impl Opened {
    fn open(system: &dyn System, variable: &str, usual: &str) -> Result<Opened> {
        let named = system.variable(variable);
        let path = expanded(system, named.as_deref().unwrap_or(usual));
        let absent = |path: PathBuf, why: String| Opened { path, text: Zeroizing::default(), missing: Some(why) };
        if named.as_deref() == Some("") {
            return Ok(absent(path, format!("{variable} is set to nothing, which switches the file off")));
        }
        let bytes = match system.read_file(&path, MAX_FILE) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge) => {
                return Err(invalid(format!("{}: {error}", quoted(&path))));
            }
            Err(error) => return Ok(absent(path.clone(), why_not(&path, &error))),
        };
        match str::from_utf8(&bytes) {
            Ok(text) => Ok(Opened { path, text: Zeroizing::new(text.to_owned()), missing: None }),
            Err(_) => Err(invalid(format!("{} is not UTF-8", quoted(&path)))),
        }
    }

    fn parse(&self) -> Result<Ini<'_>> {
        Ini::parse(&self.text).map_err(|ini::Wrong { line, what }| {
            invalid(format!("line {line} of {}: {what}", quoted(&self.path)))
                .with_hint("the AWS tools cannot read this file either: mend or move it, or name another")
        })
    }
}

impl<'a> Profiles<'a> {
    /// Reads what the files say. A profile that the environment names must be in one of them.
    pub(super) fn parse(files: &'a Files, system: &dyn System) -> Result<Profiles<'a>> {
        let (config, credentials) = (files.config.parse()?, files.credentials.parse()?);
        let named = PROFILE_VARIABLES.iter().find_map(|name| Some((*name, system.variable(name)?)));
        let named = named.filter(|(_, value)| !value.is_empty());
        let name = named.as_ref().map_or(DEFAULT, |(_, value)| value.as_str()).to_owned();
        let profiles = Profiles { files, config, credentials, name };
        if let Some((variable, name)) = named.filter(|(_, name)| profiles.get(name).is_none()) {
            return Err(profiles.unknown(variable, &name));
        }
        Ok(profiles)
    }

    /// The profile that is meant, if it is there.
    pub(super) fn chosen(&self) -> Option<Profile<'_>> {
        self.get(&self.name)
    }

    /// A profile of either file.
    pub(super) fn get<'b>(&'b self, name: &'b str) -> Option<Profile<'b>> {
        let there = self.config_section(name).is_some() || self.credentials.has(name);
        there.then_some(Profile { profiles: self, name })
    }

    /// A value of a named section of the config file that is no profile: `sso-session`, `services`.
    pub(super) fn of_section(&self, kind: &str, section: &str, name: &str) -> Option<&str> {
        self.config.get(self.section_named(kind, section)?, name)
    }

    /// Whether the config file has such a section.
    pub(super) fn has_section(&self, kind: &str, section: &str) -> bool {
        self.section_named(kind, section).is_some()
    }

    /// Why there is nothing in one of the files, for a report.
    pub(super) fn why_nothing(&self, which: ProfileFile, profile: &str, what: &str) -> String {
        let file = self.file(which);
        match &file.missing {
            Some(why) => why.clone(),
            None => format!("the profile {profile:?} has no {what} in {}", quoted(&file.path)),
        }
    }

    /// How errors name one of the files.
    pub(super) fn path(&self, which: ProfileFile) -> String {
        quoted(&self.file(which).path)
    }

    fn file(&self, which: ProfileFile) -> &'a Opened {
        match which {
            ProfileFile::Config => &self.files.config,
            ProfileFile::Credentials => &self.files.credentials,
        }
    }

    /// Of several sections for the same profile (quoted and not, say) the last counts.
    fn config_section(&self, profile: &str) -> Option<&'a str> {
        let plain = |section: &str| profile == DEFAULT && section == DEFAULT;
        self.config.names().filter(|section| plain(section) || is_section(section, "profile", profile)).last()
    }

    /// The section `[kind name]`; the name may be quoted.
    fn section_named(&self, kind: &str, name: &str) -> Option<&'a str> {
        self.config.names().filter(|section| is_section(section, kind, name)).last()
    }

    fn unknown(&self, variable: &str, name: &str) -> Error {
        let [config, credentials] = [ProfileFile::Config, ProfileFile::Credentials].map(|which| self.path(which));
        invalid(format!("{variable} names the profile {name:?}, which is neither in {config} nor in {credentials}"))
            .with_hint(format!(
                "a profile is [profile {name}] in the config file and [{name}] in the credentials file; `aws configure list-profiles` names them"
            ))
    }
}

impl<'a> Profile<'a> {
    /// A value of the profile; where both files have one, that of the credentials file.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.only(ProfileFile::Credentials, name).or_else(|| self.only(ProfileFile::Config, name))
    }

    /// A value of the profile in one of the files.
    pub(super) fn only(&self, which: ProfileFile, name: &str) -> Option<&'a str> {
        match which {
            ProfileFile::Credentials => self.profiles.credentials.get(self.name, name),
            ProfileFile::Config => self.profiles.config.get(self.profiles.config_section(self.name)?, name),
        }
    }

    /// Whether a pair of keys, or half of one, is written into it.
    pub(super) fn has_keys(&self) -> bool {
        ["aws_access_key_id", "aws_secret_access_key"].iter().any(|name| self.get(name).is_some())
    }

    /// Whether it is a role to be assumed with other keys.
    pub(super) fn is_role(&self) -> bool {
        self.get("role_arn").is_some() && self.get("web_identity_token_file").is_none()
    }
}

/// A path with the home folder for `~` and variables for `$NAME` and `${NAME}`, as AWS' tools read it.
pub(super) fn expanded(system: &dyn System, path: &str) -> PathBuf {
    let path = with_variables(system, path);
    let Some(rest) = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with(['/', '\\'])) else {
        return PathBuf::from(path);
    };
    match system.home() {
        Some(home) => home.join(rest.trim_start_matches(['/', '\\'])),
        None => PathBuf::from(path),
    }
}

/// A reference to a variable that is not set is left unchanged.
fn with_variables(system: &dyn System, path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, written, left) = match braced {
            Some((name, left)) => (name, after.get(..name.len() + 2), left),
            None => {
                let end = after.find(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_').unwrap_or(after.len());
                let (name, left) = after.split_at(end);
                (name, Some(name), left)
            }
        };
        match system.variable(name).filter(|_| !name.is_empty()) {
            Some(value) => out.push_str(&value),
            None => {
                out.push('$');
                out.push_str(written.unwrap_or_default());
            }
        }
        rest = left;
    }
    out.push_str(rest);
    out
}

/// The message for a file that could not be read.
pub(super) fn why_not(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no file {}", quoted(path)),
        _ => format!("{} cannot be read: {error}", quoted(path)),
    }
}

fn is_section(section: &str, kind: &str, name: &str) -> bool {
    let rest = section.strip_prefix(kind).and_then(|rest| rest.strip_prefix([' ', '\t']));
    rest.is_some_and(|rest| unquoted(rest.trim()) == Some(name))
}

/// The name of a section without the quotes that a shell would remove; `None` if there is more than one word.
fn unquoted(name: &str) -> Option<&str> {
    for quote in ['"', '\''] {
        if let Some(inner) = name.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return Some(inner).filter(|inner| !inner.contains(quote));
        }
    }
    (!name.contains([' ', '\t', '"', '\'', '\\'])).then_some(name)
}

/// The profile that is meant where none is named.
const DEFAULT: &str = "default";

/// What names the profile, in the order in which boto3 looks.
const PROFILE_VARIABLES: &[&str] = &["AWS_DEFAULT_PROFILE", "AWS_PROFILE"];

/// The most bytes of a config or credentials file.
const MAX_FILE: u64 = 1024 * 1024;
