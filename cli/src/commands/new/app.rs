//! `hookward new app NAME`

use std::path::PathBuf;

use super::NamedCrate;
use super::crate_files::CrateFiles;
use super::dependency_source::DependencySource;
use super::name::Name;

pub(super) fn render(args: &NamedCrate) -> Result<(CrateFiles, PathBuf), String> {
    let name = Name::parse(&args.name)?;
    let folder = args.target.dir.clone().unwrap_or_else(|| PathBuf::from(&name.kebab));
    let source = DependencySource::find(args.target.hookward.as_deref(), &folder)?;
    let dependencies = [
        source.dependency("hookward", "server"),
        source.dependency("hookward-provider-stripe", "providers/stripe"),
        source.dependency("hookward-store-sqlite", "stores/sqlite"),
    ]
    .join("\n");
    let core = source.dependency("hookward-core", "core");
    let values = [
        ("%PACKAGE%", name.kebab.as_str()),
        ("%CRATE%", &name.snake),
        ("%DEPENDENCIES%", &dependencies),
        ("%CORE%", &core),
        ("%WORKSPACE%", source.workspace()),
    ];
    let mut files = CrateFiles::default();
    let mut add = |path, template| files.add_template(path, template, &values);
    add("Cargo.toml", include_str!("../../../templates/app/Cargo.toml.in"));
    add("README.md", include_str!("../../../templates/app/README.md.in"));
    add("routes.yaml", include_str!("../../../templates/app/routes.yaml.in"));
    add("src/lib.rs", include_str!("../../../templates/app/lib.rs.in"));
    add("src/main.rs", include_str!("../../../templates/app/main.rs.in"));
    add("tests/webhooks.rs", include_str!("../../../templates/app/webhooks.rs.in"));
    Ok((files, folder))
}
