//! What setters of builders take.

use std::path::PathBuf;

/// What a setter of a builder takes: the value, an `Option` of it, or what is usually written for it.
///
/// No other `Option` is taken: with a second one, `None` and `Some("name".into())` would no longer say which is meant.
pub trait IntoOption<T> {
    /// The value, if there is one.
    fn into_option(self) -> Option<T>;
}

impl<T> IntoOption<T> for T {
    fn into_option(self) -> Option<T> {
        Some(self)
    }
}

impl<T> IntoOption<T> for Option<T> {
    fn into_option(self) -> Option<T> {
        self
    }
}

impl IntoOption<String> for &str {
    fn into_option(self) -> Option<String> {
        Some(self.to_owned())
    }
}

impl IntoOption<String> for &String {
    fn into_option(self) -> Option<String> {
        Some(self.clone())
    }
}

impl IntoOption<PathBuf> for &str {
    fn into_option(self) -> Option<PathBuf> {
        Some(PathBuf::from(self))
    }
}

impl IntoOption<PathBuf> for String {
    fn into_option(self) -> Option<PathBuf> {
        Some(PathBuf::from(self))
    }
}
