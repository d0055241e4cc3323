//! Login and CRUD on every generation of servers that the driver works with: 4.2, 4.4, 5.0 and 6.0, each real.

use mongo_blocking::bson::{Bson, Document, doc};
use mongo_blocking::error::{ErrorKind, Stage, WriteFailure};
use mongo_blocking::options::{Hint, IndexModel, IndexOptions, ReplaceOptions, ReturnDocument, percent_encode};
use mongo_blocking::{Client, Collection, Result, WriteModel};
use mongo_blocking_test_server::peers::Mongod;

#[test]
fn mongodb_4_2_login() {
    login("4.2");
}

#[test]
fn mongodb_4_4_login() {
    login("4.4");
}

#[test]
fn mongodb_5_0_login() {
    login("5.0");
}

#[test]
fn mongodb_6_0_login() {
    login("6.0");
}

#[test]
fn mongodb_4_2_crud() {
    crud("4.2");
}

#[test]
fn mongodb_4_4_crud() {
    crud("4.4");
}

#[test]
fn mongodb_5_0_crud() {
    crud("5.0");
}

#[test]
fn mongodb_6_0_crud() {
    crud("6.0");
}

// ---- login -------------------------------------------------------------------------------------------------------

/// Users with one mechanism and with both; asked for by name and left to negotiation; right and wrong.
fn login(version: &str) {
    let Some(mongod) = Mongod::shared_with_auth(version) else { return };
    let root = Client::with_uri_str(mongod.root_uri()).expect("a client for root");
    create_user(&root, "login", "only1", PASSWORD, &[SHA_1]);
    create_user(&root, "login", "only256", PASSWORD, &[SHA_256]);
    create_user(&root, "login", "both", PASSWORD, &[SHA_1, SHA_256]);
    create_user(&root, "login", "ödd,=user", ODD_PASSWORD, &[SHA_1, SHA_256]);

    let logs_in = |user: &str, password: &str, mechanism: Option<&str>| {
        let mechanism = mechanism.map_or(String::new(), |name| format!("&authMechanism={name}"));
        let (name, password) = (percent_encode(user), percent_encode(password));
        let uri = format!("mongodb://{name}:{password}@{}/?authSource=login{mechanism}", mongod.address());
        logged_in_as(&uri).map(|found| assert_eq!(found, user))
    };
    for (user, password, mechanisms) in [
        ("only1", PASSWORD, &[None, Some(SHA_1)][..]),
        ("only256", PASSWORD, &[None, Some(SHA_256)]),
        ("both", PASSWORD, &[None, Some(SHA_1), Some(SHA_256)]),
        ("ödd,=user", ODD_PASSWORD, &[None, Some(SHA_1), Some(SHA_256)]),
    ] {
        for mechanism in mechanisms {
            logs_in(user, password, *mechanism).unwrap_or_else(|e| panic!("{user} with {mechanism:?}: {e}"));
            is_refused(logs_in(user, "wrong", *mechanism), *mechanism);
        }
    }
    is_refused(logs_in("only1", PASSWORD, Some(SHA_256)), Some(SHA_256));
    is_refused(logs_in("only256", PASSWORD, Some(SHA_1)), Some(SHA_1));
    is_refused(logs_in("nobody", PASSWORD, None), None);
}

fn create_user(root: &Client, database: &str, name: &str, password: &str, mechanisms: &[&str]) {
    let mechanisms: Vec<Bson> = mechanisms.iter().map(|name| Bson::from(*name)).collect();
    let roles = vec![doc! {"role": "readWrite", "db": "login"}];
    let command = doc! {"createUser": name, "pwd": password, "roles": roles, "mechanisms": mechanisms};
    root.database(database).run_command(command).run().expect("a new user");
}

/// The user that the server takes us for.
fn logged_in_as(uri: &str) -> Result<String> {
    let status = Client::with_uri_str(uri)?.database("login").run_command(doc! {"connectionStatus": 1}).run()?;
    let users = status.get_document("authInfo").and_then(|info| info.get_array("authenticatedUsers"));
    let [Bson::Document(user)] = users.expect("authenticatedUsers").as_slice() else { panic!("one user: {status}") };
    Ok(user.get_str("user").expect("its name").to_owned())
}

fn is_refused(result: Result<()>, mechanism: Option<&str>) {
    let error = result.expect_err("a refusal");
    assert!(matches!(error.kind(), ErrorKind::Authentication { .. }), "{error:?}");
    let Stage::Authentication { mechanism: tried, .. } = error.stage() else { panic!("another stage: {error:?}") };
    assert!(mechanism.is_none_or(|asked| asked == tried), "{error:?}");
    assert!(!format!("{error:#}").contains(PASSWORD), "{error}");
}

const SHA_1: &str = "SCRAM-SHA-1";
const SHA_256: &str = "SCRAM-SHA-256";
const PASSWORD: &str = "correct horse battery";
const ODD_PASSWORD: &str = "p@ss:/?#[]%,=é";

// ---- CRUD --------------------------------------------------------------------------------------------------------

fn crud(version: &str) {
    let Some(mongod) = Mongod::shared_with_auth(version) else { return };
    let client = Client::with_uri_str(mongod.root_uri()).expect("a client");
    let database = client.database("generations");
    database.drop().run().expect("an empty database");
    let birds = database.collection::<Document>("birds");
    writes(&birds).expect("writes");
    reads(&birds).expect("reads");
    find_and_modify(&birds).expect("findAndModify");
    bulk(&birds).expect("a bulk write");
    indexes(&birds).expect("indexes");
    hints(&birds, version).expect("hints");
    listings(&client).expect("listings");
    errors(&birds);
}

fn writes(birds: &Collection<Document>) -> Result<()> {
    assert_eq!(birds.insert_one(doc! {"_id": 0, "name": "wren", "grams": 9}).run()?.inserted_id, Bson::Int32(0));
    let flock = (1..=30).map(|n| doc! {"_id": n, "name": format!("finch {n}"), "grams": 20 + n});
    assert_eq!(birds.insert_many(flock.collect::<Vec<_>>()).run()?.inserted_ids.len(), 30);
    let updated = birds.update_one(doc! {"_id": 1}, doc! {"$inc": {"grams": 1}}).run()?;
    assert_eq!((updated.matched_count, updated.modified_count), (1, 1));
    let by_pipeline = birds.update_many(doc! {"_id": {"$lte": 10}}, vec![doc! {"$set": {"small": true}}]).run()?;
    assert_eq!(by_pipeline.modified_count, 11);
    assert_eq!(birds.replace_one(doc! {"_id": 30}, doc! {"name": "owl", "grams": 300}).run()?.modified_count, 1);
    let upserted = birds.update_one(doc! {"_id": 31}, doc! {"$set": {"name": "kite"}}).upsert(true).run()?;
    assert_eq!(upserted.upserted_id, Some(Bson::Int32(31)));
    assert_eq!(birds.delete_one(doc! {"_id": 31}).run()?.deleted_count, 1);
    assert_eq!(birds.delete_many(doc! {"_id": {"$gt": 28}}).run()?.deleted_count, 2);
    Ok(())
}

/// 29 documents are there: 0 to 28.
fn reads(birds: &Collection<Document>) -> Result<()> {
    let all: Vec<Document> = birds.find(doc! {}).sort(doc! {"_id": 1}).batch_size(5).run()?.collect::<Result<_>>()?;
    assert_eq!(ids(&all), (0..=28).collect::<Vec<_>>());
    let some = birds.find(doc! {"_id": {"$gt": 3}}).sort(doc! {"_id": -1}).skip(1).limit(3).projection(doc! {"_id": 1});
    let some: Vec<Document> = some.run()?.collect::<Result<_>>()?;
    assert_eq!(some, [doc! {"_id": 27}, doc! {"_id": 26}, doc! {"_id": 25}]);
    let wren = birds.find_one(doc! {"name": "wren"}).run()?.expect("the wren");
    assert_eq!(wren, doc! {"_id": 0, "name": "wren", "grams": 9, "small": true});
    assert_eq!(birds.find_one(doc! {"name": "dodo"}).run()?, None);
    assert_eq!(birds.count_documents(doc! {"small": true}).run()?, 11);
    assert_eq!(birds.estimated_document_count().run()?, 29);
    assert_eq!(birds.distinct("small", doc! {}).run()?, [Bson::Boolean(true)]);
    let grouped =
        birds.aggregate(vec![doc! {"$group": {"_id": "$small", "n": {"$sum": 1}}}, doc! {"$sort": {"n": 1}}]).run()?;
    let grouped: Vec<Document> = grouped.collect::<Result<_>>()?;
    assert_eq!(grouped, [doc! {"_id": true, "n": 11}, doc! {"_id": null, "n": 18}]);
    Ok(())
}

fn ids(documents: &[Document]) -> Vec<i32> {
    documents.iter().map(|document| document.get_i32("_id").expect("_id")).collect()
}

fn find_and_modify(birds: &Collection<Document>) -> Result<()> {
    let wren = || doc! {"_id": 0};
    let before = birds.find_one_and_update(wren(), doc! {"$set": {"grams": 10}}).run()?.expect("the wren");
    assert_eq!(before, doc! {"_id": 0, "name": "wren", "grams": 9, "small": true});
    let after =
        birds.find_one_and_replace(wren(), doc! {"name": "king"}).return_document(ReturnDocument::After).run()?;
    assert_eq!(after, Some(doc! {"_id": 0, "name": "king"}));
    assert_eq!(birds.find_one_and_delete(wren()).run()?, Some(doc! {"_id": 0, "name": "king"}));
    assert_eq!(birds.find_one_and_delete(wren()).run()?, None);
    Ok(())
}

/// 1 to 28 are there.
fn bulk(birds: &Collection<Document>) -> Result<()> {
    let done = birds
        .bulk_write(vec![
            WriteModel::insert_one(doc! {"_id": 0, "name": "wren"}),
            WriteModel::update_one(doc! {"_id": 1}, doc! {"$set": {"bulk": 1}}),
            WriteModel::update_many(doc! {"_id": {"$in": [2, 3]}}, doc! {"$set": {"bulk": 1}}),
            WriteModel::ReplaceOne {
                filter: doc! {"_id": 100},
                replacement: doc! {"name": "emu"},
                options: ReplaceOptions::default().upsert(true),
            },
            WriteModel::delete_one(doc! {"_id": 28}),
            WriteModel::delete_many(doc! {"_id": {"$in": [26, 27, 100]}}),
        ])
        .run()?;
    assert_eq!((done.inserted_count, done.matched_count, done.modified_count), (1, 3, 3));
    assert_eq!((done.upserted_count, done.deleted_count), (1, 4));
    assert_eq!(done.upserted_ids.get(&3), Some(&Bson::Int32(100)));
    Ok(())
}

/// 0 to 25 are there.
fn indexes(birds: &Collection<Document>) -> Result<()> {
    let by_name = IndexModel::new(doc! {"name": 1}).options(IndexOptions::default().unique(true));
    assert_eq!(birds.create_index(by_name).run()?.index_name, "name_1");
    let mut names = birds.list_index_names().run()?;
    names.sort();
    assert_eq!(names, ["_id_", "name_1"]);
    birds.drop_index("name_1").run()?;
    assert_eq!(birds.list_index_names().run()?, ["_id_"]);
    Ok(())
}

/// An update takes a hint from 4.2 on, a delete from 4.4 on; before, that is an error and not a full scan.
fn hints(birds: &Collection<Document>, version: &str) -> Result<()> {
    let by_id = || Hint::Keys(doc! {"_id": 1});
    let updated = birds.update_one(doc! {"_id": 4}, doc! {"$set": {"hinted": true}}).hint(by_id()).run()?;
    assert_eq!(updated.modified_count, 1);
    let deleted = birds.delete_one(doc! {"_id": 25}).hint(by_id()).run();
    match version {
        "4.2" => assert!(deleted.is_err(), "{deleted:?}"),
        _ => assert_eq!(deleted?.deleted_count, 1),
    }
    Ok(())
}

fn listings(client: &Client) -> Result<()> {
    let database = client.database("generations");
    database.create_collection("empty").run()?;
    let mut names = database.list_collection_names().run()?;
    names.sort();
    assert_eq!(names, ["birds", "empty"]);
    assert!(client.list_database_names().run()?.iter().any(|name| name == "generations"));
    database.collection::<Document>("empty").drop().run()?;
    assert_eq!(database.list_collection_names().run()?, ["birds"]);
    Ok(())
}

fn errors(birds: &Collection<Document>) {
    let duplicate = birds.insert_one(doc! {"_id": 1}).run().expect_err("a duplicate key");
    assert!(
        matches!(duplicate.kind(), ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == DUPLICATE_KEY),
        "{duplicate:?}"
    );
    let documents = vec![doc! {"_id": 200}, doc! {"_id": 1}, doc! {"_id": 201}];
    let partly = birds.insert_many(documents).ordered(false).run().expect_err("a duplicate key");
    let ErrorKind::InsertMany(error) = partly.kind() else { panic!("another error: {partly:?}") };
    assert_eq!(error.write_errors().iter().map(|error| error.index).collect::<Vec<_>>(), [1]);
    assert_eq!(error.inserted_ids().len(), 2);
    let refused = birds.find(doc! {"$nonsense": 1}).run().map(drop).expect_err("no such operator");
    assert_eq!(refused.code(), Some(BAD_VALUE), "{refused:?}");
}

const DUPLICATE_KEY: i32 = 11_000;
const BAD_VALUE: i32 = 2;
