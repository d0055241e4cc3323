//! Which hosts the SRV records of a name may lead to: those below its parent domain. Otherwise a forged answer could lead a
//! client to any host.

use crate::error::{Error, Result};

/// The domain that each host must be below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParentDomain {
    /// Lower case, without a dot at either end.
    domain: String,
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// The name without its first label.
    WithoutFirstLabel,
    /// The name itself, since it has fewer than three labels.
    WholeName,
    /// What the program allows instead.
    AllowedSuffix,
}

impl ParentDomain {
    /// The rule of the specification for the name in a connection string.
    pub(crate) fn of(srv_host: &str) -> Self {
        let name = normalized(srv_host);
        match name.split_once('.').filter(|(_, parent)| parent.contains('.')) {
            Some((_, parent)) => ParentDomain { domain: parent.to_owned(), rule: Rule::WithoutFirstLabel },
            None => ParentDomain { domain: name, rule: Rule::WholeName },
        }
    }

    /// What the program allows instead (`srvAllowedHostsSuffix`), with or without a dot in front.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) if it is not a domain, or is a single label, below
    /// which anyone can register names. Labels that are reserved for private use are allowed.
    pub(crate) fn allowed(suffix: &str) -> Result<Self> {
        let domain = normalized(suffix.strip_prefix('.').unwrap_or(suffix));
        if !is_host_name(&domain) {
            return Err(Error::invalid_argument("srv_allowed_hosts_suffix must be a domain, such as example.com"));
        }
        if !domain.contains('.') && !PRIVATE.contains(&domain.as_str()) {
            return Err(Error::invalid_argument(format!(
                "srv_allowed_hosts_suffix is the single label {domain}, below which the public can register names"
            ))
            .with_hint("give a domain of your own, such as example.com"));
        }
        Ok(ParentDomain { domain, rule: Rule::AllowedSuffix })
    }

    /// Whether this host, in lower case and without a dot at its end, may be connected to.
    pub(crate) fn holds(&self, host: &str) -> bool {
        host.strip_suffix(&self.domain)
            .and_then(|before| before.strip_suffix('.'))
            .is_some_and(|before| !before.is_empty())
    }

    /// The rule in words, for an error about a host that breaks it.
    pub(crate) fn in_words(&self, srv_host: &str) -> String {
        let domain = &self.domain;
        match self.rule {
            Rule::WithoutFirstLabel => {
                format!("it is not below {domain}, the domain of {srv_host}; all labels but the first must be the same")
            }
            Rule::WholeName => format!(
                "it is not below {domain}; for a name of fewer than three labels, a host has the whole name and one label more \
                 at least"
            ),
            Rule::AllowedSuffix => format!("it is not below {domain}, the srvAllowedHostsSuffix"),
        }
    }
}

/// The name in lower case, without a dot at its end.
pub(crate) fn normalized(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Whether it consists of labels of letters, digits, `-` and `_`.
pub(crate) fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= MAX_NAME && name.split('.').all(label)
}

/// RFC 6761, RFC 6762, and names that ICANN keeps for private use or does not delegate: the public cannot register names below them.
const PRIVATE: &[&str] = &["test", "localhost", "invalid", "example", "local", "internal", "corp", "home", "mail"];
/// 255 octets on the wire are 253 characters.
const MAX_NAME: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(srv_host: &str, host: &str) -> bool {
        ParentDomain::of(srv_host).holds(&normalized(host))
    }

    #[test]
    fn hosts_below_the_domain() {
        for (srv_host, host) in [
            ("test1.test.build.10gen.cc", "localhost.test.build.10gen.cc"),
            ("TEST1.Test.build.10gen.cc.", "localhost.TEST.build.10gen.cc."),
            ("test18.test.build.10gen.cc", "localhost.sub.test.build.10gen.cc"),
            ("build.10gen.cc", "build.10gen.cc"),
            ("test.build.10gen.cc", "test.build.10gen.cc"),
            ("localhost", "db.localhost"),
            ("mongo.local", "test_1.mongo.local"),
        ] {
            assert!(holds(srv_host, host), "{srv_host} {host}");
        }
    }

    /// The second and third prose test, and the fourth, of the specification are among them.
    #[test]
    fn hosts_elsewhere() {
        for (srv_host, host) in [
            ("localhost", "localhost.mongodb"),
            ("mongo.local", "test_1.evil.local"),
            ("blogs.mongodb.com", "blogs.evil.com"),
            ("localhost", "localhost"),
            ("mongo.local", "mongo.local"),
            ("localhost", "test_1.cluster_1localhost"),
            ("mongo.local", "test_1.my_hostmongo.local"),
            ("blogs.mongodb.com", "cluster.testmongodb.com"),
            ("test13.test.build.10gen.cc", "test.build.10gen.cc"),
            ("test12.test.build.10gen.cc", "localhost.build.10gen.cc"),
            ("blogs.mongodb.com", ".mongodb.com"),
            ("blogs.mongodb.com", ""),
        ] {
            assert!(!holds(srv_host, host), "{srv_host} {host}");
        }
    }

    #[test]
    fn an_allowed_suffix_takes_the_place_of_the_domain() {
        for suffix in ["example.net", ".example.net", ".EXAMPLE.NET."] {
            let parent = ParentDomain::allowed(suffix).unwrap();
            assert!(parent.holds("db.example.net") && parent.holds("a.b.example.net"), "{suffix}");
            assert!(!parent.holds("example.net") && !parent.holds("db.notexample.net"), "{suffix}");
        }
        assert!(ParentDomain::allowed("localhost").unwrap().holds("db.cluster.localhost"));
        for suffix in ["", ".", "..", "com", ".com.", "a..b", "exa mple.net", "*.example.net"] {
            assert!(ParentDomain::allowed(suffix).is_err(), "{suffix}");
        }
    }
}
