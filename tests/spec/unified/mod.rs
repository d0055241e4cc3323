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
pub mod mode;
mod operations;
mod results;
mod threads;
mod unbuilt;

pub use invalid::refuse_all;
pub use unbuilt::operations_of;

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::thread;

use mongo_blocking_test_server::peers::Mongod;

use deployment::{AtHand, Deployment};
use file::{Test, TestFile, Version};
use mode::Mode;
use mongo_blocking_test_server::report::{Report, Skip};

/// Runs every case of a folder on each deployment at hand that it may run on.
pub fn run_all(folder: &'static str, known_files: usize) {
    let Some(report) = Report::on(folder, known_files).filter(|_| AtHand::standalone().is_some()) else { return };
    each_case(report, &AtHand::all(), |result| result);
}

/// Runs the cases of a folder in which each must fail: when its file is read or when it is run.
pub fn fail_all(folder: &'static str, known_files: usize) {
    let Some(report) = Report::on(folder, known_files).filter(|_| AtHand::standalone().is_some()) else { return };
    each_case(report, &AtHand::all(), |result| match result {
        Ok(()) => Err("passed, and must fail".to_owned()),
        Err(_) => Ok(()),
    });
}

/// Runs every case of a folder on one server, and says in the report which.
pub fn run_all_on(folder: &'static str, known_files: usize, mongod: &Mongod) {
    let Some(report) = Report::on(folder, known_files) else { return };
    let title = format!("{folder} on {}", mongod.version());
    each_case(report.titled(title), &AtHand::only(mongod), |result| result);
}

/// Runs every case of a folder on a replica set of this generation, and says in the report which.
pub fn run_all_on_set(folder: &'static str, known_files: usize, generation: &'static str) {
    let Some((report, set)) = Report::on(folder, known_files).zip(AtHand::set(generation)) else { return };
    each_case(report.titled(format!("{folder} on a set of {generation}")), &set, |result| result);
}

/// Runs every case of a folder on the server at hand, whichever it stands for.
pub fn run_all_at(folder: &'static str, known_files: usize, at_hand: &AtHand) {
    let Some(report) = Report::on(folder, known_files) else { return };
    each_case(report, at_hand, |result| result);
}

/// A case at the place where it is to be run.
struct Run<'f> {
    case: String,
    file: &'f TestFile,
    test: &'f Test,
    deployment: Arc<Deployment>,
    mode: Mode,
}

fn each_case(mut report: Report, at_hand: &AtHand, judge: impl Fn(Result<(), String>) -> Result<(), String>) {
    let fixtures = report.fixtures();
    let files: Vec<_> = fixtures.iter().map(|fixture| (&fixture.name, file::read(&fixture.text))).collect();
    let mut runs = Vec::new();
    for (name, file) in &files {
        match file {
            Ok(file) => file.tests.iter().for_each(|test| {
                for run in runs_of(file, test, at_hand) {
                    match run {
                        Err(skip) => report.skipped(&skip),
                        Ok((deployment, mode)) => {
                            let case = format!("{name} | {}", test.description);
                            runs.push(Run { case, file, test, deployment, mode });
                        }
                    }
                }
            }),
            Err(fault) => report.judged(name, judge(Err(fault.to_string()))),
        }
    }
    for (run, result) in runs.iter().zip(side_by_side(&runs)) {
        report.judged_on(&format!("{}, {}", run.deployment, run.mode), &run.case, judge(result));
    }
    report.finish();
}

/// Runs them: on the same servers one after the other, and on different ones at the same time.
fn side_by_side(runs: &[Run<'_>]) -> Vec<Result<(), String>> {
    let mut groups: Vec<(&Arc<Mutex<()>>, Vec<usize>)> = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        match groups.iter_mut().find(|(turn, _)| Arc::ptr_eq(turn, &run.deployment.turn)) {
            Some((_, group)) => group.push(at),
            None => groups.push((&run.deployment.turn, vec![at])),
        }
    }
    let in_turn = |group: Vec<usize>| {
        let run = |at: usize| {
            let Run { file, test, deployment, mode, .. } = &runs[at];
            (at, case::run(file, test, deployment, *mode))
        };
        group.into_iter().map(run).collect::<Vec<_>>()
    };
    let mut results = thread::scope(|scope| {
        let in_turn = &in_turn;
        let threads: Vec<_> = groups.into_iter().map(|(_, group)| scope.spawn(move || in_turn(group))).collect();
        let ended = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.flatten().collect::<Vec<_>>()
    });
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Where and how a case is to be run, and what of that can't be, each with its reason.
fn runs_of(file: &TestFile, test: &Test, at_hand: &AtHand) -> Vec<Result<(Arc<Deployment>, Mode), Skip>> {
    let chosen = at_hand.choose(&file.requirements, &test.requirements);
    if let [Err(_)] = chosen.as_slice() {
        return chosen.into_iter().map(|skip| skip.map(|deployment| (deployment, Mode::Inline))).collect();
    }
    if let Some(reason) = &test.skip_reason {
        return vec![Err(Skip::SaysTheFile(reason.clone()))];
    }
    let mut runs = Vec::new();
    let is_set =
        |chosen: &Result<Arc<Deployment>, Skip>| matches!(chosen, Ok(own) if own.facts.topology == "replicaset");
    let runs_on_a_set = chosen.iter().any(is_set);
    for deployment in chosen {
        match deployment {
            Err(skip) => runs.push(Err(skip)),
            Ok(deployment) => {
                if deployment.facts.version < FAIL_POINTS_BLOCK && has_blocking_fail_point(test) {
                    runs.push(Err(Skip::Needs("a server from 4.2.9, whose fail points block".to_owned())));
                    continue;
                }
                if let Some(part) = unbuilt::missing_part(file, test) {
                    runs.push(Err(Skip::NotBuilt(part)));
                    continue;
                }
                let modes = mode::modes_of(file, test, deployment.facts.topology, runs_on_a_set);
                runs.extend(modes.iter().map(|mode| Ok((deployment.clone(), *mode))));
            }
        }
    }
    runs
}

/// Since when `failCommand` has `blockConnection`. Files that use it ask for 4.2.
const FAIL_POINTS_BLOCK: Version = Version([4, 2, 9]);

fn has_blocking_fail_point(test: &Test) -> bool {
    test.operations.iter().any(|operation| {
        let data = operation.arguments.get_document("failPoint").and_then(|point| point.get_document("data"));
        data.is_ok_and(|data| data.contains_key("blockConnection"))
    })
}
