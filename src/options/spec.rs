//! What there is to know about an option: its names, its value, its default, and what a wrong value leads to.

use super::rows::options;
use super::value::{Value, ValueKind};

macro_rules! option_ids {
    (ids { $($option:ident)* } $($rest:tt)*) => {
        /// Every option; also its index in the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum OptionId {
            $($option,)*
        }
    };
}

options!(option_ids);

/// What is to be known about an option.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptionSpec {
    pub(crate) option: OptionId,
    /// Its name in a URI; for [`Location::Code`] and the parts before the query, a name in parentheses.
    pub(crate) name: &'static str,
    pub(crate) kind: ValueKind,
    /// One line of documentation.
    pub(crate) about: &'static str,
    /// The builder's method.
    pub(crate) setter: &'static str,
    pub(crate) default: DefaultValue,
    pub(crate) location: Location,
    pub(crate) aliases: &'static [Alias],
    pub(crate) invalid: Invalid,
    pub(crate) repeated: Repeated,
    pub(crate) state: State,
}

/// What holds if the option is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefaultValue {
    /// A description.
    Words(&'static str),
    Bool(bool),
    Number(i64),
    Text(&'static str),
}

/// Where it can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// Among the options of a URI, and in code.
    Query,
    /// Elsewhere in a URI, and in code.
    Uri,
    /// In code only.
    Code,
}

/// Another name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alias {
    pub(crate) name: &'static str,
    pub(crate) meaning: Meaning,
}

/// What another name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The same, and as good a name.
    Same,
    /// The same; an old name.
    Old,
    /// An old name whose true is the option's false (`ssl_match_hostname`).
    OldInverted,
    /// An old name with the values CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED.
    CertReqs,
}

/// What a value that makes no sense leads to, in a URI. In code it is always an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// A warning, and the default holds.
    Warning,
    /// An error, but for an empty value: that is a warning.
    ErrorUnlessEmpty,
    /// An error.
    Error,
}

/// What it means to give it more than once in a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeated {
    /// The last one holds; a warning.
    LastHolds,
    /// Every time must say the same; else an error.
    MustAgree,
    /// An error.
    Error,
    /// One more item of a list.
    Item,
}

/// Whether the driver can do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Yes.
    Works,
    /// It is understood and refused, unless it asks for what holds anyway (false, an empty list, the default).
    NotSupported,
}

impl OptionSpec {
    /// Whether the value is what holds without the option.
    pub(crate) fn asks_for_nothing(&self, value: &Value) -> bool {
        match value {
            Value::Bool(value) => !value,
            Value::Number(value) => self.default == DefaultValue::Number(*value),
            Value::Text(value) => matches!(self.default, DefaultValue::Text(default) if default == value),
            Value::List(items) => items.is_empty(),
            Value::Secret(_) | Value::TagSets(_) | Value::Properties(_) => false,
        }
    }
}

pub(super) const fn query(
    option: OptionId,
    setter: &'static str,
    name: &'static str,
    kind: ValueKind,
    about: &'static str,
) -> OptionSpec {
    OptionSpec {
        option,
        name,
        kind,
        about,
        setter,
        default: DefaultValue::Words("none"),
        location: Location::Query,
        aliases: &[],
        invalid: Invalid::Warning,
        repeated: Repeated::LastHolds,
        state: State::Works,
    }
}

pub(super) const fn code(
    option: OptionId,
    setter: &'static str,
    name: &'static str,
    kind: &'static str,
    about: &'static str,
) -> OptionSpec {
    let mut spec = query(option, setter, name, ValueKind::Code(kind), about);
    spec.location = Location::Code;
    spec
}

impl OptionSpec {
    pub(super) const fn in_uri(mut self) -> OptionSpec {
        self.location = Location::Uri;
        self
    }

    pub(super) const fn kind(mut self, kind: ValueKind) -> OptionSpec {
        self.kind = kind;
        self
    }

    /// Where the builder's method has another name than the field.
    pub(super) const fn setter(mut self, setter: &'static str) -> OptionSpec {
        self.setter = setter;
        self
    }

    pub(super) const fn default(mut self, default: DefaultValue) -> OptionSpec {
        self.default = default;
        self
    }

    pub(super) const fn aliases(mut self, aliases: &'static [Alias]) -> OptionSpec {
        self.aliases = aliases;
        self
    }

    pub(super) const fn invalid(mut self, invalid: Invalid) -> OptionSpec {
        self.invalid = invalid;
        self
    }

    pub(super) const fn repeated(mut self, repeated: Repeated) -> OptionSpec {
        self.repeated = repeated;
        self
    }

    pub(super) const fn state(mut self, state: State) -> OptionSpec {
        self.state = state;
        self
    }
}
