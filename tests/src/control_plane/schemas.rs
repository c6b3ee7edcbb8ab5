//! The folder with the custom resource definitions of Gateway API and of vendors, which the repository does not keep.

use std::path::PathBuf;

use crate::Error;

/// Names the folder: `gateway-api/standard`, `gateway-api/experimental` and one folder per vendor.
pub const SCHEMAS_VARIABLE: &str = "GATEWAY_MODULES_SCHEMAS";

/// Finds the folder, or says why the test cannot run.
///
/// `GATEWAY_MODULES_SCHEMAS` comes first, then the nearest `shared/crds` beside or above the current folder. Without
/// either the reason is printed and the answer is `None`: return from the test. Where `CI` is `true` nothing is
/// skipped.
///
/// # Errors
/// When the variable names no such folder, or when nothing is found and `CI` is `true`.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub fn schemas_or_explain() -> Result<Option<PathBuf>, Error> {
    if let Some(folder) = std::env::var_os(SCHEMAS_VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from) {
        if folder.join("gateway-api/standard").is_dir() {
            return Ok(Some(folder));
        }
        return Err(Error::NoSchemas(format!(
            "{SCHEMAS_VARIABLE} is {}, which has no folder gateway-api/standard",
            folder.display()
        )));
    }
    let here = std::env::current_dir().map_err(Error::io("find", "."))?;
    let near =
        here.ancestors().map(|folder| folder.join("shared/crds")).find(|folder| folder.join("gateway-api").is_dir());
    if near.is_some() {
        return Ok(near);
    }
    let reason = format!(
        "this test needs custom resource definitions: set {SCHEMAS_VARIABLE} to a folder with gateway-api/standard, \
         gateway-api/experimental and one folder per vendor"
    );
    if std::env::var("CI").is_ok_and(|value| value == "true") {
        return Err(Error::NoSchemas(format!("{reason}. CI is true, so it is not skipped")));
    }
    eprintln!("skipped: {reason}");
    Ok(None)
}
