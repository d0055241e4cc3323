//! No crate that a user's build compiles asks for a newer Rust than we promise, on any platform, with any feature.

use std::collections::{HashMap, HashSet};
use std::process::Command;

use serde_json::Value;

use crate::files::root;

/// The crates that the normal and build dependencies of `package` reach, with the Rust each asks for, if newer than `promised`.
fn too_new(metadata: &Value, package: &str, promised: (u64, u64)) -> Vec<String> {
    let packages: HashMap<&str, &Value> = list(&metadata["packages"]).map(|p| (text(&p["id"]), p)).collect();
    let nodes: HashMap<&str, &Value> = list(&metadata["resolve"]["nodes"]).map(|n| (text(&n["id"]), n)).collect();
    let start = packages.iter().find(|(_, p)| text(&p["name"]) == package).map(|(id, _)| *id).expect("our own package");
    let mut reached = HashSet::from([start]);
    let mut to_visit = vec![start];
    while let Some(id) = to_visit.pop() {
        for dependency in list(&nodes[id]["deps"]).filter(|dependency| is_compiled_for_users(dependency)) {
            let id = text(&dependency["pkg"]);
            if reached.insert(id) {
                to_visit.push(id);
            }
        }
    }
    assert!(reached.len() > 1, "the tree was walked");
    let mut found: Vec<String> = reached
        .iter()
        .filter_map(|id| {
            let asked = packages[id]["rust_version"].as_str()?;
            (version(asked) > promised).then(|| {
                format!("{} {} asks for Rust {asked}", text(&packages[id]["name"]), text(&packages[id]["version"]))
            })
        })
        .collect();
    found.sort();
    found
}

/// Dev-dependencies are compiled by us only.
fn is_compiled_for_users(dependency: &Value) -> bool {
    list(&dependency["dep_kinds"]).any(|kind| kind["kind"].as_str() != Some("dev"))
}

fn version(text: &str) -> (u64, u64) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(u64::MAX));
    (parts.next().unwrap_or(u64::MAX), parts.next().unwrap_or(0))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

#[test]
fn no_dependency_asks_for_a_newer_rust() {
    let run = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(run.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&run.stderr));
    let metadata: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let promised = version(env!("CARGO_PKG_RUST_VERSION"));
    super::hold(
        "Crates that ask for a newer Rust than Cargo.toml promises:",
        too_new(&metadata, env!("CARGO_PKG_NAME"), promised),
    );
}

#[test]
fn a_planted_crate_is_found() {
    let metadata = serde_json::json!({
        "packages": [
            { "id": "us", "name": "us", "version": "1.0.0", "rust_version": "1.88" },
            { "id": "a", "name": "a", "version": "1.0.0", "rust_version": null },
            { "id": "b", "name": "b", "version": "2.1.0", "rust_version": "1.89.1" },
            { "id": "c", "name": "c", "version": "3.0.0", "rust_version": "1.99" },
        ],
        "resolve": { "nodes": [
            { "id": "us", "deps": [
                { "pkg": "a", "dep_kinds": [{ "kind": null }] },
                { "pkg": "c", "dep_kinds": [{ "kind": "dev" }] },
            ] },
            { "id": "a", "deps": [{ "pkg": "b", "dep_kinds": [{ "kind": "build" }] }] },
            { "id": "b", "deps": [] },
            { "id": "c", "deps": [] },
        ] },
    });
    assert_eq!(too_new(&metadata, "us", (1, 88)), ["b 2.1.0 asks for Rust 1.89.1"]);
    assert_eq!(too_new(&metadata, "us", (1, 90)), Vec::<String>::new());
}
