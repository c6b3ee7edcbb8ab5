//! An adapter of the first contract keeps the contract of today.

use gateway_module_first_contract::FirstContract;
use gateway_modules_testkit::contract::{self, Options};

#[test]
fn the_module_keeps_the_contract() {
    contract::run(&FirstContract::new(), &Options::new()).assert_passes();
}
