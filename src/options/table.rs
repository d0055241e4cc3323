//! What is known about each option, for parsing, validation, warnings and the documentation.

use super::rows::options;
use super::spec::DefaultValue::{Bool, Number, Text, Words};
use super::spec::{Alias, Invalid, Location, Meaning, OptionId, OptionSpec, Repeated, State, code, query};
use super::value::{MAX_INT, Unit, ValueKind};

impl OptionId {
    /// Its line in the table.
    pub(crate) fn spec(self) -> &'static OptionSpec {
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

macro_rules! specs {
    (ids $ids:tt specs { $($spec:expr;)* } $($rest:tt)*) => {
        /// The whole table, in the order of [`OptionId`].
        pub(crate) const OPTIONS: &[OptionSpec] = &[$($spec),*];
    };
}

options!(specs);

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
                Words(_) => continue,
                Bool(value) => Value::Bool(value),
                Number(value) => Value::Number(value),
                Text(_) if spec.option == OptionId::Hosts => continue,
                Text(value) => Value::Text(value.to_owned()),
            };
            assert!(spec.kind.check(&value).is_ok(), "{}", spec.name);
        }
    }

    /// Either its row says `set` or `setter`, or it is written by hand.
    #[test]
    fn the_builder_has_a_method_for_each() {
        let rows = include_str!("rows.rs");
        let in_setter =
            rows.split("setter {").skip(1).filter_map(|face| face.split("\n            }").next()?.lines().last());
        let with_set = rows.lines().filter(|line| line.contains(", set("));
        let emitted: Vec<&str> = in_setter.chain(with_set).filter_map(|line| line.trim().split(':').next()).collect();
        let written = concat!(include_str!("builder.rs"), include_str!("builder_tls.rs"));
        for spec in OPTIONS {
            let name = format!("pub fn {}", spec.setter);
            let is_written = written.contains(&format!("{name}(")) || written.contains(&format!("{name}<"));
            assert!(is_written || emitted.contains(&spec.setter), "{}", spec.setter);
        }
    }
}
