//! A program that does nothing but make a client and ping with it, and says how much memory is resident before and after
//! (bytes). The bench program builds and runs it; it is a program of its own so that nothing else counts.

use std::fs;

use mongo_blocking::Client;

fn main() -> mongo_blocking::Result<()> {
    let Some(uri) = std::env::args().nth(1) else { return Ok(()) };
    let before = resident();
    let client = Client::with_uri_str(uri)?;
    client.ping()?;
    println!("{before} {}", resident());
    Ok(())
}

/// As /proc/self/status has it; 0 where there is none.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).map_or(0, |kibibytes: u64| kibibytes * 1024)
}
