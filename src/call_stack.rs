//! The functions of this crate on the call stack, for the tests that hold how many there are between two points.

use std::backtrace::Backtrace;
use std::cell::RefCell;

thread_local! {
    static WATCHED: RefCell<Option<Watched>> = const { RefCell::new(None) };
}

struct Watched {
    point: &'static str,
    functions: Vec<String>,
}

/// Runs `work` on this thread, and returns the functions of this crate that were on the stack when `point` was last reached:
/// from the first one of the short name `from`, itself included, to the one at the point. Closures count.
pub(crate) fn between(from: &str, point: &'static str, work: impl FnOnce()) -> Vec<String> {
    WATCHED.set(Some(Watched { point, functions: Vec::new() }));
    work();
    let mut functions = WATCHED.take().map(|watched| watched.functions).unwrap_or_default();
    let start = short_names(&functions).iter().position(|name| name == from);
    functions.drain(..start.unwrap_or_else(|| panic!("{from} is not on the stack: {functions:#?}")));
    functions
}

/// `Type::function` of each, or `module::function`: without the other modules, generics, and the trait.
pub(crate) fn short_names(functions: &[String]) -> Vec<String> {
    let short = |function: &String| {
        let (owner, name) = function.rsplit_once("::")?;
        // `module::<impl module::Type>` where a type has functions in another module, `<module::Type<T> as module::Trait>`.
        let owner = owner.rsplit_once("<impl ").map_or(owner, |(_, owner)| owner).trim_start_matches('<');
        let owner = owner.split([' ', '<', '>']).next()?;
        Some(format!("{}::{name}", owner.rsplit("::").next()?))
    };
    functions.iter().map(|function| short(function).unwrap_or_else(|| function.clone())).collect()
}

/// The README and the documentation of the crate list these functions, in this order.
pub(crate) fn are_documented(names: &[String]) {
    for (file, text) in [("README.md", include_str!("../README.md")), ("src/lib.rs", include_str!("lib.rs"))] {
        let listed: Vec<&str> = text.split('`').filter(|quoted| names.iter().any(|name| name == quoted)).collect();
        assert_eq!(listed, names, "{file}");
    }
}

/// Called where the stack is of interest.
pub(crate) fn reached(point: &'static str) {
    WATCHED.with_borrow_mut(|watched| {
        if let Some(watched) = watched.as_mut().filter(|watched| watched.point == point) {
            watched.functions = functions();
        }
    });
}

/// Those of this crate, the outermost first, this file's left out.
fn functions() -> Vec<String> {
    let stack = Backtrace::force_capture().to_string().replace('\\', "/");
    let mut functions: Vec<String> = Vec::new();
    let mut lines = stack.lines().map(str::trim_start).peekable();
    // A line with a function is "12: path::of::the_function". With debug information, "at ./src/file.rs:1:2" follows.
    while let Some(line) = lines.next() {
        let Some((_, name)) = line.split_once(": ") else { continue };
        let place = lines.peek().and_then(|place| place.strip_prefix("at ")).unwrap_or_default();
        functions.extend(own_function(name, place));
    }
    functions.reverse();
    functions
}

/// The function's path, if it is one of this crate.
fn own_function(name: &str, place: &str) -> Option<String> {
    if name.contains("::call_stack::") {
        return None;
    }
    let short = name.split('<').next().unwrap_or(name);
    match place.strip_prefix("./src/") {
        // Debug information names a function of a trait without its type; here each such type has a file of its own.
        Some(place) if !short.is_empty() && !short.contains("::") => {
            let file = place.split(".rs").next()?.rsplit('/').next()?;
            let (first, rest) = file.split_at_checked(1)?;
            Some(format!("mongo_blocking::{}{rest}::{short}", first.to_uppercase()))
        }
        _ => name.contains("mongo_blocking::").then(|| name.to_owned()),
    }
}

#[test]
fn functions_have_the_same_names_with_and_without_debug_information() {
    let cases = [
        ("mongo_blocking::pool::Pool::check_out", "", Some("mongo_blocking::pool::Pool::check_out")),
        (
            "mongo_blocking::pool::Pool::check_out",
            "./src/pool/mod.rs:1:2",
            Some("mongo_blocking::pool::Pool::check_out"),
        ),
        ("step<mongo_blocking::auth::scram::Scram>", "./src/auth/sasl.rs:1:2", Some("mongo_blocking::Sasl::step")),
        ("step", "./src/auth/scram.rs:1:2", Some("mongo_blocking::Scram::step")),
        ("call_once", "/rustc/library/core/src/ops/function.rs:1:2", None),
        ("mongo_blocking::call_stack::reached", "./src/call_stack.rs:1:2", None),
    ];
    for (name, place, expected) in cases {
        assert_eq!(own_function(name, place).as_deref(), expected, "{name}");
    }
}
