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
/// from the first one whose name ends in `from`, itself included, to the one at the point. Closures count.
pub(crate) fn between(from: &str, point: &'static str, work: impl FnOnce()) -> Vec<String> {
    WATCHED.set(Some(Watched { point, functions: Vec::new() }));
    work();
    let mut functions = WATCHED.take().map(|watched| watched.functions).unwrap_or_default();
    let start = functions.iter().position(|name| name.ends_with(from));
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
    let stack = Backtrace::force_capture().to_string();
    // A line with a function is "  12: path::of::the_function", the others are "at file:line".
    let names = stack.lines().filter_map(|line| line.trim_start().split_once(": ").map(|(_, name)| name));
    let own = names.filter(|name| name.contains("mongo_blocking::") && !name.contains("::call_stack::"));
    let mut functions: Vec<String> = own.map(str::to_owned).collect();
    functions.reverse();
    functions
}
