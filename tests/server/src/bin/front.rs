//! The front as a program.
fn main() {}
