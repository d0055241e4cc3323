//! What became of a folder of fixtures: run, passed, failed, skipped and why. Every runner of fixtures reports through this.
//!
//! The table goes to the test's output and, where `tests/run.sh` asks for it, to the file named by `MONGO_BLOCKING_REPORT`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use crate::peers;

/// The drivers' common fixtures: `MONGODB_SPECIFICATIONS`, by default a folder beside the checkout. Their licence keeps them out of
/// this repository, so that to be without them is a skip everywhere.
pub fn specifications() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/specifications");
    let root = std::env::var_os("MONGODB_SPECIFICATIONS").filter(|path| !path.is_empty());
    let root = root.map_or_else(|| PathBuf::from(beside), PathBuf::from);
    if root.join("source").is_dir() {
        return Some(root.join("source"));
    }
    let root = root.display();
    peers::skip_even_in_ci(&format!(
        "the drivers' common fixtures are not at {root} (MONGODB_SPECIFICATIONS names their place)"
    ));
    None
}

/// A folder of fixtures and what became of its cases.
pub struct Report {
    title: String,
    path: PathBuf,
    known_files: usize,
    passed: usize,
    failures: Vec<String>,
    skips: BTreeMap<String, usize>,
    /// How many runs there were in each place, where cases run in several.
    places: BTreeMap<String, usize>,
}

/// A fixture file.
pub struct Fixture {
    /// The name without `.json`.
    pub name: String,
    /// The file's content.
    pub text: String,
}

/// Why a case is not run. A case is never skipped because it fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skip {
    /// The case uses a part of the driver that is not built yet.
    NotBuilt(Part),
    /// The case asks for another deployment than those at hand.
    Needs(String),
    /// The file itself says that the case is not to be run, and why.
    SaysTheFile(String),
    /// Another case asks for the opposite; which of the two holds, and why.
    Contradicted(String),
}

/// The parts of the driver that later issues build. When one lands, its entry here goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `Monitoring::Background`: threads that check servers without an operation.
    /// `watch` of a client, database or collection.
    ChangeStreams,
    /// The `bulkWrite` command of a client.
    ClientBulkWrite,
    /// Client-side field level encryption.
    Encryption,
    /// Files in GridFS buckets.
    GridFs,
    /// `timeoutMS` of one operation, database or collection.
    OperationTimeouts,
    /// Structured log messages.
    LogMessages,
    /// The `rawData` option.
    RawData,
    /// Renaming a collection.
    Rename,
    /// Search indexes.
    SearchIndexes,
    /// OpenTelemetry spans.
    Tracing,
}

impl Report {
    /// Begins the report on a folder under the specifications' `source/`. `known_files` is how many fixtures it is known to
    /// hold: with fewer of them the test fails, so that none is lost unnoticed. `None` where the fixtures are missing.
    pub fn on(folder: &'static str, known_files: usize) -> Option<Report> {
        let path = specifications()?.join(folder);
        let (failures, skips, places) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Some(Report { title: folder.to_owned(), path, known_files, passed: 0, failures, skips, places })
    }

    /// With another title than the folder's name.
    pub fn titled(mut self, title: String) -> Report {
        self.title = title;
        self
    }

    /// The fixtures, by name.
    ///
    /// # Panics
    /// If the folder can't be read or holds fewer files than it should.
    pub fn fixtures(&self) -> Vec<Fixture> {
        let entries = fs::read_dir(&self.path).unwrap_or_else(|e| panic!("{}: {e}", self.path.display()));
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.expect("an entry of the folder").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        files.sort();
        assert!(
            files.len() >= self.known_files,
            "{} holds {} fixtures and should hold {}",
            self.title,
            files.len(),
            self.known_files
        );
        files
            .into_iter()
            .map(|path| Fixture {
                name: path.file_stem().expect("a name").to_string_lossy().into_owned(),
                text: fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
            })
            .collect()
    }

    /// Counts a case that passed.
    pub fn passed(&mut self) {
        self.passed += 1;
    }

    /// Notes a failure; the test fails with all of them at [`Report::finish`].
    pub fn failed(&mut self, case: &str, why: impl fmt::Display) {
        self.failures.push(format!("{case}: {why}"));
    }

    /// Counts a result as passed or failed.
    pub fn judged(&mut self, case: &str, result: Result<(), impl fmt::Display>) {
        match result {
            Ok(()) => self.passed(),
            Err(why) => self.failed(case, why),
        }
    }

    /// As [`Report::judged`], for a case that runs in several places: each run counts.
    pub fn judged_on(&mut self, place: &str, case: &str, result: Result<(), impl fmt::Display>) {
        *self.places.entry(place.to_owned()).or_default() += 1;
        self.judged(&format!("{case} ({place})"), result);
    }

    /// Counts a case that was not run, under its reason.
    pub fn skipped(&mut self, skip: &Skip) {
        *self.skips.entry(skip.to_string()).or_default() += 1;
    }

    /// Prints the table.
    ///
    /// # Panics
    /// If a case failed, or if there was none.
    pub fn finish(self) {
        let table = self.to_string();
        println!("{table}");
        append_to_report(&table);
        let cases = self.passed + self.failures.len() + self.skips.values().sum::<usize>();
        assert!(cases > 0, "{}: no case was found", self.title);
        let count = self.failures.len();
        assert!(count == 0, "{}: {count} of {cases} cases failed\n{}", self.title, self.failures.join("\n"));
    }
}

/// A line with the counts, then one for each place (if there are several) and one for each reason to skip.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, skipped) = (self.failures.len(), self.skips.values().sum::<usize>());
        let run = self.passed + failed;
        write!(f, "{:<58} {run:>4} run {:>4} passed {failed:>4} failed {skipped:>4} skipped", self.title, self.passed)?;
        if self.places.len() > 1 {
            self.places.iter().try_for_each(|(place, count)| write!(f, "\n    {count:>4} run on {place}"))?;
        }
        self.skips.iter().try_for_each(|(reason, count)| write!(f, "\n    {count:>4} skipped: {reason}"))
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skip::NotBuilt(part) => write!(f, "not built yet: {part}"),
            Skip::Needs(what) => write!(f, "needs {what}"),
            Skip::SaysTheFile(why) => write!(f, "the file says: {why}"),
            Skip::Contradicted(why) => f.write_str(why),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::ChangeStreams => "change streams",
            Part::ClientBulkWrite => "bulkWrite of a client",
            Part::Encryption => "client-side encryption",
            Part::GridFs => "GridFS",
            Part::LogMessages => "log messages",
            Part::OperationTimeouts => "timeoutMS of an operation, database or collection",
            Part::RawData => "rawData",
            Part::Rename => "renaming a collection",
            Part::SearchIndexes => "search indexes",
            Part::Tracing => "tracing",
        })
    }
}

/// One write, so that the tables of tests that end together don't mix.
fn append_to_report(table: &str) {
    let Some(path) = std::env::var_os("MONGO_BLOCKING_REPORT").filter(|path| !path.is_empty()) else { return };
    let file = OpenOptions::new().create(true).append(true).open(&path);
    if let Err(e) = file.and_then(|mut file| file.write_all(format!("{table}\n").as_bytes())) {
        eprintln!("the report could not be written to {}: {e}", path.display());
    }
}
