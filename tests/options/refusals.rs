//! What cannot be right, with the place and the remedy; what is understood and cannot be done yet.

use mongo_blocking::error::{ErrorKind, Stage};
use mongo_blocking::options::{
    ClientOptions, ClientOptionsBuilder, ClientSettings, ReadConcern, ReadPreference, ReadPreferenceOptions,
    WriteConcern,
};
use mongo_blocking::{Client, Error, WarningKind};
use std::time::Duration;

use super::{parse, refused};

#[test]
fn an_error_points_at_the_byte_and_says_what_to_do() {
    for (uri, byte, remedy) in [
        ("mongodb://ann:p@ss@h/", 15, "'@' in the user name or password as %40"),
        ("mongodb://ann:p:ss@h/", 15, "':' in the user name or password as %3A"),
        ("mongodb://ann:100%@h/", 17, "%25"),
        ("mongodb://ann:p/ss@h/", 14, "'/' in it as %2F"),
        ("mongodb://ann:p?ss@h/", 14, "'?' in it as %3F"),
        ("mongodb:///tmp/mongodb-27017.sock", 10, "%2F"),
        ("mongodb://a::1/", 12, "brackets"),
        ("mongodb://h/a/b", 13, "%2F"),
        ("mongodb://h/?w", 13, "%26"),
        ("localhost:27017", 0, "host("),
    ] {
        let error = refused(uri);
        assert_eq!(error.stage(), Stage::ConnectionString, "{uri}");
        assert!(error.message().ends_with(&format!("(byte {byte})")), "{uri}: {error}");
        assert!(error.hint().unwrap_or_default().contains(remedy), "{uri}: {error}");
    }
}

#[test]
fn hard_errors() {
    for query in [
        "tls=maybe",
        "tls=",
        "ssl=",
        "authMechanism=scram-sha-1",
        "authMechanism=",
        "authSource=",
        "authMechanismProperties=SERVICE_NAME:x",
        "authMechanism=MONGODB-X509&authMechanismProperties=SERVICE_NAME:x",
        "authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:azure,ALLOWED_HOSTS:x,TOKEN_RESOURCE:y",
        "authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:k8s,TOKEN_RESOURCE:y",
        "authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:test,environment:test",
        "authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:moon",
        "w=-1",
        "w=0&journal=true",
        "minPoolSize=5&maxPoolSize=4",
        "readPreferenceTags=dc:ny",
        "maxStalenessSeconds=120",
        "readPreference=nearest&maxStalenessSeconds=90&heartbeatFrequencyMS=90000",
        "tls=false&tlsCAFile=/ca.pem",
        "tls=false&tlsInsecure=true",
        "srvServiceName=x",
        "appName=%00%",
    ] {
        assert!(
            matches!(refused(&format!("mongodb://h/?{query}")).kind(), ErrorKind::InvalidArgument { .. }),
            "{query}"
        );
    }
    refused(&format!("mongodb://h/?appName={}", "x".repeat(129)));
    for uri in [
        "mongodb://U@h",
        "mongodb://U@h/?authMechanism=SCRAM-SHA-256",
        "mongodb://U:@h/?authMechanism=PLAIN",
        "mongodb://U:a%00b@h/?authMechanism=PLAIN",
        "mongodb://U:P@h/?authMechanism=MONGODB-X509",
        "mongodb://U:P@h/?authMechanism=GSSAPI&authSource=admin",
        "mongodb://h/?authMechanism=GSSAPI",
        "mongodb://U@h/?authMechanism=MONGODB-AWS",
        "mongodb://U@h/?authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:test",
        "mongodb+srv://127.0.0.1/",
        "mongodb+srv://a.b.c/?directConnection=true",
        "mongodb+srv://%2Ftmp%2Fa.sock/",
        "mongodb://h/a@b",
        "mongodb://h/$external",
    ] {
        assert!(matches!(refused(uri).kind(), ErrorKind::InvalidArgument { .. }), "{uri}");
    }
}

#[test]
fn an_invalid_value_set_in_code_is_an_error() {
    let builder = ClientOptions::builder;
    let stale = ReadPreferenceOptions::builder().max_staleness(Duration::from_secs(10)).build();
    let stale = ReadPreference::secondary(stale);
    for builder in [
        builder().username(""),
        builder().auth_mechanism("SCRAM"),
        builder().auth_mechanism_properties("SERVICE_NAME"),
        builder().server_selection_timeout(Duration::ZERO),
        builder().heartbeat_frequency(Duration::from_millis(1)),
        builder().connect_timeout(Duration::MAX),
        builder().max_connecting(0),
        builder().scram_max_iterations(1),
        builder().app_name("x".repeat(129)),
        builder().compressors(["brotli"]),
        builder().default_database("a/b"),
        builder().read_concern(ReadConcern::custom("")),
        builder().read_preference(stale),
        builder().write_concern(WriteConcern::unacknowledged().with_journal(true)),
        builder().uri("mongodb+srv://a.b.c").host("h"),
        builder().tls_ca_file(""),
    ] {
        let shown = format!("{builder:?}");
        let error = builder.build().settings().err().unwrap_or_else(|| panic!("accepted: {shown}"));
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }));
    }
}

/// What the URI Options specification forbids together: whatever the values, the order, the names, and where they are given.
#[test]
fn switches_of_tls_that_exclude_one_another() {
    type Set = fn(ClientOptionsBuilder, bool) -> ClientOptionsBuilder;
    let insecure: (&str, Set) = ("tlsInsecure", |builder, on| builder.danger_tls_insecure(on));
    let any_certificate: (&str, Set) =
        ("tlsAllowInvalidCertificates", |builder, on| builder.danger_tls_allow_invalid_certificates(on));
    let any_name: (&str, Set) =
        ("tlsAllowInvalidHostnames", |builder, on| builder.danger_tls_allow_invalid_hostnames(on));
    let no_endpoint: (&str, Set) =
        ("tlsDisableOCSPEndpointCheck", |builder, on| builder.tls_disable_ocsp_endpoint_check(on));
    let no_check: (&str, Set) =
        ("tlsDisableCertificateRevocationCheck", |builder, on| builder.tls_disable_certificate_revocation_check(on));
    for (one, other) in [
        (insecure, any_certificate),
        (insecure, any_name),
        (insecure, no_endpoint),
        (insecure, no_check),
        (any_certificate, no_endpoint),
        (any_certificate, no_check),
        (no_endpoint, no_check),
    ] {
        for (first, second) in [(one, other), (other, one)] {
            for (on, also_on) in [(false, false), (false, true), (true, false), (true, true)] {
                let (first_text, second_text) = (format!("{}={on}", first.0), format!("{}={also_on}", second.0));
                let uri = |options: &str| ClientOptions::builder().uri(format!("mongodb://h/?{options}"));
                let code = || first.1(ClientOptions::builder().host("h"), on);
                for options in [
                    uri(&format!("{first_text}&{second_text}")),
                    uri(&format!("tls=true&{}&{}", first_text.to_lowercase(), second_text.to_uppercase())),
                    first.1(uri(&second_text), on),
                    second.1(code(), also_on),
                ] {
                    let error =
                        options.build().settings().err().unwrap_or_else(|| panic!("{first_text} {second_text}"));
                    assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error}");
                    assert!(error.message().contains(first.0) && error.message().contains(second.0), "{error}");
                }
                assert!(code().build().settings().is_ok() && uri(&second_text).build().settings().is_ok());
            }
        }
    }
    for options in
        ["ssl_cert_reqs=CERT_NONE&tlsDisableOCSPEndpointCheck=true", "ssl_match_hostname=true&tlsInsecure=false"]
    {
        let error = refused(&format!("mongodb://h/?{options}"));
        assert!(error.message().contains("exclude one another"), "{error}");
    }
}

#[test]
fn bounds() {
    refused(&format!("mongodb://h/?appName={}", "x".repeat(65_536)));
    let hosts = |count: usize| (0..count).map(|n| format!("h{n}")).collect::<Vec<_>>().join(",");
    assert_eq!(parse(&format!("mongodb://{}", hosts(256))).hosts().len(), 256);
    assert!(refused(&format!("mongodb://{}", hosts(257))).message().contains("256"));
    refused(&format!("mongodb://{}", "h".repeat(256)));
    assert!(refused(&format!("mongodb://h/?{}", "x=1&".repeat(501))).message().contains("500"));
}

#[test]
fn unsupported_options_are_refused_by_name() {
    for (uri, message) in [
        ("mongodb://h/?compressors=snappy,zlib", "compressors is not supported"),
        ("mongodb://h/?autoEncryption=x", "autoEncryption is not supported"),
        ("mongodb://h/?auto_encryption_opts=x", "autoEncryption is not supported"),
    ] {
        let error = Client::with_uri_str(uri).err().unwrap_or_else(|| panic!("{uri}: a client was made"));
        assert!(matches!(error.kind(), ErrorKind::NotSupported { .. }), "{uri}: {error}");
        assert_eq!(error.message(), message, "{uri}");
    }
    let gssapi = Client::with_uri_str("mongodb://U@h/?authMechanism=GSSAPI").err();
    let how = |error: Error| {
        error.message().contains("`gssapi`") && error.hint().unwrap().contains("features = [\"gssapi\"]")
    };
    assert_eq!(gssapi.map(how), (!cfg!(feature = "gssapi")).then_some(true));
    let srv = parse("mongodb+srv://a.b.c/").check_supported().err();
    assert_eq!(srv.map(|error| error.message().contains("`srv`")), (!cfg!(feature = "srv")).then_some(true));
    let aws = Client::with_uri_str("mongodb://h/?authMechanism=MONGODB-AWS").err();
    assert_eq!(aws.map(|error| error.message().contains("`aws`")), (!cfg!(feature = "aws")).then_some(true));
    for fine in [
        "loadBalanced=false",
        "loadBalanced=true",
        "tlsInsecure=false",
        "tlsDisableOCSPEndpointCheck=false",
        "compressors=",
        "serverMonitoringMode=auto",
        "zlibCompressionLevel=5",
    ] {
        assert!(parse(&format!("mongodb://h/?{fine}")).check_supported().is_ok(), "{fine}");
    }
    let code = ClientOptions::builder().auto_encryption(mongo_blocking::bson::doc! {}).build().settings().unwrap();
    assert!(code.check_supported().unwrap_err().message().contains("autoEncryption"));
}

#[test]
fn the_policy_refuses_weak_mechanisms() {
    let policy = mongo_blocking::SecurityPolicy::default().refuse_weak_mechanisms(true);
    for name in ["SCRAM-SHA-1", "MONGODB-CR"] {
        let builder = ClientOptions::builder().username("u").password("p").auth_mechanism(name);
        assert!(builder.clone().build().settings().is_ok());
        assert!(builder.policy(policy.clone()).build().settings().unwrap_err().message().contains("policy"));
    }
}

/// Before anybody is asked for a ticket.
#[test]
fn invalid_kerberos_names_are_refused() {
    let refused = |credentials: &str, properties: &str, word: &str| {
        let uri = format!("mongodb://{credentials}@h/?authMechanism=GSSAPI&authMechanismProperties={properties}");
        let error = ClientSettings::parse(&uri).err().unwrap_or_else(|| panic!("{uri} was taken"));
        assert!(
            matches!(error.kind(), ErrorKind::InvalidArgument { .. }) && error.message().contains(word),
            "{uri}: {error}"
        );
        assert!(!format!("{error:#}").contains("pencil"), "{error}");
    };
    refused("ann%00%40EVIL", "SERVICE_NAME:db", "user name");
    refused("ann:pencil%00", "SERVICE_NAME:db", "the password");
    refused("ann", "SERVICE_NAME:d%00b", "SERVICE_NAME");
    refused("ann", "SERVICE_NAME:mongodb%2Fhost", "SERVICE_NAME");
    refused("ann", "SERVICE_NAME:mongodb%40host", "SERVICE_NAME");
    refused("ann", "SERVICE_REALM:%00", "SERVICE_REALM");
    refused("ann", "SERVICE_HOST:host%40REALM", "SERVICE_HOST");
    refused("ann", "SERVICE_HOST:mongodb%2Fhost", "SERVICE_HOST");
    refused("ann", "CANONICALIZE_HOST_NAME:sometimes", "CANONICALIZE_HOST_NAME");
    refused("ann", "CANONICALIZE_HOST_NAME:TRUE", "CANONICALIZE_HOST_NAME");
    refused("ann", "AWS_SESSION_TOKEN:t", "AWS_SESSION_TOKEN");
    for (cache, keytab) in [("a\0b", "k"), ("c", "a\0b")] {
        let options = ClientOptions::builder().host("h").username("ann").auth_mechanism("GSSAPI");
        let error = options.gssapi_credential_cache(cache).gssapi_client_keytab(keytab).build().settings().unwrap_err();
        assert!(error.message().contains("must be a non-empty path"), "{error}");
    }
}

/// What `tlsCAFile=$CA` becomes where CA is unset, and other values that are none: never plain text.
#[test]
fn a_path_or_password_for_tls_that_is_empty_or_invalid() {
    for name in [
        "tlsCAFile",
        "ssl_ca_certs",
        "tlsCRLFile",
        "ssl_crlfile",
        "tlsCertificateKeyFile",
        "ssl_certfile",
        "ssl_keyfile",
        "tlsCertificateKeyFilePassword",
        "ssl_pem_passphrase",
    ] {
        for (prefix, value) in [("", ""), ("tls=true&", ""), ("", "%00")] {
            if value == "%00" && name.to_lowercase().contains("pass") {
                continue; // any text may be a password
            }
            let uri = format!("mongodb://ann:pencil@h/?authMechanism=PLAIN&{prefix}{name}={value}");
            let error = refused(&uri);
            assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{uri}: {error}");
            assert!(error.message().contains(name), "{uri}: {error}");
        }
        let error = refused(&format!("mongodb://h/?{name}=a&{name}=b"));
        assert!(error.message().contains("different values"), "{name}: {error}");
    }
    for value in ["", "none", "cert_none", "CERT_NON"] {
        let error = refused(&format!("mongodb://h/?ssl_cert_reqs={value}"));
        assert!(error.message().contains("ssl_cert_reqs must be CERT_NONE"), "{error}");
    }
}

/// They are ignored with a warning, as the specification's fixtures have it, and TLS is on.
#[test]
fn a_switch_for_tls_that_is_mistyped_turns_tls_on() {
    for option in [
        "tlsInsecure=",
        "tlsInsecure=invalid",
        "tlsAllowInvalidCertificates=invalid",
        "tlsAllowInvalidHostnames=no!",
        "tlsDisableOCSPEndpointCheck=",
        "tlsDisableCertificateRevocationCheck=flase",
        "ssl_match_hostname=invalid",
        "tlsCAFlie=/ca.pem",
        "tlsCAFlie=",
        "TLSx=1",
        "sslCAFile=/ca.pem",
        "useSSL=true",
        "tsl=true",
        "sls=true",
    ] {
        let options = parse(&format!("mongodb://h/?{option}"));
        let tls = options.tls().unwrap_or_else(|| panic!("{option}: plain text"));
        assert!(tls.is_verified(), "{option}");
        let warned = options
            .warnings()
            .iter()
            .any(|warning| matches!(warning.kind(), WarningKind::InvalidValue | WarningKind::UnknownOption));
        assert!(warned, "{option}: {:?}", options.warnings());
        let again = parse(&options.to_uri(false));
        assert!(again.tls().is_some(), "{option}: written without TLS: {}", options.to_uri(false));
        let later = options.clone().into_builder().app_name("x").build().settings().unwrap();
        assert!(later.tls().is_some(), "{option}");
        for off in ["tls=false", "ssl=false"] {
            for both in [format!("{off}&{option}"), format!("{option}&{off}")] {
                let error = refused(&format!("mongodb://h/?{both}"));
                assert!(error.message().contains("tls is false"), "{both}: {error}");
            }
        }
    }
    for option in ["fsync=true", "title=x", "lost=1"] {
        assert!(parse(&format!("mongodb://h/?{option}")).tls().is_none(), "{option}");
    }
}

/// Of two values one was mistyped: which of them counts is not guessed.
#[test]
fn a_switch_for_tls_given_twice_must_say_the_same() {
    for options in [
        "tlsInsecure=true&tlsInsecure=flase",
        "tlsInsecure=flase&tlsInsecure=true",
        "tlsAllowInvalidCertificates=true&tlsAllowInvalidCertificates=",
        "tlsAllowInvalidHostnames=true&ssl_match_hostname=tru",
        "ssl_match_hostname=tru&ssl_match_hostname=false",
        "tlsAllowInvalidHostnames=maybe&ssl_cert_reqs=CERT_NONE",
        "tlsInsecure=true&tlsInsecure=false",
    ] {
        let error = refused(&format!("mongodb://h/?{options}"));
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{options}: {error}");
    }
    for options in ["tlsInsecure=true&tlsInsecure=true", "tlsInsecure=invalid&tlsInsecure=invalid"] {
        parse(&format!("mongodb://h/?{options}"));
    }
}

/// Certificates given in code turn TLS on, and so does what is written of such options.
#[test]
fn tls_that_code_asks_for_is_written() {
    let code = ClientOptions::builder().host("h").tls_ca_pem("x").build().settings().unwrap();
    assert_eq!(code.to_uri(false), "mongodb://h:27017/?tls=true");
    let password = parse("mongodb://h/?tlsCertificateKeyFilePassword=pencil");
    assert_eq!(password.to_uri(false), "mongodb://h:27017/?tls=true");
}

#[test]
fn a_mechanism_given_twice_must_be_the_same() {
    for mechanisms in ["SCRAM-SHA-256&authMechanism=SCRAM-SHA-1", "SCRAM-SHA-256&authMechanism=DEFAULT"] {
        let error = refused(&format!("mongodb://u:p@h/?authMechanism={mechanisms}"));
        assert!(error.message().contains("authMechanism is given more than once"), "{error}");
    }
    parse("mongodb://u:p@h/?authMechanism=SCRAM-SHA-256&authMechanism=SCRAM-SHA-256");
}

/// Dropped, they would send traffic past the proxy, or data without encryption.
#[test]
fn an_empty_proxy_or_encryption_is_refused() {
    assert!(refused("mongodb://h/?proxyHost=").message().contains("proxyHost"));
    assert!(refused("mongodb://h/?autoEncryption=").message().contains("autoEncryption"));
    parse("mongodb://h/?proxyPassword=");
}

/// Each names what was pasted, and shows no part of it.
#[test]
fn what_is_pasted_wrongly_is_named() {
    for (uri, message) in [
        ("\"mongodb://u:p@h/\"", "a quotation mark begins"),
        ("'mongodb://u:p@h/'", "a quotation mark begins"),
        ("“mongodb://u:p@h/”", "a quotation mark begins"),
        ("mongodb://u:p@h/?appName=x\"", "a quotation mark ends"),
        ("MONGODB_URI=mongodb://u:p@h/", "other text comes before mongodb://"),
        ("jdbc:mongodb://u:p@h/", "other text comes before mongodb://"),
        ("mongodb:\\/\\/u:p@h\\/", "escaped as in JSON"),
        ("mongodb:/u:p@h", "only one '/' after the scheme"),
        ("mongodb+srv:/u:p@h.example.com", "only one '/' after the scheme"),
        ("mongodb//u:p@h", "no ':' between the scheme"),
        ("mongo://u:p@h", "the scheme is misspelled"),
        ("mongodb-srv://u:p@h.example.com", "the scheme is misspelled"),
        ("mongodb://u:p@h:27017 /db", "there is a blank beside the digits of a port"),
        ("mongodb://u:p@h:27017\n,g/", "there is a line feed beside the digits of a port"),
        ("mongodb://u:p@h:27017\u{200b}/", "there is an invisible character (U+200B) beside the digits of a port"),
        ("mongodb://u:p@a\u{202e}b/", "a host name contains an invisible character (U+202E)"),
        ("mongodb://u:p@a%E2%80%8Bb/", "a host name contains an invisible character (U+200B)"),
        ("mongodb://u:p@h/d\u{ad}b", "the name of the database contains an invisible character (U+00AD)"),
        ("mongodb://u:p@http://h/", "a second scheme"),
        ("mongodb://https://h", "a second scheme"),
        ("mongodb://u:p@h:/", "ends with ':' and no port"),
        ("mongodb://h:", "ends with ':' and no port"),
        ("mongodb://a:1,b:/db", "ends with ':' and no port"),
        ("mongodb://[::1]:/db", "ends with ':' and no port"),
        ("mongodb://u:p@a, b/", "a blank or a line break"),
        ("mongodb://u:p@a,\nb/", "a blank or a line break"),
        ("mongodb://u:p@<host>/", "placeholder"),
        ("mongodb://u:p@h/?w=1&amp;tls=true", "escaped for HTML"),
    ] {
        let error = refused(uri);
        assert_eq!(error.stage(), Stage::ConnectionString, "{uri}");
        assert!(error.message().contains(message) && error.message().contains("(byte "), "{uri}: {error}");
        assert!(error.hint().is_some(), "{uri}: {error}");
    }
    assert!(ClientOptions::builder().host("h:").build().settings().is_err());
}

/// A certificate has the ASCII form of a name only; without TLS the system may know the name.
#[test]
fn a_host_name_beyond_ascii() {
    for uri in ["mongodb://bücher.example/?tls=true", "mongodb://b%C3%BCcher.example/?tlsCAFile=/ca.pem"] {
        let error = parse(uri).check_supported().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidArgument { .. }), "{error}");
        assert!(error.message().contains("bücher.example") && error.hint().unwrap().contains("xn--"), "{error}");
    }
    assert!(parse("mongodb://bücher.example/").check_supported().is_ok());
    if cfg!(feature = "srv") {
        for uri in ["mongodb+srv://bücher.example/", "mongodb+srv://bücher.example/?tls=false"] {
            let error = parse(uri).check_supported().unwrap_err();
            assert!(error.message().contains("bücher.example") && error.hint().unwrap().contains("xn--"), "{error}");
        }
    }
}
