//! Where AWS keys come from when none are given: what the environment, the files and the machine offer, in the order in which
//! boto3 looks.
//!
//! [`find`] is the entry point. A source that is not configured is skipped and reports why; the first source with keys is used. A
//! configured source that fails ends the search, because keys of another source could belong to another user. Only the metadata
//! service of EC2, the last source, is asked without being configured. Each source has a file here; what they share: [`profiles`] (the two files),
//! [`ask`] (HTTP), [`endpoint`] (regions and their hosts), [`sts`] (roles), [`reply`] (JSON with keys in it).

mod ask;
mod assume_role;
mod container;
mod ec2;
mod endpoint;
mod environment;
mod identity_center;
mod ini;
mod process;
mod profiles;
mod reply;
mod split;
mod static_keys;
mod sts;
mod web_identity;
mod xml;

use std::fmt::Debug;
use std::path::Path;

use super::{SEARCH, stage};
use crate::credential::{AwsKeys, AwsSearchFailed, AwsSkipped, AwsSource};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, FaultKind, Result};
use crate::system::System;

use profiles::{Files, Profile, ProfileFile, Profiles};

/// Keys that were found, and the sources before them that had none.
pub(super) struct Found {
    pub(super) keys: AwsKeys,
    pub(super) source: AwsSource,
    pub(super) skipped: Vec<AwsSkipped>,
}

/// Where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SearchScope {
    /// In every source, in order.
    Everywhere,
    /// Not among the keys of the environment: fetched keys are to be refreshed from what fetches.
    SkipEnvironment,
}

/// Looks for keys, source by source, and takes the first that has some.
pub(super) fn find(system: &dyn System, look: SearchScope, deadline: Deadline) -> Result<Found> {
    let mut search = Search { system, skipped: Vec::new() };
    let environment = match look {
        SearchScope::Everywhere => environment::look(system),
        SearchScope::SkipEnvironment => Ok(SourceResult::nothing("cached keys are refreshed from their source")),
    };
    if let Some(keys) = search.accept(AwsSource::Environment, environment)? {
        return Ok(search.found(keys, AwsSource::Environment));
    }
    let files = Files::open(system)?;
    let profiles = Profiles::parse(&files, system)?;
    let context = SearchContext { system, profiles: &profiles, profile: &profiles.name, variables: true, deadline };
    for (source, look) in ORDER {
        if let Some(keys) = search.accept(*source, look(&context))? {
            return Ok(search.found(keys, *source));
        }
    }
    Err(search.no_keys_error())
}

/// What decides which keys would be fetched, beside the keys of the environment themselves.
pub(super) fn identity(system: &dyn System) -> Vec<(&'static str, String)> {
    DECIDING.iter().filter_map(|name| Some((*name, system.variable(name)?))).collect()
}

/// What one source had.
enum SourceResult {
    Found(AwsKeys),
    /// It is not configured, or (EC2) does not answer; why, and what to do about it.
    Nothing(String),
}

impl SourceResult {
    fn nothing(why: &str) -> SourceResult {
        SourceResult::Nothing(why.to_owned())
    }
}

/// Where a source looks.
#[derive(Clone, Copy)]
struct SearchContext<'a> {
    system: &'a dyn System,
    profiles: &'a Profiles<'a>,
    /// The profile that counts.
    profile: &'a str,
    /// Whether variables of the environment may stand for what the profile says.
    variables: bool,
    /// Until when keys must be there.
    deadline: Deadline,
}

impl<'a> SearchContext<'a> {
    /// The profile that counts, if it is there.
    fn profile(&self) -> Option<Profile<'a>> {
        self.profiles.get(self.profile)
    }

    /// Why nothing was found where the profile would have to say so.
    fn nothing_in_profile(&self, what: &str) -> SourceResult {
        SourceResult::Nothing(match self.profile() {
            Some(_) => format!("the profile {:?} has no {what}", self.profile),
            None => format!("there is no profile {:?}", self.profile),
        })
    }

    /// A variable that is set to something.
    fn variable(&self, name: &str) -> Option<String> {
        self.system.variable(name).filter(|value| !value.is_empty())
    }
}

/// The keys of a profile that others assume a role with: from any source that the profile itself names.
fn keys_of_profile(context: &SearchContext<'_>) -> Result<AwsKeys> {
    for (source, look) in ORDER.iter().filter(|(source, _)| OF_A_PROFILE.contains(source)) {
        if let SourceResult::Found(keys) = look(context).map_err(|error| with_source_name(*source, error))? {
            return Ok(keys);
        }
    }
    Err(invalid(format!("the profile {:?}, which is a source_profile, has no keys by any source", context.profile)))
}

/// A search as far as it has come.
struct Search<'a> {
    system: &'a dyn System,
    skipped: Vec<AwsSkipped>,
}

impl Search<'_> {
    /// Keys, or nothing and the reason is noted. An error is one of a source that is configured, so it ends the search.
    fn accept(&mut self, source: AwsSource, looked: Result<SourceResult>) -> Result<Option<AwsKeys>> {
        match looked {
            Ok(SourceResult::Found(keys)) => match keys.expires.is_some_and(|at| at <= self.system.now()) {
                // A metadata service that cannot renew keys for a while gives old ones, which AWS goes on taking.
                true if source != AwsSource::Ec2 => Err(self.failed(source, expired())),
                _ => Ok(Some(keys)),
            },
            Ok(SourceResult::Nothing(why)) => {
                self.skipped.push(AwsSkipped { source, why });
                Ok(None)
            }
            Err(error) => Err(self.failed(source, error)),
        }
    }

    fn found(self, keys: AwsKeys, source: AwsSource) -> Found {
        Found { keys, source, skipped: self.skipped }
    }

    fn failed(&mut self, source: AwsSource, error: Error) -> Error {
        let skipped = std::mem::take(&mut self.skipped);
        let error = with_source_name(source, error);
        let error = match error.hint() {
            Some(_) => error,
            None => error.with_hint("this source is configured, so none after it is asked"),
        };
        error.with_source(AwsSearchFailed { failed: Some(source), skipped })
    }

    fn no_keys_error(self) -> Error {
        let reasons: Vec<String> = self.skipped.iter().map(ToString::to_string).collect();
        failed(format!("no source has AWS keys. {}", reasons.join("; ")))
            .with_hint(
                "give keys in the connection string, in code, or as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; or name a profile \
                 with AWS_PROFILE; or run where AWS gives a role (ECS, EKS, EC2)",
            )
            .with_source(AwsSearchFailed { failed: None, skipped: self.skipped })
    }
}

/// An error of a source. Its message includes the message of its cause, which is not stored separately.
fn with_source_name(source: AwsSource, error: Error) -> Error {
    let named = Error::new(kind_of(&error), stage(SEARCH), format!("{source}: {}", error.told()));
    match error.hint() {
        Some(hint) => named.with_hint(hint.to_owned()),
        None => named,
    }
}

/// A network error of an AWS service must not be reported as a network error of the MongoDB server.
fn kind_of(error: &Error) -> FaultKind {
    match error.kind() {
        ErrorKind::InvalidArgument { .. } => FaultKind::InvalidArgument,
        ErrorKind::NotSupported { .. } => FaultKind::NotSupported,
        _ => FaultKind::Authentication,
    }
}

/// The error for a configuration that cannot work.
fn invalid(what: impl Into<String>) -> Error {
    Error::new(FaultKind::InvalidArgument, stage(SEARCH), what.into())
}

/// Something that is configured and did not give keys.
fn failed(what: impl Into<String>) -> Error {
    Error::new(FaultKind::Authentication, stage(SEARCH), what.into())
}

fn expired() -> Error {
    failed("the keys that it gives have expired").with_hint("is this machine's clock right?")
}

/// A path, as messages quote it.
fn quoted(path: &Path) -> String {
    let path: &dyn Debug = &path;
    format!("{path:?}")
}

/// Text from another program or service, quoted and shortened.
fn short(text: &str) -> String {
    format!("{:?}", text.chars().take(MAX_QUOTED).collect::<String>())
}

/// How a source looks.
type Source = fn(&SearchContext<'_>) -> Result<SourceResult>;

/// Every source after the environment's keys, in order.
const ORDER: &[(AwsSource, Source)] = &[
    (AwsSource::AssumeRole, assume_role::look),
    (AwsSource::WebIdentity, web_identity::look),
    (AwsSource::IdentityCenter, identity_center::look),
    (AwsSource::SharedCredentialsFile, |context| static_keys::look(context, ProfileFile::Credentials)),
    (AwsSource::CredentialProcess, process::look),
    (AwsSource::ConfigFile, |context| static_keys::look(context, ProfileFile::Config)),
    (AwsSource::Container, container::look),
    (AwsSource::Ec2, ec2::look),
];

/// The sources that a profile configures.
const OF_A_PROFILE: &[AwsSource] = &[
    AwsSource::WebIdentity,
    AwsSource::IdentityCenter,
    AwsSource::SharedCredentialsFile,
    AwsSource::CredentialProcess,
    AwsSource::ConfigFile,
];

/// How many characters of a foreign text a message quotes.
const MAX_QUOTED: usize = 300;

/// Every variable that a source reads, but for the keys of the environment.
const DECIDING: &[&str] = &[
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_PROFILE",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SSO",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "HOME",
    "USERPROFILE",
];

#[cfg(test)]
mod tests;
