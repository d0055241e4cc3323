//! Errors as a caller meets them.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use mongo_blocking::Client;
use mongo_blocking::bson::{Bson, doc};
use mongo_blocking::error::{ErrorKind, WriteFailure};

use mongo_blocking_test_server::chain;

use super::{Watched, fail, own_mongod};

#[test]
fn failures_that_the_server_is_told_to_cause() {
    let Some(mongod) = own_mongod() else { return };
    let watched = Watched::new(&mongod, "socketTimeoutMS=10000");
    let birds = watched.collection("birds");

    let duplicate = doc! {"_id": 1};
    birds.insert_one(&duplicate).run().unwrap();
    let error = birds.insert_one(&duplicate).run().unwrap_err();
    let ErrorKind::Write(WriteFailure::WriteError(refused)) = error.kind() else { panic!("{error:?}") };
    assert_eq!((refused.index, refused.code), (0, 11_000));
    assert!(error.server_response().is_some_and(|reply| reply.get_array("writeErrors").is_ok()));

    // The write itself has happened.
    let concern = doc! {"code": 91, "codeName": "ShutdownInProgress", "errmsg": "going down", "errInfo": {"x": 1}};
    fail(
        &watched.client,
        1,
        doc! {"failCommands": ["insert"], "writeConcernError": concern, "errorLabels": ["RetryableWriteError"]},
    );
    let error = birds.insert_one(doc! {"_id": 2}).run().unwrap_err();
    let ErrorKind::Write(WriteFailure::WriteConcernError(refused)) = error.kind() else { panic!("{error:?}") };
    assert_eq!((refused.code, refused.message.as_str()), (91, "going down"));
    assert!(refused.details.as_ref().is_some_and(|details| details.get_i32("x").unwrap() == 1), "{refused:?}");
    assert!(error.contains_label("RetryableWriteError"), "{error:?}");
    assert!(error.server_response().is_some());
    assert_eq!(birds.count_documents(doc! {}).run().unwrap(), 2);

    // The connection dies in the second command of three (inserts, updates, deletes).
    fail(&watched.client, 1, doc! {"failCommands": ["update"], "closeConnection": true});
    let models = vec![
        mongo_blocking::WriteModel::insert_one(doc! {"_id": 3}),
        mongo_blocking::WriteModel::update_one(doc! {"_id": 3}, doc! {"$set": {"a": 1}}),
        mongo_blocking::WriteModel::delete_one(doc! {"_id": 3}),
    ];
    let error = birds.bulk_write(models).run().unwrap_err();
    let ErrorKind::BulkWrite(failed) = error.kind() else { panic!("{error:?}") };
    assert_eq!((failed.partial_result.inserted_count, failed.partial_result.deleted_count), (1, 0));
    assert_eq!(failed.partial_result.inserted_ids[&0], Bson::Int32(3));
    let cause = std::error::Error::source(&error).and_then(|e| e.downcast_ref::<mongo_blocking::Error>());
    assert!(cause.is_some_and(mongo_blocking::Error::is_network_error), "{error:?}");
    assert_eq!(birds.count_documents(doc! {"_id": 3, "a": null}).run().unwrap(), 1);
}

/// A report that walks along the sources, as that of anyhow does, prints no text twice. The first level says what happened without the
/// others; what the server said of a command is its own.
#[test]
fn each_level_of_an_error_says_its_own_part() {
    let Some(mongod) = own_mongod() else { return };
    let watched = Watched::new(&mongod, "retryReads=false&retryWrites=false");
    let limited = Watched::new(&mongod, "timeoutMS=5000&retryReads=false");
    let birds = watched.collection("levels");
    birds.insert_one(doc! {"_id": 1, "legs": "two"}).run().unwrap();
    let ping = |uri: &str| Client::with_uri_str(uri).and_then(|client| client.ping()).unwrap_err();
    let plain = mongod.uri();
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut table = vec![
        (ping(&format!("mongodb://{refused}/?serverSelectionTimeoutMS=300")), "connection refused by", 1),
        (ping("mongodb://no-such-host.invalid/?serverSelectionTimeoutMS=300"), "no-such-host.invalid", 1),
        (ping(&format!("{plain}?tls=true&serverSelectionTimeoutMS=500")), "does the server speak TLS", 0),
        (ping("mongodb://h/?tls=true&tlsCAFile=/no/such.pem"), "/no/such.pem cannot be read: there is no such file", 1),
        (ping("mongodb://h:0/"), "a port is a number", 0),
        (ping(&mongod.root_uri().replace('@', "x@")), "refused user \"root\" on database \"admin\"", 0),
    ];
    let command = watched.client.database("crud").run_command(doc! {"noSuchCommand": 1}).run();
    table.push((command.unwrap_err(), "no such command", 0));
    table.push((birds.insert_one(doc! {"_id": 1}).run().unwrap_err(), "E11000", 0));
    table.push((birds.insert_many([doc! {"_id": 1}, doc! {"_id": 2}]).run().unwrap_err(), "E11000", 0));

    let typed = watched.client.database("crud").collection::<Legs>("levels");
    table.push((typed.find_one(doc! {}).run().unwrap_err(), "legs of the document with _id 1 does not fit", 0));
    table.push((typed.insert_one(Legs { legs: u64::MAX }).run().unwrap_err(), "legs of a document", 0));

    fail(&watched.client, 1, doc! {"failCommands": ["find"], "closeConnection": true});
    table.push((birds.find_one(doc! {}).run().unwrap_err(), "the server closed the connection", 0));
    fail(&watched.client, 1, doc! {"failCommands": ["update"], "closeConnection": true});
    let models = [
        mongo_blocking::WriteModel::insert_one(doc! {"_id": 3}),
        mongo_blocking::WriteModel::update_one(doc! {"_id": 3}, doc! {"$set": {"a": 1}}),
    ];
    table.push((birds.bulk_write(models).run().unwrap_err(), "1 writes were sent and answered", 1));
    fail(&watched.client, 1, doc! {"failCommands": ["find"], "errorCode": 50});
    let limited = limited.client.database("crud").collection::<mongo_blocking::bson::Document>("levels");
    table.push((limited.find_one(doc! {}).run().unwrap_err(), "timeoutMS ran out", 1));

    for (error, own, causes) in table {
        let levels = chain::levels(&error);
        assert!(levels[0].contains(own), "{own}: {levels:?}");
        assert_eq!(levels.len(), 1 + causes, "{levels:?}");
        let whole = format!("{error:#}");
        assert!(levels[1..].iter().all(|cause| whole.contains(cause)), "{whole}: {levels:?}");
        // What `main` prints that returns the error.
        assert!(format!("{error:?}").contains(&format!("{:?}", error.message())), "{error:?}");
    }
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Legs {
    legs: u64,
}

#[test]
fn timeout_ms_is_told_to_the_server_and_ends_on_time() {
    let Some(mongod) = own_mongod() else { return };
    let limited = Watched::new(&mongod, "timeoutMS=400");
    let birds = limited.collection("limited");
    birds.find_one(doc! {}).run().unwrap();
    let find = limited.sent("find").pop().unwrap();
    assert!(find.get_i64("maxTimeMS").is_ok_and(|limit| (1..=400).contains(&limit)), "{find}");
    let unlimited = Client::with_uri_str(mongod.root_uri()).unwrap();
    for (options, limit) in [("timeoutMS=400", 400), ("socketTimeoutMS=300&retryReads=false", 300)] {
        let watched = Watched::new(&mongod, options);
        // Setting a fail point waits until nobody is held by it any more, so a client without limits does it.
        fail(&unlimited, 1, doc! {"failCommands": ["find"], "blockConnection": true, "blockTimeMS": 3000});
        let began = Instant::now();
        let collection = watched.client.database("crud").collection::<mongo_blocking::bson::Document>("limited");
        let error = collection.find_one(doc! {}).run().unwrap_err();
        assert!(error.is_network_timeout(), "{options}: {error:?}");
        assert_eq!(matches!(error.kind(), ErrorKind::Timeout { .. }), limit == 400, "{options}: {error:?}");
        assert!(error.to_string().contains(options.split('=').next().unwrap()), "{options}: {error}");
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(limit - 50) && took < Duration::from_secs(2), "{options}: {took:?}");
    }
}
