//! Money is moved from one account to another in transactions, by a closure and step by step.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind, Result, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::{ReadConcern, ReadPreference, SelectionCriteria, TransactionOptions, WriteConcern};
use mongodb::sync::{Client, ClientSession, Collection};

fn transfer(accounts: &Collection<Document>, session: &mut ClientSession, amount: i32) -> Result<i32> {
    let taken = accounts
        .find_one_and_update(
            doc! { "_id": "a", "balance": { "$gte": amount } },
            doc! { "$inc": { "balance": -amount } },
        )
        .session(&mut *session)
        .run()?;
    if taken.is_none() {
        return Err(Error::custom(format!("there are no {amount}")));
    }
    accounts.update_one(doc! { "_id": "b" }, doc! { "$inc": { "balance": amount } }).session(&mut *session).run()?;
    accounts.insert_one(doc! { "_id": format!("transfer of {amount}") }).session(session).run()?;
    Ok(amount)
}

fn balances(accounts: &Collection<Document>) -> Result<Vec<i32>> {
    let found = accounts.find(doc! { "balance": { "$exists": true } }).sort(doc! { "_id": 1 }).run()?;
    found.map(|account| Ok(account?.get_i32("balance").unwrap_or(-1))).collect()
}

fn is_about_transactions(result: Result<()>) -> bool {
    result.is_err_and(|error| matches!(*error.kind, ErrorKind::Transaction { .. }))
}

fn main() -> Result<()> {
    let client = Client::with_uri_str(std::env::var("MONGODB_SET_URI").expect("MONGODB_SET_URI"))?;
    let database = client.database("move_over_transfers");
    database.drop().run()?;
    let accounts = database.collection::<Document>("accounts");
    accounts.insert_many([doc! { "_id": "a", "balance": 100 }, doc! { "_id": "b", "balance": 0 }]).run()?;

    let mut session = client.start_session().run()?;
    let moved = session.start_transaction().and_run(|session| transfer(&accounts, session, 30))?;
    println!("{moved} moved: {:?}", balances(&accounts)?);

    let refused = session.start_transaction().and_run(|session| transfer(&accounts, session, 500));
    println!("{:?}", refused.err().and_then(|error| error.get_custom::<String>().cloned()));
    println!("{:?}", balances(&accounts)?);

    let options = TransactionOptions::builder()
        .read_concern(ReadConcern::snapshot())
        .write_concern(WriteConcern::majority())
        .max_commit_time(Duration::from_secs(30))
        .build();
    let mut session = client.start_session().default_transaction_options(options).run()?;
    session.start_transaction().selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary)).run()?;
    transfer(&accounts, &mut session, 20)?;
    let mut cursor = accounts.find(doc! {}).batch_size(2).session(&mut session).run()?;
    let seen = cursor.iter(&mut session).collect::<Result<Vec<Document>>>()?;
    println!("{} documents in the transaction, {} outside", seen.len(), accounts.count_documents(doc! {}).run()?);
    session.commit_transaction().run()?;
    // A commit may be repeated.
    session.commit_transaction().run()?;
    println!("{:?}", balances(&accounts)?);

    session.start_transaction().with_options(TransactionOptions::default()).run()?;
    transfer(&accounts, &mut session, 10)?;
    println!("a second one at a time: {}", is_about_transactions(session.start_transaction().run()));
    session.abort_transaction().run()?;
    println!("aborted twice: {}", is_about_transactions(session.abort_transaction().run()));
    println!("committed after that: {}", is_about_transactions(session.commit_transaction().run()));
    println!("{:?}", balances(&accounts)?);

    // Two at the same time.
    let mut other = client.start_session().run()?;
    session.start_transaction().run()?;
    other.start_transaction().run()?;
    let change = || doc! { "$set": { "seen": true } };
    accounts.update_one(doc! { "_id": "a" }, change()).session(&mut session).run()?;
    let conflict = accounts.update_one(doc! { "_id": "a" }, change()).session(&mut other).run().unwrap_err();
    let code = if let ErrorKind::Command(refused) = &*conflict.kind { refused.code } else { 0 };
    println!("{} {code}", conflict.contains_label(TRANSIENT_TRANSACTION_ERROR));
    other.abort_transaction().run()?;
    let unknown = session.commit_transaction().run();
    println!("{}", unknown.is_err_and(|error| error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)));
    Ok(())
}
