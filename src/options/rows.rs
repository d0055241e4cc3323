//! The one table of options.
//!
//! A row says what an option is called, what it takes and what holds without it; `split!` in `declare.rs` explains the form of
//! a row. From here come `OptionId`, the documentation's table, what a connection string may say, the fields of
//! `ClientOptions`, the setters of its builder and the getters of `ClientSettings`.

/// Hands the table to the macro that is named, in parts.
macro_rules! options {
    ($emit:ident) => {
        crate::options::declare::split! { $emit
            Hosts: by_hand hosts =
                code("(hosts)", "hosts", "Where the servers listen: host, host:port, [IPv6]:port or the path of a Unix socket.")
                    .in_uri().default(Text("localhost:27017"));
            Username: setter {
                /// The user's name, not percent-encoded. For MONGODB-AWS the access key id, for MONGODB-OIDC on Azure the
                /// client id.
                username: String
            } = code("(user name)", "text", "The user's name; percent-encoded in a URI.").in_uri().kind(ANY_TEXT);
            Password: by_hand password = code("(password)", "text", "The password; percent-encoded in a URI.")
                .in_uri()
                .kind(ValueKind::Password);
            AuthMechanism: setter {
                /// The mechanism by its name (`authMechanism`); negotiated unless given.
                auth_mechanism: String
            } = query(
                "authMechanism",
                ValueKind::Choice(MECHANISMS),
                "The authentication mechanism. A mechanism that this build lacks is an error.",
            ).default(Words("negotiated: SCRAM-SHA-256 or SCRAM-SHA-1")).invalid(Invalid::Error).repeated(Repeated::MustAgree);
            AuthMechanismProperties: by_hand auth_mechanism_properties =
                query("authMechanismProperties", ValueKind::Properties, "Further settings of the mechanism.")
                    .invalid(Invalid::ErrorUnlessEmpty);
            AuthSource: setter {
                /// The database that knows the user (`authSource`).
                auth_source: String
            } =
                query("authSource", ANY_TEXT, "The database that knows the user.")
                    .default(Words(
                        "the URI's database, else admin; $external for PLAIN (after the URI's database), \
                        GSSAPI, X.509, AWS and OIDC",
                    ))
                    .invalid(Invalid::Error);
            GssapiServiceName: setter {
                /// The old form of the mechanism property `SERVICE_NAME` (`gssapiServiceName`).
                gssapi_service_name: String
            } = query("gssapiServiceName", ANY_TEXT, "Old form of the mechanism property SERVICE_NAME.");
            GssapiCredentialCache: setter {
                /// The Kerberos ticket cache to use instead of the system's, by its name (`FILE:/run/app/tickets`,
                /// `MEMORY:app`, a path). For GSSAPI on Unix, without a password. With a keytab, the tickets got with it are
                /// stored there.
                gssapi_credential_cache: String
            } = code("(ticket cache)", "path", "The Kerberos ticket cache to use; for GSSAPI on Unix.")
                .kind(ValueKind::Path)
                .default(Words("the system's, as KRB5CCNAME or krb5.conf names it"));
            GssapiClientKeytab: setter {
                /// A keytab with the user's own key, which is used to get tickets. For GSSAPI on Unix, without a
                /// password. Tickets stay in memory, unless [`gssapi_credential_cache`](Self::gssapi_credential_cache) names a
                /// cache.
                gssapi_client_keytab: String
            } = code("(client keytab)", "path", "A keytab with the user's own key; for GSSAPI on Unix.")
                .kind(ValueKind::Path)
                .default(Words("the system's, as KRB5_CLIENT_KTNAME or krb5.conf names it"));
            ScramMaxIterations: field {
                /// The most rounds of hashing that a server may ask for in SCRAM, from 4,096; default 1,000,000.
                scram_max_iterations: u32, set(u32), get(u32)
            } = code("(SCRAM iterations)", "number", "The most rounds of hashing that a server may ask for; at least 4,096.")
                .kind(ValueKind::Number { unit: Unit::Plain, min: 4_096, max: MAX_INT })
                .default(Number(1_000_000));
            MaxDocumentNesting: field {
                /// The most levels of a document that are decoded; lower it for threads with little stack. Default: 256, and 64
                /// for types in a build without optimisation. Raw access has no limit. See [Nesting](crate::Cursor#nesting).
                max_document_nesting: u32, set(u32), get(u32)
            } = code(
                "(nesting)",
                "number",
                "The most levels of a document that are decoded; by default 64 for types in a build without optimisation.",
            ).kind(count(1)).default(Number(256));
            DefaultDatabase: field {
                /// The database that `Client::default_database` returns. Unlike the database of a connection string, it does
                /// not set the database of the user; [`auth_source`](super::ClientOptionsBuilder::auth_source) does.
                default_database: String, set(String), get(Option<&str>)
            } = code("(database)", "text", "The database that default_database() returns.").in_uri().kind(ValueKind::Database);
            AppName: field {
                /// A name that the server logs with each connection (`appName`), at most 128 bytes.
                app_name: String, set(String), get(Option<&str>)
            } = query("appName", ValueKind::Text { max: 128 }, "A name that the server logs with each connection.")
                .invalid(Invalid::ErrorUnlessEmpty);
            DriverInfo: by_hand driver_info =
                code("(driver info)", "DriverInfo", "What a library that wraps this driver adds to the client metadata.");
            ServerApi: in_code {
                /// The version of the Stable API that every command declares.
                server_api: Option<ServerApi>, set(ServerApi)
            } = code("(Stable API)", "ServerApi", "The version of the Stable API that every command declares.");
            Tls: by_hand tls = query("tls", ValueKind::Bool, "Whether to speak TLS. Any other option for TLS turns it on.")
                .default(Words("false; true with mongodb+srv"))
                .aliases(&[Alias { name: "ssl", meaning: Meaning::Same }])
                .invalid(Invalid::Error)
                .repeated(Repeated::MustAgree);
            TlsCaFile: by_hand tls_ca_file =
                query("tlsCAFile", ValueKind::Path, "The authorities to trust instead of the system's: a PEM file.")
                    .aliases(&[old("ssl_ca_certs")]).invalid(Invalid::Error).repeated(Repeated::MustAgree);
            TlsCertificateKeyFile: by_hand tls_certificate_key_file = query(
                "tlsCertificateKeyFile",
                ValueKind::Path,
                "The client's certificate, and its key unless that has a file of its own: a PEM file.",
            ).aliases(&[old("ssl_certfile")]).invalid(Invalid::Error).repeated(Repeated::MustAgree);
            TlsCertificateKeyFilePassword: by_hand tls_certificate_key_file_password =
                query("tlsCertificateKeyFilePassword", ValueKind::Secret, "The password of the client's key.")
                    .aliases(&[old("ssl_pem_passphrase")]).invalid(Invalid::Error).repeated(Repeated::MustAgree);
            TlsKeyFile: by_hand tls_key_file = query(
                "ssl_keyfile",
                ValueKind::Path,
                "The client's key, where it is not in the certificate's file: a PEM file.",
            ).invalid(Invalid::Error).repeated(Repeated::MustAgree);
            TlsCrlFile: by_hand tls_crl_file = query("tlsCRLFile", ValueKind::Path, "Revoked certificates: a PEM file.")
                .aliases(&[old("ssl_crlfile")])
                .invalid(Invalid::Error)
                .repeated(Repeated::MustAgree);
            TlsAllowInvalidCertificates: setter {
                /// Dangerous: whether to accept any certificate (`tlsAllowInvalidCertificates`).
                danger_tls_allow_invalid_certificates: bool
            } = query("tlsAllowInvalidCertificates", ValueKind::Bool, "Dangerous: accept any certificate, whatever its names.")
                .default(Bool(false))
                .aliases(&[Alias { name: "ssl_cert_reqs", meaning: Meaning::CertReqs }])
                .repeated(Repeated::MustAgree);
            TlsAllowInvalidHostnames: setter {
                /// Dangerous: whether to accept a certificate that was issued for another host (`tlsAllowInvalidHostnames`).
                danger_tls_allow_invalid_hostnames: bool
            } = query(
                "tlsAllowInvalidHostnames",
                ValueKind::Bool,
                "Dangerous: accept a certificate that was issued for another host.",
            ).default(Bool(false))
                .aliases(&[Alias { name: "ssl_match_hostname", meaning: Meaning::OldInverted }])
                .repeated(Repeated::MustAgree);
            TlsInsecure: setter {
                /// Dangerous: whether to accept any certificate, for any host (`tlsInsecure`).
                danger_tls_insecure: bool
            } = query("tlsInsecure", ValueKind::Bool, "Dangerous: both of the above.")
                .default(Bool(false))
                .repeated(Repeated::MustAgree);
            TlsDisableOcspEndpointCheck: setter {
                /// Whether to ask no OCSP responder (`tlsDisableOCSPEndpointCheck`); stapled answers are still checked.
                /// Default: false. A responder that does not answer delays the connection by at most five seconds and causes a
                /// warning. Refused on Windows and macOS, where the system's own settings decide.
                tls_disable_ocsp_endpoint_check: bool
            } = query(
                "tlsDisableOCSPEndpointCheck",
                ValueKind::Bool,
                "Whether to ask no OCSP responder; a stapled answer is still checked.",
            ).default(Bool(false)).repeated(Repeated::MustAgree);
            TlsDisableCertificateRevocationCheck: setter {
                /// Whether to ignore CRLs, OCSP answers and must-staple (`tlsDisableCertificateRevocationCheck`). Refused on
                /// Windows and macOS, where the system's own settings decide.
                tls_disable_certificate_revocation_check: bool
            } = query("tlsDisableCertificateRevocationCheck", ValueKind::Bool, "Whether to ignore CRLs and OCSP answers.")
                .default(Bool(false))
                .repeated(Repeated::MustAgree);
            TlsAllowCommonNames: setter {
                /// Dangerous: whether to accept a certificate by its Common Name, where it has no DNS name in subjectAltName.
                /// Default: false.
                ///
                /// RFC 9525 no longer allows it. Where one authority issues certificates for servers and for users
                /// (MONGODB-X509), a user whose Common Name is the name of a host could pose as that server. It is for old
                /// certificates, until they are replaced, and it turns TLS on. The TLS of Windows and macOS has no such switch:
                /// there, if it is on, the system decides about a certificate without a DNS name.
                ///
                /// ```
                /// use mongo_blocking::options::ClientOptions;
                ///
                /// let options = ClientOptions::builder().host("db.example.com").danger_tls_allow_common_names(true).build();
                /// assert_eq!(options.validate()?.len(), 1);
                /// # Ok::<(), mongo_blocking::Error>(())
                /// ```
                danger_tls_allow_common_names: bool
            } = code(
                "(Common Names)",
                "true or false",
                "Dangerous: where a certificate has no DNS name in subjectAltName, accept its Common Name.",
            ).kind(ValueKind::Bool).default(Bool(false));
            MinTlsVersion: by_hand min_tls_version = code("(TLS version)", "TlsVersion", "The oldest version of TLS to speak.")
                .default(Words("TLS 1.2"));
            TimeoutMs: field {
                /// The limit on a whole operation (`timeoutMS`); zero: none; default none.
                timeout: Duration, set(Duration)
            } = query("timeoutMS", millis(0), "The limit on a whole operation; 0: none.").default(Words("none"));
            ConnectTimeoutMs: field {
                /// The limit on connecting a socket (`connectTimeoutMS`); zero: none; default 10 s.
                connect_timeout: Duration, set(Duration), get(Duration)
            } = query("connectTimeoutMS", millis(0), "The limit on connecting a socket; 0: none.").default(Number(10_000));
            SocketTimeoutMs: field {
                /// The limit on one send or receive (`socketTimeoutMS`), where [`timeout`](Self::timeout) is not given; zero:
                /// none; default none.
                socket_timeout: Duration, set(Duration), get(Option<Duration>)
            } = query("socketTimeoutMS", millis(0), "The limit on one send or receive, if timeoutMS is not given; 0: none.")
                .default(Words("none"));
            ServerSelectionTimeoutMs: field {
                /// The limit on finding a suitable server (`serverSelectionTimeoutMS`), at least 1 ms; default 30 s.
                server_selection_timeout: Duration, set(Duration), get(Duration)
            } = query("serverSelectionTimeoutMS", millis(1), "The limit on finding a suitable server.").default(Number(30_000));
            ServerSelectionTryOnce: field {
                /// Whether an operation that finds no suitable server gives up after one round of checks
                /// (`serverSelectionTryOnce`), instead of going on until `serverSelectionTimeoutMS`. Not given: one host
                /// without `replicaSet` gives up at once where nothing listens or the name is unknown; everything else waits
                /// for `serverSelectionTimeoutMS`.
                server_selection_try_once: bool, set(bool), get(Option<bool>)
            } =
                query("serverSelectionTryOnce", ValueKind::Bool, "Whether to check the servers only once before giving up.")
                    .default(Words(
                        "one host without replicaSet gives up at once where nothing listens or the name is unknown; \
                        everything else waits for serverSelectionTimeoutMS",
                    ));
            WaitQueueTimeoutMs: field {
                /// The limit on waiting for a connection of the pool (`waitQueueTimeoutMS`); zero: none; default none.
                wait_queue_timeout: Duration, set(Duration), get(Option<Duration>)
            } = query("waitQueueTimeoutMS", millis(0), "The limit on waiting for a connection of the pool; 0: none.")
                .default(Words("none"));
            MaxPoolSize: field {
                /// The most connections to a server (`maxPoolSize`); 0: no limit; default 100.
                max_pool_size: u32, set(u32), get(u32)
            } = query("maxPoolSize", count(0), "The most connections to a server; 0: no limit.").default(Number(100));
            MinPoolSize: field {
                /// How many connections to a server to keep (`minPoolSize`); default 0.
                min_pool_size: u32, set(u32), get(u32)
            } = query("minPoolSize", count(0), "How many connections to a server to keep.").default(Number(0));
            MaxConnecting: field {
                /// How many connections to a server may be established at once (`maxConnecting`), at least 1; default 2.
                max_connecting: u32, set(u32), get(u32)
            } = query("maxConnecting", count(1), "How many connections to a server may be established at once.")
                .default(Number(2));
            MaxIdleTimeMs: field {
                /// How long an unused connection is kept (`maxIdleTimeMS`); zero: without limit; default without limit.
                max_idle_time: Duration, set(Duration), get(Option<Duration>)
            } = query("maxIdleTimeMS", millis(0), "How long an unused connection is kept; 0: without limit.")
                .default(Words("without limit"));
            ReplicaSet: field {
                /// The replica set's name (`replicaSet`).
                repl_set_name: String, set(String)
            } = query("replicaSet", ANY_TEXT, "The replica set's name; servers that are not in it are left out.")
                .setter("replica_set");
            DirectConnection: field {
                /// Whether to use this one host only, whatever deployment it belongs to (`directConnection`).
                direct_connection: bool, set(bool), get(Option<bool>)
            } = query(
                "directConnection",
                ValueKind::Bool,
                "Whether to use this one host alone, whatever deployment it belongs to.",
            );
            LoadBalanced: field {
                /// Whether the host is a load balancer (`loadBalanced`).
                load_balanced: bool, alias("loadbalanced"), set(bool), get(bool)
            } = query("loadBalanced", ValueKind::Bool, "Whether the host is a load balancer.").default(Bool(false));
            LocalThresholdMs: field {
                /// How much longer than that of the nearest server the round trip time of a chosen server may be
                /// (`localThresholdMS`); default 15 ms.
                local_threshold: Duration, set(Duration), get(Duration)
            } = query(
                "localThresholdMS",
                millis(0),
                "How much longer than that of the nearest server a chosen server's round trip time may be.",
            ).default(Number(15));
            HeartbeatFrequencyMs: field {
                /// The time between two checks of a server (`heartbeatFrequencyMS`), at least 500 ms; default 10 s.
                heartbeat_freq: Duration, set(Duration)
            } = query("heartbeatFrequencyMS", millis(500), "The time between two checks of a server.")
                .default(Number(10_000))
                .setter("heartbeat_frequency");
            ServerMonitoringMode: field {
                /// How background monitors learn of changes (`serverMonitoringMode`); default
                /// [`Auto`](super::ServerMonitoringMode::Auto).
                server_monitoring_mode: ServerMonitoringMode, set(ServerMonitoringMode), get(&str)
            } = query(
                "serverMonitoringMode",
                ValueKind::Choice(&["auto", "stream", "poll"]),
                "How background monitors learn of changes. No effect on inline checks.",
            ).default(Text("auto"));
            SrvMaxHosts: field {
                /// How many of the hosts that DNS names to use (`srvMaxHosts`); 0: all; default 0.
                srv_max_hosts: u32, set(u32), get(u32)
            } = query("srvMaxHosts", count(0), "How many of the hosts that DNS names to use, chosen at random; 0: all.")
                .default(Number(0));
            SrvServiceName: field {
                /// The service's name in the DNS question (`srvServiceName`); default `mongodb`.
                srv_service_name: String, set(String), get(&str)
            } = query("srvServiceName", ValueKind::ServiceName, "The service's name in the DNS question.")
                .default(Text("mongodb"));
            SrvAllowedHostsSuffix: in_code {
                /// The domain that the hosts named by DNS must be below, where it is not that of the connection string.
                srv_allowed_hosts_suffix: Option<String>
            } = code("(SRV domain)", "domain", "The domain that the hosts named by DNS must be below (srvAllowedHostsSuffix).")
                .default(Words("the domain of the name in the connection string"));
            Resolver: by_hand resolver =
                code("(resolver)", "Resolver", "A resolver that replaces the driver's and the system's look-ups.");
            NameServers: in_code {
                /// The name servers to ask for the records of a `mongodb+srv` connection string; empty: those of the system.
                name_servers: Vec<SocketAddr>
            } = code("(name servers)", "IP addresses", "The name servers to ask for the records of mongodb+srv.")
                .default(Words("those of /etc/resolv.conf"));
            ReadPreference: by_hand read_preference =
                query("readPreference", ValueKind::Choice(MODES), "Which members of a replica set to read from.")
                    .default(Text("primary"));
            ReadPreferenceTags: by_hand read_preference = query(
                "readPreferenceTags",
                ValueKind::TagSets,
                "Which tags they must have; given several times, the first set that some member has.",
            ).repeated(Repeated::Item);
            MaxStalenessSeconds: by_hand read_preference =
                query("maxStalenessSeconds", ValueKind::Staleness, "How far behind a secondary may be; -1: any.")
                    .default(Number(-1));
            ReadConcernLevel: by_hand read_concern =
                query("readConcernLevel", ANY_TEXT, "How well replicated the data that a read sees must be.")
                    .default(Words("the server's"));
            W: by_hand write_concern =
                query("w", ValueKind::W, "How many members must have a write, or majority, or a rule's name.")
                    .default(Words("the server's")).invalid(Invalid::ErrorUnlessEmpty);
            WTimeoutMs: by_hand write_concern = query(
                "wTimeoutMS",
                ValueKind::Number { unit: Unit::Millis, min: 0, max: i64::MAX },
                "How long the server waits for them, if timeoutMS is not given; 0: without limit.",
            ).aliases(&[old("wtimeout")]).default(Words("without limit"));
            Journal: by_hand write_concern = query("journal", ValueKind::Bool, "Whether a write must be in the journal.")
                .aliases(&[old("j")])
                .default(Words("the server's"));
            RetryReads: field {
                /// Whether to run a read again after an error that is likely to pass (`retryReads`); default true.
                retry_reads: bool, set(bool), get(Option<bool>)
            } = query("retryReads", ValueKind::Bool, "Whether to run a read again after an error that is likely to pass.")
                .default(Bool(true));
            RetryWrites: field {
                /// Whether to run a write again after an error that is likely to pass, where the server recognises it
                /// (`retryWrites`); default true.
                retry_writes: bool, set(bool), get(Option<bool>)
            } = query("retryWrites", ValueKind::Bool, "Whether to run a write again after an error that is likely to pass.")
                .default(Bool(true));
            MaxAdaptiveRetries: field {
                /// How often an operation is tried again once a server has reported that it is overloaded
                /// (`maxAdaptiveRetries`); default 2.
                max_adaptive_retries: u32, set(u32), get(u32)
            } = query("maxAdaptiveRetries", count(0), "How often to try again on an overloaded server.").default(Number(2));
            EnableOverloadRetargeting: field {
                /// Whether an operation that an overloaded server refused goes to another server, if one suits
                /// (`enableOverloadRetargeting`); default false: with `primaryPreferred`, more reads would go to secondaries,
                /// whose data may be older.
                enable_overload_retargeting: bool, set(bool), get(bool)
            } = query(
                "enableOverloadRetargeting",
                ValueKind::Bool,
                "Whether to prefer another server after one was overloaded.",
            ).default(Bool(false));
            Compressors: field {
                /// What messages may be compressed with (`compressors`). Not supported: `NotSupported` when a client is
                /// made.
                compressors: Vec<String>, get(&[String])
            } = query("compressors", ValueKind::List(&["snappy", "zlib", "zstd"]), "The algorithms that may compress messages.")
                .state(State::NotSupported);
            ZlibCompressionLevel: field {
                /// The compression level of zlib (`zlibCompressionLevel`), from 0 to 9; -1: its own default. Not supported:
                /// with `compressors`, `NotSupported` when a client is made.
                zlib_compression_level: i32, set(i32), get(i32)
            } = query(
                "zlibCompressionLevel",
                ValueKind::Number { unit: Unit::Plain, min: -1, max: 9 },
                "The compression level of zlib; -1: its own default.",
            ).default(Number(-1)).state(State::NotSupported);
            ProxyHost: field {
                /// A SOCKS5 proxy to connect through (`proxyHost`): a name or an address. It looks up the servers' names, too.
                /// Unix sockets are connected to without it.
                proxy_host: String, set(String), get(Option<&str>)
            } = query("proxyHost", ANY_TEXT, "A SOCKS5 proxy to connect through.")
                .invalid(Invalid::Error)
                .repeated(Repeated::Error);
            ProxyPort: field {
                /// The proxy's port (`proxyPort`); default 1080.
                proxy_port: u16, set(u16), get(u16)
            } = query("proxyPort", ValueKind::Number { unit: Unit::Plain, min: 1, max: 65_535 }, "Its port.")
                .default(Number(1_080))
                .repeated(Repeated::Error);
            ProxyUsername: field {
                /// The user name for the proxy (`proxyUsername`), at most 255 bytes.
                proxy_username: String, get(Option<&str>)
            } = query("proxyUsername", ANY_TEXT, "The user's name for the proxy.").repeated(Repeated::Error);
            ProxyPassword: field {
                /// The password for the proxy (`proxyPassword`), at most 255 bytes.
                proxy_password: Secret, get(Option<&Secret>)
            } = query("proxyPassword", ValueKind::Secret, "The password for the proxy.").repeated(Repeated::Error);
            AutoEncryption: by_hand auto_encryption =
                query("autoEncryption", ValueKind::Secret, "Client-side field level encryption.")
                    .aliases(&[
                        Alias { name: "autoEncryptionOpts", meaning: Meaning::Same },
                        Alias { name: "auto_encryption_opts", meaning: Meaning::Same },
                    ])
                    .invalid(Invalid::Error)
                    .state(State::NotSupported);
            TlsCaPem: by_hand tls_ca_pem =
                code("(CA certificates)", "PEM", "The authorities to trust instead of the system's, from memory.");
            TlsIdentityPem: by_hand tls_identity_pem = code(
                "(client certificate, PEM)",
                "PEM",
                "The client's certificate, its key, and the key's password, from memory.",
            );
            TlsIdentityPkcs12: by_hand tls_identity_pkcs12 = code(
                "(client certificate, PKCS#12)",
                "a bundle",
                "The client's certificate and key as a PKCS#12 bundle, and its password, from memory.",
            );
            AwsCredentialProvider: by_hand aws_credential_provider =
                code("(AWS keys)", "AwsCredentialProvider", "A provider of keys for MONGODB-AWS, in code.");
            OidcCallback: by_hand oidc_callback =
                code("(OIDC callback)", "OidcCallback", "A callback that gets tokens for MONGODB-OIDC for a service.");
            OidcHumanCallback: by_hand oidc_human_callback =
                code("(OIDC human callback)", "OidcCallback", "A callback that gets tokens for MONGODB-OIDC for a human user.");
            OidcAllowedHosts: by_hand oidc_allowed_hosts = code(
                "(OIDC allowed hosts)",
                "names",
                "The servers that the token of a human user may be sent to, instead of MongoDB's own domains and this machine.",
            );
            OidcTokenFile: by_hand oidc_token_file =
                code("(OIDC token file)", "path", "A file with the token for MONGODB-OIDC, read for each login.");
            OidcTokenCommand: by_hand oidc_token_command = code(
                "(OIDC token command)",
                "program and arguments",
                "A program that prints the token for MONGODB-OIDC, run for each login.",
            );
            WarningHandler: in_code {
                /// The function that is called with each warning.
                warning_handler: Option<EventHandler<Warning>>
            } = code(
                "(warnings)",
                "EventHandler",
                "A function that is called with each warning: those about the options when a client is made, \
                others as they arise.",
            );
            CommandEventHandler: in_code {
                /// A function that is called with each command that starts, succeeds or fails.
                command_event_handler: Option<EventHandler<CommandEvent>>, set(EventHandler<CommandEvent>)
            } = code(
                "(command events)",
                "EventHandler",
                "A function that is called with each command that starts, succeeds or fails.",
            );
            CmapEventHandler: in_code {
                /// A function that is called with each event of the connection pools, in the order in which they happened.
                ///
                /// It may be called on threads that the driver has started, and by one thread at a time. While it works, later events
                /// wait; the operations do not.
                ///
                /// ```
                /// use mongo_blocking::event::EventHandler;
                /// use mongo_blocking::event::cmap::CmapEvent;
                /// use mongo_blocking::options::ClientOptions;
                ///
                /// let handler = EventHandler::new(|event: &CmapEvent| println!("{event:?}"));
                /// let options = ClientOptions::builder().host("localhost").cmap_event_handler(handler).build();
                /// assert!(options.cmap_event_handler.is_some());
                /// # Ok::<(), mongo_blocking::error::Error>(())
                /// ```
                cmap_event_handler: Option<EventHandler<CmapEvent>>, set(EventHandler<CmapEvent>)
            } = code("(pool events)", "EventHandler", "A function that is called with each event of the connection pools.");
            SdamEventHandler: in_code {
                /// A function that is called with each event of server discovery: what the client learns about its servers, and the checks of
                /// them. In order, by one thread at a time, which may be one that the driver has started. It may use the client, and take its time:
                /// no check waits longer than 100 ms for it.
                ///
                /// ```
                /// # use mongo_blocking::event::{EventHandler, sdam::SdamEvent};
                /// use mongo_blocking::options::ClientOptions;
                ///
                /// let handler = EventHandler::new(|event: &SdamEvent| println!("{event:?}"));
                /// let options = ClientOptions::builder().host("localhost").sdam_event_handler(handler).build();
                /// # Ok::<(), mongo_blocking::error::Error>(())
                /// ```
                sdam_event_handler: Option<EventHandler<SdamEvent>>, set(EventHandler<SdamEvent>)
            } = code(
                "(discovery events)",
                "EventHandler",
                "A function that is called with what the client learns about its servers, and with each check of one.",
            );
            Monitoring: in_code {
                /// Who checks the servers: the operations that need them ([`Monitoring::Inline`], the default), or threads in the background.
                monitoring: Monitoring
            } = code(
                "(monitoring)",
                "Monitoring",
                "Who checks the servers: the operations that need them, or threads in the background.",
            ).default(Words("Inline"));
            SecurityPolicy: in_code {
                /// Which risks are refused instead of warned about.
                policy: SecurityPolicy
            } = code("(security policy)", "SecurityPolicy", "Which risks are refused instead of warned about.");
        }
    };
}

pub(super) use options;
