//! A repository that is generic over its document, with a trait for what all documents have.

use std::marker::PhantomData;

use mongodb::IndexModel;
use mongodb::action;
use mongodb::bson::{self, Document, doc, oid::ObjectId};
use mongodb::error::{Error, Result};
use mongodb::options::{FindOneAndUpdateOptions, ReturnDocument};
use mongodb::sync::{Collection, Database};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

trait Entity: Serialize + DeserializeOwned + Unpin + Send + Sync {
    const COLLECTION: &'static str;
    fn id(&self) -> Option<ObjectId>;
    fn set_id(&mut self, id: ObjectId);
}

struct Repository<T: Entity> {
    collection: Collection<T>,
    entity: PhantomData<T>,
}

impl<T: Entity> Repository<T> {
    fn new(database: &Database) -> Self {
        Repository { collection: database.collection(T::COLLECTION), entity: PhantomData }
    }

    fn save(&self, entity: &mut T) -> Result<ObjectId> {
        if let Some(id) = entity.id() {
            self.collection.replace_one(doc! { "_id": id }, &*entity).upsert(true).run()?;
            return Ok(id);
        }
        let id = ObjectId::new();
        entity.set_id(id);
        self.collection.insert_one(&*entity).run()?;
        Ok(id)
    }

    fn counted(&self, filter: Document) -> action::CountDocuments<'_> {
        self.collection.count_documents(filter)
    }

    fn grouped(&self, by: &str) -> action::Aggregate<'_> {
        self.collection.aggregate([doc! { "$sortByCount": by }])
    }

    fn changed(&self, filter: Document, set: Document) -> action::Update<'_> {
        self.collection.update_many(filter, doc! { "$set": set })
    }

    fn replaced(&self, entity: &T) -> action::ReplaceOne<'_> {
        self.collection.replace_one(doc! { "_id": entity.id() }, entity).upsert(true)
    }

    fn removed(&self, filter: Document) -> action::Delete<'_> {
        self.collection.delete_many(filter)
    }

    fn indexed(&self, field: &str) -> action::CreateIndex<'_> {
        self.collection.create_index(IndexModel::builder().keys(doc! { field: 1 }).build())
    }

    fn emptied(&self) -> action::DropCollection<'_> {
        self.collection.drop()
    }

    fn get(&self, id: ObjectId) -> Result<Option<T>> {
        self.collection.find_one(doc! { "_id": id }).run()
    }

    fn find(&self, filter: Document) -> Result<Vec<T>> {
        let mut found = Vec::new();
        for entity in self.collection.find(filter).sort(doc! { "_id": 1 }).run()? {
            found.push(entity?);
        }
        Ok(found)
    }

    fn patch<P: Serialize>(&self, id: ObjectId, patch: &P) -> Result<Option<T>> {
        let changes = bson::to_document(patch).map_err(Error::from)?;
        let options = FindOneAndUpdateOptions::builder().return_document(ReturnDocument::After).build();
        self.collection.find_one_and_update(doc! { "_id": id }, doc! { "$set": changes }).with_options(options).run()
    }

    fn delete(&self, id: ObjectId) -> Result<bool> {
        Ok(self.collection.delete_one(doc! { "_id": id }).run()?.deleted_count > 0)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Customer {
    #[serde(rename = "_id", skip_serializing_if = "Option::is_none")]
    id: Option<ObjectId>,
    name: String,
    credit: i64,
}

impl Entity for Customer {
    const COLLECTION: &'static str = "customers";

    fn id(&self) -> Option<ObjectId> {
        self.id
    }

    fn set_id(&mut self, id: ObjectId) {
        self.id = Some(id);
    }
}

#[derive(Serialize)]
struct Credit {
    credit: i64,
}

fn main() -> Result<()> {
    let uri = std::env::var("MONGODB_URI").expect("MONGODB_URI");
    let database = mongodb::sync::Client::with_uri_str(&uri)?.database("move_over_repository");
    database.drop().run()?;
    let customers = Repository::<Customer>::new(&database);

    let mut ann = Customer { id: None, name: "Ann".into(), credit: 10 };
    let id = customers.save(&mut ann)?;
    customers.save(&mut Customer { id: None, name: "Bob".into(), credit: 20 })?;
    ann.name = "Anne".into();
    println!("same id: {}", customers.save(&mut ann)? == id);
    println!("{:?}", customers.get(id)?.map(|customer| customer.name));
    println!("{:?}", customers.patch(id, &Credit { credit: 99 })?.map(|customer| customer.credit));
    for customer in customers.find(doc! { "credit": { "$gte": 20_i64 } })? {
        println!("{} has {}", customer.name, customer.credit);
    }
    println!("deleted: {} {}", customers.delete(id)?, customers.delete(id)?);
    println!("missing: {}", customers.get(id)?.is_none());
    println!("{}", customers.indexed("credit").run()?.index_name);
    println!("changed: {}", customers.changed(doc! {}, doc! { "credit": 30_i64 }).run()?.modified_count);
    println!("replaced: {}", customers.replaced(&ann).run()?.upserted_id.is_some());
    println!("counted: {}", customers.counted(doc! {}).run()?);
    println!("groups: {}", customers.grouped("$name").run()?.count());
    println!("removed: {}", customers.removed(doc! { "name": "Bob" }).run()?.deleted_count);
    customers.emptied().run()?;
    let namespace = customers.collection.namespace();
    println!("{namespace} {} {}", namespace.db, namespace.coll);
    database.drop().run()
}
