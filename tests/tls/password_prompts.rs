//! Nothing that a file holds makes the client ask on the terminal: a password comes with the options, or there is none. The client
//! runs in a process that has a terminal of its own (`script`), and what appears there is looked at.

use std::env;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use mongo_blocking::Client;
use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::options::{ClientOptions, ClientOptionsBuilder};
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::peers::Scratch;
use mongo_blocking_test_server::peers::certs::{Authority, CertPurpose};

const NATIVE: bool = cfg!(any(target_os = "macos", mongo_blocking_native_tls));

#[test]
fn no_password_is_asked_on_the_terminal() {
    if let Ok(folder) = env::var(FOLDER) {
        return every_way_to_be_asked(Path::new(&folder));
    }
    let folder = Scratch::new("prompts");
    let material = make_material(folder.path());
    // What asks shows here: the openssl command does.
    let asking = said_on_a_terminal(&format!("openssl pkey -noout -in {material}"), folder.path());
    assert!(asking.contains(QUESTION), "{asking}");

    let program = env::current_exe().unwrap();
    let test = child::test_name(module_path!(), "no_password_is_asked_on_the_terminal");
    let ours = said_on_a_terminal(&format!("{} --exact {test} --nocapture", program.display()), folder.path());
    assert!(ours.contains("1 passed") && !ours.contains(QUESTION), "{ours}");
}

/// Runs this with a terminal of its own, at which nobody types: until it ends, or asks.
fn said_on_a_terminal(command: &str, folder: &Path) -> String {
    let mut script = Command::new("script");
    script.args(["--quiet", "--command", command, "/dev/null"]).env(FOLDER, folder);
    let mut script = script.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the script command");
    let (mut output, mut said) = (script.stdout.take().unwrap(), String::new());
    let mut piece = [0; 1000];
    while let Ok(count @ 1..) = output.read(&mut piece) {
        said.push_str(&String::from_utf8_lossy(piece.get(..count).unwrap()));
        if said.contains(QUESTION) {
            break;
        }
    }
    // With it goes the terminal, and who waits there.
    let _ = script.kill();
    script.wait().unwrap();
    said
}

/// Returns the file with the encrypted key.
fn make_material(folder: &Path) -> String {
    let authority = Authority::new();
    let ann = authority.issue_rsa(CertPurpose::Client, "ann");
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    let openssl = |arguments: &[&str]| {
        let done = Command::new("openssl").current_dir(folder).args(arguments).output().expect("the openssl command");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    write("key.pem", &ann.key);
    let pass = ["-passout", "pass:pencil", "-in", "key.pem"];
    openssl(&[&["pkcs8", "-topk8", "-out", "pkcs8.pem"][..], &pass].concat());
    openssl(&[&["rsa", "-traditional", "-aes256", "-out", "legacy.pem"][..], &pass].concat());
    let own = |name: &str| fs::read_to_string(folder.join(name)).unwrap() + &ann.certificate;
    write("own-pkcs8.pem", &own("pkcs8.pem"));
    write("own-legacy.pem", &own("legacy.pem"));
    // PEM of any kind may say that it is encrypted.
    let encrypted = |text: &str| {
        let (first, rest) = text.split_once('\n').unwrap();
        format!("{first}\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n{rest}")
    };
    write("ca.pem", &encrypted(&authority.pem()));
    write("own-certificate.pem", &format!("{}{}", encrypted(&ann.certificate), ann.key));
    write("list.pem", &encrypted("-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n"));
    fs::write(folder.join("own.p12"), Authority::bundle(&ann, "pencil")).unwrap();
    folder.join("pkcs8.pem").to_str().unwrap().to_owned()
}

fn every_way_to_be_asked(folder: &Path) {
    let path = |name: &str| folder.join(name);
    let own = |name: &str| ClientOptions::builder().tls_certificate_key_file(path(name));
    let wrong = |name: &str| own(name).tls_certificate_key_file_password("inkwell");
    let bundle = fs::read(path("own.p12")).unwrap();
    let refuse = |what: &str, options: ClientOptionsBuilder, words: &str| {
        let error = Client::with_options(options.host("h").build().settings().unwrap()).unwrap_err();
        assert_eq!(error.stage(), Stage::Options, "{what}: {error:?}");
        let unsupported = NATIVE && matches!(error.kind(), ErrorKind::NotSupported { .. });
        assert!(unsupported || error.message().contains(words), "{what}: {error}");
    };
    let (needed, wrong_one) = ("no password is given", "password does not open");
    refuse("PKCS#8", own("own-pkcs8.pem"), needed);
    refuse("legacy", own("own-legacy.pem"), needed);
    refuse("PKCS#8, wrong", wrong("own-pkcs8.pem"), wrong_one);
    refuse("legacy, wrong", wrong("own-legacy.pem"), wrong_one);
    refuse("a bundle", ClientOptions::builder().tls_identity_pkcs12(bundle, ""), wrong_one);
    let encrypted = "an encrypted certificate";
    refuse("an authority", ClientOptions::builder().tls_ca_file(path("ca.pem")), encrypted);
    refuse("an authority in code", ClientOptions::builder().tls_ca_pem(fs::read(path("ca.pem")).unwrap()), encrypted);
    refuse("a certificate", own("own-certificate.pem"), encrypted);
    refuse("a list", ClientOptions::builder().tls_crl_file(path("list.pem")), "an encrypted list");
}

/// Tells the child where the files are.
const FOLDER: &str = "MONGO_BLOCKING_TEST_FOLDER";
/// How OpenSSL asks.
const QUESTION: &str = "pass phrase";
