//! The facts about the machine and the process that client metadata contains.

use std::path::Path;

use crate::system::System;

/// Reads the facts from the system.
pub(super) struct Environment<'a>(pub(super) &'a dyn System);

impl Environment<'_> {
    /// An environment variable; an empty one counts as unset, like one that is not Unicode.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.0.variable_os(name)?.into_string().ok().filter(|value| !value.is_empty())
    }

    /// Whether a file exists.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.0.exists(Path::new(path))
    }

    fn text(&self, path: &str) -> Option<String> {
        String::from_utf8(self.0.read_file(Path::new(path), MAX_TEXT).ok()?.to_vec()).ok()
    }

    pub(super) fn number(&self, name: &str) -> Option<i32> {
        self.variable(name)?.parse().ok()
    }

    /// The operating system's name as its maker prints it, on systems with an os-release(5) file.
    pub(super) fn os_name(&self) -> Option<String> {
        let text = self.text("/etc/os-release").or_else(|| self.text("/usr/lib/os-release"))?;
        let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        let name = name.trim().trim_matches(['"', '\'']);
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// The kind of function service this process runs in, where exactly one (or Vercel, which runs on another) says so.
    pub(super) fn function_service(&self) -> Option<&'static str> {
        let set = |name| self.variable(name).is_some();
        let lambda = self.variable("AWS_EXECUTION_ENV").is_some_and(|value| value.starts_with("AWS_Lambda_"))
            || set("AWS_LAMBDA_RUNTIME_API");
        let azure = set("FUNCTIONS_WORKER_RUNTIME");
        let google = set("K_SERVICE") || set("FUNCTION_NAME");
        match (lambda, azure, google, set("VERCEL")) {
            (_, false, false, true) => Some("vercel"),
            (true, false, false, false) => Some("aws.lambda"),
            (false, true, false, false) => Some("azure.func"),
            (false, false, true, false) => Some("gcp.func"),
            _ => None,
        }
    }
}

/// The most bytes of a file; os-release has about 500 bytes.
const MAX_TEXT: u64 = 64 * 1024;
