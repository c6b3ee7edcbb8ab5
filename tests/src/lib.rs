//! Test kit for gateway modules: the adapter contract, and a real Kubernetes control plane for tests.
//!
//! [`contract::run`] checks an adapter against everything that core relies on; [`samples`] holds its intents.
//!
//! [`ControlPlane::start`] brings up etcd, kube-apiserver and kube-controller-manager, as processes or in a
//! container, and leaves nothing behind. [`crds`] installs custom resource definitions, [`audit`] tells what
//! reached the API server, [`proxy`] makes the way to it fail, and [`stand_in`] writes the status that a gateway would write when the gateway
//! itself cannot run. [`loopback`] is where a probe finds a server that answers as the test says.
//!
//! ```no_run
//! use gateway_modules_testkit::{Channel, ControlPlane, Options, crds, schemas_or_explain};
//!
//! # async fn example() -> Result<(), gateway_modules_testkit::Error> {
//! let Some(schemas) = schemas_or_explain()? else { return Ok(()) };
//! let control_plane = ControlPlane::start(Options::default()).await?;
//! let client = control_plane.client().await?;
//! crds::install_gateway_api(&client, &schemas, Channel::Standard).await?;
//! control_plane.stop().await?;
//! # Ok(())
//! # }
//! ```

#[cfg(target_os = "linux")]
pub mod behaviour;
mod cargo;
pub mod conformance;
pub mod contract;
mod control_plane;
mod error;
pub mod expected;
pub mod go;
mod go_program;
#[cfg(target_os = "linux")]
pub mod lab;
pub mod samples;
pub mod tables;

pub use cargo::cargo;
pub use control_plane::audit::{self, AuditEntry};
pub use control_plane::binaries::{self, Binaries, Program};
pub use control_plane::crds::{self, Channel};
pub use control_plane::inventory::Inventory;
pub use control_plane::loopback::{self, LoopbackRequest, LoopbackServer};
pub use control_plane::namespaces::{self, create_namespace};
pub use control_plane::opening::{self, protected_openings};
pub use control_plane::options::{Form, Options};
pub use control_plane::proxy::{self, Fault, FaultyProxy, ProxiedRequest};
pub use control_plane::schemas::{self, schemas_or_explain};
pub use control_plane::stand_in::{self, StandIn, StandInOptions};

pub use control_plane::ControlPlane;
pub use error::Error;
