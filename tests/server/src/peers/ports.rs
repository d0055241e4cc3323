//! Ports that a test cannot choose: its fixtures name them.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

/// Fails unless this port of loopback is free, and says which process has it.
///
/// # Panics
/// If another process listens there.
pub fn require_free(port: u16) {
    if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        panic!("the fixtures need port {port} of this machine: {error}; {}", holder(port));
    }
}

/// The process that listens on a port, as far as this user may see it.
fn holder(port: u16) -> String {
    let Some(socket) = listening_socket(port) else { return "no process is known to listen there".to_owned() };
    let wanted = format!("socket:[{socket}]");
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    // Beside the numbers there are other names, such as `self`.
    let is_number =
        |process: &PathBuf| process.file_name().is_some_and(|name| name.as_encoded_bytes()[0].is_ascii_digit());
    let found = processes.map(|process| process.path()).filter(is_number).find(|process| {
        let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        files.map(|file| file.path()).any(|file| fs::read_link(file).is_ok_and(|to| to.as_os_str() == &*wanted))
    });
    let Some(process) = found else { return "a process of another user has it".to_owned() };
    let command = fs::read(process.join("cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    let number = process.file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!("process {number} has it: {}", command.trim_end())
}

/// The number of the socket that listens on a port, over either family.
fn listening_socket(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let mut rows = tables.iter().flat_map(|table| table.lines().skip(1));
    let local = format!(":{port:04X}");
    rows.find_map(|row| {
        let columns: Vec<&str> = row.split_whitespace().collect();
        let listens = columns.get(1)?.ends_with(&local) && *columns.get(3)? == LISTEN;
        listens.then(|| columns.get(9).map(|socket| (*socket).to_owned())).flatten()
    })
}

/// The state of a socket that listens, in those tables.
const LISTEN: &str = "0A";

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_has_a_port_is_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = holder(port);
        assert!(said.starts_with(&format!("process {} has it", std::process::id())), "{said}");
        let refused = std::panic::catch_unwind(|| require_free(port)).unwrap_err();
        assert!(refused.downcast_ref::<String>().unwrap().contains(&said));
        drop(listener);
        require_free(port);
        assert_eq!(holder(port), "no process is known to listen there");
    }
}
