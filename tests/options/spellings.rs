//! Spellings that stand in guides and shells, and what code adds to or changes in a connection string.

use std::time::Duration;

use mongo_blocking::options::{ClientOptions, ClientSettings, ReadConcern, ReadPreferenceMode, WriteConcern};
use mongo_blocking::{Credential, WarningKind};

use super::{kinds, parse, refused};

#[test]
fn an_empty_pair_is_skipped() {
    for uri in ["mongodb://h/?&w=1", "mongodb://h/?w=1&", "mongodb://h/?w=1&&journal=true", "mongodb://h?&w=1"] {
        let options = parse(uri);
        assert!(options.write_concern().is_some());
        assert_eq!(kinds(&options), [WarningKind::Spelling], "{uri}");
    }
}

#[test]
fn a_semicolon_separates_where_there_is_no_ampersand() {
    let options = parse("mongodb://h/?w=1;journal=true");
    assert_eq!(options.write_concern().unwrap().journal, Some(true));
    assert_eq!(kinds(&options), [WarningKind::Deprecated]);
    assert!(refused("mongodb://h/?w=1;journal=true&tls=true").hint().unwrap().contains("%3B"));
    let path = parse("mongodb://h/?tlsCAFile=/a;b&tls=true");
    assert_eq!(path.tls().unwrap().ca_file.as_deref().unwrap().to_str(), Some("/a;b"));
}

#[test]
fn white_space_around_it_is_left_out() {
    assert_eq!(kinds(&parse(" mongodb://h/?w=1\n")), [WarningKind::Spelling]);
}

#[test]
fn characters_copied_around_a_connection_string_are_a_warning() {
    for uri in [
        "\u{feff}mongodb://h/?w=1",
        "mongodb://h/?w=1\r\n",
        "\u{a0}mongodb://h/?w=1\u{200b}",
        "MONGODB://h/?w=1",
        "MongoDB://h/?w=1",
    ] {
        let options = parse(uri);
        assert_eq!(kinds(&options), [WarningKind::Spelling], "{uri}");
        assert_eq!(options.to_uri(false), "mongodb://h:27017/?w=1");
    }
    let srv = parse("MONGODB+SRV://a.b.c/");
    assert_eq!((srv.srv_host(), kinds(&srv)), (Some("a.b.c"), vec![WarningKind::Spelling]));
    let placeholder = parse("mongodb://u:<db_password>@h/");
    assert_eq!(kinds(&placeholder), [WarningKind::Spelling]);
    assert_eq!(kinds(&parse("mongodb://u:<a1>@h/")), []);
    assert_eq!(parse("mongodb://h/?appName=O'").app_name(), Some("O'"));
}

/// As MongoDB Compass copies it.
#[test]
fn the_default_mechanism_is_negotiated() {
    let options = parse("mongodb://u:p@h/?authMechanism=DEFAULT");
    assert_eq!(options.credential().unwrap().mechanism(), None);
    assert_eq!(kinds(&options), [WarningKind::Spelling]);
    let nobody = parse("mongodb://localhost:27017/?authMechanism=DEFAULT");
    assert!(nobody.credential().is_none());
    let code =
        ClientOptions::builder().username("u").password("p").auth_mechanism("DEFAULT").build().settings().unwrap();
    assert_eq!((code.credential().unwrap().mechanism(), kinds(&code)), (None, vec![WarningKind::Spelling]));
}

#[test]
fn a_plus_stays_a_plus() {
    let options = parse("mongodb://a+b:c+d@h/?appName=e+f");
    let credential = options.credential().unwrap();
    assert_eq!((credential.username(), credential.password().unwrap().expose()), (Some("a+b"), "c+d"));
    assert_eq!(options.app_name(), Some("e+f"));
}

#[test]
fn an_at_sign_alone_waits_for_code() {
    assert!(refused("mongodb://@h").message().contains("user name"));
    let options =
        ClientOptions::builder().username("ann").uri("mongodb://@h/shop").password("p").build().settings().unwrap();
    assert!(matches!(options.credential(), Some(Credential::Scram(scram)) if scram.source == "shop"));
}

#[test]
fn code_wins_over_the_connection_string() {
    let uri = "mongodb://ann:old@h:1/?connectTimeoutMS=1&appName=uri&w=1&journal=true&readPreference=nearest&readPreferenceTags=a:b";
    let options = ClientOptions::builder()
        .connect_timeout(Duration::from_micros(1))
        .password("new")
        .write_concern(WriteConcern::majority())
        .host("other")
        .uri(uri)
        .build()
        .settings()
        .unwrap();
    assert_eq!(options.connect_timeout(), Duration::from_millis(1));
    assert_eq!(options.app_name(), Some("uri"));
    assert_eq!(options.credential().unwrap().password().unwrap().expose(), "new");
    assert_eq!(options.write_concern(), Some(&WriteConcern::majority().with_journal(true)));
    assert_eq!(options.hosts().len(), 1);
    assert_eq!(options.hosts()[0].to_string(), "other:27017");
    let again = options
        .into_builder()
        .read_concern(ReadConcern::majority())
        .uri("mongodb://h2/?appName=later")
        .build()
        .settings();
    let again = again.unwrap();
    assert_eq!((again.app_name(), again.hosts()[0].to_string().as_str()), (Some("uri"), "other:27017"));
    assert_eq!(again.read_preference().mode(), ReadPreferenceMode::Nearest);
    assert_eq!(again.read_concern(), Some(&ReadConcern::majority()));
}

#[test]
fn hosts_in_code() {
    let hosts = |options: ClientSettings| options.hosts().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let build = |builder: mongo_blocking::options::ClientOptionsBuilder| hosts(builder.build().settings().unwrap());
    assert_eq!(build(ClientOptions::builder()), "localhost:27017");
    assert_eq!(build(ClientOptions::builder().host("EXAMPLE.com").host("[::1]:5")), "example.com:27017 [::1]:5");
    assert_eq!(
        build(ClientOptions::builder().hosts(["a:1, b", "/tmp/mongodb-27017.sock"])),
        "a:1 b:27017 /tmp/mongodb-27017.sock"
    );
    for bad in ["", "a:b:c", "a:0", "a b", "mongodb://a", "/tmp/file", "[::1", "[x]", "a:99999"] {
        assert!(ClientOptions::builder().host(bad).build().settings().is_err(), "{bad}");
    }
}

#[test]
fn common_connection_strings_are_accepted() {
    let compass = parse(
        "mongodb://localhost:27017/?readPreference=primary&appname=MongoDB%20Compass&directConnection=true&ssl=false",
    );
    assert!(compass.warnings().is_empty() && compass.check_supported().is_ok());
    let set = parse(
        "mongodb://u:p@h:27017/app?replicaSet=rs0&w=majority&journal=true&retryWrites=true&retryReads=true\
         &readPreference=secondaryPreferred&localThresholdMS=20&heartbeatFrequencyMS=5000&authSource=admin",
    );
    assert!(set.warnings().is_empty());
    assert_eq!(set.replica_set(), Some("rs0"));
    assert!(set.check_supported().is_ok());
    let no_retries = parse("mongodb://h/?retryWrites=false");
    assert!(no_retries.warnings().is_empty());
}

#[test]
fn old_booleans_and_odd_values_warn() {
    assert_eq!(parse("mongodb://h/?journal=1").write_concern().unwrap().journal, Some(true));
    for (uri, kind) in [
        ("journal=1", WarningKind::Deprecated),
        ("tls=True", WarningKind::Deprecated),
        ("directConnection=-1", WarningKind::Deprecated),
        ("w=", WarningKind::InvalidValue),
        ("appName=", WarningKind::InvalidValue),
        ("maxPoolSize=", WarningKind::InvalidValue),
        ("maxPoolSize=1e3", WarningKind::InvalidValue),
        ("maxPoolSize=+1", WarningKind::InvalidValue),
        ("maxPoolSize=99999999999999999999", WarningKind::InvalidValue),
        ("heartbeatFrequencyMS=499", WarningKind::InvalidValue),
        ("serverSelectionTimeoutMS=0", WarningKind::InvalidValue),
        ("maxStalenessSeconds=89", WarningKind::InvalidValue),
        ("readPreference=SECONDARY", WarningKind::InvalidValue),
        ("readPreferenceTags=dc", WarningKind::InvalidValue),
        ("compressors=brotli", WarningKind::InvalidValue),
        ("maxPoolSize=1&maxPoolSize=2", WarningKind::RepeatedOption),
        ("tlsCAFile=/a&tlsCAFile=/a", WarningKind::RepeatedOption),
        ("j=true", WarningKind::Deprecated),
        ("socketTimeoutMS=1&timeoutMS=1", WarningKind::NoEffect),
        ("waitQueueTimeoutMS=1&timeoutMS=1", WarningKind::NoEffect),
        ("wTimeoutMS=1&timeoutMS=0", WarningKind::NoEffect),
        ("fsync=true", WarningKind::UnknownOption),
        ("gssapiServiceName=x", WarningKind::NoEffect),
        ("zlibCompressionLevel=3", WarningKind::NoEffect),
    ] {
        assert_eq!(kinds(&parse(&format!("mongodb://h/?{uri}"))), [kind], "{uri}");
    }
    assert_eq!(parse("mongodb://h/?x=1&y=1&x=1").warnings().len(), 2, "the same warning once");
}

#[test]
fn a_limit_of_zero_is_no_limit() {
    let options = parse("mongodb://h/?socketTimeoutMS=0&waitQueueTimeoutMS=0&maxIdleTimeMS=0&connectTimeoutMS=0");
    assert_eq!(options.socket_timeout(), None);
    assert_eq!(options.wait_queue_timeout(), None);
    assert_eq!(options.max_idle_time(), None);
    assert_eq!(options.connect_timeout(), Duration::ZERO);
    assert_eq!(parse("mongodb://h/?timeoutMS=0").timeout(), Some(Duration::ZERO));
}

#[test]
fn unix_sockets_and_ipv6_in_a_connection_string() {
    let host = |uri: &str| parse(uri).hosts()[0].to_string();
    assert_eq!(host("mongodb://%2Ftmp%2FA%2Fmongodb-27017.sock/db"), "/tmp/A/mongodb-27017.sock");
    assert_eq!(host("mongodb://[FE80::1%25eth0]:5"), "[fe80::1%eth0]:5");
    for bad in ["%2Ftmp%2Ffile", "%2Ftmp%2Fa.sock:27017", "[::1]x", "[::g]", "::1", "a,,b", ",a", "a,", "h%ff"] {
        refused(&format!("mongodb://{bad}/"));
    }
}
