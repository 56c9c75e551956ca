//! `hookward new handler NAME`

use std::path::PathBuf;

use hookward_core::plugin::Registry;

use super::NamedCrate;
use super::crate_files::CrateFiles;
use super::dependency_source::DependencySource;
use super::name::Name;

pub(super) fn render(
    args: &NamedCrate,
    registry: &Registry,
) -> Result<(CrateFiles, PathBuf), String> {
    let name = Name::parse(&args.name)?;
    if registry.handler(&name.snake).is_some() {
        return Err(format!("there is a handler `{}` already; choose another name", name.snake));
    }
    let package = format!("hookward-handler-{}", name.kebab);
    let folder = args.target.dir.clone().unwrap_or_else(|| PathBuf::from(&package));
    let source = DependencySource::find(args.target.hookward.as_deref(), &folder)?;
    let (core, kit) = (
        // A handler verifies no signatures, so it need not compile ring.
        source.featureless_dependency("hookward-core", "core"),
        source.dependency("hookward-testkit", "tests/kit"),
    );
    let values = [
        ("%PACKAGE%", package.as_str()),
        ("%CRATE%", &package.replace('-', "_")),
        ("%NAME%", &name.snake),
        ("%Type%", &name.camel),
        ("%CORE%", &core),
        ("%KIT%", &kit),
        ("%WORKSPACE%", source.workspace()),
    ];
    let mut files = CrateFiles::default();
    let mut add = |path, template| files.add_template(path, template, &values);
    add("Cargo.toml", include_str!("../../../templates/handler/Cargo.toml.in"));
    add("README.md", include_str!("../../../templates/handler/README.md.in"));
    add("src/lib.rs", include_str!("../../../templates/handler/lib.rs.in"));
    add("tests/contract.rs", include_str!("../../../templates/handler/contract.rs.in"));
    Ok((files, folder))
}
