//! Registration: how a provider, handler or store crate makes itself known. A plugin is a constant
//! descriptor of `fn` pointers, submitted by one of the `register_*!` macros; a [`Registry`]
//! gathers those that are linked, or is filled by hand.
//!
//! A crate that is only listed in `Cargo.toml` is not linked and registers nothing. An app writes
//! `use hookward_provider_github as _;`.

mod config;
mod descriptor;
mod registry;

pub use config::{BuildCx, BuildError, HandlerConfig, ProviderConfig, StoreConfig, decode};
pub use descriptor::{
    BuildFn, HandlerDescriptor, Origin, Plugin, ProviderDescriptor, StoreDescriptor,
};
pub use registry::{DuplicatePlugin, Registry};

inventory::collect!(Plugin);

/// Registers providers: `register_provider!(GithubConfig);` with types that implement
/// [`ProviderConfig`]. Also makes `pub const PLUGINS`, for registries that are filled by hand.
#[macro_export]
macro_rules! register_provider {
    ($($config:ty),+ $(,)?) => {
        $crate::__register!($($crate::plugin::Plugin::Provider(
            $crate::plugin::ProviderDescriptor::of::<$config>($crate::__origin!())
        )),+);
    };
}

/// Registers providers whose descriptors are made otherwise than from config types, such as from
/// data files. Also makes `pub const PLUGINS`.
#[macro_export]
macro_rules! register_provider_descriptors {
    ($($descriptor:expr),+ $(,)?) => {
        $crate::__register!($($crate::plugin::Plugin::Provider($descriptor)),+);
    };
}

/// Registers handlers: `register_handler!(LogConfig);` with types that implement [`HandlerConfig`].
#[macro_export]
macro_rules! register_handler {
    ($($config:ty),+ $(,)?) => {
        $crate::__register!($($crate::plugin::Plugin::Handler(
            $crate::plugin::HandlerDescriptor::of::<$config>($crate::__origin!())
        )),+);
    };
}

/// Registers stores: `register_store!(Sqlite);` with types that implement [`StoreConfig`].
#[macro_export]
macro_rules! register_store {
    ($($config:ty),+ $(,)?) => {
        $crate::__register!($($crate::plugin::Plugin::Store(
            $crate::plugin::StoreDescriptor::of::<$config>($crate::__origin!())
        )),+);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __register {
    ($($plugin:expr),+) => {
        /// The plugins of this crate, for registries that are filled by hand.
        pub const PLUGINS: &[$crate::plugin::Plugin] = &[$($plugin),+];
        $($crate::__private::inventory::submit! { $plugin })+
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __origin {
    () => {
        $crate::plugin::Origin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
    };
}
