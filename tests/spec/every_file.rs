//! Every file of the unified format is read, also those of folders that later parts of the driver will run.

use std::fs;
use std::path::Path;

use crate::unified::file;
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

fn visit(folder: &Path, judge: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            visit(&path, judge);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            let text = fs::read_to_string(&path).expect("a text file");
            let name = path.to_string_lossy();
            let broken = name.contains("unified-test-format/tests/invalid")
                || name.ends_with("valid-fail/schemaVersion-unsupported.json");
            if text.contains("\"schemaVersion\"") && !broken {
                judge(&path, &text);
            }
        }
    }
}
