//! The fake server as a program: prints its URI, serves until its input ends or it is ended.

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::{env, fs};

use mongo_blocking_test_server::canned::{Answers, documents};
use mongo_blocking_test_server::fake_server::{FakeServer, FakeServerBuilder, Mechanism};

fn main() -> ExitCode {
    let fake_server = match read_arguments(env::args().skip(1)) {
        Ok(Some(builder)) => builder.start(),
        Ok(None) => return ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("fake_server: {what}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut out = io::stdout();
    if writeln!(out, "{}", fake_server.uri()).and_then(|()| out.flush()).is_err() {
        return ExitCode::FAILURE;
    }
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    ExitCode::SUCCESS
}

/// What the arguments ask for; `None` when they asked for help, which was given.
fn read_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Option<FakeServerBuilder>, String> {
    let mut builder = FakeServer::builder().without_log();
    let (mut user, mut password, mut database) = (None, None, "admin".to_owned());
    let (mut certificate, mut key) = (None, None);
    let mut mechanisms = Vec::new();
    let mut canned = None;
    while let Some(name) = arguments.next() {
        if name == "--help" {
            println!("{USAGE}");
            return Ok(None);
        }
        if name == "--canned" {
            canned = Some(canned.unwrap_or(CANNED_DOCUMENTS));
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        match name.as_str() {
            "--user" => user = Some(value),
            "--password" => password = Some(value),
            "--database" => database = value,
            "--mechanism" => {
                mechanisms.push(Mechanism::named(&value).ok_or_else(|| format!("no mechanism {value}"))?);
            }
            "--port" => builder = builder.port(number(&name, &value)?),
            "--tls-cert" => certificate = Some(read(&value)?),
            "--tls-key" => key = Some(read(&value)?),
            "--forward" => builder = builder.forward_to(&value, None),
            "--iterations" => builder = builder.iterations(number(&name, &value)?),
            "--documents" => canned = Some(number(&name, &value)?),
            "--wire-version" => builder = builder.wire_version(number(&name, &value)?),
            _ => return Err(format!("unknown argument {name}")),
        }
    }
    if mechanisms.is_empty() {
        mechanisms = vec![Mechanism::ScramSha1, Mechanism::ScramSha256];
    }
    builder = match (user, password) {
        (Some(user), Some(password)) => builder.user(&user, &password, &mechanisms, &database),
        (None, None) => builder,
        _ => return Err("--user and --password go together".to_owned()),
    };
    builder = match (certificate, key) {
        (Some(certificate), Some(key)) => builder.tls(&certificate, &key),
        (None, None) => builder,
        _ => return Err("--tls-cert and --tls-key go together".to_owned()),
    };
    if let Some(count) = canned {
        builder = builder.canned(Answers::new(documents(count)));
    }
    Ok(Some(builder))
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name}: {value} is not a number that fits"))
}

fn read(path: &str) -> Result<String, String> {
    let mut text = String::new();
    fs::File::open(path).and_then(|mut f| f.read_to_string(&mut text)).map_err(|e| format!("{path}: {e}"))?;
    Ok(text)
}

/// How many documents a canned find returns if `--documents` says nothing.
const CANNED_DOCUMENTS: usize = 100_000;

const USAGE: &str =
    "usage: fake_server [--user NAME --password PASSWORD] [--database NAME] [--mechanism NAME]... [--port N]
             [--tls-cert FILE --tls-key FILE] [--forward HOST:PORT] [--iterations N] [--wire-version N]
             [--canned [--documents N]]
--canned answers ping, insert and find with what is made beforehand; find returns N documents of 1 KB (100,000).
Prints its URI as the first line and serves until its input ends.";
