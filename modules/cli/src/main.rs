//! gwm
fn main() {}
