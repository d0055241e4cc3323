//! Takes the place of a Linux program in tests that run under Wine: Wine can start one, but not wait for it, end it or read what it
//! says on standard error. Copies of this program stand where tests look for `openssl`, `sh` or a Python; each asks
//! tests/windows/linux_programs.py to run the program whose place it takes, and passes on what goes in and out.
//!
//! In the folder with the copies `path\NAME.exe` is found by its name, and `root\usr\bin\NAME.exe` is `/usr/bin/NAME`. The file
//! `broker` there has PORT and TOKEN, as linux_programs.py prints them.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::{env, fs, process, thread};

use mongo_blocking_test_server::peers::unix_text;
use serde_json::json;

fn main() {
    match run() {
        Ok(code) => process::exit(code),
        Err(error) => {
            eprintln!("linux_program: {error}");
            process::exit(126);
        }
    }
}

fn run() -> io::Result<i32> {
    let own = env::current_exe()?;
    let stand_ins = own.ancestors().skip(1).find(|folder| folder.join("broker").exists());
    let stand_ins =
        stand_ins.ok_or_else(|| io::Error::other("no file `broker`: this program runs in the suite `windows` only"))?;
    let broker = fs::read_to_string(stand_ins.join("broker"))?;
    let (port, token) = broker.trim().split_once(' ').ok_or_else(|| io::Error::other("no port and token"))?;
    let port: u16 = port.parse().map_err(io::Error::other)?;
    let linux = |text: OsString| linux_text(&text.to_string_lossy(), &stand_ins.display().to_string());
    let arguments: Vec<String> = env::args_os().skip(1).map(linux).collect();
    let variables = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let variables: serde_json::Map<String, serde_json::Value> =
        variables.filter(|(name, _)| !is_of_windows(name)).map(|(name, value)| (name, linux(value).into())).collect();
    let folder = unix_text(&env::current_dir()?.display().to_string());
    let program = program(&own, stand_ins)?;
    let mut request =
        json!({"token": token, "program": program, "arguments": arguments, "environment": variables, "folder": folder});
    request["environment"]["TMPDIR"] = unix_text(&env::temp_dir().display().to_string()).into();
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let input = stream.try_clone()?;
    thread::spawn(move || send_input(input));
    receive(&mut stream)
}

/// The Linux program whose place this one takes.
fn program(own: &Path, stand_ins: &Path) -> io::Result<String> {
    let inside =
        own.strip_prefix(stand_ins).map_err(|_| io::Error::other(format!("{} is elsewhere", own.display())))?;
    let inside = inside.with_extension("").display().to_string().replace('\\', "/");
    match inside.split_once('/') {
        Some(("path", name)) => Ok(name.to_owned()),
        Some(("root", path)) => Ok(format!("/{path}")),
        _ => Err(io::Error::other(format!("{inside} is in neither path nor root"))),
    }
}

/// A text as a Linux program takes it: paths on the drive `Z:` are its own, and so are those of the stand-ins.
fn linux_text(text: &str, stand_ins: &str) -> String {
    let folder = [unix_text(stand_ins).as_str(), "root", ""].join("/");
    let linux = unix_text(&encoded_paths(text));
    // A path of Linux that the tests went on with has backslashes at its end.
    let linux = if linux.starts_with('/') && !linux.contains('=') { linux.replace('\\', "/") } else { linux };
    match linux.strip_prefix(&folder) {
        Some(path) => format!("/{}", path.strip_suffix(".exe").unwrap_or(path)),
        None => linux.replace(&folder, "/"),
    }
}

/// In a connection string paths are percent-encoded; a password may have backslashes of its own.
fn encoded_paths(text: &str) -> String {
    let mut parts = text.split("Z%3A%5C");
    let mut linux = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (path, rest) = part.split_at(part.find('&').unwrap_or(part.len()));
        linux.extend(["%2F", &path.replace("%5C", "%2F"), rest]);
    }
    linux
}

/// What Windows has in every environment, and a Linux program has no use for.
fn is_of_windows(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let beginnings = ["WINE", "PROGRAM", "COMMONPROGRAM", "PROCESSOR_", "USER", "SYSTEM", "CARGO"];
    let names = [
        "HOMEDRIVE",
        "HOMEPATH",
        "ALLUSERSPROFILE",
        "APPDATA",
        "LOCALAPPDATA",
        "COMPUTERNAME",
        "COMSPEC",
        "DRIVERDATA",
        "LOGONSERVER",
        "OS",
        "PATH",
        "PATHEXT",
        "PUBLIC",
        "SESSIONNAME",
        "TEMP",
        "TMP",
        "WINDIR",
        "NUMBER_OF_PROCESSORS",
    ];
    names.contains(&name.as_str()) || beginnings.iter().any(|beginning| name.starts_with(beginning))
}

fn send_input(mut stream: TcpStream) {
    let mut buffer = vec![0; 65_536];
    let mut input = io::stdin().lock();
    loop {
        // An input that fails has ended.
        let length = input.read(&mut buffer).unwrap_or(0);
        if send(&mut stream, buffer.get(..length).unwrap_or_default()).is_err() || length == 0 {
            return;
        }
    }
}

fn send(stream: &mut TcpStream, data: &[u8]) -> io::Result<()> {
    let length = u32::try_from(data.len()).map_err(io::Error::other)?;
    stream.write_all(&[&[STANDARD_INPUT][..], &length.to_be_bytes()[..], data].concat())
}

fn receive(stream: &mut TcpStream) -> io::Result<i32> {
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let mut data = vec![0; usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?];
        stream.read_exact(&mut data)?;
        // A reader that is gone does not end the program.
        match kind {
            STANDARD_OUTPUT => drop(io::stdout().write_all(&data).and_then(|()| io::stdout().flush())),
            STANDARD_ERROR => drop(io::stderr().write_all(&data)),
            _ => {
                let _ = stream.shutdown(Shutdown::Both);
                return String::from_utf8_lossy(&data).parse().map_err(io::Error::other);
            }
        }
    }
}

const STANDARD_INPUT: u8 = 0;
const STANDARD_OUTPUT: u8 = 1;
const STANDARD_ERROR: u8 = 2;
