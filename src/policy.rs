//! Rules that turn a risk from a warning into a refusal.

/// Which risks are refused. By default none beyond what is always refused; each rule is switched on by its method.
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
}

impl SecurityPolicy {
    /// Refuse mechanisms that rest on SHA-1 or MD5 (SCRAM-SHA-1), also where negotiation would fall back to them.
    /// Default: false.
    pub fn refuse_weak_mechanisms(mut self, refuse: bool) -> Self {
        self.refuse_weak_mechanisms = refuse;
        self
    }

    /// Whether mechanisms that rest on SHA-1 or MD5 are refused.
    pub fn refuses_weak_mechanisms(&self) -> bool {
        self.refuse_weak_mechanisms
    }
}
