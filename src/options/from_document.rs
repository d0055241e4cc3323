//! Options that are part of a program's own configuration: a connection string, or a document with a field for each option.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::client_options::Fields;
use super::{ClientOptions, ConnectionString};
use crate::secret::Secret;

/// From a connection string, or from a document with the names of the fields in camel case, as the official driver reads them. A
/// duration in a document is read as serde writes one: `{ "secs": 2, "nanos": 0 }`.
///
/// ```
/// use mongo_blocking::options::ClientOptions;
///
/// #[derive(serde::Deserialize)]
/// struct Settings {
///     database: ClientOptions,
/// }
///
/// let settings: Settings = serde_json::from_str(r#"{ "database": "mongodb://db.example.com/?appName=reports" }"#).unwrap();
/// assert_eq!(settings.database.app_name.as_deref(), Some("reports"));
/// let fields = r#"{ "database": { "hosts": ["db.example.com"], "replSetName": "rs0", "tls": "Disabled" } }"#;
/// let settings: Settings = serde_json::from_str(fields).unwrap();
/// assert_eq!(settings.database.repl_set_name.as_deref(), Some("rs0"));
/// ```
impl<'de> Deserialize<'de> for ClientOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OptionsVisitor;

        impl<'de> Visitor<'de> for OptionsVisitor {
            type Value = ClientOptions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a connection string, or a document with options")
            }

            fn visit_str<E: Error>(self, uri: &str) -> Result<ClientOptions, E> {
                ClientOptions::parse(uri).run().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<ClientOptions, A::Error> {
                Fields::deserialize(MapAccessDeserializer::new(fields)).map(ClientOptions::from)
            }
        }

        deserializer.deserialize_any(OptionsVisitor)
    }
}

impl<'de> Deserialize<'de> for ConnectionString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: Secret = Secret::deserialize(deserializer)?;
        ConnectionString::parse(text.expose()).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bson::spec::BinarySubtype;
    use bson::{Binary, Bson, bson, deserialize_from_bson};

    use super::*;
    use crate::options::{AuthMechanism, Credential, ServerAddress, Tls, TlsOptions};

    #[test]
    fn a_document_names_options_by_their_fields() {
        let options: ClientOptions = deserialize_from_bson(bson!({
            "hosts": ["a", { "host": "b", "port": 27018 }], "connectTimeout": { "secs": 2, "nanos": 0 }, "maxPoolSize": 7,
            "credential": { "username": "ann", "password": "pencil", "mechanism": "SCRAM-SHA-256" },
            "tls": { "Enabled": { "ca_file_path": "/ca.pem" } }, "readConcern": { "level": "majority" },
            "selectionCriteria": { "mode": "nearest" }, "serverApi": { "apiVersion": "1" }, "proxyPassword": "p",
        }))
        .unwrap();
        assert_eq!(options.hosts[1], ServerAddress::Tcp { host: "b".to_owned(), port: Some(27018) });
        assert_eq!((options.connect_timeout, options.max_pool_size), (Some(Duration::from_secs(2)), Some(7)));
        assert_eq!(options.credential.as_ref().unwrap().mechanism, Some(AuthMechanism::ScramSha256));
        assert!(matches!(&options.tls, Some(Tls::Enabled(tls)) if tls.ca_file_path.is_some()));
        assert!(options.read_concern.is_some() && options.selection_criteria.is_some() && options.server_api.is_some());
        assert_eq!(options.proxy_password.unwrap().expose(), "p");
    }

    #[test]
    fn an_error_of_a_connection_string_shows_nothing_of_it() {
        let error = deserialize_from_bson::<ClientOptions>("mongodb://ann:se@cret@host".into()).unwrap_err();
        assert!(format!("{error:#}").contains("%40") && !format!("{error:#}").contains("cret"), "{error}");
        deserialize_from_bson::<ConnectionString>("mongo://host".into()).unwrap_err();
    }

    #[test]
    fn an_error_of_a_secret_shows_nothing_of_it() {
        let wrong =
            [bson!("hunter2"), bson!(8123), bson!(["hunter2"]), bson!([8123]), bson!({ "hunter2": 8123 }), bson!(true)];
        for secret in wrong {
            let fits = |names: &[&str]| match &secret {
                Bson::String(_) => !names.contains(&"mechanism_properties"),
                Bson::Document(_) => names.contains(&"mechanism_properties"),
                _ => false,
            };
            let places: [&[&str]; 4] = [
                &["credential", "password"],
                &["credential", "mechanism_properties"],
                &["proxyPassword"],
                &["tls", "Enabled", "tls_certificate_key_file_password"],
            ];
            for names in places.into_iter().filter(|names| !fits(names)) {
                let options = names.iter().rev().fold(secret.clone(), |value, name| bson!({ *name: value }));
                let json =
                    serde_json::from_str::<ClientOptions>(&serde_json::to_string(&options).unwrap()).unwrap_err();
                let errors =
                    [deserialize_from_bson::<ClientOptions>(options).unwrap_err().to_string(), json.to_string()];
                for error in errors {
                    assert!(
                        error.contains("secret") && !error.contains("hunter2") && !error.contains("8123"),
                        "{error}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_given_in_place_of_a_document_with_secrets_is_not_shown() {
        let wrong =
            [bson!("hunter2"), bson!(8123), bson!(8123.5), bson!(["hunter2", 8123]), bson!(true), bson!(8123_i64)];
        for secret in wrong {
            let places: [&[&str]; 2] = [&["credential"], &["tls", "Enabled"]];
            for names in places {
                let options = names.iter().rev().fold(secret.clone(), |value, name| bson!({ *name: value }));
                let text = serde_json::to_string(&options).unwrap();
                let json = serde_json::from_str::<ClientOptions>(&text).unwrap_err().to_string();
                for error in [deserialize_from_bson::<ClientOptions>(options).unwrap_err().to_string(), json] {
                    assert!(!error.contains("hunter2") && !error.contains("8123"), "{names:?}: {error}");
                }
            }
            let text = serde_json::to_string(&secret).unwrap();
            let alone = [
                serde_json::from_str::<Credential>(&text).unwrap_err().to_string(),
                serde_json::from_str::<TlsOptions>(&text).unwrap_err().to_string(),
                serde_json::from_str::<ConnectionString>(&text).unwrap_err().to_string(),
            ];
            assert!(alone.iter().all(|error| !error.contains("hunter2") && !error.contains("8123")), "{alone:?}");
        }
        // Nor is a whole connection string where a host belongs.
        for host in ["mongodb://ann:hunter2@h", "ann:hunter2@h", "ann:hunter2@h:27017"] {
            let error = deserialize_from_bson::<ServerAddress>(host.into()).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_password_of_a_key_is_a_string_or_bytes() {
        for password in [
            bson!("ab"),
            bson!([97, 98]),
            Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: b"ab".to_vec() }),
        ] {
            let tls: TlsOptions =
                deserialize_from_bson(bson!({ "tls_certificate_key_file_password": password })).unwrap();
            assert_eq!(tls.tls_certificate_key_file_password.as_deref(), Some(&b"ab"[..]));
        }
        let tls: TlsOptions = serde_json::from_str(r#"{ "tls_certificate_key_file_password": "ab" }"#).unwrap();
        assert_eq!(tls.tls_certificate_key_file_password.as_deref(), Some(&b"ab"[..]));
        let tls: TlsOptions = deserialize_from_bson(bson!({ "tls_certificate_key_file_password": null })).unwrap();
        assert!(tls.tls_certificate_key_file_password.is_none());
    }

    #[test]
    fn hosts_that_are_left_out_mean_this_machine() {
        let options: ClientOptions = deserialize_from_bson(bson!({ "appName": "files" })).unwrap();
        assert!(options.hosts.is_empty() && ClientOptions::default().hosts.is_empty());
        assert_eq!(options.to_uri(false).unwrap(), "mongodb://localhost:27017/?appName=files");
    }

    #[test]
    fn the_official_name_of_an_option_is_known() {
        for name in ["loadbalanced", "loadBalanced"] {
            let options: ClientOptions = deserialize_from_bson(bson!({ name: true })).unwrap();
            assert_eq!(options.load_balanced, Some(true));
        }
    }
}
