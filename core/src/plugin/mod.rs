//! Registration: how the crate of a provider, handler or store makes itself known. A plugin is a
//! constant descriptor of `fn` pointers, submitted by one of the `register_*!` macros. A
//! [`Registry`] collects the plugins that are linked into the program, or is filled explicitly.
//!
//! A crate that is only listed in `Cargo.toml` is not linked and registers nothing: an app writes
//! `use hookward_provider_github as _;`.

mod config;
mod descriptor;
mod error;
mod registry;

pub use config::{BuildCx, HandlerConfig, ProviderConfig, StoreConfig, decode};
pub use descriptor::{
    BuildFn, HandlerDescriptor, Origin, Plugin, ProviderDescriptor, StoreDescriptor,
};
pub use error::BuildError;
pub use registry::{DuplicatePlugin, Registry};

inventory::collect!(Plugin);

/// Registers providers by their config types, which implement [`ProviderConfig`]:
/// `register_provider!(GithubConfig);`. Also defines `pub const PLUGINS`, for [`Registry::add`].
#[macro_export]
macro_rules! register_provider {
    ($($config:ty),+ $(,)?) => {
        $crate::__register!($($crate::plugin::Plugin::Provider(
            $crate::plugin::ProviderDescriptor::of::<$config>($crate::__origin!())
        )),+);
    };
}

/// Registers providers by their descriptors, for those that do not come from a config type, such as
/// entries of data files. Also defines `pub const PLUGINS`, for [`Registry::add`].
#[macro_export]
macro_rules! register_provider_descriptors {
    ($($descriptor:expr),+ $(,)?) => {
        $crate::__register!($($crate::plugin::Plugin::Provider($descriptor)),+);
    };
}

/// Registers handlers by their config types, which implement [`HandlerConfig`]:
/// `register_handler!(LogConfig);`. Also defines `pub const PLUGINS`, for [`Registry::add`].
#[macro_export]
macro_rules! register_handler {
    ($($config:ty),+ $(,)?) => {
        $crate::__register!($($crate::plugin::Plugin::Handler(
            $crate::plugin::HandlerDescriptor::of::<$config>($crate::__origin!())
        )),+);
    };
}

/// Registers stores by types that implement [`StoreConfig`]: `register_store!(Sqlite);`. Also
/// defines `pub const PLUGINS`, for [`Registry::add`].
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
        /// The plugins of this crate, for `Registry::add`.
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
