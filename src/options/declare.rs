//! What a row of the table of options means.

/// Takes the table apart, so that each macro that makes something of it is short.
///
/// A row is `Option: face = spec;`. Its spec is what a connection string and the documentation need; `spec.rs` has its functions. Its
/// face is what code sees of the option, and one of
///
/// - `field { docs  name: Type, set(Taken), get(Seen) }`: a field of `ClientOptions`, a setter of the builder that takes a `Taken` or an
///   `Option` of it, and a getter of `ClientSettings`, all with this name and these docs. Without `set` or `get` it is written by hand.
///   `alias("name")` before them is another name of the field in a document.
/// - `setter { docs  name: Taken }`: a setter of the builder alone.
/// - `in_code { docs  name: Type, set(Taken) }`: a field of `ClientOptions` for what only code can give, which need not be an `Option`.
///   With `set` the builder has a setter that takes a `Taken` or an `Option` of it.
/// - `by_hand name`: a setter that is written by hand, since what it takes is more than one value.
///
/// A new option that one value fills needs a row, its consumer, a test, and `UPDATE_GUIDE=1 cargo test --test options` for the guide:
///
/// ```text
/// MaxPoolSize: field {
///     /// The most connections to a server (`maxPoolSize`); 0: no limit; default 100.
///     max_pool_size: u32, set(u32), get(u32)
/// } = query("maxPoolSize", count(0), "The most connections to a server; 0: no limit.").default(Number(100));
/// ```
///
/// The macro that is named first gets the rows as `ids`, `specs`, `fields`, `in_code`, `setters` and `getters`, and takes of these what it
/// needs.
macro_rules! split {
    ($emit:ident $(
        $option:ident:
            $(field {
                $(#[$docs:meta])*
                $field:ident: $type:ty $(, alias($alias:literal))? $(, set($taken:ty))? $(, get($seen:ty))?
            })?
            $(in_code {
                $(#[$code_docs:meta])*
                $code_field:ident: $code_type:ty $(, set($code_taken:ty))?
            })?
            $(setter {
                $(#[$setter_docs:meta])*
                $setter:ident: $setter_takes:ty
            })?
            $(by_hand $by_hand:ident)?
        = $spec:ident($($known:expr),* $(,)?)$(.$also:ident($($value:expr),* $(,)?))*;
    )*) => {
        $emit! {
            ids { $($option)* }
            specs {
                $($spec(
                    OptionId::$option,
                    concat!($(stringify!($field))? $(stringify!($code_field))? $(stringify!($setter))? $(stringify!($by_hand))?),
                    $($known),*
                )$(.$also($($value),*))*;)*
            }
            fields { $($($(#[$docs])* $field: $type = $option $(or $alias)?;)?)* }
            in_code { $($($(#[$code_docs])* $code_field: $code_type;)?)* }
            setters {
                $(
                    $({ $(#[$docs])* $field, $option, $($taken)? })?
                    $({ $(#[$code_docs])* $code_field, in_code, $($code_taken)? })?
                    $({ $(#[$setter_docs])* $setter, $option, $setter_takes })?
                )*
            }
            getters { $($({ $(#[$docs])* $field, $option, $($seen)? })?)* }
        }
    };
}

pub(super) use split;
