//! What the client metadata wants to know of the machine and the process.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Where the facts come from; a test hands in its own.
pub(super) struct Environment<'a> {
    /// An environment variable; an empty one counts as unset.
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a file exists.
    pub(super) exists: &'a dyn Fn(&str) -> bool,
    /// The text of a small file.
    pub(super) text: &'a dyn Fn(&str) -> Option<String>,
}

impl Environment<'static> {
    /// The real ones.
    pub(super) fn of_this_process() -> Self {
        Environment {
            variable: &|name| std::env::var(name).ok(),
            exists: &|path| Path::new(path).exists(),
            text: &|path| {
                let mut text = String::new();
                File::open(path).ok()?.take(MAX_TEXT).read_to_string(&mut text).ok()?;
                Some(text)
            },
        }
    }
}

impl Environment<'_> {
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    pub(super) fn number(&self, name: &str) -> Option<i32> {
        self.variable(name)?.parse().ok()
    }

    /// The operating system's name as its maker prints it, on systems with an os-release(5) file.
    pub(super) fn os_name(&self) -> Option<String> {
        let text = (self.text)("/etc/os-release").or_else(|| (self.text)("/usr/lib/os-release"))?;
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

/// How much of a file is read; os-release has about 500 bytes.
const MAX_TEXT: u64 = 64 * 1024;
