//! An authorization server as gateways call it, over HTTP and by Envoy's gRPC protocol
//! (`envoy.service.auth.v3.Authorization/Check`): yes for the right header, else 401.

use std::collections::HashMap;

use hyper::{Request, body::Incoming};

use crate::{Answer, grpc, response};

/// Who has `x-token: right` may pass, and is somebody.
pub(crate) async fn answer(request: Request<Incoming>) -> std::io::Result<Answer> {
    if !grpc::is_asked_for(&request) {
        let right = request.headers().get("x-token").is_some_and(|token| token == "right");
        return Ok(if right { response(200, &[("x-user", "somebody")], "") } else { response(401, &[], "no") });
    }
    let asked: CheckRequest = grpc::read(request).await?;
    let headers = asked.attributes.and_then(|it| it.request).and_then(|it| it.http).map(|it| it.headers);
    let right = headers.is_some_and(|headers| headers.get("x-token").is_some_and(|token| token == "right"));
    Ok(grpc::reply(&if right { admitted() } else { refused() }))
}

fn admitted() -> CheckResponse {
    let header = HeaderValue { key: "x-user".to_owned(), value: "somebody".to_owned() };
    let user = HeaderValueOption { header: Some(header), append_action: OVERWRITE_IF_EXISTS_OR_ADD };
    CheckResponse { status: Some(Status { code: OK }), denied: None, ok: Some(OkHttpResponse { headers: vec![user] }) }
}

fn refused() -> CheckResponse {
    let denied = DeniedHttpResponse { status: Some(HttpStatus { code: 401 }), body: "no".to_owned() };
    CheckResponse { status: Some(Status { code: UNAUTHENTICATED }), denied: Some(denied), ok: None }
}

/// `google.rpc.Code`
const OK: i32 = 0;
const UNAUTHENTICATED: i32 = 16;
/// `envoy.config.core.v3.HeaderValueOption.HeaderAppendAction`
const OVERWRITE_IF_EXISTS_OR_ADD: i32 = 2;

// `envoy/service/auth/v3/external_auth.proto` and `attribute_context.proto`, as far as they are read or written here.

#[derive(Clone, PartialEq, prost::Message)]
struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<AttributeContext>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AttributeContext {
    #[prost(message, optional, tag = "4")]
    request: Option<AttributeRequest>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AttributeRequest {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HttpRequest {
    #[prost(map = "string, string", tag = "3")]
    headers: HashMap<String, String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    denied: Option<DeniedHttpResponse>,
    #[prost(message, optional, tag = "3")]
    ok: Option<OkHttpResponse>,
}

/// `google.rpc.Status`
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DeniedHttpResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<HttpStatus>,
    #[prost(string, tag = "3")]
    body: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HttpStatus {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OkHttpResponse {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderValueOption>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HeaderValueOption {
    #[prost(message, optional, tag = "1")]
    header: Option<HeaderValue>,
    #[prost(int32, tag = "3")]
    append_action: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HeaderValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}
