use super::*;

fn store_with(documents: Vec<Bson>) -> Store {
    let mut store = Store::default();
    let n = documents.len() as i32;
    let answer = store.run("d", &doc! {"insert": "c", "documents": documents}).unwrap();
    assert_eq!(answer, doc! {"n": n, "ok": 1.0});
    store
}

fn found(store: &mut Store, filter: Document) -> Vec<Bson> {
    let answer = store.run("d", &doc! {"find": "c", "filter": filter}).unwrap();
    answer.get_document("cursor").unwrap().get_array("firstBatch").unwrap().clone()
}

#[test]
fn finds_by_equality_and_numbers_of_any_type() {
    let mut store = store_with(vec![doc! {"_id": 1, "a": 1}.into(), doc! {"_id": 2, "a": 2}.into()]);
    assert_eq!(found(&mut store, doc! {"a": 2.0}), [doc! {"_id": 2, "a": 2}.into()]);
    assert_eq!(found(&mut store, doc! {"b": null}).len(), 2);
    let refused = store.run("d", &doc! {"find": "c", "filter": {"a": {"$gt": 1}}}).unwrap();
    assert_eq!(refused.get_i32("code").unwrap(), 2);
}

#[test]
fn refuses_a_second_document_of_an_id() {
    let mut store = store_with(vec![doc! {"_id": 1}.into()]);
    let insert = doc! {"insert": "c", "documents": [{"_id": 1_i64}, {"_id": 2}]};
    let answer = store.run("d", &insert).unwrap();
    assert_eq!(answer.get_i32("n").unwrap(), 0);
    let mut unordered = insert;
    unordered.insert("ordered", false);
    let answer = store.run("d", &unordered).unwrap();
    assert_eq!(answer.get_i32("n").unwrap(), 1);
    assert_eq!(answer.get_array("writeErrors").unwrap().len(), 1);
}

#[test]
fn hands_out_batches() {
    let documents = (0..10).map(|n| doc! {"_id": n}.into()).collect();
    let mut store = store_with(documents);
    let first = store.run("d", &doc! {"find": "c", "batchSize": 4, "skip": 1}).unwrap();
    let id = first.get_document("cursor").unwrap().get_i64("id").unwrap();
    let more = doc! {"getMore": id, "collection": "c"};
    let next = store.run("d", &more).unwrap();
    let cursor = next.get_document("cursor").unwrap();
    assert_eq!(cursor.get_array("nextBatch").unwrap().len(), 5);
    assert_eq!(cursor.get_i64("id").unwrap(), 0);
    assert_eq!(store.run("d", &more).unwrap().get_i32("code").unwrap(), 43);
}

#[test]
fn updates_upserts_and_deletes() {
    let mut store = store_with(vec![doc! {"_id": 1, "a": 1}.into(), doc! {"_id": 2, "a": 1}.into()]);
    let update = |u: Document| doc! {"update": "c", "updates": [u]};
    let answer = store.run("d", &update(doc! {"q": {"a": 1}, "u": {"$set": {"a": 3}}, "multi": true})).unwrap();
    assert_eq!(answer, doc! {"n": 2, "nModified": 2, "ok": 1.0});
    let answer = store.run("d", &update(doc! {"q": {"_id": 1}, "u": {"b": 1}})).unwrap();
    assert_eq!(answer, doc! {"n": 1, "nModified": 1, "ok": 1.0});
    let answer = store.run("d", &update(doc! {"q": {"_id": 9}, "u": {"$set": {"a": 4}}, "upsert": true})).unwrap();
    assert_eq!(answer, doc! {"n": 1, "upserted": [{"index": 0, "_id": 9}], "nModified": 0, "ok": 1.0});
    assert_eq!(found(&mut store, doc! {"_id": 1}), [doc! {"_id": 1, "b": 1}.into()]);
    assert_eq!(found(&mut store, doc! {"_id": 9}), [doc! {"_id": 9, "a": 4}.into()]);
    let answer = store.run("d", &doc! {"delete": "c", "deletes": [{"q": {}, "limit": 1}]}).unwrap();
    assert_eq!(answer.get_i32("n").unwrap(), 1);
    let pipeline = vec![Bson::from(doc! {"$match": {}}), doc! {"$group": {"_id": 1, "n": {"$sum": 1}}}.into()];
    let count = store.run("d", &doc! {"aggregate": "c", "pipeline": pipeline, "cursor": {}}).unwrap();
    let batch = count.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    assert_eq!(batch, &[doc! {"_id": 1, "n": 2}.into()]);
}

#[test]
fn knows_few_commands() {
    let mut store = store_with(vec![doc! {"_id": 1}.into()]);
    assert!(store.run("d", &doc! {"distinct": "c", "key": "a"}).is_none());
    for name in COMMANDS {
        assert!(store.run("d", &doc! {name: "none"}).is_some(), "{name}");
    }
    assert_eq!(store.run("d", &doc! {"drop": "c"}).unwrap().get_f64("ok").unwrap(), 1.0);
    assert_eq!(store.run("d", &doc! {"drop": "c"}).unwrap().get_i32("code").unwrap(), 26);
}
