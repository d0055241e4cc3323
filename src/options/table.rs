//! The one table of options. Parsing, the builder, validation, warnings and the documentation take everything from it.

use super::spec::{
    Alias, DefaultValue, Invalid, Location, Meaning, OptionId, OptionSpec, Repeated, State, code, query,
};
use super::value::{MAX_INT, Unit, ValueKind};

impl OptionId {
    /// Its line in the table.
    pub(crate) fn spec(self) -> &'static OptionSpec {
        // A test holds that each option is at its place.
        &OPTIONS[self as usize]
    }

    pub(crate) fn name(self) -> &'static str {
        self.spec().name
    }

    /// Whether this is an option for TLS, `tls` itself included.
    pub(crate) fn is_about_tls(self) -> bool {
        self == OptionId::Tls || TLS_DETAILS.contains(&self)
    }
}

/// The option with this name or alias, in whatever case.
pub(crate) fn find(name: &str) -> Option<(&'static OptionSpec, Meaning)> {
    let query = OPTIONS.iter().filter(|spec| spec.location == Location::Query);
    for spec in query {
        if spec.name.eq_ignore_ascii_case(name) {
            return Some((spec, Meaning::Same));
        }
        if let Some(alias) = spec.aliases.iter().find(|alias| alias.name.eq_ignore_ascii_case(name)) {
            return Some((spec, alias.meaning));
        }
    }
    None
}

/// The whole table, in the order of [`OptionId`].
pub(crate) const OPTIONS: &[OptionSpec] = &[
    code(
        OptionId::Hosts,
        "(hosts)",
        "hosts",
        "hosts",
        "Where the servers listen: host, host:port, [IPv6]:port or the path of a Unix socket.",
    )
    .in_uri()
    .default(DefaultValue::Text("localhost:27017")),
    code(OptionId::Username, "(user name)", "text", "username", "The user's name; percent-encoded in a URI.")
        .in_uri()
        .kind(ANY_TEXT),
    code(OptionId::Password, "(password)", "text", "password", "The password; percent-encoded in a URI.")
        .in_uri()
        .kind(ValueKind::Password),
    query(
        OptionId::AuthMechanism,
        "authMechanism",
        ValueKind::Choice(MECHANISMS),
        "auth_mechanism",
        "The authentication mechanism. A mechanism that this build lacks is an error.",
    )
    .default(DefaultValue::Words("negotiated: SCRAM-SHA-256 or SCRAM-SHA-1"))
    .invalid(Invalid::Error)
    .repeated(Repeated::MustAgree),
    query(
        OptionId::AuthMechanismProperties,
        "authMechanismProperties",
        ValueKind::Properties,
        "auth_mechanism_properties",
        "Further settings of the mechanism.",
    )
    .invalid(Invalid::ErrorUnlessEmpty),
    query(OptionId::AuthSource, "authSource", ANY_TEXT, "auth_source", "The database that knows the user.")
        .default(DefaultValue::Words(
            "the URI's database, else admin; $external for PLAIN (after the URI's database), \
        GSSAPI, X.509, AWS and OIDC",
        ))
        .invalid(Invalid::Error),
    query(
        OptionId::GssapiServiceName,
        "gssapiServiceName",
        ANY_TEXT,
        "gssapi_service_name",
        "Old form of the mechanism property SERVICE_NAME.",
    ),
    code(
        OptionId::GssapiCredentialCache,
        "(ticket cache)",
        "path",
        "gssapi_credential_cache",
        "The Kerberos ticket cache to use; for GSSAPI on Unix.",
    )
    .kind(ValueKind::Path)
    .default(DefaultValue::Words("the system's, as KRB5CCNAME or krb5.conf names it")),
    code(
        OptionId::GssapiClientKeytab,
        "(client keytab)",
        "path",
        "gssapi_client_keytab",
        "A keytab with the user's own key; for GSSAPI on Unix.",
    )
    .kind(ValueKind::Path)
    .default(DefaultValue::Words("the system's, as KRB5_CLIENT_KTNAME or krb5.conf names it")),
    code(
        OptionId::ScramMaxIterations,
        "(SCRAM iterations)",
        "number",
        "scram_max_iterations",
        "The most rounds of hashing that a server may ask for; at least 4,096.",
    )
    .kind(ValueKind::Number { unit: Unit::Plain, min: 4_096, max: MAX_INT })
    .default(DefaultValue::Number(1_000_000)),
    code(
        OptionId::MaxDocumentNesting,
        "(nesting)",
        "number",
        "max_document_nesting",
        "The most levels of a document that are decoded; by default 64 for types in a build without optimisation.",
    )
    .kind(count(1))
    .default(DefaultValue::Number(256)),
    code(
        OptionId::DefaultDatabase,
        "(database)",
        "text",
        "default_database",
        "The database that default_database() returns.",
    )
    .in_uri()
    .kind(ValueKind::Database),
    query(
        OptionId::AppName,
        "appName",
        ValueKind::Text { max: 128 },
        "app_name",
        "A name that the server logs with each connection.",
    )
    .invalid(Invalid::ErrorUnlessEmpty),
    code(
        OptionId::DriverInfo,
        "(driver info)",
        "DriverInfo",
        "driver_info",
        "What a library that wraps this driver adds to the client metadata.",
    ),
    code(
        OptionId::ServerApi,
        "(Stable API)",
        "ServerApi",
        "server_api",
        "The version of the Stable API that every command declares.",
    ),
    query(OptionId::Tls, "tls", ValueKind::Bool, "tls", "Whether to speak TLS. Any other option for TLS turns it on.")
        .default(DefaultValue::Words("false; true with mongodb+srv"))
        .aliases(&[Alias { name: "ssl", meaning: Meaning::Same }])
        .invalid(Invalid::Error)
        .repeated(Repeated::MustAgree),
    query(
        OptionId::TlsCaFile,
        "tlsCAFile",
        ValueKind::Path,
        "tls_ca_file",
        "The authorities to trust instead of the system's: a PEM file.",
    )
    .aliases(&[old("ssl_ca_certs")])
    .invalid(Invalid::Error)
    .repeated(Repeated::MustAgree),
    query(
        OptionId::TlsCertificateKeyFile,
        "tlsCertificateKeyFile",
        ValueKind::Path,
        "tls_certificate_key_file",
        "The client's certificate, and its key unless that has a file of its own: a PEM file.",
    )
    .aliases(&[old("ssl_certfile")])
    .invalid(Invalid::Error)
    .repeated(Repeated::MustAgree),
    query(
        OptionId::TlsCertificateKeyFilePassword,
        "tlsCertificateKeyFilePassword",
        ValueKind::Secret,
        "tls_certificate_key_file_password",
        "The password of the client's key.",
    )
    .aliases(&[old("ssl_pem_passphrase")])
    .invalid(Invalid::Error)
    .repeated(Repeated::MustAgree),
    query(
        OptionId::TlsKeyFile,
        "ssl_keyfile",
        ValueKind::Path,
        "tls_key_file",
        "The client's key, where it is not in the certificate's file: a PEM file.",
    )
    .invalid(Invalid::Error)
    .repeated(Repeated::MustAgree),
    query(OptionId::TlsCrlFile, "tlsCRLFile", ValueKind::Path, "tls_crl_file", "Revoked certificates: a PEM file.")
        .aliases(&[old("ssl_crlfile")])
        .invalid(Invalid::Error)
        .repeated(Repeated::MustAgree),
    query(
        OptionId::TlsAllowInvalidCertificates,
        "tlsAllowInvalidCertificates",
        ValueKind::Bool,
        "danger_tls_allow_invalid_certificates",
        "Dangerous: accept any certificate, whatever its names.",
    )
    .default(DefaultValue::Bool(false))
    .aliases(&[Alias { name: "ssl_cert_reqs", meaning: Meaning::CertReqs }])
    .repeated(Repeated::MustAgree),
    query(
        OptionId::TlsAllowInvalidHostnames,
        "tlsAllowInvalidHostnames",
        ValueKind::Bool,
        "danger_tls_allow_invalid_hostnames",
        "Dangerous: accept a certificate that was issued for another host.",
    )
    .default(DefaultValue::Bool(false))
    .aliases(&[Alias { name: "ssl_match_hostname", meaning: Meaning::OldInverted }])
    .repeated(Repeated::MustAgree),
    query(
        OptionId::TlsInsecure,
        "tlsInsecure",
        ValueKind::Bool,
        "danger_tls_insecure",
        "Dangerous: both of the above.",
    )
    .default(DefaultValue::Bool(false))
    .repeated(Repeated::MustAgree),
    query(
        OptionId::TlsDisableOcspEndpointCheck,
        "tlsDisableOCSPEndpointCheck",
        ValueKind::Bool,
        "tls_disable_ocsp_endpoint_check",
        "Whether to ask no OCSP responder; a stapled answer is still checked.",
    )
    .default(DefaultValue::Bool(false))
    .repeated(Repeated::MustAgree),
    query(
        OptionId::TlsDisableCertificateRevocationCheck,
        "tlsDisableCertificateRevocationCheck",
        ValueKind::Bool,
        "tls_disable_certificate_revocation_check",
        "Whether to ignore CRLs and OCSP answers.",
    )
    .default(DefaultValue::Bool(false))
    .repeated(Repeated::MustAgree),
    code(
        OptionId::TlsAllowCommonNames,
        "(Common Names)",
        "true or false",
        "danger_tls_allow_common_names",
        "Dangerous: where a certificate has no DNS name in subjectAltName, accept its Common Name.",
    )
    .kind(ValueKind::Bool)
    .default(DefaultValue::Bool(false)),
    code(
        OptionId::MinTlsVersion,
        "(TLS version)",
        "TlsVersion",
        "min_tls_version",
        "The oldest version of TLS to speak.",
    )
    .default(DefaultValue::Words("TLS 1.2")),
    query(OptionId::TimeoutMs, "timeoutMS", millis(0), "timeout", "The limit on a whole operation; 0: none.")
        .default(DefaultValue::Words("none")),
    query(
        OptionId::ConnectTimeoutMs,
        "connectTimeoutMS",
        millis(0),
        "connect_timeout",
        "The limit on connecting a socket; 0: none.",
    )
    .default(DefaultValue::Number(10_000)),
    query(
        OptionId::SocketTimeoutMs,
        "socketTimeoutMS",
        millis(0),
        "socket_timeout",
        "The limit on one send or receive, if timeoutMS is not given; 0: none.",
    )
    .default(DefaultValue::Words("none")),
    query(
        OptionId::ServerSelectionTimeoutMs,
        "serverSelectionTimeoutMS",
        millis(1),
        "server_selection_timeout",
        "The limit on finding a suitable server.",
    )
    .default(DefaultValue::Number(30_000)),
    query(
        OptionId::ServerSelectionTryOnce,
        "serverSelectionTryOnce",
        ValueKind::Bool,
        "server_selection_try_once",
        "Whether to check the servers only once before giving up.",
    )
    .default(DefaultValue::Words(
        "one host without replicaSet gives up at once where nothing listens or the name is unknown; everything \
        else waits for serverSelectionTimeoutMS",
    )),
    query(
        OptionId::WaitQueueTimeoutMs,
        "waitQueueTimeoutMS",
        millis(0),
        "wait_queue_timeout",
        "The limit on waiting for a connection of the pool; 0: none.",
    )
    .default(DefaultValue::Words("none")),
    query(
        OptionId::MaxPoolSize,
        "maxPoolSize",
        count(0),
        "max_pool_size",
        "The most connections to a server; 0: no limit.",
    )
    .default(DefaultValue::Number(100)),
    query(OptionId::MinPoolSize, "minPoolSize", count(0), "min_pool_size", "How many connections to a server to keep.")
        .default(DefaultValue::Number(0)),
    query(
        OptionId::MaxConnecting,
        "maxConnecting",
        count(1),
        "max_connecting",
        "How many connections to a server may be established at once.",
    )
    .default(DefaultValue::Number(2)),
    query(
        OptionId::MaxIdleTimeMs,
        "maxIdleTimeMS",
        millis(0),
        "max_idle_time",
        "How long an unused connection is kept; 0: without limit.",
    )
    .default(DefaultValue::Words("without limit")),
    query(
        OptionId::ReplicaSet,
        "replicaSet",
        ANY_TEXT,
        "replica_set",
        "The replica set's name; servers that are not in it are left out.",
    ),
    query(
        OptionId::DirectConnection,
        "directConnection",
        ValueKind::Bool,
        "direct_connection",
        "Whether to use this one host alone, whatever deployment it belongs to.",
    ),
    query(
        OptionId::LoadBalanced,
        "loadBalanced",
        ValueKind::Bool,
        "load_balanced",
        "Whether the host is a load balancer.",
    )
    .default(DefaultValue::Bool(false)),
    query(
        OptionId::LocalThresholdMs,
        "localThresholdMS",
        millis(0),
        "local_threshold",
        "How much longer than that of the nearest server a chosen server's round trip time may be.",
    )
    .default(DefaultValue::Number(15)),
    query(
        OptionId::HeartbeatFrequencyMs,
        "heartbeatFrequencyMS",
        millis(500),
        "heartbeat_frequency",
        "The time between two checks of a server.",
    )
    .default(DefaultValue::Number(10_000)),
    query(
        OptionId::ServerMonitoringMode,
        "serverMonitoringMode",
        ValueKind::Choice(&["auto", "stream", "poll"]),
        "server_monitoring_mode",
        "How background monitors learn of changes. No effect on inline checks.",
    )
    .default(DefaultValue::Text("auto")),
    query(
        OptionId::SrvMaxHosts,
        "srvMaxHosts",
        count(0),
        "srv_max_hosts",
        "How many of the hosts that DNS names to use, chosen at random; 0: all.",
    )
    .default(DefaultValue::Number(0)),
    query(
        OptionId::SrvServiceName,
        "srvServiceName",
        ValueKind::ServiceName,
        "srv_service_name",
        "The service's name in the DNS question.",
    )
    .default(DefaultValue::Text("mongodb")),
    code(
        OptionId::SrvAllowedHostsSuffix,
        "(SRV domain)",
        "domain",
        "srv_allowed_hosts_suffix",
        "The domain that the hosts named by DNS must be below (srvAllowedHostsSuffix).",
    )
    .default(DefaultValue::Words("the domain of the name in the connection string")),
    code(
        OptionId::Resolver,
        "(resolver)",
        "Resolver",
        "resolver",
        "A resolver that replaces the driver's and the system's look-ups.",
    ),
    code(
        OptionId::NameServers,
        "(name servers)",
        "IP addresses",
        "name_servers",
        "The name servers to ask for the records of mongodb+srv.",
    )
    .default(DefaultValue::Words("those of /etc/resolv.conf")),
    query(
        OptionId::ReadPreference,
        "readPreference",
        ValueKind::Choice(MODES),
        "read_preference",
        "Which members of a replica set to read from.",
    )
    .default(DefaultValue::Text("primary")),
    query(
        OptionId::ReadPreferenceTags,
        "readPreferenceTags",
        ValueKind::TagSets,
        "read_preference",
        "Which tags they must have; given several times, the first set that some member has.",
    )
    .repeated(Repeated::Item),
    query(
        OptionId::MaxStalenessSeconds,
        "maxStalenessSeconds",
        ValueKind::Staleness,
        "read_preference",
        "How far behind a secondary may be; -1: any.",
    )
    .default(DefaultValue::Number(-1)),
    query(
        OptionId::ReadConcernLevel,
        "readConcernLevel",
        ANY_TEXT,
        "read_concern",
        "How well replicated the data that a read sees must be.",
    )
    .default(DefaultValue::Words("the server's")),
    query(
        OptionId::W,
        "w",
        ValueKind::W,
        "write_concern",
        "How many members must have a write, or majority, or a rule's name.",
    )
    .default(DefaultValue::Words("the server's"))
    .invalid(Invalid::ErrorUnlessEmpty),
    query(
        OptionId::WTimeoutMs,
        "wTimeoutMS",
        ValueKind::Number { unit: Unit::Millis, min: 0, max: i64::MAX },
        "write_concern",
        "How long the server waits for them; 0: without limit.",
    )
    .aliases(&[old("wtimeout")])
    .default(DefaultValue::Words("without limit")),
    query(OptionId::Journal, "journal", ValueKind::Bool, "write_concern", "Whether a write must be in the journal.")
        .aliases(&[old("j")])
        .default(DefaultValue::Words("the server's")),
    query(
        OptionId::RetryReads,
        "retryReads",
        ValueKind::Bool,
        "retry_reads",
        "Whether to run a read again after an error that is likely to pass.",
    )
    .default(DefaultValue::Bool(true)),
    query(
        OptionId::RetryWrites,
        "retryWrites",
        ValueKind::Bool,
        "retry_writes",
        "Whether to run a write again after an error that is likely to pass.",
    )
    .default(DefaultValue::Bool(true)),
    query(
        OptionId::MaxAdaptiveRetries,
        "maxAdaptiveRetries",
        count(0),
        "max_adaptive_retries",
        "How often to try again on an overloaded server.",
    )
    .default(DefaultValue::Number(2)),
    query(
        OptionId::EnableOverloadRetargeting,
        "enableOverloadRetargeting",
        ValueKind::Bool,
        "enable_overload_retargeting",
        "Whether to prefer another server after one was overloaded.",
    )
    .default(DefaultValue::Bool(false)),
    query(
        OptionId::Compressors,
        "compressors",
        ValueKind::List(&["snappy", "zlib", "zstd"]),
        "compressors",
        "The algorithms that may compress messages.",
    )
    .state(State::NotSupportedYet),
    query(
        OptionId::ZlibCompressionLevel,
        "zlibCompressionLevel",
        ValueKind::Number { unit: Unit::Plain, min: -1, max: 9 },
        "zlib_compression_level",
        "The compression level of zlib; -1: its own default.",
    )
    .default(DefaultValue::Number(-1))
    .state(State::NotSupportedYet),
    query(OptionId::ProxyHost, "proxyHost", ANY_TEXT, "proxy_host", "A SOCKS5 proxy to connect through.")
        .invalid(Invalid::Error)
        .repeated(Repeated::Error),
    query(
        OptionId::ProxyPort,
        "proxyPort",
        ValueKind::Number { unit: Unit::Plain, min: 1, max: 65_535 },
        "proxy_port",
        "Its port.",
    )
    .default(DefaultValue::Number(1_080))
    .repeated(Repeated::Error),
    query(OptionId::ProxyUsername, "proxyUsername", ANY_TEXT, "proxy_username", "The user's name for the proxy.")
        .repeated(Repeated::Error),
    query(OptionId::ProxyPassword, "proxyPassword", ValueKind::Secret, "proxy_password", "The password for the proxy.")
        .repeated(Repeated::Error),
    query(
        OptionId::AutoEncryption,
        "autoEncryption",
        ValueKind::Secret,
        "auto_encryption",
        "Client-side field level encryption.",
    )
    .aliases(&[
        Alias { name: "autoEncryptionOpts", meaning: Meaning::Same },
        Alias { name: "auto_encryption_opts", meaning: Meaning::Same },
    ])
    .invalid(Invalid::Error)
    .state(State::NotSupported),
    code(
        OptionId::TlsCaPem,
        "(CA certificates)",
        "PEM",
        "tls_ca_pem",
        "The authorities to trust instead of the system's, from memory.",
    ),
    code(
        OptionId::TlsIdentityPem,
        "(client certificate, PEM)",
        "PEM",
        "tls_identity_pem",
        "The client's certificate, its key, and the key's password, from memory.",
    ),
    code(
        OptionId::TlsIdentityPkcs12,
        "(client certificate, PKCS#12)",
        "a bundle",
        "tls_identity_pkcs12",
        "The client's certificate and key as a PKCS#12 bundle, and its password, from memory.",
    ),
    code(
        OptionId::AwsCredentialProvider,
        "(AWS keys)",
        "AwsCredentialProvider",
        "aws_credential_provider",
        "A provider of keys for MONGODB-AWS, in code.",
    ),
    code(
        OptionId::OidcCallback,
        "(OIDC callback)",
        "OidcCallback",
        "oidc_callback",
        "A callback that gets tokens for MONGODB-OIDC for a service.",
    ),
    code(
        OptionId::OidcHumanCallback,
        "(OIDC human callback)",
        "OidcCallback",
        "oidc_human_callback",
        "A callback that gets tokens for MONGODB-OIDC for a human user.",
    ),
    code(
        OptionId::OidcAllowedHosts,
        "(OIDC allowed hosts)",
        "names",
        "oidc_allowed_hosts",
        "The servers that the token of a human user may be sent to, instead of MongoDB's own domains \
        and this machine.",
    ),
    code(
        OptionId::OidcTokenFile,
        "(OIDC token file)",
        "path",
        "oidc_token_file",
        "A file with the token for MONGODB-OIDC, read for each login.",
    ),
    code(
        OptionId::OidcTokenCommand,
        "(OIDC token command)",
        "program and arguments",
        "oidc_token_command",
        "A program that prints the token for MONGODB-OIDC, run for each login.",
    ),
    code(
        OptionId::WarningHandler,
        "(warnings)",
        "EventHandler",
        "warning_handler",
        "A function that is called with each warning: those about the options when a client \
        is made, others as they arise.",
    ),
    code(
        OptionId::CommandEventHandler,
        "(command events)",
        "EventHandler",
        "command_event_handler",
        "A function that is called with each command that starts, succeeds or fails.",
    ),
    code(
        OptionId::CmapEventHandler,
        "(pool events)",
        "EventHandler",
        "cmap_event_handler",
        "A function that is called with each event of the connection pools.",
    ),
    code(
        OptionId::SdamEventHandler,
        "(discovery events)",
        "EventHandler",
        "sdam_event_handler",
        "A function that is called with what the client learns about its servers, and with each check of one.",
    ),
    code(
        OptionId::Monitoring,
        "(monitoring)",
        "Monitoring",
        "monitoring",
        "Who checks the servers: the operations that need them, or threads in the background.",
    )
    .default(DefaultValue::Words("Inline")),
    code(
        OptionId::SecurityPolicy,
        "(security policy)",
        "SecurityPolicy",
        "policy",
        "Which risks are refused instead of warned about.",
    ),
];

/// The name by which MongoDB Compass writes that the mechanism is negotiated.
pub(crate) const DEFAULT_MECHANISM: &str = "DEFAULT";

/// All mechanisms, of this build or not.
pub(crate) const MECHANISMS: &[&str] = &[
    "SCRAM-SHA-256",
    "SCRAM-SHA-1",
    "MONGODB-CR",
    "MONGODB-X509",
    "PLAIN",
    "GSSAPI",
    "MONGODB-AWS",
    "MONGODB-OIDC",
    DEFAULT_MECHANISM,
];

/// Every option for TLS but `tls` itself.
pub(crate) const TLS_DETAILS: &[OptionId] = &[
    OptionId::TlsCaFile,
    OptionId::TlsCertificateKeyFile,
    OptionId::TlsCertificateKeyFilePassword,
    OptionId::TlsKeyFile,
    OptionId::TlsCrlFile,
    OptionId::TlsAllowInvalidCertificates,
    OptionId::TlsAllowInvalidHostnames,
    OptionId::TlsInsecure,
    OptionId::TlsAllowCommonNames,
    OptionId::TlsDisableOcspEndpointCheck,
    OptionId::TlsDisableCertificateRevocationCheck,
];

/// The modes of a read preference.
pub(crate) const MODES: &[&str] = &["primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest"];

const ANY_TEXT: ValueKind = ValueKind::Text { max: usize::MAX };

const fn old(name: &'static str) -> Alias {
    Alias { name, meaning: Meaning::Old }
}

const fn millis(min: i64) -> ValueKind {
    ValueKind::Number { unit: Unit::Millis, min, max: MAX_INT }
}

const fn count(min: i64) -> ValueKind {
    ValueKind::Number { unit: Unit::Plain, min, max: MAX_INT }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::value::Value;

    #[test]
    fn each_option_stands_at_its_place() {
        for (index, spec) in OPTIONS.iter().enumerate() {
            assert_eq!(spec.option as usize, index, "{}", spec.name);
        }
        assert_eq!(OptionId::SecurityPolicy as usize + 1, OPTIONS.len());
    }

    #[test]
    fn no_name_stands_twice() {
        let mut names: Vec<String> = OPTIONS.iter().map(|spec| spec.name.to_lowercase()).collect();
        names.extend(OPTIONS.iter().flat_map(|spec| spec.aliases).map(|alias| alias.name.to_lowercase()));
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_default_is_a_value_of_its_option() {
        for spec in OPTIONS {
            let value = match spec.default {
                DefaultValue::Words(_) => continue,
                DefaultValue::Bool(value) => Value::Bool(value),
                DefaultValue::Number(value) => Value::Number(value),
                DefaultValue::Text(_) if spec.option == OptionId::Hosts => continue,
                DefaultValue::Text(value) => Value::Text(value.to_owned()),
            };
            assert!(spec.kind.check(&value).is_ok(), "{}", spec.name);
        }
    }

    #[test]
    fn the_builder_has_a_method_for_each() {
        let builder = concat!(include_str!("builder.rs"), include_str!("builder_tls.rs"));
        for spec in OPTIONS {
            let name = format!("pub fn {}", spec.setter);
            let found = builder.contains(&format!("{name}(")) || builder.contains(&format!("{name}<"));
            assert!(found, "{}", spec.setter);
        }
    }
}
