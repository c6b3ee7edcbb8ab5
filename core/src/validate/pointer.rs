//! JSON pointers (RFC 6901) while walking down a value.

use std::fmt::Write;

/// The pointer of a named child.
pub(super) fn field(parent: &str, name: &str) -> String {
    format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The pointer of an item of a list.
pub(super) fn item(parent: &str, index: usize) -> String {
    let mut pointer = String::with_capacity(parent.len() + 4);
    pointer.push_str(parent);
    let _ = write!(pointer, "/{index}"); // writing to a String cannot fail
    pointer
}
