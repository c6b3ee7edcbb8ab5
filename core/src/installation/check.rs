//! What must hold before an installation, and what holds when it works.

use serde::Serialize;

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "test")]
#[non_exhaustive]
pub enum Test {
    /// The API server is at least this minor version of Kubernetes 1.
    KubernetesAtLeast {
        /// Minor version.
        minor: u32,
    },
    /// An object is not there.
    Absent {
        /// `group/version`.
        api_version: &'static str,
        /// Kind.
        kind: &'static str,
        /// Namespace.
        namespace: Option<String>,
        /// Name.
        name: String,
    },
    /// A field of an object has a value; an object that is not there fails.
    Field {
        /// `group/version`.
        api_version: &'static str,
        /// Kind.
        kind: &'static str,
        /// Namespace.
        namespace: Option<String>,
        /// Name.
        name: String,
        /// JSON pointer.
        pointer: &'static str,
        /// Text of the value.
        value: &'static str,
    },
    /// Some Service of type LoadBalancer has an address; none of that type is unknown.
    LoadBalancers,
    /// A GatewayClass is accepted by its controller.
    ClassAccepted {
        /// Name.
        name: String,
    },
    /// A workload has all its replicas ready.
    Ready {
        /// Deployment or DaemonSet.
        kind: &'static str,
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
    /// Definitions are established.
    Served {
        /// Names of CustomResourceDefinitions.
        names: &'static [&'static str],
    },
}

/// One thing that is looked at, why, and what to do when it does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What it is called.
    pub name: &'static str,
    /// What is looked at.
    #[serde(flatten)]
    pub test: Test,
    /// Whether nothing is installed when it does not hold; else it is a warning.
    pub required: bool,
    /// Why it matters.
    pub reason: &'static str,
    /// What to do when it does not hold.
    pub next: String,
}

impl Check {
    /// A check that stops an installation.
    pub fn required(name: &'static str, test: Test, reason: &'static str, next: impl Into<String>) -> Self {
        Self { name, test, required: true, reason, next: next.into() }
    }

    /// A check that warns.
    pub fn advised(name: &'static str, test: Test, reason: &'static str, next: impl Into<String>) -> Self {
        Self { name, test, required: false, reason, next: next.into() }
    }

    /// The API server is at least this minor version of Kubernetes 1.
    pub fn kubernetes(minor: u32, reason: &'static str) -> Self {
        let next = format!("upgrade the cluster to Kubernetes 1.{minor}, or install an older version of the gateway");
        Self::required("kubernetes version", Test::KubernetesAtLeast { minor }, reason, next)
    }

    /// Something gives addresses to Services of type LoadBalancer.
    pub fn load_balancers() -> Self {
        let reason = "a Gateway without an address is not programmed and serves nobody outside the cluster";
        let next = "install something that gives addresses (a cloud's controller, MetalLB, Cilium LB-IPAM), or let the plane's \
                    Gateways have another Service type";
        Self::advised("load balancer", Test::LoadBalancers, reason, next)
    }

    /// A workload has all its replicas ready.
    pub fn ready(kind: &'static str, namespace: &str, name: &str) -> Self {
        let next = format!("kubectl -n {namespace} describe {} {name}", kind.to_lowercase());
        let test = Test::Ready { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        Self::required("controller ready", test, "the controller makes Gateways and Routes work", next)
    }

    /// A GatewayClass is accepted by its controller.
    pub fn accepted(name: &str) -> Self {
        let next = format!("kubectl describe gatewayclass {name}");
        let test = Test::ClassAccepted { name: name.to_owned() };
        Self::required("class accepted", test, "Gateways of a class that is not accepted are served by nobody", next)
    }

    /// Definitions are established.
    pub fn served(names: &'static [&'static str]) -> Self {
        let next = format!("kubectl get crd {}", names.join(" "));
        Self::required(
            "kinds served",
            Test::Served { names },
            "policies of the gateway are objects of these kinds",
            next,
        )
    }
}
