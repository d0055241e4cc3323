//! Other processes: this program again, as the server with canned answers or as one side of a row alone.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::{env, fs};

use mongo_blocking_test_server::canned::{Answers, documents};
use mongo_blocking_test_server::fake_server::{FakeServer, Mechanism};

use crate::row::Row;
use crate::tape::Tape;
use crate::{driver, floor};

/// Where to connect, and as whom.
#[derive(Clone, Debug)]
pub struct Server {
    /// `host:port`.
    pub address: String,
    /// What a find returns.
    pub documents: usize,
    /// The user's password.
    pub password: String,
    user: String,
    /// What a client's connection string says besides.
    options: String,
}

impl Server {
    /// A server and its user.
    pub fn new(address: &str, (user, password): (&str, &str), documents: usize) -> Server {
        Server {
            address: address.to_owned(),
            documents,
            password: password.to_owned(),
            user: user.to_owned(),
            options: String::new(),
        }
    }

    /// The same server, which is the primary of a replica set of this name.
    pub fn of_set(self, name: &str) -> Server {
        Server { options: format!("replicaSet={name}"), ..self }
    }

    /// Whether it is a member of a replica set.
    pub fn is_of_set(&self) -> bool {
        !self.options.is_empty()
    }

    /// For a client. One of a member of a set finds the whole set.
    pub fn uri(&self) -> String {
        self.uri_with(&self.address, &self.options)
    }

    /// For a client that goes by way of another address, and to no other server.
    pub fn uri_at(&self, address: &str) -> String {
        self.uri_with(address, "directConnection=true")
    }

    fn uri_with(&self, address: &str, options: &str) -> String {
        format!("mongodb://{}:{}@{address}/?authMechanism=SCRAM-SHA-256&{options}", self.user, self.password)
    }

    fn arguments(&self) -> [String; 5] {
        let documents = self.documents.to_string();
        [self.address.clone(), self.user.clone(), self.password.clone(), documents, self.options.clone()]
    }

    fn from_arguments(arguments: &[String]) -> Option<Server> {
        let [address, user, password, documents, options] = arguments else { return None };
        let server = Server::new(address, (user, password), documents.parse().ok()?);
        Some(Server { options: options.clone(), ..server })
    }
}

/// The server with canned answers. It ends with this value.
pub struct CannedServer {
    /// Where it is.
    pub server: Server,
    child: Child,
}

impl CannedServer {
    /// Starts it.
    pub fn start(documents: usize) -> CannedServer {
        let mut child = this_program()
            .args([SERVE, &documents.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the canned server");
        let mut address = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut address).expect("its address");
        CannedServer { server: Server::new(address.trim(), USER, documents), child }
    }

    /// Its number.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for CannedServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Floor or driver.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// The raw socket.
    Floor,
    /// The driver.
    Driver,
}

/// The most memory that a process ever held which does only this, in bytes.
pub fn peak_memory(side: Side, row: Row, server: &Server, tape: &Tape, operations: u64) -> Option<u64> {
    let said = alone(this_program(), side, row, server, tape, operations)?;
    said.trim().parse().ok()
}

/// System calls for each operation, counted by strace; `None` if that is not here or may not be used.
pub fn system_calls(side: Side, row: Row, server: &Server, tape: &Tape, operations: u64) -> Option<f64> {
    let count = |operations| {
        let counts = env::temp_dir().join(format!("mongo-blocking-bench-{}", std::process::id()));
        let mut command = Command::new("strace");
        command.args(["-f", "-c", "-o"]).arg(&counts).arg(env::current_exe().ok()?);
        let done = alone(command, side, row, server, tape, operations);
        let table = fs::read_to_string(&counts).ok();
        let _ = fs::remove_file(&counts);
        done.and(table).as_deref().and_then(total_calls)
    };
    let (few, many) = (count(WARM_UP)?, count(WARM_UP + operations)?);
    Some((many as f64 - few as f64) / operations as f64)
}

/// What a process is like before and after it has made a client and pinged with it.
#[derive(Debug)]
pub struct NewClient {
    /// Resident before.
    pub before: u64,
    /// Resident after.
    pub after: u64,
}

/// Measures it with a program that does nothing else, which is built for it: this one is three times as large.
pub fn new_client(server: &Server) -> Option<NewClient> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = ["build", "--quiet", "--locked", "--profile", "bench", "--example", "new_client"];
    let built = Command::new(cargo).args(build).current_dir(env!("CARGO_MANIFEST_DIR")).status().ok()?;
    let here = env::current_exe().ok()?;
    let program = here.parent()?.parent()?.join("examples/new_client");
    let output = Command::new(program).arg(server.uri()).stderr(Stdio::inherit()).output().ok()?;
    let said = String::from_utf8(output.stdout).ok().filter(|_| built.success() && output.status.success())?;
    let mut numbers = said.split_whitespace().map_while(|number| number.parse().ok());
    Some(NewClient { before: numbers.next()?, after: numbers.next()? })
}

/// What this program does when it calls itself. `None`: it was called by somebody else.
pub fn run_as_child(name: &str, arguments: &[String]) -> Option<ExitCode> {
    match name {
        SERVE => serve(arguments.first()?.parse().ok()?),
        ALONE => run_alone(arguments)?,
        _ => return None,
    }
    Some(ExitCode::SUCCESS)
}

/// Serves until the input ends.
fn serve(count: usize) {
    let fake_server = FakeServer::builder()
        .user(USER.0, USER.1, &[Mechanism::ScramSha256], "admin")
        .without_log()
        .canned(Answers::new(documents(count)))
        .start();
    println!("{}", fake_server.address());
    let _ = io::stdout().flush();
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
}

fn run_alone(arguments: &[String]) -> Option<()> {
    let (work, rest) = arguments.split_at_checked(3)?;
    let [side, row, operations] = work else { return None };
    let (row, operations) = (Row::named(row)?, operations.parse().ok()?);
    let server = Server::from_arguments(rest)?;
    let mut work = match side.as_str() {
        FLOOR => floor::work(row, &server, &Tape::read(io::stdin().lock())),
        _ => driver::work(row, &server),
    };
    work(operations);
    println!("{}", status("VmHWM:").unwrap_or(0));
    Some(())
}

/// Runs one side in another process and gives back what that said.
fn alone(mut command: Command, side: Side, row: Row, server: &Server, tape: &Tape, operations: u64) -> Option<String> {
    let side = match side {
        Side::Floor => FLOOR,
        Side::Driver => "driver",
    };
    let mut child = command
        .args([ALONE, side, row.name(), &operations.to_string()])
        .args(server.arguments())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    // The driver does not read the tape, and may be gone before it is written.
    let _ = child.stdin.take()?.write_all(&tape.to_bytes());
    let mut said = String::new();
    child.stdout.take()?.read_to_string(&mut said).ok()?;
    child.wait().ok()?.success().then_some(said)
}

fn this_program() -> Command {
    Command::new(env::current_exe().expect("this program's path"))
}

/// A line of /proc/self/status, in bytes. Only Linux has it.
fn status(key: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// The number of calls in the last line of strace's table.
fn total_calls(table: &str) -> Option<u64> {
    let total = table.lines().rev().find(|line| line.trim_end().ends_with("total"))?;
    let numbers: Vec<&str> = total.split_whitespace().collect();
    // Share, seconds, microseconds a call, calls, and errors if there were any.
    numbers.get(3)?.parse().ok()
}

const SERVE: &str = "serve-canned-answers";
const ALONE: &str = "run-alone";
const FLOOR: &str = "floor";
const USER: (&str, &str) = ("bench", "pencil");
/// What is done before counting begins, so that the first operation's preparations do not count.
const WARM_UP: u64 = 8;
