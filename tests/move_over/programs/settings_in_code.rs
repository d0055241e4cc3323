//! A client whose credential, TLS and other settings are given in code. It shows what was set, and what is refused.

use std::path::PathBuf;
use std::time::Duration;

use mongodb::bson::doc;
use mongodb::error::ErrorKind;
use mongodb::options::{
    Acknowledgment, AuthMechanism, ClientOptions, Credential, DriverInfo, ReadConcern, ReadPreference,
    ReadPreferenceOptions, SelectionCriteria, ServerAddress, ServerApi, ServerApiVersion, Tls, TlsOptions,
    WriteConcern,
};
use mongodb::sync::Client;

fn settings() -> ClientOptions {
    let credential = Credential::builder()
        .username("reporter".to_string())
        .password("not the password".to_string())
        .source("admin".to_string())
        .mechanism(AuthMechanism::ScramSha256)
        .build();
    let tls = TlsOptions::builder()
        .ca_file_path(PathBuf::from("/no/such/ca.pem"))
        .cert_key_file_path(PathBuf::from("/no/such/client.pem"))
        .build();
    let nearest = ReadPreference::Nearest {
        options: Some(ReadPreferenceOptions::builder().max_staleness(Duration::from_secs(120)).build()),
    };
    ClientOptions::builder()
        .hosts(vec![ServerAddress::Tcp { host: "localhost".to_string(), port: Some(27999) }])
        .app_name(Some("reports".into()))
        .default_database(None)
        .credential(credential)
        .tls(Tls::Enabled(tls))
        .direct_connection(true)
        .connect_timeout(Duration::from_millis(300))
        .server_selection_timeout(Duration::from_millis(400))
        .heartbeat_freq(Duration::from_secs(20))
        .local_threshold(Duration::from_millis(30))
        .max_pool_size(7_u32)
        .min_pool_size(1_u32)
        .max_idle_time(Duration::from_secs(60))
        .max_connecting(3_u32)
        .retry_reads(false)
        .retry_writes(false)
        .read_concern(ReadConcern::majority())
        .write_concern(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build())
        .selection_criteria(SelectionCriteria::ReadPreference(nearest))
        .server_api(ServerApi::builder().version(ServerApiVersion::V1).strict(false).build())
        .driver_info(DriverInfo::builder().name("reports".to_string()).build())
        .build()
}

fn main() {
    let mut options = settings();
    println!("{}", options.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
    println!("{:?} {:?} {:?}", options.app_name, options.max_pool_size, options.connect_timeout);
    let credential = options.credential.as_ref().expect("a credential");
    println!("{:?} {:?} {:?}", credential.username, credential.source, credential.mechanism);
    println!("shown: {}", format!("{options:?}").contains("not the password"));
    match &options.tls {
        Some(Tls::Enabled(tls)) => println!("{:?}", tls.ca_file_path),
        other => println!("{other:?}"),
    }
    println!("{:?}", options.read_concern.as_ref().map(|concern| concern.level.clone()));
    println!("{}", options == settings());

    println!(
        "no file: {}",
        Client::with_options(options.clone())
            .and_then(|client| client.database("admin").run_command(doc! { "ping": 1 }).run())
            .is_err()
    );

    options.tls = Some(Tls::Disabled);
    let client = Client::with_options(options).expect("these options are right");
    let error = client.database("admin").run_command(doc! { "ping": 1 }).run().unwrap_err();
    println!("no server: {}", matches!(*error.kind, ErrorKind::ServerSelection { .. } | ErrorKind::Io(_)));

    let uri = std::env::var("MONGODB_URI").expect("MONGODB_URI");
    let mut parsed = ClientOptions::parse(&uri).run().expect("the connection string is right");
    parsed.credential = Some(
        Credential::builder()
            .username("nobody".to_string())
            .password("wrong".to_string())
            .source("admin".to_string())
            .build(),
    );
    parsed.server_selection_timeout = Some(Duration::from_secs(5));
    let client = Client::with_options(parsed).expect("these options are right");
    let error = client.database("admin").run_command(doc! { "ping": 1 }).run().unwrap_err();
    println!("wrong password: {}", matches!(error.kind.as_ref(), ErrorKind::Authentication { .. }));
    println!("{:?}", "db.example.com:27018".parse::<ServerAddress>().map(|address| address.to_string()).ok());
    println!("{}", ServerAddress::default());
}
