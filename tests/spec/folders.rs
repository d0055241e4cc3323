//! One test for each folder of fixtures.

use mongo_blocking_test_server::report::{Report, specifications};

use crate::{auth_legacy, connection_string, read_write_concern, seedlist, unified, uri_options};

#[test]
fn unified_test_format_invalid() {
    let Some(mut report) = Report::on("unified-test-format/tests/invalid", 266) else { return };
    unified::refuse_all(&mut report);
    report.finish();
}

#[test]
fn unified_test_format_valid_fail() {
    unified::fail_all("unified-test-format/tests/valid-fail", 20);
}

#[test]
fn unified_test_format_valid_pass() {
    unified::run_all("unified-test-format/tests/valid-pass", 34);
}

#[test]
fn crud() {
    unified::run_all("crud/tests/unified", 159);
}

#[test]
fn sessions() {
    unified::run_all("sessions/tests", 7);
}

#[test]
fn transactions() {
    unified::run_all("transactions/tests/unified", 42);
}

#[test]
fn convenient_transactions() {
    unified::run_all("transactions-convenient-api/tests/unified", 10);
}

#[test]
fn causal_consistency() {
    unified::run_all("causal-consistency/tests", 2);
}

#[test]
fn retryable_reads() {
    unified::run_all("retryable-reads/tests/unified", 45);
}

#[test]
fn retryable_writes() {
    unified::run_all("retryable-writes/tests/unified", 32);
}

#[test]
fn client_backpressure() {
    unified::run_all("client-backpressure/tests", 3);
}

#[test]
fn run_command() {
    unified::run_all("run-command/tests/unified", 2);
}

#[test]
fn collection_management() {
    unified::run_all("collection-management/tests", 6);
}

#[test]
fn command_monitoring() {
    unified::run_all("command-logging-and-monitoring/tests/monitoring", 12);
}

#[test]
fn handshake() {
    unified::run_all("mongodb-handshake/tests/unified", 1);
}

#[test]
fn read_and_write_concern_operations() {
    unified::run_all("read-write-concern/tests/operation", 3);
}

#[test]
fn versioned_api() {
    unified::run_all("versioned-api/tests", 4);
}

#[test]
fn server_discovery_and_monitoring() {
    unified::run_all("server-discovery-and-monitoring/tests/unified", 25);
}

#[test]
fn server_selection_logging() {
    unified::run_all("server-selection/tests/logging", 5);
}

#[test]
fn connection_pool_logging() {
    unified::run_all("connection-monitoring-and-pooling/tests/logging", 2);
}

#[test]
fn load_balancers() {
    unified::run_all("load-balancers/tests", 8);
}

#[test]
fn connection_string() {
    let Some(mut report) = Report::on("connection-string/tests", 8) else { return };
    connection_string::run(&mut report);
    report.finish();
}

#[test]
fn uri_options() {
    let Some(mut report) = Report::on("uri-options/tests", 12) else { return };
    uri_options::run(&mut report);
    report.finish();
}

#[test]
fn initial_dns_seedlist_discovery() {
    for (folder, files) in [
        ("initial-dns-seedlist-discovery/tests/replica-set", 28),
        ("initial-dns-seedlist-discovery/tests/load-balanced", 9),
        ("initial-dns-seedlist-discovery/tests/sharded", 0),
    ] {
        // A checkout may hold a part of the folders.
        if files == 0 && specifications().is_some_and(|root| !root.join(folder).is_dir()) {
            continue;
        }
        let Some(mut report) = Report::on(folder, files) else { return };
        if seedlist::run(&mut report).is_none() {
            return;
        }
        report.finish();
    }
}

#[test]
fn auth_legacy() {
    let Some(mut report) = Report::on("auth/tests/legacy", 1) else { return };
    auth_legacy::run(&mut report);
    report.finish();
}

#[test]
fn read_write_concern_connection_string() {
    let Some(mut report) = Report::on("read-write-concern/tests/connection-string", 2) else { return };
    read_write_concern::run_connection_string(&mut report);
    report.finish();
}

#[test]
fn read_write_concern_document() {
    let Some(mut report) = Report::on("read-write-concern/tests/document", 2) else { return };
    read_write_concern::run_document(&mut report);
    report.finish();
}
