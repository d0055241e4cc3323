//! Which risks are refused instead of warned about.

/// Which risks are refused instead of warned about. By default all rules are off; each is switched on by its method.
///
/// ```
/// use mongo_blocking::SecurityPolicy;
///
/// let policy = SecurityPolicy::default().refuse_weak_mechanisms(true);
/// assert!(policy.refuses_weak_mechanisms());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityPolicy {
    refuse_weak_mechanisms: bool,
    refuse_unprotected_secrets: bool,
}

impl SecurityPolicy {
    /// Refuse mechanisms based on SHA-1 or MD5 (SCRAM-SHA-1, MONGODB-CR), also if negotiation would choose one.
    /// Default: false.
    ///
    /// ```
    /// use mongo_blocking::SecurityPolicy;
    /// use mongo_blocking::options::ClientOptions;
    ///
    /// let options = ClientOptions::builder()
    ///     .uri("mongodb://user:pencil@db.example.com/?authMechanism=SCRAM-SHA-1")
    ///     .policy(SecurityPolicy::default().refuse_weak_mechanisms(true));
    /// assert!(options.build().validate().is_err());
    /// ```
    pub fn refuse_weak_mechanisms(mut self, refuse: bool) -> Self {
        self.refuse_weak_mechanisms = refuse;
        self
    }

    /// Refuse to send a secret in the clear unless TLS has verified the server in full: the password of PLAIN, the
    /// access token of MONGODB-OIDC, and the session token of MONGODB-AWS. The two tokens may still be sent to this
    /// machine itself (`localhost`, a loopback address, a Unix socket). Default: false, which means a warning.
    ///
    /// ```
    /// use mongo_blocking::SecurityPolicy;
    /// use mongo_blocking::options::ClientOptions;
    ///
    /// let options = ClientOptions::builder()
    ///     .uri("mongodb://user:pencil@db.example.com/?authMechanism=PLAIN")
    ///     .policy(SecurityPolicy::default().refuse_unprotected_secrets(true));
    /// assert!(options.clone().build().validate().is_err());
    /// assert!(options.tls(true).build().validate().is_ok());
    /// ```
    pub fn refuse_unprotected_secrets(mut self, refuse: bool) -> Self {
        self.refuse_unprotected_secrets = refuse;
        self
    }

    /// Whether sending secrets over channels that others can read is refused.
    pub fn refuses_unprotected_secrets(&self) -> bool {
        self.refuse_unprotected_secrets
    }

    /// Whether mechanisms based on SHA-1 or MD5 are refused.
    pub fn refuses_weak_mechanisms(&self) -> bool {
        self.refuse_weak_mechanisms
    }
}
