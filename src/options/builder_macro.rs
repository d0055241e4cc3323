//! The builder of a struct whose fields are all optional.

/// Emits `Name::builder()` and its builder. Each setter takes the value or an `Option` of it, as the official driver's builders do.
macro_rules! builder {
    ($name:ident, $builder:ident { $($field:ident: $type:ty),* $(,)? }) => {
        impl $name {
            #[doc = concat!("A builder of [`", stringify!($name), "`]. Fields that are not set keep their defaults.")]
            pub fn builder() -> $builder {
                $builder($name::default())
            }
        }

        #[doc = concat!("The builder that [`", stringify!($name), "::builder`] returns.")]
        #[derive(Clone, Debug)]
        #[must_use = "a builder does nothing until `build`"]
        pub struct $builder($name);

        impl $builder {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](", stringify!($name), "::", stringify!($field), ").")]
                pub fn $field(mut self, value: impl $crate::options::IntoOption<$type>) -> Self {
                    self.0.$field = value.into_option();
                    self
                }
            )*

            #[doc = concat!("The [`", stringify!($name), "`] with the fields that were set.")]
            pub fn build(self) -> $name {
                self.0
            }
        }
    };
}

pub(crate) use builder;
