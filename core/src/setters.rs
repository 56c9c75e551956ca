//! The chainable `with_*` setters of structs that callers outside this crate cannot write as
//! literals, because they are `#[non_exhaustive]`. Each setter names its field in its docs.

/// Writes setters inside an `impl` block. `name => field: Type;` takes exactly that type;
/// `name => field: into Type;` takes whatever converts into it, so that an `Option` field accepts
/// both the value and the option.
macro_rules! setters {
    () => {};
    ($name:ident => $field:ident: into $type:ty; $($rest:tt)*) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
        #[must_use]
        pub fn $name(mut self, value: impl Into<$type>) -> Self {
            self.$field = value.into();
            self
        }
        setters! { $($rest)* }
    };
    ($name:ident => $field:ident: $type:ty; $($rest:tt)*) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
        #[must_use]
        pub fn $name(mut self, value: $type) -> Self {
            self.$field = value;
            self
        }
        setters! { $($rest)* }
    };
}

/// Like [`setters!`] with exact types, for structs that are made in constants.
macro_rules! const_setters {
    ($($name:ident => $field:ident: $type:ty;)+) => {
        $(
            #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
            #[must_use]
            pub const fn $name(mut self, value: $type) -> Self {
                self.$field = value;
                self
            }
        )+
    };
}
