//! Each test is run by a suite of `tests/suites.tsv`, and each filter there names a module that exists.

use std::collections::BTreeMap;

use crate::files::{below, sources_below};
use crate::source::tokens;

/// A test program: a folder below `tests/` with a `main.rs`.
struct Program {
    name: String,
    /// The modules with tests that its `main.rs` declares.
    modules: Vec<String>,
    /// Whether `main.rs` has tests of its own, which no module name selects.
    tests_in_main: bool,
}

impl Program {
    /// `sources` are the program's files, by their paths below its folder.
    fn read(name: &str, sources: &[(&str, &str)]) -> Option<Program> {
        let (_, main) = sources.iter().find(|(path, _)| *path == "main.rs")?;
        let tokens = tokens(main);
        let is_declaration =
            |at: usize| tokens[at].is_word("mod") && tokens.get(at + 2).is_some_and(|t| t.is_mark(';'));
        let declared = (0..tokens.len()).filter(|at| is_declaration(*at));
        let declared = declared.filter_map(|at| tokens[at + 1].word().map(str::to_owned));
        let has_tests_of = |module: &String| {
            let (file, folder) = (format!("{module}.rs"), format!("{module}/"));
            sources.iter().any(|(path, text)| (*path == file || path.starts_with(&folder)) && has_tests(text))
        };
        let modules = declared.filter(has_tests_of).collect();
        Some(Program { name: name.to_owned(), modules, tests_in_main: has_tests(main) })
    }
}

/// Whether a source has a test. (A module that only lends a hand to others has none.)
fn has_tests(source: &str) -> bool {
    let tokens = tokens(source);
    let is_attribute = |at: usize| tokens[at].is_mark('#') && tokens.get(at + 2).is_some_and(|t| t.is_word("test"));
    (0..tokens.len()).any(is_attribute)
}

/// A step that runs tests of a program, all of them or those of some modules.
struct Step<'a> {
    suite: &'a str,
    program: &'a str,
    filters: Vec<&'a str>,
    /// Whether it runs again what another step runs, for another platform.
    again: bool,
}

/// The steps that run a test program, and how many lines of the table have the wrong number of fields.
fn steps(table: &str) -> (Vec<Step<'_>>, Vec<String>) {
    let (mut steps, mut malformed) = (Vec::new(), Vec::new());
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let &[suite, _, _, list] = line.split('\t').collect::<Vec<_>>().as_slice() else {
            malformed.push(format!("{line:?} does not have four fields with one tab between them"));
            continue;
        };
        for step in list.split(' ') {
            let again = AGAIN.iter().any(|prefix| step.starts_with(prefix));
            let step = PREFIXES.iter().find_map(|prefix| step.strip_prefix(prefix)).unwrap_or(step);
            let Some(step) = step.strip_prefix("test:") else { continue };
            let (program, filters) = step
                .split_once(':')
                .map_or((step, Vec::new()), |(program, filters)| (program, filters.split(',').collect()));
            steps.push(Step { suite, program, filters, again });
        }
    }
    (steps, malformed)
}

/// What may stand in front of a step.
const PREFIXES: [&str; 4] = ["native:", "gssapi:", "windows:", "sspi:"];

/// Those of them that stand for the same tests on another platform.
const AGAIN: [&str; 2] = ["native:", "windows:"];

/// Each part of the library's tests that one step leaves out is run by another.
fn left_out(table: &str) -> Vec<String> {
    let steps = table.lines().filter(|line| !line.starts_with('#')).flat_map(|line| line.split(['\t', ' ']));
    let filters: Vec<&str> = steps.filter_map(|step| step.strip_prefix("lib:")).flat_map(|f| f.split(',')).collect();
    let left_out = filters.iter().filter_map(|filter| filter.strip_prefix('-'));
    left_out.filter(|part| !filters.contains(part)).map(|part| format!("no suite has the step lib:{part}")).collect()
}

fn complaints(table: &str, programs: &[Program]) -> Vec<String> {
    let (steps, mut found) = steps(table);
    found.extend(left_out(table));
    for step in &steps {
        let Some(program) = programs.iter().find(|program| program.name == step.program) else {
            found.push(format!("{}: there is no tests/{}/main.rs", step.suite, step.program));
            continue;
        };
        for filter in &step.filters {
            let known =
                filter.strip_suffix("::").is_some_and(|name| program.modules.iter().any(|module| module == name));
            if !known {
                found.push(format!("{}: tests/{}/main.rs declares no module for {filter}", step.suite, program.name));
            }
        }
    }
    for program in programs {
        let own: Vec<_> = steps.iter().filter(|step| step.program == program.name && !step.again).collect();
        if own.iter().any(|step| step.filters.is_empty()) {
            continue;
        }
        if own.is_empty() || program.tests_in_main {
            found.push(format!("no suite runs all of tests/{}", program.name));
            continue;
        }
        let selected =
            |module: &str| own.iter().any(|step| step.filters.iter().any(|f| f.strip_suffix("::") == Some(module)));
        for module in program.modules.iter().filter(|module| !selected(module)) {
            found.push(format!("no suite runs the module {module} of tests/{}", program.name));
        }
    }
    found
}

/// A test program is a folder, so that its tests can be found by subject; a module is where its name says.
fn misplaced(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if path.matches('/').count() == 1 {
        found.push(format!("{path}: a test belongs into the folder of its subject, see tests/README.md"));
    }
    let tokens = tokens(text);
    for at in 2..tokens.len() {
        if tokens[at].is_word("path") && tokens[at - 1].is_mark('[') && !MAY_USE_PATH.contains(&path) {
            found.push(format!("{path}:{}: `#[path]` hides where a module is", tokens[at].line));
        }
    }
    found
}

/// Tests of the programs in `examples/`, which lie elsewhere and stand alone.
const MAY_USE_PATH: [&str; 1] = ["tests/auth/oidc/examples.rs"];

#[test]
fn each_test_is_run_by_a_suite() {
    let texts = below("tests");
    let (_, table) = texts.iter().find(|(path, _)| path == "tests/suites.tsv").expect("the table is there");
    let mut folders: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (path, text) in &texts {
        if let Some((folder, rest)) = path.strip_prefix("tests/").and_then(|path| path.split_once('/')) {
            folders.entry(folder).or_default().push((rest, text));
        }
    }
    let programs: Vec<_> = folders.iter().filter_map(|(name, sources)| Program::read(name, sources)).collect();
    assert!(programs.iter().any(|program| program.name == "auth" && program.modules.len() > 5), "programs were found");
    super::hold("tests/suites.tsv:", complaints(table, &programs));
}

#[test]
fn tests_are_in_the_folder_of_their_subject() {
    let sources = sources_below("tests");
    super::hold("Tests:", sources.iter().flat_map(|(path, text)| misplaced(path, text)).collect());
}

#[test]
fn planted_gaps_are_found() {
    let programs = || {
        let test = "#[test]\nfn t() {}";
        let main = "mod a;\n// mod c;\nmod b;\nmod helper;\nfn f() {}";
        let part = |name: &str| {
            let sources =
                [("main.rs", main), ("a.rs", test), ("b/mod.rs", "mod d;"), ("b/d.rs", test), ("helper.rs", "")];
            Program::read(name, &sources).unwrap()
        };
        let main = Program::read("main", &[("a.rs", test), ("main.rs", "mod a;\n#[test]\nfn t() {}")]).unwrap();
        [part("whole"), part("parts"), main]
    };
    let good = "# comment\none\tshows\tpeers\tlib test:whole doc\ntwo\tshows\t\ttest:parts:a::,b:: native:test:parts:b:: test:main\n";
    assert_eq!(complaints(good, &programs()), Vec::<String>::new());
    assert_eq!(left_out("a\tb\tc\tlib:-x::,y:: lib:z::,x::"), Vec::<String>::new());
    assert_eq!(left_out("a\tb\tc\tlib:-x:: lib:y::"), ["no suite has the step lib:x::"]);
    let bad = "one\tshows\tpeers\tnative:test:main windows:test:parts:b:: test:none test:whole:a::,c:: test:parts:a\ntwo\tshows\ttest:main:a::\nthree\tshows\t\ttest:main:a::";
    assert_eq!(
        complaints(bad, &programs()),
        [
            "\"two\\tshows\\ttest:main:a::\" does not have four fields with one tab between them",
            "one: there is no tests/none/main.rs",
            "one: tests/whole/main.rs declares no module for c::",
            "one: tests/parts/main.rs declares no module for a",
            "no suite runs the module b of tests/whole",
            "no suite runs the module a of tests/parts",
            "no suite runs the module b of tests/parts",
            "no suite runs all of tests/main",
        ]
    );
    assert_eq!(misplaced("tests/flat.rs", "").len(), 1);
    assert_eq!(misplaced("tests/auth/x.rs", "#[path = \"y.rs\"]\nmod y; fn path() {} // #[path]").len(), 1);
}
