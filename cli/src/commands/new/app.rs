//! `hookward new app NAME`

use std::path::PathBuf;

use super::Plain;
use super::dependency_source::House;
use super::name::Name;
use super::tree::Tree;

pub(super) fn tree(args: &Plain) -> Result<(Tree, PathBuf), String> {
    let name = Name::parse(&args.name)?;
    let folder = args.target.dir.clone().unwrap_or_else(|| PathBuf::from(&name.kebab));
    let house = House::find(args.target.hookward.as_deref(), &folder)?;
    let house_crates = [
        house.dependency("hookward", "server"),
        house.dependency("hookward-provider-stripe", "providers/stripe"),
        house.dependency("hookward-store-sqlite", "stores/sqlite"),
    ]
    .join("\n");
    let core = house.dependency("hookward-core", "core");
    let values = [
        ("%PACKAGE%", name.kebab.as_str()),
        ("%CRATE%", &name.snake),
        ("%HOUSE%", &house_crates),
        ("%CORE%", &core),
        ("%WORKSPACE%", house.workspace()),
    ];
    let mut tree = Tree::default();
    let mut add = |path, template| tree.add(path, template, &values);
    add("Cargo.toml", include_str!("../../../templates/app/Cargo.toml.in"));
    add("README.md", include_str!("../../../templates/app/README.md.in"));
    add("routes.yaml", include_str!("../../../templates/app/routes.yaml.in"));
    add("src/lib.rs", include_str!("../../../templates/app/lib.rs.in"));
    add("src/main.rs", include_str!("../../../templates/app/main.rs.in"));
    add("tests/webhooks.rs", include_str!("../../../templates/app/webhooks.rs.in"));
    Ok((tree, folder))
}
