//! What PyMongo's guides print, form by form: as a connection string and in code.

use mongo_blocking::WarningKind;
use mongo_blocking::options::{ClientOptions, ClientSettings, percent_encode};
use mongo_blocking::{
    CanonicalizeHostName, Credential, GssapiCredential, OidcEnvironment, ScramCredential, ScramMechanism,
};

use super::{kinds, parse};

fn scram(options: &ClientSettings) -> &ScramCredential {
    match options.credential() {
        Some(Credential::Scram(scram)) => scram,
        other => panic!("no SCRAM credential: {other:?}"),
    }
}

fn gssapi(options: &ClientSettings) -> &GssapiCredential {
    match options.credential() {
        Some(Credential::Gssapi(gssapi)) => gssapi,
        other => panic!("no GSSAPI credential: {other:?}"),
    }
}

#[test]
fn row_1_escaping() {
    assert_eq!(percent_encode("pass/word"), "pass%2Fword");
    assert_eq!(percent_encode("a b"), "a%20b");
    let special = " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~é€";
    let options = parse(&format!("mongodb://{0}:{0}@127.0.0.1", percent_encode(special)));
    assert_eq!(scram(&options).username, special);
    assert_eq!(scram(&options).password.expose(), special);
    assert!(options.warnings().is_empty());
}

/// Max Staleness, "Connection string".
#[test]
fn staleness_in_connection_strings() {
    let staleness = |options: &str| {
        let settings = ClientSettings::parse(&format!("mongodb://host/?{options}"));
        settings.map(|settings| (settings.read_preference().max_staleness(), kinds(&settings)))
    };
    let limit = Some(std::time::Duration::from_secs(120));
    assert_eq!(staleness("readPreference=secondary&maxStalenessSeconds=120").unwrap(), (limit, vec![]));
    staleness("maxStalenessSeconds=120").unwrap_err();
    staleness("readPreference=primary&maxStalenessSeconds=120").unwrap_err();
    for none in ["readPreference=secondary&maxStalenessSeconds=-1", "readPreference=primary&maxStalenessSeconds=-1"] {
        assert_eq!(staleness(none).unwrap(), (None, vec![]), "{none}");
    }
    // What is too small is no error at first, and here none later: it is left out with a warning.
    let too_small = staleness("readPreference=secondary&maxStalenessSeconds=1").unwrap();
    assert_eq!(too_small, (None, vec![WarningKind::InvalidValue]));
}

#[test]
fn row_2_default_mechanism() {
    for options in [
        parse("mongodb://U:P@H/"),
        ClientOptions::builder().host("h").username("U").password("P").build().settings().unwrap(),
    ] {
        let scram = scram(&options);
        assert_eq!((scram.mechanism, scram.source.as_str()), (None, "admin"));
        assert_eq!((scram.username.as_str(), scram.password.expose()), ("U", "P"));
    }
}

#[test]
fn rows_3_and_4_scram_by_name() {
    for (name, mechanism) in [("SCRAM-SHA-256", ScramMechanism::Sha256), ("SCRAM-SHA-1", ScramMechanism::Sha1)] {
        let code = ClientOptions::builder().host("example.com").username("U").password("P");
        for options in [
            parse(&format!("mongodb://U:P@example.com:27017/?authSource=the_database&authMechanism={name}")),
            parse(&format!("mongodb://U:P@example.com/the_database?authMechanism={name}")),
            code.auth_source("the_database").auth_mechanism(name).build().settings().unwrap(),
        ] {
            assert_eq!(options.hosts()[0].to_string(), "example.com:27017");
            assert_eq!((scram(&options).mechanism, scram(&options).source.as_str()), (Some(mechanism), "the_database"));
            assert!(options.check_supported().is_ok());
        }
    }
    let srv = parse("mongodb+srv://U:P@example.com/?authSource=the_database&authMechanism=SCRAM-SHA-256");
    assert_eq!(srv.srv_host(), Some("example.com"));
    assert!(srv.tls().is_some(), "mongodb+srv speaks TLS");
}

#[test]
fn row_5_challenge_and_response() {
    for options in [
        parse("mongodb://U:P@H/?authSource=the_database&authMechanism=MONGODB-CR"),
        parse("mongodb://U:P@H/the_database?authMechanism=MONGODB-CR"),
    ] {
        let Some(Credential::Cr(credential)) = options.credential() else { panic!() };
        assert_eq!(credential.source, "the_database");
    }
}

#[test]
fn row_6_default_database() {
    let options = parse("mongodb://U:P@H/default_db?authSource=admin");
    assert_eq!(options.default_database(), Some("default_db"));
    assert_eq!(scram(&options).source, "admin");
}

#[test]
fn a_default_database_set_in_code_is_not_the_auth_source() {
    let code = |uri: &str| ClientOptions::builder().uri(uri).default_database("shop").build().settings().unwrap();
    for (uri, source, written) in [
        ("mongodb://U:P@h/", "admin", "mongodb://U:P@h:27017/shop?authSource=admin"),
        ("mongodb://U:P@h/people", "people", "mongodb://U:P@h:27017/shop?authSource=people"),
        ("mongodb://U:P@h/people?authSource=x", "x", "mongodb://U:P@h:27017/shop?authSource=x"),
        ("mongodb://U:P@h/shop", "shop", "mongodb://U:P@h:27017/shop"),
    ] {
        let options = code(uri);
        assert_eq!((options.default_database(), scram(&options).source.as_str()), (Some("shop"), source), "{uri}");
        assert_eq!(options.to_uri(true), written);
        assert_eq!(scram(&parse(written)).source, source);
        let again = options.into_builder().default_database("other").build().settings().unwrap();
        assert_eq!(scram(&again).source, source, "{uri}");
    }
    let plain = code("mongodb://U:P@h/?authMechanism=PLAIN");
    assert_eq!(plain.credential().unwrap().source(), "$external");
    assert_eq!(code("mongodb://h/").to_uri(true), "mongodb://h:27017/shop");
}

#[test]
fn an_empty_password_is_a_password_in_code_as_in_a_connection_string() {
    let code = ClientOptions::builder().host("h").username("U").password("");
    for options in [parse("mongodb://U:@h/"), code.clone().build().settings().unwrap()] {
        assert!(scram(&options).password.is_empty());
    }
    let refused = code.auth_mechanism("PLAIN").build().settings().unwrap_err();
    assert!(refused.message().contains("not empty"), "{refused}");
}

#[test]
fn rows_7_and_8_certificate() {
    let uri = "mongodb://H/?tls=true&tlsCertificateKeyFile=path/to/client.pem&tlsCertificateKeyFilePassword=a%26b&authMechanism=MONGODB-X509";
    let code = ClientOptions::builder()
        .host("H")
        .tls(true)
        .tls_certificate_key_file("path/to/client.pem")
        .tls_certificate_key_file_password("a&b")
        .auth_mechanism("MONGODB-X509");
    for options in [parse(uri), code.build().settings().unwrap()] {
        let tls = options.tls().unwrap();
        assert_eq!(tls.certificate_key_file.as_deref().unwrap().to_str(), Some("path/to/client.pem"));
        assert_eq!(tls.certificate_key_file_password.as_ref().unwrap().expose(), "a&b");
        assert!(matches!(options.credential(), Some(Credential::X509(x509)) if x509.username.is_none()));
    }
    let old = parse(
        "mongodb://CN%3Dann%2CO%3Dzoo@H/?authMechanism=MONGODB-X509&ssl=true&ssl_certfile=/path/client.pem\
         &ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs=/path/ca.pem",
    );
    assert!(
        matches!(old.credential(), Some(Credential::X509(x509)) if x509.username.as_deref() == Some("CN=ann,O=zoo"))
    );
    assert_eq!(old.tls().unwrap().ca_file.as_deref().unwrap().to_str(), Some("/path/ca.pem"));
    assert!(old.tls().unwrap().is_verified());
    assert_eq!(kinds(&old), [WarningKind::Deprecated; 3]);
}

#[test]
fn rows_9_and_10_kerberos() {
    let options = parse(
        "mongodb://mongodbuser%40EXAMPLE.COM@H:27017/?&authMechanism=GSSAPI&authMechanismProperties=SERVICE_NAME:name",
    );
    assert_eq!(
        (gssapi(&options).username.as_str(), gssapi(&options).service_name.as_str()),
        ("mongodbuser@EXAMPLE.COM", "name")
    );
    assert_eq!(kinds(&options), [WarningKind::Spelling]);
    let windows = "SERVICE_NAME:name,CANONICALIZE_HOST_NAME:true,SERVICE_REALM:realm";
    let code = ClientOptions::builder().host("H").username("U").password("P").auth_mechanism("GSSAPI");
    for options in [
        parse(&format!("mongodb://U:P@H:27017/?&authMechanism=GSSAPI&authMechanismProperties={windows}")),
        parse(&format!("mongodb://U:P@H/?authMechanism=GSSAPI&authMechanismProperties={}", percent_encode(windows))),
        code.clone()
            .auth_mechanism_properties("SERVICE_NAME:name,\n    CANONICALIZE_HOST_NAME:true ,\r\n SERVICE_REALM:realm")
            .build()
            .settings()
            .unwrap(),
        code.auth_mechanism_property("service_name", "name")
            .auth_mechanism_property("CANONICALIZE_HOST_NAME", "forwardAndReverse")
            .auth_mechanism_property("SERVICE_REALM", "realm")
            .build()
            .settings()
            .unwrap(),
    ] {
        let gssapi = gssapi(&options);
        assert_eq!(gssapi.service_name, "name");
        assert_eq!(gssapi.service_realm.as_deref(), Some("realm"));
        assert_eq!(gssapi.canonicalize_host_name, Some(CanonicalizeHostName::ForwardAndReverse));
        assert_eq!(gssapi.password.as_ref().unwrap().expose(), "P");
    }
}

#[test]
fn the_new_service_name_wins_over_the_old() {
    let old = parse("mongodb://U@H/?authMechanism=GSSAPI&gssapiServiceName=old");
    assert_eq!((gssapi(&old).service_name.as_str(), kinds(&old)), ("old", vec![WarningKind::Deprecated]));
    let both =
        parse("mongodb://U@H/?authMechanism=GSSAPI&gssapiServiceName=old&authMechanismProperties=SERVICE_NAME:new");
    assert_eq!((gssapi(&both).service_name.as_str(), kinds(&both)), ("new", vec![WarningKind::Deprecated]));
}

#[test]
fn row_11_ldap() {
    let source = |options: &ClientSettings| options.credential().unwrap().source().to_owned();
    let verified = parse("mongodb://U:P@H:27017/?&authMechanism=PLAIN&tls=true");
    assert_eq!((source(&verified), kinds(&verified)), ("$external".to_owned(), vec![WarningKind::Spelling]));
    let plain = parse("mongodb://U:P@H/?authMechanism=PLAIN&authSource=$external");
    assert_eq!((source(&plain), kinds(&plain)), ("$external".to_owned(), vec![WarningKind::Insecure]));
}

#[test]
fn rows_12_to_14_aws() {
    let keys = parse("mongodb://ID:SECRET@H/?&authMechanism=MONGODB-AWS");
    let token =
        parse("mongodb://ID:SECRET@H/?authMechanismProperties=AWS_SESSION_TOKEN:TO%2FKEN%3D&authMechanism=MONGODB-AWS");
    let code = ClientOptions::builder()
        .uri("mongodb://@H:27017")
        .username("ID")
        .password("SECRET")
        .auth_mechanism_property("AWS_SESSION_TOKEN", "TO/KEN=")
        .auth_mechanism("MONGODB-AWS")
        .build()
        .settings()
        .unwrap();
    for (options, token) in [(keys, None), (token, Some("TO/KEN=")), (code, Some("TO/KEN="))] {
        let Some(Credential::Aws(aws)) = options.credential() else { panic!() };
        let keys = aws.keys.as_ref().unwrap();
        assert_eq!((keys.access_key_id.as_str(), keys.secret_access_key.expose()), ("ID", "SECRET"));
        assert_eq!(keys.session_token.as_ref().map(|token| token.expose()), token);
        assert!(kinds(&options).contains(&WarningKind::Deprecated));
    }
    let environment = parse("mongodb+srv://H.example.com/?&authMechanism=MONGODB-AWS");
    assert!(matches!(environment.credential(), Some(Credential::Aws(aws)) if aws.keys.is_none()));
}

#[test]
fn rows_15_and_16_oidc() {
    let azure = parse(
        "mongodb+srv://CLIENT_ID@H.example.com/?authMechanism=MONGODB-OIDC\
         &authMechanismProperties=ENVIRONMENT:azure,TOKEN_RESOURCE:https%3A%2F%2Fa.b%3Fx%3D1",
    );
    let Some(Credential::Oidc(oidc)) = azure.credential() else { panic!() };
    assert_eq!(oidc.username.as_deref(), Some("CLIENT_ID"));
    assert_eq!(oidc.environment(), Some(&OidcEnvironment::Azure { token_resource: "https://a.b?x=1".to_owned() }));
    let gcp = ClientOptions::builder()
        .host("H")
        .auth_mechanism("MONGODB-OIDC")
        .auth_mechanism_property("ENVIRONMENT", "gcp")
        .auth_mechanism_property("TOKEN_RESOURCE", "one,two")
        .build()
        .settings()
        .unwrap();
    let Some(Credential::Oidc(oidc)) = gcp.credential() else { panic!() };
    assert_eq!(oidc.environment(), Some(&OidcEnvironment::Gcp { token_resource: "one,two".to_owned() }));
}

/// In code a `TOKEN_RESOURCE` is given as it is; one that is percent-encoded is understood, and warned of. In a connection string what is
/// encoded twice is meant so.
#[test]
fn row_15_an_audience_that_is_encoded_already() {
    let builder = |resource: &str| {
        let builder = ClientOptions::builder().host("H").auth_mechanism("MONGODB-OIDC");
        builder.auth_mechanism_property("ENVIRONMENT", "azure").auth_mechanism_property("token_resource", resource)
    };
    let resource = |options: &ClientSettings| match options.credential() {
        Some(Credential::Oidc(oidc)) => oidc.environment().unwrap().token_resource().unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    let warned =
        |options: &ClientSettings| options.warnings().iter().any(|it| it.message().contains("percent-encoded"));
    for (given, meant) in [("api%3A%2F%2Fapp", "api://app"), ("a%2cb", "a,b"), ("50%25", "50%")] {
        let options = builder(given).build().settings().unwrap();
        assert_eq!((resource(&options).as_str(), warned(&options)), (meant, true), "{given}");
    }
    for given in ["api://app", "one,two", "app", "api://app%2F1", "50%", "100%zz", "%ff"] {
        let options = builder(given).build().settings().unwrap();
        assert_eq!((resource(&options).as_str(), warned(&options)), (given, false));
    }
    let uri = parse(
        "mongodb://H/?authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:azure,TOKEN_RESOURCE:a%252Fb",
    );
    assert_eq!((resource(&uri).as_str(), warned(&uri)), ("a%2Fb", false));
}

#[test]
fn rows_18_to_23_tls() {
    for uri in ["mongodb://H/?tls=true", "mongodb://H/?ssl=true"] {
        assert!(parse(uri).tls().is_some());
        assert!(parse(uri).warnings().is_empty());
        assert!(parse(uri).check_supported().is_ok());
    }
    let path = |path: &Option<std::path::PathBuf>| path.as_deref().map(|path| path.display().to_string());
    for (uri, code) in [
        ("tls=true&tlsCAFile=/path/to/ca.pem", ClientOptions::builder().tls(true).tls_ca_file("/path/to/ca.pem")),
        ("ssl=true&ssl_ca_certs=/path/to/ca.pem", ClientOptions::builder().tls_ca_file("/path/to/ca.pem")),
        ("tls=true&tlsCRLFile=/path/to/crl.pem", ClientOptions::builder().tls_crl_file("/path/to/crl.pem")),
        ("ssl=true&ssl_crlfile=/path/to/crl.pem", ClientOptions::builder().tls_crl_file("/path/to/crl.pem")),
        (
            "ssl=true&ssl_certfile=/path/client.pem&ssl_keyfile=/path/key.pem&ssl_pem_passphrase=x",
            ClientOptions::builder()
                .tls_certificate_key_file("/path/client.pem")
                .tls_key_file("/path/key.pem")
                .tls_certificate_key_file_password("x"),
        ),
        ("tls=true&tlsDisableOCSPEndpointCheck=true", ClientOptions::builder().tls_disable_ocsp_endpoint_check(true)),
    ] {
        let (uri, code) = (parse(&format!("mongodb://H/?{uri}")), code.host("H").build().settings().unwrap());
        let (one, other) = (uri.tls().unwrap(), code.tls().unwrap());
        assert_eq!(path(&one.ca_file), path(&other.ca_file));
        assert_eq!(path(&one.crl_file), path(&other.crl_file));
        assert_eq!(path(&one.certificate_key_file), path(&other.certificate_key_file));
        assert_eq!(path(&one.key_file), path(&other.key_file));
        assert_eq!(one.disable_ocsp_endpoint_check, other.disable_ocsp_endpoint_check);
        let password = |tls: &mongo_blocking::options::TlsSettings| {
            tls.certificate_key_file_password.as_ref().map(|password| password.expose().to_owned())
        };
        assert_eq!(password(one), password(other));
    }
}

#[test]
fn rows_24_to_26_dangerous() {
    let flags = |options: &ClientSettings| {
        let tls = options.tls().unwrap();
        (tls.danger_insecure, tls.danger_allow_invalid_certificates, tls.danger_allow_invalid_hostnames)
    };
    let code = ClientOptions::builder().danger_tls_insecure(true).build().settings().unwrap();
    for (options, expected) in [
        (parse("mongodb://H/?tls=true&tlsInsecure=true"), (Some(true), None, None)),
        (code, (Some(true), None, None)),
        (parse("mongodb://H/?tls=true&tlsAllowInvalidCertificates=true"), (None, Some(true), None)),
        (parse("mongodb://H/?ssl=true&ssl_cert_reqs=CERT_NONE"), (None, Some(true), Some(true))),
        (parse("mongodb://H/?ssl=true&ssl_cert_reqs=CERT_OPTIONAL"), (None, Some(false), None)),
        (parse("mongodb://H/?ssl=true&ssl_cert_reqs=CERT_REQUIRED"), (None, Some(false), None)),
        (parse("mongodb://H/?tls=true&tlsAllowInvalidHostnames=true"), (None, None, Some(true))),
        (parse("mongodb://H/?ssl=true&ssl_match_hostname=false"), (None, None, Some(true))),
        (parse("mongodb://H/?ssl=true&ssl_match_hostname=true"), (None, None, Some(false))),
    ] {
        assert_eq!(flags(&options), expected, "{}", options.to_uri(false));
    }
    for uri in [
        "mongodb://H/?ssl_cert_reqs=CERT_NONE&tlsAllowInvalidCertificates=false",
        "mongodb://H/?tlsAllowInvalidHostnames=false&ssl_cert_reqs=CERT_NONE",
        "mongodb://H/?ssl_match_hostname=true&ssl_cert_reqs=CERT_NONE",
        "mongodb://H/?ssl_cert_reqs=CERT_NONE&ssl_match_hostname=true",
        "mongodb://H/?tlsCAFile=/a&ssl_ca_certs=/b",
        "mongodb://H/?tlsInsecure=true&ssl_cert_reqs=CERT_REQUIRED",
    ] {
        super::refused(uri);
    }
    // Whoever logs in by a certificate to a server that is not checked is told so.
    let x509 = |rest: &str| {
        let options =
            parse(&format!("mongodb://H/?tls=true&authMechanism=MONGODB-X509&tlsCertificateKeyFile=/a&{rest}"));
        options.warnings().iter().any(|warning| warning.message().starts_with("MONGODB-X509 logs in to a server"))
    };
    for switch in ["tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames"] {
        assert!(x509(&format!("{switch}=true")) && !x509(&format!("{switch}=false")), "{switch}");
    }
    // What is given for nothing is told.
    let idle = |rest: &str| {
        let options = parse(&format!("mongodb://H/?tls=true&tlsCAFile=/a&tlsCRLFile=/b&{rest}"));
        let idle = options.warnings().iter().filter(|warning| warning.kind() == WarningKind::NoEffect);
        idle.map(|warning| warning.message().split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for switch in ["tlsInsecure=true", "tlsAllowInvalidCertificates=true", "ssl_cert_reqs=CERT_NONE"] {
        assert_eq!(idle(switch), ["tlsCAFile", "tlsCRLFile"], "{switch}");
    }
    assert_eq!(idle("tlsDisableCertificateRevocationCheck=true"), ["tlsCRLFile"]);
    assert_eq!(idle("tlsDisableOCSPEndpointCheck=true&tlsAllowInvalidHostnames=true"), [""; 0]);
    let revocation = parse("mongodb://H/?ssl=true&ssl_cert_reqs=CERT_REQUIRED&tlsDisableOCSPEndpointCheck=true");
    assert!(revocation.tls().unwrap().is_verified());
}
