//! What a service does when it starts: settings from a file, TTL and unique indexes, credentials in code, a check that the database is
//! there, and errors that decide whether it goes on.

use std::time::Duration;

use mongodb::IndexModel;
use mongodb::bson::{DateTime, Document, doc};
use mongodb::error::{Error, ErrorKind, Result};
use mongodb::options::{
    Acknowledgment, ClientOptions, Credential, DatabaseOptions, IndexOptions, ReadConcern, ReadPreference,
    SelectionCriteria, ServerAddress, WriteConcern,
};
use mongodb::sync::{Client, Collection, Database};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug)]
struct Settings {
    uri: String,
    database: String,
    pool: Option<u32>,
    timeout: Duration,
    session_lifetime: Duration,
}

impl Settings {
    fn read(file: &str, uri: String) -> Settings {
        let mut settings = Settings {
            uri,
            database: String::new(),
            pool: None,
            timeout: Duration::from_secs(5),
            session_lifetime: Duration::from_secs(3600),
        };
        for line in file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let Some((name, value)) = line.split_once('=') else { continue };
            match (name.trim(), value.trim()) {
                ("database", value) => settings.database = value.to_string(),
                ("pool", value) => settings.pool = value.parse().ok(),
                ("timeout_seconds", value) => settings.timeout = Duration::from_secs(value.parse().unwrap_or(5)),
                ("session_seconds", value) => {
                    settings.session_lifetime = Duration::from_secs(value.parse().unwrap_or(60))
                }
                _ => {}
            }
        }
        settings
    }

    fn connect(&self) -> Result<Client> {
        let mut options = ClientOptions::parse(&self.uri).run()?;
        options.app_name = Some("service-start".to_string());
        options.max_pool_size = self.pool;
        options.connect_timeout = Some(self.timeout);
        options.server_selection_timeout = Some(self.timeout);
        options.retry_reads = Some(true);
        Client::with_options(options)
    }
}

#[derive(Debug, Deserialize, Serialize)]
struct Session {
    token: String,
    user: u32,
    created: DateTime,
}

fn prepare(database: &Database, settings: &Settings) -> Result<Collection<Session>> {
    let sessions = database.collection::<Session>("sessions");
    let expiry = IndexOptions::builder().expire_after(settings.session_lifetime).name("expiry".to_string()).build();
    let unique = IndexOptions::builder().unique(true).build();
    let made = sessions
        .create_indexes([
            IndexModel::builder().keys(doc! { "created": 1 }).options(expiry).build(),
            IndexModel::builder().keys(doc! { "token": 1 }).options(unique).build(),
        ])
        .run()?;
    println!("indexes: {:?}", made.index_names);
    for index in sessions.list_indexes().run()? {
        let index = index?;
        let options = index.options.unwrap_or_default();
        println!("{} {:?} {:?} {:?}", index.keys, options.name, options.unique, options.expire_after);
    }
    Ok(sessions)
}

fn verdict(error: &Error) -> &'static str {
    match *error.kind {
        ErrorKind::ServerSelection { .. } | ErrorKind::Io(_) => "wait for the database",
        ErrorKind::Authentication { .. } => "wrong credentials",
        ErrorKind::InvalidArgument { .. } => "wrong settings",
        ErrorKind::Command(ref refused) if refused.code == 85 || refused.code == 86 => "another index is there",
        _ => "give up",
    }
}

fn main() -> Result<()> {
    let file =
        "# settings\ndatabase = move_over_start\npool = 4\ntimeout_seconds = 5\nsession_seconds = 7200\nunknown = 1\n";
    let settings = Settings::read(file, std::env::var("MONGODB_URI").expect("MONGODB_URI"));
    let client = settings.connect()?;
    println!("{:?}", client.database("admin").run_command(doc! { "ping": 1 }).run()?.get("ok").is_some());
    let options = DatabaseOptions::builder()
        .read_concern(ReadConcern::local())
        .write_concern(WriteConcern::builder().w(Acknowledgment::Majority).w_timeout(Duration::from_secs(3)).build())
        .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
        .build();
    let database = client.database_with_options(&settings.database, options);
    database.drop().run()?;
    let sessions = prepare(&database, &settings)?;
    println!("again: {}", prepare(&database, &settings).is_ok());

    sessions
        .insert_one(Session { token: "a".into(), user: 1, created: DateTime::from_millis(4_000_000_000_000) })
        .run()?;
    let stored = sessions.clone_with_type::<Document>().find_one(doc! { "created": { "$type": "date" } }).run()?;
    println!("a date: {}", stored.is_some());
    let other = Settings { session_lifetime: Duration::from_secs(1), ..settings.clone() };
    println!("{}", verdict(&prepare(&database, &other).unwrap_err()));

    let mut wrong = ClientOptions::parse(&settings.uri).run()?;
    wrong.credential = Some(Credential::builder().username("nobody".to_string()).password("x".to_string()).build());
    let refused = Client::with_options(wrong)?.database("move_over_start").list_collection_names().run().unwrap_err();
    println!("{}", verdict(&refused));

    let nowhere = ClientOptions::builder()
        .hosts(vec![ServerAddress::Tcp { host: "127.0.0.1".to_string(), port: Some(1) }])
        .server_selection_timeout(Duration::from_millis(200))
        .build();
    let unreachable = Client::with_options(nowhere)?.list_database_names().run().unwrap_err();
    println!("{}", verdict(&unreachable));
    println!("{}", verdict(&ClientOptions::parse("mongodb://").run().unwrap_err()));
    database.drop().run()
}
