//! The drivers' common fixtures, run case by case. One test for each folder; its report says what was run, what passed, and
//! what was skipped and why.

mod auth_legacy;
mod connection_string;
mod options;
mod read_write_concern;
mod report;
mod unified;
mod uri_options;

use report::Report;

#[test]
fn unified_test_format_invalid() {
    let Some(mut report) = Report::on("unified-test-format/tests/invalid", 266) else { return };
    unified::refuse_all(&mut report);
    report.finish();
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
