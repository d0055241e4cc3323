//! Every file of the unified format is read, also those of folders that later parts of the driver will run.

use std::fs;
use std::path::Path;

use crate::unified::file;
use crate::unified::known_operations::{Status, status};
use crate::unified::operations_of;
use mongo_blocking_test_server::report::specifications;

#[test]
fn every_valid_file_of_the_format_is_read() {
    let Some(root) = specifications() else { return };
    let mut refused = Vec::new();
    let mut read = 0;
    visit(&root, &mut |path, text| match file::read(text) {
        Ok(_) => read += 1,
        Err(fault) => refused.push(format!("{}: {fault}", path.display())),
    });
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(read >= 450, "only {read} files of the unified format were found");
}

/// The runner has a status for each operation of each file: it runs it, or names the part of the driver that is missing.
#[test]
fn every_operation_of_every_valid_file_is_known() {
    let Some(root) = specifications() else { return };
    let (mut unknown, mut known) = (Vec::new(), 0);
    visit(&root, &mut |path, text| {
        if slashes(path).contains("/valid-fail/") {
            return;
        }
        let Ok(file) = file::read(text) else { return };
        for test in &file.tests {
            for (kind, name) in operations_of(&file, test) {
                match status(kind, &name) {
                    Status::Unknown => unknown.push(format!("{}: {name} on a {kind}", path.display())),
                    Status::Runs | Status::NotBuilt(_) => known += 1,
                }
            }
        }
    });
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
    assert!(known >= 4000, "only {known} operations were found");
}

fn slashes(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

fn visit(folder: &Path, judge: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            visit(&path, judge);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            let text = fs::read_to_string(&path).expect("a text file");
            let name = slashes(&path);
            let broken = name.contains("unified-test-format/tests/invalid")
                || name.ends_with("valid-fail/schemaVersion-unsupported.json");
            let schema = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("schema-"));
            if text.contains("\"schemaVersion\"") && !broken && !schema {
                judge(&path, &text);
            }
        }
    }
}
