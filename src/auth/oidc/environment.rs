//! Tokens from the program's environment: metadata services, files, programs.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::{TOKEN, failed, stage};
use super::token_text::{MAX_TOKEN, text};
use super::{TokenSource, azure, gcp};
use crate::credential::{IdpServerResponse, OidcCommand, OidcEnvironment, OidcSource};
use crate::error::{FaultKind, Result};
use crate::process::ProcessOutcome;
use crate::secret::Secret;
use crate::secret_file::why_unreadable;

impl TokenSource {
    /// What the environment gives now.
    pub(super) fn environment(&self) -> Result<IdpServerResponse> {
        let system = &*self.shared.system;
        let token = match self.credential.environment() {
            Some(OidcEnvironment::Azure { token_resource }) => {
                azure::token(system, token_resource, self.credential.username.as_deref(), self.limits.machine)?
            }
            Some(OidcEnvironment::Gcp { token_resource }) => gcp::token(system, token_resource, self.limits.machine)?,
            Some(OidcEnvironment::K8s) => self.read_file(&self.k8s_file())?,
            Some(OidcEnvironment::Test) => self.read_file(&self.test_file()?)?,
            None => return Err(failed(FaultKind::Authentication, "there is no environment that gives tokens")),
        };
        Ok(IdpServerResponse::new(token))
    }

    /// What a file or a program in code gives now.
    pub(super) fn read_anew(&self) -> Result<Secret> {
        match &self.credential.source {
            OidcSource::TokenFile(path) => self.read_file(path),
            OidcSource::TokenCommand(command) => self.run(command),
            _ => Err(failed(FaultKind::Authentication, "there is neither a token file nor a token command")),
        }
    }

    /// Azure's and Amazon's managed Kubernetes have their own files; elsewhere it is the service account's.
    fn k8s_file(&self) -> PathBuf {
        let variable = |name| self.shared.system.variable(name).filter(|path| !path.is_empty());
        let named = variable("AZURE_FEDERATED_TOKEN_FILE").or_else(|| variable("AWS_WEB_IDENTITY_TOKEN_FILE"));
        named.map_or_else(|| PathBuf::from(SERVICE_ACCOUNT_TOKEN), PathBuf::from)
    }

    fn test_file(&self) -> Result<PathBuf> {
        let path = self.shared.system.variable("OIDC_TOKEN_FILE").filter(|path| !path.is_empty());
        path.map(PathBuf::from).ok_or_else(|| {
            failed(
                FaultKind::Authentication,
                "ENVIRONMENT test needs the variable OIDC_TOKEN_FILE, the path of a token",
            )
        })
    }

    fn read_file(&self, path: &Path) -> Result<Secret> {
        let whose = |what: &str| format!("the token file {} {what}", path.display());
        let bytes = self.shared.system.read_file(path, MAX_TOKEN as u64).map_err(|error| {
            let message = whose(&format!("cannot be read{}", why_unreadable(&error)));
            failed(FaultKind::Authentication, message).with_source(error)
        })?;
        text(&bytes).map_err(|what| failed(FaultKind::Authentication, whose(&format!("holds {what}"))))
    }

    fn run(&self, command: &OidcCommand) -> Result<Secret> {
        let words: Vec<_> = command.words().iter().map(|word| Zeroizing::new(word.expose().to_owned())).collect();
        let whose = |what: &str| format!("the program {:?} {what}", command.program());
        let error = |what: &str| failed(FaultKind::Authentication, whose(what));
        let limit = self.limits.machine;
        match self.shared.system.run(&words, MAX_TOKEN, limit) {
            Ok(ProcessOutcome::Success(output)) => text(&output).map_err(|what| error(&format!("printed {what}"))),
            Ok(ProcessOutcome::Failed(status)) => Err(error(&format!("did not end well: {status}"))),
            Ok(ProcessOutcome::OutputTooLong) => Err(error("printed more than 48 KiB")),
            Ok(ProcessOutcome::TimedOut) => {
                Err(limit.ran_out(stage(TOKEN), whose(&format!("printed no token within {}", limit.name()))))
            }
            Err(source) => Err(error("could not be run").with_source(source)),
        }
    }
}

/// Where Kubernetes puts it.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
