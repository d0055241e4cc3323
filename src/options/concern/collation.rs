//! How strings are compared.

use std::fmt;

use bson::raw::cstr;
use bson::{RawDocumentBuf, rawdoc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// How strings are compared ([`collation`](https://www.mongodb.com/docs/manual/reference/collation/)).
///
/// ```
/// use mongo_blocking::options::{Collation, CollationStrength};
///
/// let ignoring_case = Collation::builder().locale("en").strength(CollationStrength::Secondary).build();
/// assert_eq!(ignoring_case.locale, "en");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Collation {
    /// The ICU locale, or `simple`.
    pub locale: String,
    /// How many levels of difference count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strength: Option<CollationStrength>,
    /// Whether case is compared with the strengths primary and secondary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_level: Option<bool>,
    /// Which case sorts first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_first: Option<CollationCaseFirst>,
    /// Whether digits are compared as numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numeric_ordering: Option<bool>,
    /// Whether spaces and punctuation count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternate: Option<CollationAlternate>,
    /// Which characters [`CollationAlternate::Shifted`] ignores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_variable: Option<CollationMaxVariable>,
    /// Whether strings are normalised before they are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalization: Option<bool>,
    /// Whether accents are compared from the end of the string, as in some French dictionaries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backwards: Option<bool>,
}

impl Collation {
    /// A collation of this locale, with the defaults of ICU.
    pub fn new(locale: impl Into<String>) -> Self {
        Collation { locale: locale.into(), ..Collation::default() }
    }

    /// A builder. Set the [`locale`](CollationBuilder::locale) at least; the server refuses a collation without one.
    pub fn builder() -> CollationBuilder {
        CollationBuilder(Collation::default())
    }

    pub(crate) fn to_document(&self) -> RawDocumentBuf {
        let mut document = rawdoc! { "locale": self.locale.as_str() };
        let flags = [
            (cstr!("caseLevel"), self.case_level),
            (cstr!("numericOrdering"), self.numeric_ordering),
            (cstr!("normalization"), self.normalization),
            (cstr!("backwards"), self.backwards),
        ];
        for (name, value) in flags {
            if let Some(value) = value {
                document.append(name, value);
            }
        }
        if let Some(strength) = self.strength {
            document.append(cstr!("strength"), i32::from(strength));
        }
        let names = [
            (cstr!("caseFirst"), self.case_first.map(|value| value.as_str())),
            (cstr!("alternate"), self.alternate.map(|value| value.as_str())),
            (cstr!("maxVariable"), self.max_variable.map(|value| value.as_str())),
        ];
        for (name, value) in names {
            if let Some(value) = value {
                document.append(name, value);
            }
        }
        document
    }
}

/// The builder that [`Collation::builder`] returns.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct CollationBuilder(Collation);

macro_rules! setters {
    ($($field:ident: $type:ty),* $(,)?) => {$(
        #[doc = concat!("Sets [`", stringify!($field), "`](Collation::", stringify!($field), ").")]
        pub fn $field(mut self, value: impl Into<Option<$type>>) -> Self {
            self.0.$field = value.into();
            self
        }
    )*};
}

impl CollationBuilder {
    /// Sets [`locale`](Collation::locale).
    pub fn locale(mut self, locale: impl Into<String>) -> Self {
        self.0.locale = locale.into();
        self
    }

    setters! {
        strength: CollationStrength,
        case_level: bool,
        case_first: CollationCaseFirst,
        numeric_ordering: bool,
        alternate: CollationAlternate,
        max_variable: CollationMaxVariable,
        normalization: bool,
        backwards: bool,
    }

    /// The collation.
    pub fn build(self) -> Collation {
        self.0
    }
}

/// How many levels of difference count in a comparison.
///
/// ```
/// use mongo_blocking::options::CollationStrength;
///
/// assert_eq!(CollationStrength::try_from(2)?, CollationStrength::Secondary);
/// # Ok::<(), mongo_blocking::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CollationStrength {
    /// 1: letters.
    Primary,
    /// 2: letters and accents.
    Secondary,
    /// 3: letters, accents and case. The default of ICU.
    Tertiary,
    /// 4: as 3, and punctuation.
    Quaternary,
    /// 5: everything.
    Identical,
}

/// Its number.
impl fmt::Display for CollationStrength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&i32::from(*self), f)
    }
}

impl From<CollationStrength> for i32 {
    fn from(strength: CollationStrength) -> Self {
        match strength {
            CollationStrength::Primary => 1,
            CollationStrength::Secondary => 2,
            CollationStrength::Tertiary => 3,
            CollationStrength::Quaternary => 4,
            CollationStrength::Identical => 5,
        }
    }
}

impl From<CollationStrength> for u32 {
    fn from(strength: CollationStrength) -> Self {
        i32::from(strength).unsigned_abs()
    }
}

impl TryFrom<u32> for CollationStrength {
    type Error = Error;

    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) unless it is 1 to 5.
    fn try_from(strength: u32) -> Result<Self> {
        match strength {
            1 => Ok(CollationStrength::Primary),
            2 => Ok(CollationStrength::Secondary),
            3 => Ok(CollationStrength::Tertiary),
            4 => Ok(CollationStrength::Quaternary),
            5 => Ok(CollationStrength::Identical),
            _ => Err(Error::invalid_argument(format!("the strength of a collation must be 1 to 5, not {strength}"))),
        }
    }
}

impl Serialize for CollationStrength {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        i32::from(*self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CollationStrength {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let strength = u32::deserialize(deserializer)?;
        CollationStrength::try_from(strength).map_err(|error| D::Error::custom(error.message()))
    }
}

/// An enum whose values have names in commands.
macro_rules! named {
    ($(#[$about:meta])* $name:ident ($what:literal) { $($(#[$variant_about:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_about])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Its name in a command.
            pub fn as_str(&self) -> &'static str {
                match self {
                    $($name::$variant => $text,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;

            /// # Errors
            /// [`ErrorKind::InvalidArgument`](crate::error::ErrorKind::InvalidArgument) for a name that does not exist.
            fn from_str(name: &str) -> Result<Self> {
                match name {
                    $($text => Ok($name::$variant),)*
                    _ => Err(Error::invalid_argument(format!(
                        concat!("the ", $what, " of a collation must be one of", $(" ", $text,)* "; it is {:?}"),
                        name
                    ))),
                }
            }
        }
    };
}

named! {
    /// Which case sorts first.
    CollationCaseFirst ("case order") {
        /// Upper case.
        Upper = "upper",
        /// Lower case.
        Lower = "lower",
        /// As the locale has it.
        Off = "off",
    }
}

named! {
    /// Whether spaces and punctuation count in a comparison.
    CollationAlternate ("handling of punctuation") {
        /// They count.
        NonIgnorable = "non-ignorable",
        /// They count only with the strengths quaternary and identical.
        Shifted = "shifted",
    }
}

named! {
    /// Which characters [`CollationAlternate::Shifted`] ignores.
    CollationMaxVariable ("set of ignored characters") {
        /// Spaces and punctuation.
        Punct = "punct",
        /// Spaces.
        Space = "space",
    }
}
