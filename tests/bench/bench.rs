//! What the driver costs, beside a loop over a raw socket that sends the very same bytes (the floor).
//!
//!     cargo bench --bench bench                    the whole table
//!     cargo bench --bench bench -- ping login      these rows only
//!     cargo bench --bench bench -- --quick         every row for a moment, to see that it works
//!
//! Floor and driver take turns in short slices, and what is printed is the median of the ratios of neighbouring slices, so
//! that a machine that is busy with other things disturbs both alike. Nothing asserts a time.
//!
//! - [`tape`]: what the driver says, recorded once. The floor says the same.
//! - [`floor`]: the raw socket.
//! - [`driver`]: the same work through the driver.
//! - [`measure`]: clocks, slices, medians.
//! - [`place`]: which processors they run on.
//! - [`process`]: the server in a process of its own, and processes that run one side alone to see its memory and its
//!   system calls.
//! - [`table`]: the table.

mod driver;
mod floor;
mod measure;
mod place;
mod process;
mod row;
mod sample;
mod table;
mod tape;

use std::process::ExitCode;

use mongo_blocking_test_server::peers::{Mongod, ROOT, ReplicaSet, ReplicaSetOptions};

use measure::{Comparison, Effort, compare};
use place::{Place, Processors};
use process::{CannedServer, Server, Side};
use row::Row;
use tape::Tape;

fn main() -> ExitCode {
    // cargo bench says --bench to every program that it runs.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let Some(first) = arguments.first()
        && let Some(code) = process::run_as_child(first, &arguments[1..])
    {
        return code;
    }
    match Plan::read(&arguments) {
        Ok(plan) => {
            plan.run();
            ExitCode::SUCCESS
        }
        Err(what) => {
            let rows: Vec<&str> = Row::ALL.iter().map(|row| row.name()).collect();
            eprintln!(
                "bench: {what}\nusage: cargo bench --bench bench -- [--quick] [ROW]...\nrows: {}",
                rows.join(" ")
            );
            ExitCode::from(2)
        }
    }
}

/// What is to be measured.
struct Plan {
    rows: Vec<Row>,
    effort: Effort,
}

impl Plan {
    fn read(arguments: &[String]) -> Result<Plan, String> {
        let mut plan = Plan { rows: Vec::new(), effort: Effort::FULL };
        for argument in arguments {
            match argument.as_str() {
                "--quick" => plan.effort = Effort::QUICK,
                name => plan.rows.push(Row::named(name).ok_or_else(|| format!("there is no row \"{name}\""))?),
            }
        }
        if plan.rows.is_empty() {
            plan.rows = Row::ALL.to_vec();
        }
        Ok(plan)
    }

    fn run(&self) {
        println!("{}", table::EXPLANATION);
        let canned = CannedServer::start(self.effort.documents);
        self.measure("with canned answers", &canned.server, Some(&canned));
        drop(canned);
        match Mongod::start_with_auth("6.0") {
            None => {
                println!("\non a real MongoDB 6.0: left out, because it is not here (MONGOD_6_0, tests/peers/fetch.sh)")
            }
            Some(mongod) => {
                let server = Server::new(&mongod.address(), ROOT, self.effort.documents);
                driver::fill(&server);
                self.measure(&format!("on a real MongoDB {}", mongod.version()), &server, None);
            }
        }
        self.measure_on_set();
    }

    /// The rows about single commands on the primary of a set, where each command has a cluster time besides the id of a session.
    fn measure_on_set(&self) {
        let rows = self.rows.iter().copied().filter(|row| matches!(row, Row::Ping | Row::Login)).collect();
        let plan = Plan { rows, effort: self.effort };
        if plan.rows.is_empty() {
            return;
        }
        match ReplicaSet::start("6.0", ReplicaSetOptions { access_control: true, ..ReplicaSetOptions::default() }) {
            None => println!("\non a replica set of MongoDB 6.0: left out, because it is not here"),
            Some(set) => {
                set.wait_for_cluster_time();
                let server = Server::new(&set.address(set.primary()), ROOT, self.effort.documents).of_set(set.name());
                let heading = format!("on the primary of a real replica set of MongoDB {}", set.version());
                plan.measure(&heading, &server, None);
            }
        }
    }

    /// One part of the table.
    fn measure(&self, heading: &str, server: &Server, canned: Option<&CannedServer>) {
        let tape = Tape::record(server);
        let processors = canned.and_then(|_| Processors::given());
        let mut rows = Vec::new();
        for row in &self.rows {
            if let (Some(processors), Some(canned)) = (&processors, canned) {
                processors.settle(Place::of(*row), canned.process());
            }
            let comparison = self.compare(*row, server, &tape);
            let peak = |side| process::peak_memory(side, *row, server, &tape, self.effort.operations_for_memory(*row));
            rows.push(table::Line {
                row: *row,
                target: row.target().filter(|_| canned.is_some() || server.is_of_set()),
                comparison,
                peak_floor: peak(Side::Floor),
                peak_driver: peak(Side::Driver),
            });
        }
        if let (Some(processors), Some(canned)) = (&processors, canned) {
            processors.settle(Place::Anywhere, canned.process());
        }
        table::print(heading, self.effort.documents, &rows);
        if self.rows.contains(&Row::Ping) {
            let calls = |side| process::system_calls(side, Row::Ping, server, &tape, self.effort.operations_for_calls);
            table::print_system_calls(calls(Side::Floor), calls(Side::Driver));
        }
        if canned.is_some() {
            table::print_new_client(&process::new_client(server));
        }
    }

    fn compare(&self, row: Row, server: &Server, tape: &Tape) -> Comparison {
        let mut floor = floor::work(row, server, tape);
        let mut driver = driver::work(row, server);
        compare(&self.effort, row, &mut floor, &mut driver)
    }
}
