//! Names of capabilities: those of Gateway API (`pkg/features`, v1.6.1) and those of this project that core itself asks for.

use super::CapabilityName;

macro_rules! names {
    ($($(#[$meta:meta])* $constant:ident = $name:literal;)*) => {
        $($(#[$meta])* pub const $constant: CapabilityName = CapabilityName::of($name);)*
        /// All names of this list.
        pub const ALL: &[CapabilityName] = &[$($constant),*];
    };
}

/// Names of Gateway API's features, as its conformance reports and `GatewayClass.status.supportedFeatures` spell them.
pub mod gateway_api {
    use super::CapabilityName;

    names! {
        /// Gateways.
        GATEWAY = "Gateway";
        /// HTTPRoute, core: exact and prefix paths, header matches, request headers, host redirects, weights.
        HTTP_ROUTE = "HTTPRoute";
        /// GRPCRoute.
        GRPC_ROUTE = "GRPCRoute";
        /// TLSRoute with `Passthrough` listeners.
        TLS_ROUTE = "TLSRoute";
        /// TCPRoute.
        TCP_ROUTE = "TCPRoute";
        /// UDPRoute.
        UDP_ROUTE = "UDPRoute";
        /// ReferenceGrant.
        REFERENCE_GRANT = "ReferenceGrant";
        /// ListenerSet.
        LISTENER_SET = "ListenerSet";
        /// BackendTLSPolicy.
        BACKEND_TLS_POLICY = "BackendTLSPolicy";
        /// BackendTLSPolicy with subject alternative names.
        BACKEND_TLS_POLICY_SAN_VALIDATION = "BackendTLSPolicySANValidation";
        /// Addresses with a type and no value.
        GATEWAY_ADDRESS_EMPTY = "GatewayAddressEmpty";
        /// Certificate of the Gateway towards backends.
        GATEWAY_BACKEND_CLIENT_CERTIFICATE = "GatewayBackendClientCertificate";
        /// Client certificates.
        GATEWAY_FRONTEND_CLIENT_CERTIFICATE_VALIDATION = "GatewayFrontendClientCertificateValidation";
        /// Client certificates that may be missing or wrong.
        GATEWAY_FRONTEND_CLIENT_CERTIFICATE_VALIDATION_INSECURE_FALLBACK = "GatewayFrontendClientCertificateValidationInsecureFallback";
        /// A listener takes only its own hosts.
        GATEWAY_HTTP_LISTENER_ISOLATION = "GatewayHTTPListenerIsolation";
        /// 421 for requests to a host of another HTTPS listener.
        GATEWAY_HTTPS_LISTENER_DETECT_MISDIRECTED_REQUESTS = "GatewayHTTPSListenerDetectMisdirectedRequests";
        /// Labels and annotations of the infrastructure.
        GATEWAY_INFRASTRUCTURE_PROPAGATION = "GatewayInfrastructurePropagation";
        /// A listener on port 8080.
        GATEWAY_PORT_8080 = "GatewayPort8080";
        /// Static addresses.
        GATEWAY_STATIC_ADDRESSES = "GatewayStaticAddresses";
        /// Redirects with 303.
        HTTP_ROUTE_303_REDIRECT_STATUS_CODE = "HTTPRoute303RedirectStatusCode";
        /// Redirects with 307.
        HTTP_ROUTE_307_REDIRECT_STATUS_CODE = "HTTPRoute307RedirectStatusCode";
        /// Redirects with 308.
        HTTP_ROUTE_308_REDIRECT_STATUS_CODE = "HTTPRoute308RedirectStatusCode";
        /// Backends that speak h2c.
        HTTP_ROUTE_BACKEND_PROTOCOL_H2C = "HTTPRouteBackendProtocolH2C";
        /// Backends that speak WebSocket.
        HTTP_ROUTE_BACKEND_PROTOCOL_WEB_SOCKET = "HTTPRouteBackendProtocolWebSocket";
        /// Header changes per backend.
        HTTP_ROUTE_BACKEND_REQUEST_HEADER_MODIFICATION = "HTTPRouteBackendRequestHeaderModification";
        /// `timeouts.backendRequest`.
        HTTP_ROUTE_BACKEND_TIMEOUT = "HTTPRouteBackendTimeout";
        /// CORS filter.
        HTTP_ROUTE_CORS = "HTTPRouteCORS";
        /// Matching of the destination port.
        HTTP_ROUTE_DESTINATION_PORT_MATCHING = "HTTPRouteDestinationPortMatching";
        /// Rewrite of the host.
        HTTP_ROUTE_HOST_REWRITE = "HTTPRouteHostRewrite";
        /// Matching of the method.
        HTTP_ROUTE_METHOD_MATCHING = "HTTPRouteMethodMatching";
        /// Names of rules.
        HTTP_ROUTE_NAMED_ROUTE_RULE = "HTTPRouteNamedRouteRule";
        /// `parentRefs[].port`.
        HTTP_ROUTE_PARENT_REF_PORT = "HTTPRouteParentRefPort";
        /// Redirect of the path.
        HTTP_ROUTE_PATH_REDIRECT = "HTTPRoutePathRedirect";
        /// Rewrite of the path.
        HTTP_ROUTE_PATH_REWRITE = "HTTPRoutePathRewrite";
        /// Redirect of the port.
        HTTP_ROUTE_PORT_REDIRECT = "HTTPRoutePortRedirect";
        /// Matching of query parameters.
        HTTP_ROUTE_QUERY_PARAM_MATCHING = "HTTPRouteQueryParamMatching";
        /// Mirroring.
        HTTP_ROUTE_REQUEST_MIRROR = "HTTPRouteRequestMirror";
        /// More than one mirror.
        HTTP_ROUTE_REQUEST_MULTIPLE_MIRRORS = "HTTPRouteRequestMultipleMirrors";
        /// Mirroring of a share.
        HTTP_ROUTE_REQUEST_PERCENTAGE_MIRROR = "HTTPRouteRequestPercentageMirror";
        /// `timeouts.request`.
        HTTP_ROUTE_REQUEST_TIMEOUT = "HTTPRouteRequestTimeout";
        /// Changes of response headers.
        HTTP_ROUTE_RESPONSE_HEADER_MODIFICATION = "HTTPRouteResponseHeaderModification";
        /// Retry by status (experimental channel).
        HTTP_ROUTE_RETRY = "HTTPRouteRetry";
        /// Retry after a backend time-out (experimental channel).
        HTTP_ROUTE_RETRY_BACKEND_TIMEOUT = "HTTPRouteRetryBackendTimeout";
        /// Retry after a connection error (experimental channel).
        HTTP_ROUTE_RETRY_CONNECTION_ERROR = "HTTPRouteRetryConnectionError";
        /// Redirect of the scheme.
        HTTP_ROUTE_SCHEME_REDIRECT = "HTTPRouteSchemeRedirect";
        /// TLSRoute with listeners of both modes on one port.
        TLS_ROUTE_MODE_MIXED = "TLSRouteModeMixed";
        /// TLSRoute with `Terminate` listeners.
        TLS_ROUTE_MODE_TERMINATE = "TLSRouteModeTerminate";
        /// Mesh.
        MESH = "Mesh";
        /// Mesh: matching of the cluster IP.
        MESH_CLUSTER_IP_MATCHING = "MeshClusterIPMatching";
        /// Mesh: consumer routes.
        MESH_CONSUMER_ROUTE = "MeshConsumerRoute";
        /// Mesh: header changes per backend.
        MESH_HTTP_ROUTE_BACKEND_REQUEST_HEADER_MODIFICATION = "MeshHTTPRouteBackendRequestHeaderModification";
        /// Mesh: names of rules.
        MESH_HTTP_ROUTE_NAMED_ROUTE_RULE = "MeshHTTPRouteNamedRouteRule";
        /// Mesh: matching of query parameters.
        MESH_HTTP_ROUTE_QUERY_PARAM_MATCHING = "MeshHTTPRouteQueryParamMatching";
        /// Mesh: redirect of the path.
        MESH_HTTP_ROUTE_REDIRECT_PATH = "MeshHTTPRouteRedirectPath";
        /// Mesh: redirect of the port.
        MESH_HTTP_ROUTE_REDIRECT_PORT = "MeshHTTPRouteRedirectPort";
        /// Mesh: rewrite of the path.
        MESH_HTTP_ROUTE_REWRITE_PATH = "MeshHTTPRouteRewritePath";
        /// Mesh: redirect of the scheme.
        MESH_HTTP_ROUTE_SCHEME_REDIRECT = "MeshHTTPRouteSchemeRedirect";
    }
}

/// Features of Gateway API 1.6.1 whose fields only the CRDs of the experimental channel have, whoever says that a gateway has
/// them: the standard CRDs drop such a field without a word.
pub const EXPERIMENTAL: &[CapabilityName] = &[
    gateway_api::HTTP_ROUTE_RETRY,
    gateway_api::HTTP_ROUTE_RETRY_BACKEND_TIMEOUT,
    gateway_api::HTTP_ROUTE_RETRY_CONNECTION_ERROR,
];

/// Names of this project that core itself asks for.
pub mod project {
    use super::CapabilityName;

    names! {
        /// Two Gateways of a plane never answer on each other's address.
        GATEWAY_ISOLATION_ADDRESS = "gateway/isolation/address";
        /// Two Gateways share an address and are kept apart by their ports.
        GATEWAY_ISOLATION_PORT = "gateway/isolation/port";
        /// A Gateway can be made reachable from inside the cluster only.
        GATEWAY_EXPOSURE_CLUSTER = "gateway/exposure/cluster";
        /// HTTP listeners.
        LISTENER_HTTP = "listener/HTTP";
        /// HTTPS listeners.
        LISTENER_HTTPS = "listener/HTTPS";
        /// TLS listeners.
        LISTENER_TLS = "listener/TLS";
        /// TCP listeners.
        LISTENER_TCP = "listener/TCP";
        /// UDP listeners.
        LISTENER_UDP = "listener/UDP";
        /// `matches[].path.type: RegularExpression` of HTTPRoute (implementation-specific in Gateway API).
        PATH_REGULAR_EXPRESSION = "field/HTTPRoute/matches.path.RegularExpression";
        /// `matches[].headers[].type: RegularExpression` of HTTPRoute.
        HEADER_REGULAR_EXPRESSION = "field/HTTPRoute/matches.headers.RegularExpression";
        /// `matches[].queryParams[].type: RegularExpression` of HTTPRoute.
        QUERY_REGULAR_EXPRESSION = "field/HTTPRoute/matches.queryParams.RegularExpression";
        /// `matches[].headers[].type: RegularExpression` of GRPCRoute.
        GRPC_HEADER_REGULAR_EXPRESSION = "field/GRPCRoute/matches.headers.RegularExpression";
        /// `matches[].headers` of GRPCRoute.
        GRPC_HEADER_MATCHING = "field/GRPCRoute/matches.headers";
        /// `matches[].method` of GRPCRoute.
        GRPC_METHOD_MATCHING = "field/GRPCRoute/matches.method";
        /// `rules[].name` of GRPCRoute.
        GRPC_NAMED_ROUTE_RULE = "field/GRPCRoute/rules.name";
        /// The filter `ExternalAuth` of HTTPRoute (GEP-1494), closed while the authorization service is missing.
        EXTERNAL_AUTH_FILTER = "field/HTTPRoute/filters.ExternalAuth";
        /// `forwardBody` of that filter (`HTTPRouteExternalAuthForwardBody`).
        EXTERNAL_AUTH_FORWARD_BODY = "field/HTTPRoute/filters.ExternalAuth.forwardBody";
        /// `protocol: GRPC` of that filter.
        EXTERNAL_AUTH_GRPC = "field/HTTPRoute/filters.ExternalAuth.grpc";
        /// `spec.infrastructure.parametersRef` of Gateway.
        GATEWAY_PARAMETERS = "gateway/parameters";
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_distinct() {
        let all: Vec<_> = super::gateway_api::ALL.iter().chain(super::project::ALL).collect();
        let distinct: std::collections::BTreeSet<_> = all.iter().map(|name| name.as_str()).collect();
        assert_eq!(all.len(), distinct.len());
    }
}
