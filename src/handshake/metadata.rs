//! The client metadata: the `client` document of the first hello, at most 512 bytes.

use std::sync::{Arc, OnceLock};

use bson::raw::cstr;
use bson::{RawDocumentBuf, rawdoc};

use super::environment::Environment;
use crate::error::{Error, Result};
use crate::options::DriverInfo;

/// The client metadata of one client. Wrapping libraries may add to it while the client lives.
#[derive(Debug)]
pub(crate) struct Metadata {
    fixed: Fixed,
    first: Appended,
}

/// The parts that never change.
#[derive(Debug)]
struct Fixed {
    app_name: Option<String>,
    os_name: Option<String>,
    env_name: Option<&'static str>,
    /// The rest of `env`, in order.
    env_rest: RawDocumentBuf,
}

/// What wrapping libraries added, and the document with it. The last one counts. Without a lock, a child process can read what its parent
/// had, whatever threads of that were doing.
#[derive(Debug)]
struct Appended {
    infos: Vec<DriverInfo>,
    document: Arc<RawDocumentBuf>,
    next: OnceLock<Box<Appended>>,
}

impl Metadata {
    /// The metadata of a client with this application name and this information about wrapping libraries.
    ///
    /// Fails on an application name of more than 128 bytes, and on wrapper information that cannot be sent.
    pub(super) fn new(app_name: Option<&str>, infos: &[DriverInfo], environment: &Environment<'_>) -> Result<Self> {
        let app_name = app_name.filter(|name| !name.is_empty());
        if app_name.is_some_and(|name| name.len() > MAX_APP_NAME) {
            return Err(Error::invalid_argument(format!(
                "the application name (appName) is longer than {MAX_APP_NAME} bytes"
            )));
        }
        let fixed = Fixed {
            app_name: app_name.map(str::to_owned),
            os_name: environment.os_name(),
            env_name: environment.function_service(),
            env_rest: env_rest(environment),
        };
        let document = Arc::new(truncate_to_limit(&fixed, &[])?);
        let metadata = Metadata { fixed, first: Appended { infos: Vec::new(), document, next: OnceLock::new() } };
        infos.iter().try_for_each(|info| metadata.append(info.clone()))?;
        Ok(metadata)
    }

    /// Adds the information of a wrapping library. The same information twice counts once; an empty string counts as absent.
    ///
    /// Fails, and changes nothing, on a string that contains the separator `|`, and where there is no room left.
    pub(crate) fn append(&self, info: DriverInfo) -> Result<()> {
        let info = normalized(info)?;
        let is_empty = info.name.is_empty() && info.version.is_none() && info.platform.is_none();
        loop {
            let last = self.last();
            if is_empty || last.infos.contains(&info) {
                return Ok(());
            }
            let infos = [&last.infos[..], std::slice::from_ref(&info)].concat();
            let document = Arc::new(truncate_to_limit(&self.fixed, &infos)?);
            // Otherwise another thread has added something meanwhile.
            if last.next.set(Box::new(Appended { infos, document, next: OnceLock::new() })).is_ok() {
                return Ok(());
            }
        }
    }

    /// Takes over what was added in the parent process.
    pub(super) fn take_over(&self, parent: &Metadata) {
        let Appended { infos, document, .. } = parent.last();
        let taken = Appended { infos: infos.clone(), document: document.clone(), next: OnceLock::new() };
        let _ = self.last().next.set(Box::new(taken)); // Nobody else has these metadata yet.
    }

    /// The document as it stands.
    pub(super) fn document(&self) -> Arc<RawDocumentBuf> {
        Arc::clone(&self.last().document)
    }

    fn last(&self) -> &Appended {
        let mut last = &self.first;
        while let Some(next) = last.next.get() {
            last = next;
        }
        last
    }
}

fn normalized(info: DriverInfo) -> Result<DriverInfo> {
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    let info = DriverInfo { name: info.name, version: some(info.version), platform: some(info.platform) };
    let texts = [Some(&info.name), info.version.as_ref(), info.platform.as_ref()];
    if texts.into_iter().flatten().any(|text| text.contains(SEPARATOR)) {
        return Err(Error::invalid_argument("driver information may not contain '|', which separates its parts"));
    }
    Ok(info)
}

/// The fullest document that the limit allows; the specification says what goes first.
fn truncate_to_limit(fixed: &Fixed, infos: &[DriverInfo]) -> Result<RawDocumentBuf> {
    let mut platform = joined(PLATFORM, infos.iter().filter_map(|info| info.platform.as_deref()));
    for detail in [Detail::All, Detail::ShortEnv, Detail::ShortOs, Detail::NoEnv] {
        let document = document(fixed, infos, detail, &platform);
        if document.as_bytes().len() <= MAX_DOCUMENT {
            return Ok(document);
        }
    }
    while platform.pop().is_some() {
        let document = document(fixed, infos, Detail::NoEnv, &platform);
        if document.as_bytes().len() <= MAX_DOCUMENT {
            return Ok(document);
        }
    }
    let message =
        format!("application name and driver information do not fit into {MAX_DOCUMENT} bytes of client metadata");
    Err(Error::invalid_argument(message))
}

/// How much the document contains; each level leaves out what those before it do, and more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    All,
    /// Of `env` only the name.
    ShortEnv,
    /// Of `os` only the type.
    ShortOs,
    NoEnv,
}

fn document(fixed: &Fixed, infos: &[DriverInfo], detail: Detail, platform: &str) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    if let Some(name) = &fixed.app_name {
        document.append(cstr!("application"), rawdoc! { "name": name.as_str() });
    }
    let name = joined(NAME, infos.iter().map(|info| info.name.as_str()).filter(|name| !name.is_empty()));
    let version = joined(VERSION, infos.iter().filter_map(|info| info.version.as_deref()));
    document.append(cstr!("driver"), rawdoc! { "name": name, "version": version });
    document.append(cstr!("os"), os(fixed, detail));
    if !platform.is_empty() {
        document.append(cstr!("platform"), platform);
    }
    let env = env(fixed, detail);
    if !env.is_empty() {
        document.append(cstr!("env"), env);
    }
    document
}

fn os(fixed: &Fixed, detail: Detail) -> RawDocumentBuf {
    let mut os = rawdoc! { "type": os_type() };
    if detail >= Detail::ShortOs {
        return os;
    }
    if let Some(name) = &fixed.os_name {
        os.append(cstr!("name"), name.as_str());
    }
    os.append(cstr!("architecture"), std::env::consts::ARCH);
    os
}

fn env(fixed: &Fixed, detail: Detail) -> RawDocumentBuf {
    let mut env = RawDocumentBuf::new();
    if let Some(name) = fixed.env_name.filter(|_| detail < Detail::NoEnv) {
        env.append(cstr!("name"), name);
    }
    if detail == Detail::All {
        for (key, value) in fixed.env_rest.iter().flatten() {
            env.append(key, value);
        }
    }
    env
}

/// What is known of the function service (without its name) and the container.
fn env_rest(environment: &Environment<'_>) -> RawDocumentBuf {
    let (timeout, memory, region) = match environment.function_service() {
        Some("aws.lambda") => (None, Some("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), Some("AWS_REGION")),
        Some("gcp.func") => (Some("FUNCTION_TIMEOUT_SEC"), Some("FUNCTION_MEMORY_MB"), Some("FUNCTION_REGION")),
        Some("vercel") => (None, None, Some("VERCEL_REGION")),
        _ => (None, None, None),
    };
    let mut rest = RawDocumentBuf::new();
    if let Some(seconds) = timeout.and_then(|name| environment.number(name)) {
        rest.append(cstr!("timeout_sec"), seconds);
    }
    if let Some(megabytes) = memory.and_then(|name| environment.number(name)) {
        rest.append(cstr!("memory_mb"), megabytes);
    }
    if let Some(region) = region.and_then(|name| environment.variable(name)) {
        rest.append(cstr!("region"), region);
    }
    let mut container = RawDocumentBuf::new();
    if environment.exists("/.dockerenv") {
        container.append(cstr!("runtime"), "docker");
    }
    if environment.variable("KUBERNETES_SERVICE_HOST").is_some() {
        container.append(cstr!("orchestrator"), "kubernetes");
    }
    if !container.is_empty() {
        rest.append(cstr!("container"), container);
    }
    rest
}

fn os_type() -> &'static str {
    match std::env::consts::OS {
        "linux" | "android" => "Linux",
        "macos" | "ios" => "Darwin",
        "windows" => "Windows",
        "freebsd" | "netbsd" | "openbsd" | "dragonfly" => "BSD",
        _ => "unknown",
    }
}

fn joined<'a>(own: &str, theirs: impl Iterator<Item = &'a str>) -> String {
    theirs.fold(own.to_owned(), |mut all, one| {
        all.push(SEPARATOR);
        all.push_str(one);
        all
    })
}

const NAME: &str = env!("CARGO_PKG_NAME");
const VERSION: &str = env!("CARGO_PKG_VERSION");
const PLATFORM: &str = "Rust (blocking)";

/// Between the driver's own value and those of wrapping libraries.
const SEPARATOR: char = '|';

/// The server refuses more (handshake specification, limitations).
const MAX_DOCUMENT: usize = 512;

/// The server refuses more.
const MAX_APP_NAME: usize = 128;

#[cfg(test)]
mod tests {
    use bson::RawDocument;

    use super::*;
    use crate::system::{System, TestSystem};

    fn metadata(variables: &[(&str, &str)], app_name: Option<&str>, infos: &[DriverInfo]) -> Result<Metadata> {
        let system = TestSystem::with_variables(variables.iter().copied());
        for (name, path) in [("docker", "/.dockerenv"), ("os-release", "/etc/os-release")] {
            if let Some(content) = system.variable(name) {
                system.set_file(path, content);
            }
        }
        Metadata::new(app_name, infos, &Environment(&system))
    }

    fn env_of(variables: &[(&str, &str)]) -> RawDocumentBuf {
        let document = metadata(variables, None, &[]).unwrap().document();
        document.get_document("env").map(RawDocument::to_owned).unwrap_or_default()
    }

    fn info(name: &str, version: &str, platform: &str) -> DriverInfo {
        DriverInfo { name: name.into(), version: Some(version.into()), platform: Some(platform.into()) }
    }

    fn driver(metadata: &Metadata) -> (String, String, String) {
        let document = metadata.document();
        let driver = document.get_document("driver").unwrap();
        let text = |document: &RawDocument, key| document.get_str(key).unwrap().to_owned();
        (text(driver, "name"), text(driver, "version"), text(&document, "platform"))
    }

    #[test]
    fn the_plain_document_says_who_and_where() {
        let plain = metadata(&[("os-release", "ID=x\nPRETTY_NAME=\"Debian 12\"\n")], Some("app"), &[]).unwrap();
        let document = plain.document();
        assert_eq!(document.get_document("application").unwrap().get_str("name").unwrap(), "app");
        assert_eq!(document.get_document("driver").unwrap().get_str("name").unwrap(), "mongo-blocking");
        let os = document.get_document("os").unwrap();
        assert_eq!(os.get_str("type").unwrap(), os_type());
        assert_eq!(os.get_str("name").unwrap(), "Debian 12");
        assert!(document.get("env").unwrap().is_none());
        assert!(metadata(&[], None, &[]).unwrap().document().get("application").unwrap().is_none());
    }

    #[test]
    fn function_services_follow_the_specifications_table() {
        let lambda = [
            ("AWS_EXECUTION_ENV", "AWS_Lambda_java8"),
            ("AWS_REGION", "us-east-2"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024"),
        ];
        assert_eq!(env_of(&lambda), rawdoc! { "name": "aws.lambda", "memory_mb": 1024, "region": "us-east-2" });
        assert_eq!(env_of(&[("FUNCTIONS_WORKER_RUNTIME", "node")]), rawdoc! { "name": "azure.func" });
        let google = [
            ("K_SERVICE", "servicename"),
            ("FUNCTION_MEMORY_MB", "1024"),
            ("FUNCTION_TIMEOUT_SEC", "60"),
            ("FUNCTION_REGION", "us-central1"),
        ];
        let expected = rawdoc! { "name": "gcp.func", "timeout_sec": 60, "memory_mb": 1024, "region": "us-central1" };
        assert_eq!(env_of(&google), expected);
        let vercel = [("VERCEL", "1"), ("VERCEL_REGION", "cdg1")];
        assert_eq!(env_of(&vercel), rawdoc! { "name": "vercel", "region": "cdg1" });
        let both = [&lambda[..], &vercel[..]].concat();
        assert_eq!(env_of(&both), rawdoc! { "name": "vercel", "region": "cdg1" });

        let several = [("AWS_EXECUTION_ENV", "AWS_Lambda_java8"), ("FUNCTIONS_WORKER_RUNTIME", "node")];
        assert_eq!(env_of(&several), rawdoc! {});
        assert_eq!(env_of(&[("VERCEL", "1"), ("K_SERVICE", "x")]), rawdoc! {});
        assert_eq!(env_of(&[("AWS_EXECUTION_ENV", "EC2")]), rawdoc! {});
        let ill_typed =
            [("AWS_LAMBDA_RUNTIME_API", "x"), ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "big"), ("AWS_REGION", "")];
        assert_eq!(env_of(&ill_typed), rawdoc! { "name": "aws.lambda" });
    }

    #[test]
    fn a_container_stands_beside_a_function_service() {
        let container = rawdoc! { "runtime": "docker", "orchestrator": "kubernetes" };
        let variables = [("docker", "1"), ("KUBERNETES_SERVICE_HOST", "1"), ("AWS_LAMBDA_RUNTIME_API", "x")];
        assert_eq!(env_of(&variables), rawdoc! { "name": "aws.lambda", "container": container });
        assert_eq!(env_of(&[("docker", "1")]), rawdoc! { "container": { "runtime": "docker" } });
    }

    #[test]
    fn what_does_not_fit_goes_in_the_specifications_order() {
        let region = "r".repeat(512);
        let name = format!("PRETTY_NAME={}", "n".repeat(512));
        let lambda = [("AWS_LAMBDA_RUNTIME_API", "x"), ("AWS_REGION", region.as_str())];
        assert_eq!(env_of(&lambda), rawdoc! { "name": "aws.lambda" });

        let long_os = metadata(&[lambda[0], lambda[1], ("os-release", &name)], None, &[]).unwrap().document();
        assert_eq!(long_os.get_document("os").unwrap(), &*rawdoc! { "type": os_type() });
        assert_eq!(long_os.get_document("env").unwrap(), &*rawdoc! { "name": "aws.lambda" });

        let wide = info("n", "v", &"ä".repeat(300));
        let long_platform = metadata(&lambda[..1], None, &[wide]).unwrap().document();
        assert!(long_platform.get("env").unwrap().is_none());
        assert!((510..=512).contains(&long_platform.as_bytes().len()));
        assert!(long_platform.get_str("platform").unwrap().ends_with('ä'));

        let error = metadata(&[], None, &[info(&"n".repeat(500), "v", "p")]).unwrap_err();
        assert!(error.message().contains("do not fit"), "{error}");
    }

    #[test]
    fn an_application_name_has_at_most_128_bytes() {
        assert!(metadata(&[], Some(&"a".repeat(128)), &[]).is_ok());
        assert!(metadata(&[], Some(&"a".repeat(129)), &[]).unwrap_err().message().contains("128"));
    }

    #[test]
    fn wrapping_libraries_add_to_a_living_client() {
        let metadata = metadata(&[], None, &[info("library", "1.2", "Library Platform")]).unwrap();
        let first = driver(&metadata);
        assert_eq!(first.0, "mongo-blocking|library");
        assert_eq!(first.1, format!("{VERSION}|1.2"));
        assert_eq!(first.2, format!("{PLATFORM}|Library Platform"));

        metadata.append(info("library", "1.2", "Library Platform")).unwrap();
        metadata.append(info("", "", "")).unwrap();
        assert_eq!(driver(&metadata), first);

        metadata.append(DriverInfo { name: "framework".into(), version: None, platform: None }).unwrap();
        metadata.append(info("framework", "", "")).unwrap();
        assert_eq!(driver(&metadata), ("mongo-blocking|library|framework".to_owned(), first.1, first.2));

        let before = driver(&metadata);
        for bad in [info("a|b", "", ""), info("a", "1|2", ""), info("a", "", "x|y"), info(&"n".repeat(600), "", "")] {
            metadata.append(bad).unwrap_err();
        }
        assert_eq!(driver(&metadata), before);
    }
}
