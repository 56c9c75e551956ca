//! Empty on purpose: cargo wants a build script beside `links`, and `links` keeps two versions of the
//! contract, which would mean two silent plugin registries, out of one program.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
