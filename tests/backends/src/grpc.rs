//! gRPC calls (its HTTP/2 protocol) of any method: the messages come back as they are, with the status that the metadata
//! `x-status` asks for.

use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};

use crate::Answer;

/// Whether the request is a gRPC call.
pub(crate) fn is_asked_for(request: &Request<Incoming>) -> bool {
    request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Gives the messages back.
pub(crate) async fn answer(request: Request<Incoming>) -> std::io::Result<Answer> {
    let (head, body) = request.into_parts();
    let messages = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let status = head.headers.get("x-status").cloned().unwrap_or(HeaderValue::from_static("0"));
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status);
    let body = Full::new(messages).with_trailers(std::future::ready(Some(Ok(trailers))));
    let path = HeaderValue::from_str(head.uri.path()).unwrap_or(HeaderValue::from_static("?"));
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert("x-echo", HeaderValue::from_static("here"));
    response.headers_mut().insert("x-path", path);
    Ok(response)
}
