//! Tables for an adapter's README, made from what its code says, so that they cannot be out of date.

use std::collections::BTreeSet;

use gateway_modules_core::{
    capability::{Capabilities, Capability},
    module::{GatewayModule, ModuleVersion},
};
use serde_json::{Map, Value};

const BEGIN: &str = "<!-- capabilities:begin -->";
const END: &str = "<!-- capabilities:end -->";

/// The capabilities of a module as a Markdown table: one row per capability, one column per version that the module knows,
/// and the strongest evidence of the newest one. `parameters` are `gateway.parameters` with every option that adds
/// capabilities; what only they add is marked `option`.
///
/// # Errors
/// The metadata list a version that is none.
pub fn capability_table(module: &dyn GatewayModule, parameters: &Map<String, Value>) -> Result<String, String> {
    let versions = module.metadata().versions;
    let mut columns: Vec<Capabilities> = Vec::new();
    for version in versions {
        columns.push(module.declared(&ModuleVersion::new(version)?));
    }
    let optional = module.claimed(parameters);
    let names: BTreeSet<_> = columns.iter().chain([&optional]).flat_map(Capabilities::names).collect();
    let mut text = format!("| Capability | Bound to | {} | Evidence |\n", versions.join(" | "));
    text += &format!("|---|---|{}---|\n", "---|".repeat(versions.len()));
    for name in names {
        let found = columns.iter().rev().find_map(|column| column.get(&name)).or_else(|| optional.get(&name));
        let Some(capability) = found else { continue };
        let cells: Vec<&str> = columns
            .iter()
            .map(|column| match column.get(&name) {
                Some(Capability { experimental: true, .. }) => "experimental",
                Some(_) => "yes",
                None if optional.has(&name) => "option",
                None => "–",
            })
            .collect();
        let bound = format!("{:?}", capability.granularity).to_lowercase();
        let evidence = capability.evidence.first().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
        text += &format!("| `{name}` | {bound} | {} | {evidence} |\n", cells.join(" | "));
    }
    Ok(text)
}

/// A text with the table between its markers `<!-- capabilities:begin -->` and `<!-- capabilities:end -->`.
///
/// # Errors
/// A marker is missing.
pub fn with_capability_table(text: &str, table: &str) -> Result<String, String> {
    let missing = || format!("it lacks the markers {BEGIN} and {END}");
    let (before, rest) = text.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_between_the_markers_and_nothing_else_changes() {
        let text = format!("# a\n{BEGIN}\nold\n{END}\nend\n");
        let new = with_capability_table(&text, "| new |\n").expect("markers");
        assert_eq!(new, format!("# a\n{BEGIN}\n| new |\n{END}\nend\n"));
        assert_eq!(with_capability_table(&new, "| new |\n").expect("markers"), new);
        assert!(with_capability_table("# a", "").is_err());
    }
}
