//! The drivers' common fixtures, run case by case. One test for each folder; its report says what was run, what passed, and
//! what was skipped and why.

mod report;
mod unified;

use report::Report;

#[test]
fn unified_test_format_invalid() {
    let Some(mut report) = Report::on("unified-test-format/tests/invalid", 266) else { return };
    unified::refuse_all(&mut report);
    report.finish();
}
