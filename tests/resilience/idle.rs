//! What a client leaves running: nothing while it is idle with inline checks, and nothing after its end. Other processes and the
//! system's own files are the witnesses.

#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use mongo_blocking::Client;
use mongo_blocking::bson::{Document, doc};
use mongo_blocking::options::{ClientOptions, Monitoring, ReadPreference};
use mongo_blocking_test_server::child;
use mongo_blocking_test_server::fault_proxy::FaultProxy;
use mongo_blocking_test_server::peers::{ReplicaSet, report};

const URI: &str = "MONGO_BLOCKING_TEST_IDLE_URI";
/// For how many seconds the client is idle: three, or as many as this variable says.
const SECONDS: &str = "MONGO_BLOCKING_IDLE_SECONDS";
const LIMIT: Duration = Duration::from_secs(30);

/// The identifiers of a process's threads with how often each was switched to and from.
fn switches(process: &str) -> Vec<(String, u64)> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the process runs");
    let of_task = |task: io::Result<fs::DirEntry>| {
        let task = task.ok()?;
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        let counts = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
        let count = counts.filter_map(|(_, count)| count.trim().parse::<u64>().ok()).sum();
        Some((task.file_name().to_string_lossy().into_owned(), count))
    };
    let mut switches: Vec<_> = tasks.filter_map(of_task).collect();
    switches.sort();
    switches
}

fn own_threads() -> usize {
    switches("self").len()
}

#[test]
fn an_idle_client_has_no_thread_and_is_never_scheduled() {
    if let Ok(uri) = env::var(URI) {
        return be_idle(&uri);
    }
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let seconds = env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(3);
    let mut command = child::command(module_path!(), "an_idle_client_has_no_thread_and_is_never_scheduled");
    command.env(URI, format!("{}&heartbeatFrequencyMS=500", set.uri())).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut said = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    let idle = said.find(|line| line.contains("idle with ")).expect("the client is idle");
    let before: usize = idle.rsplit_once(' ').unwrap().1.parse().unwrap();
    let id = process.id().to_string();
    // Helper threads end with what they were for.
    let began = Instant::now();
    while switches(&id).len() > before {
        assert!(began.elapsed() < LIMIT, "{:?} where there were {before} threads without a client", switches(&id));
        thread::sleep(Duration::from_millis(10));
    }
    // The reading thread may be on its way to sleep.
    let mut first = switches(&id);
    loop {
        thread::sleep(Duration::from_millis(50));
        let next = switches(&id);
        if next == first {
            break;
        }
        assert!(began.elapsed() < LIMIT, "{next:?}");
        first = next;
    }
    thread::sleep(Duration::from_secs(seconds));
    assert_eq!(switches(&id), first, "the process ran while its client was idle");
    report(&format!("An idle client (inline, a set, {seconds} s): no thread of its own, no context switch"));
    process.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    said.for_each(drop);
    assert!(process.wait().unwrap().success());
}

/// In the other process: uses a client in every way, and then waits for a line.
fn be_idle(uri: &str) {
    let before = own_threads();
    let client = Client::with_uri_str(uri).unwrap();
    let work = || {
        let documents = client.database("idle").collection::<Document>("c");
        documents.insert_one(doc! {}).run().unwrap();
        for preference in [ReadPreference::Primary, ReadPreference::nearest(None), ReadPreference::secondary(None)] {
            documents.find_one(doc! {}).read_preference(preference).run().unwrap();
        }
    };
    work();
    println!("idle with {before}");
    io::stdout().flush().unwrap();
    io::stdin().read_line(&mut String::new()).unwrap();
    work();
}

/// The threads of this process that the driver has started.
fn threads_of_driver() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).filter(|name| name.starts_with("mongo-")).collect()
}

#[test]
fn a_client_dropped_while_a_member_answers_nothing_leaves_no_thread() {
    if !child::alone(module_path!(), "a_client_dropped_while_a_member_answers_nothing_leaves_no_thread") {
        return;
    }
    let Some(set) = ReplicaSet::shared("6.0") else { return };
    let gone = FaultProxy::start("127.0.0.1:1");
    gone.vanish();
    let limit = Duration::from_secs(3);
    for monitoring in [Monitoring::Inline, Monitoring::Background] {
        let seeds = format!("{},{}", gone.address(), set.address(set.primary()));
        let uri = format!("mongodb://{seeds}/?replicaSet={}&connectTimeoutMS={}", set.name(), limit.as_millis());
        let client = Client::with_options(ClientOptions::builder().uri(uri).monitoring(monitoring).build()).unwrap();
        client.ping().unwrap();
        assert!(!threads_of_driver().is_empty(), "{monitoring:?}: the host that answers nothing is being asked");
        let dropped = Instant::now();
        drop(client);
        // Dropping does not wait for it.
        assert!(dropped.elapsed() < limit, "{monitoring:?}: {:?}", dropped.elapsed());
        while !threads_of_driver().is_empty() {
            let waited = dropped.elapsed();
            assert!(waited < limit + Duration::from_secs(1), "{monitoring:?}: {:?}", threads_of_driver());
            thread::sleep(Duration::from_millis(5));
        }
        report(&format!(
            "Dropped while a host answers nothing ({monitoring:?}): the last thread ended {:?} later",
            dropped.elapsed()
        ));
    }
}
