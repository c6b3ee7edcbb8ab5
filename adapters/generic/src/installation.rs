//! Why a gateway that is not known is not installed.

use gateway_modules_core::{
    installation::{Installation, InstallationOptions, NotInstallable},
    module::ModuleVersion,
};

pub(crate) fn installation(_: &ModuleVersion, _: &InstallationOptions) -> Result<Installation, NotInstallable> {
    Err(NotInstallable::new(
        "`generic` stands for any conformant gateway, so there is no chart to install",
        "install the gateway as its own documentation says, then name its GatewayClass in the plane's `gateway.className`; or \
         name a module of a gateway (`gwm modules`)",
    ))
}
