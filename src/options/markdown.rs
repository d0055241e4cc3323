//! The table of options as documentation.

use super::spec::{DefaultValue, Invalid, Location, Meaning, OptionSpec, State};
use super::table::OPTIONS;

/// The table of all options as Markdown: name in a URI, what it takes, default, method of the builder, and what it is
/// for.
///
/// ```
/// let table = mongo_blocking::options::options_table();
/// assert!(table.contains("| `connectTimeoutMS` |"));
/// ```
pub fn options_table() -> String {
    let mut out =
        String::from("| option | takes | default | in code | what it is for |\n| --- | --- | --- | --- | --- |\n");
    for spec in OPTIONS {
        out.push_str(&line(spec));
    }
    out
}

fn line(spec: &OptionSpec) -> String {
    let name = if spec.location == Location::Query { format!("`{}`", spec.name) } else { spec.name.to_owned() };
    let default = match spec.default {
        DefaultValue::Words(words) => words.to_owned(),
        DefaultValue::Bool(value) => value.to_string(),
        DefaultValue::Number(value) => value.to_string(),
        DefaultValue::Text(text) => text.to_owned(),
    };
    let about = format!("{}{}{}{}", spec.about, names(spec), strictness(spec), state(spec));
    // rustdoc would take a bracket for a link.
    let about = about.replace('[', "\\[");
    format!("| {name} | {} | {default} | `{}` | {about} |\n", spec.kind.expected(), spec.setter)
}

fn names(spec: &OptionSpec) -> String {
    let names = |wanted: fn(Meaning) -> bool| {
        let names: Vec<String> = spec
            .aliases
            .iter()
            .filter(|alias| wanted(alias.meaning))
            .map(|alias| format!("`{}`", alias.name))
            .collect();
        names.join(", ")
    };
    let (same, old) = (names(|meaning| meaning == Meaning::Same), names(|meaning| meaning != Meaning::Same));
    let mut out = String::new();
    if !same.is_empty() {
        out.push_str(&format!(" Also {same}."));
    }
    if !old.is_empty() {
        out.push_str(&format!(" Formerly {old}."));
    }
    out
}

fn strictness(spec: &OptionSpec) -> &'static str {
    match spec.invalid {
        Invalid::Warning => "",
        Invalid::Error | Invalid::ErrorUnlessEmpty => " Another value is an error.",
    }
}

fn state(spec: &OptionSpec) -> String {
    match spec.state {
        State::Works => String::new(),
        State::NotSupported => " **Not supported.**".to_owned(),
    }
}
