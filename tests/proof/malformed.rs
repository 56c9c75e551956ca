//! Not there yet; says so.

pub(crate) fn run(_: &crate::Extent) -> Result<String, String> {
    Ok("SKIP: not there yet".to_owned())
}
