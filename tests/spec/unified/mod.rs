//! The unified test format: files that say what to do on which objects and what must come of it.
//!
//! A file is read strictly into types ([`file`]); a case is run if a deployment at hand suits it ([`deployment`]) and the driver
//! has what it uses ([`unbuilt`]); [`case`] runs it, [`operations`] calls the driver, [`matching`], [`events`] and [`errors`]
//! judge what came of it.

mod arguments;
pub mod case;
pub mod deployment;
mod entities;
mod errors;
mod events;
pub mod file;
mod invalid;
pub mod known_operations;
mod matching;
mod operations;
mod results;
mod threads;
mod unbuilt;

pub use invalid::refuse_all;
pub use unbuilt::operations_of;

use mongo_blocking_test_server::peers::Mongod;

use deployment::AtHand;
use file::{Test, TestFile};
use mongo_blocking_test_server::report::{Report, Skip};

/// Runs every case of a folder on the deployments at hand.
pub fn run_all(folder: &'static str, known_files: usize) {
    let Some(report) = Report::on(folder, known_files) else { return };
    let Some(at_hand) = AtHand::default_generation() else { return };
    each_case(report, &at_hand, |result| result);
}

/// Runs the cases of a folder in which each must fail: when its file is read or when it is run.
pub fn fail_all(folder: &'static str, known_files: usize) {
    let Some(report) = Report::on(folder, known_files) else { return };
    let Some(at_hand) = AtHand::default_generation() else { return };
    each_case(report, &at_hand, |result| match result {
        Ok(()) => Err("passed, and must fail".to_owned()),
        Err(_) => Ok(()),
    });
}

/// Runs every case of a folder on one server, and says in the report which.
pub fn run_all_on(folder: &'static str, known_files: usize, mongod: &Mongod) {
    let Some(report) = Report::on(folder, known_files) else { return };
    let at_hand = AtHand::only(mongod);
    each_case(report.titled(format!("{folder} on {}", at_hand.open.version)), &at_hand, |result| result);
}

/// Runs every case of a folder on the server at hand, whichever it stands for.
pub fn run_all_at(folder: &'static str, known_files: usize, at_hand: &AtHand) {
    let Some(report) = Report::on(folder, known_files) else { return };
    each_case(report, at_hand, |result| result);
}

fn each_case(mut report: Report, at_hand: &AtHand, judge: impl Fn(Result<(), String>) -> Result<(), String>) {
    for fixture in report.fixtures() {
        match file::read(&fixture.text) {
            Ok(file) => file.tests.iter().for_each(|test| {
                let case = format!("{} | {}", fixture.name, test.description);
                match run_case(&file, test, at_hand) {
                    Ok(result) => report.judged(&case, judge(result)),
                    Err(skip) => report.skipped(&skip),
                }
            }),
            Err(fault) => report.judged(&fixture.name, judge(Err(fault.to_string()))),
        }
    }
    report.finish();
}

/// What became of a case, or why it is not run.
fn run_case(file: &TestFile, test: &Test, at_hand: &AtHand) -> Result<Result<(), String>, Skip> {
    let deployment = at_hand.choose(&file.requirements, &test.requirements)?;
    if let Some(reason) = &test.skip_reason {
        return Err(Skip::SaysTheFile(reason.clone()));
    }
    if let Some(part) = unbuilt::missing_part(file, test) {
        return Err(Skip::NotBuilt(part));
    }
    Ok(case::run(file, test, &deployment))
}
