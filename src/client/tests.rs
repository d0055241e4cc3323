//! How far a command travels: the functions between a program's call and the one that writes to the socket.

use bson::doc;
use mongo_blocking_test_server::fake_server::FakeServer;

use super::Client;
use crate::call_stack;

/// The README and the crate's documentation name these functions. A closure, or a function that a macro makes and that holds
/// code of ours, would be listed too.
#[test]
fn a_command_passes_through_five_functions_on_its_way_to_the_socket() {
    let server = FakeServer::builder().start();
    let client = Client::with_uri_str(server.uri()).unwrap();
    client.ping().unwrap();
    let admin = client.database("admin");
    let functions = call_stack::between("RunCommand::run", "write", || {
        admin.run_command(doc! { "ping": 1 }).run().unwrap();
    });
    println!("{}", functions.join("\n"));
    let names: Vec<String> = functions.iter().map(|function| short_name(function)).collect();
    let expected =
        ["RunCommand::run", "ClientInner::execute", "ClientInner::attempt", "Connection::run", "Transport::write_all"];
    assert_eq!(names, expected);
}

/// `Type::function`, without modules and without the `impl` that names the type where it is in another module.
fn short_name(function: &str) -> String {
    let plain = function.replace("<impl ", "").replace(['<', '>'], "");
    let parts: Vec<&str> = plain.rsplit("::").take(2).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("::")
}
