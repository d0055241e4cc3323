//! The table.

use crate::measure::{Comparison, Spread};
use crate::process::NewClient;
use crate::row::Row;

/// One line of it.
pub struct Line {
    /// What was measured.
    pub row: Row,
    /// The ratio to reach.
    pub target: Option<f64>,
    /// What came out.
    pub comparison: Comparison,
    /// Bytes.
    pub peak_floor: Option<u64>,
    /// Bytes.
    pub peak_driver: Option<u64>,
}

/// What the columns mean.
pub const EXPLANATION: &str = "\
Floor: a loop over a raw socket that sends the bytes that the driver sends, and decodes nothing. Its login derives the key with
the same crates and as many rounds. Both sides take turns in short slices; times are medians, ratios are medians of the ratios of
neighbouring slices (in brackets: the middle half of them). CPU is this process's, all threads, for one operation; the server is
another process. Peak memory is that of a process that does only this. With canned answers, client and server share a processor for
ping, insert and login, have one each for find, and run anywhere for threads.";

/// Prints a part.
pub fn print(heading: &str, documents: usize, lines: &[Line]) {
    println!("\n{heading}");
    println!(
        "{:<28}{:>10}{:>10}  {:<18}{:>7}{:>9}{:>11}{:>11}{:>7}{:>11}{:>11}",
        "", "floor", "driver", "ratio", "target", "", "CPU floor", "driver", "ratio", "peak floor", "driver"
    );
    for line in lines {
        let Comparison { floor, driver, wall_ratio, cpu_ratio } = &line.comparison;
        println!(
            "{:<28}{:>10}{:>10}  {:<18}{:>7}{:>9}{:>11}{:>11}{:>7.2}{:>11}{:>11}",
            line.row.title(documents),
            time(floor.wall),
            time(driver.wall),
            ratio(wall_ratio),
            line.target.map_or(String::new(), |target| target.to_string()),
            line.target.map_or("", |target| reached(wall_ratio.middle <= target)),
            time(floor.cpu),
            time(driver.cpu),
            cpu_ratio.middle,
            memory(line.peak_floor),
            memory(line.peak_driver),
        );
    }
}

/// Prints how many system calls a ping takes.
pub fn print_system_calls(floor: Option<f64>, driver: Option<f64>) {
    match (floor, driver) {
        (Some(floor), Some(driver)) => println!(
            "system calls of a ping: floor {floor:.2}, driver {driver:.2}, target 2: {}",
            reached(driver < 2.05)
        ),
        _ => println!("system calls of a ping: not counted, because strace is not here or may not trace"),
    }
}

/// Prints what a new client holds.
pub fn print_new_client(client: &Option<NewClient>) {
    let Some(NewClient { before, after }) = client else {
        println!("resident memory of a program with a new client: not measured, because it could not be built or run");
        return;
    };
    println!(
        "resident memory of a program with a new client that has logged in and pinged: {} (before it made the client: {}), \
         target 5 MiB: {}",
        memory(Some(*after)),
        memory(Some(*before)),
        reached(*after <= 5 * 1024 * 1024)
    );
}

fn reached(yes: bool) -> &'static str {
    if yes { "reached" } else { "MISSED" }
}

fn ratio(spread: &Spread) -> String {
    format!("{:.2} ({:.2}-{:.2})", spread.middle, spread.low, spread.high)
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.1} us", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

fn memory(bytes: Option<u64>) -> String {
    bytes.map_or("?".to_owned(), |bytes| format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0))
}
