//! gRPC (its HTTP/2 protocol). Calls of any method get their messages back as they are, with the status that the metadata
//! `x-status` asks for; servers of a protocol read one message and answer with one.

use std::io::{Error, Read, Result};

use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
};
use prost::Message;

use crate::{Answer, reflection};

/// Of a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Whether the request is a gRPC call.
pub(crate) fn is_asked_for(request: &Request<Incoming>) -> bool {
    request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Gives the messages back, or tells what can be called.
pub(crate) async fn answer(request: Request<Incoming>) -> Result<Answer> {
    if reflection::is_asked_for(request.uri().path()) {
        return Ok(reflection::answer(request));
    }
    let (head, body) = request.into_parts();
    let messages = body.collect().await.map_err(Error::other)?.to_bytes();
    let status = head.headers.get("x-status").cloned().unwrap_or(HeaderValue::from_static("0"));
    let path = HeaderValue::from_str(head.uri.path()).unwrap_or(HeaderValue::from_static("?"));
    let mut response = response(messages, status);
    response.headers_mut().insert("x-echo", HeaderValue::from_static("here"));
    response.headers_mut().insert("x-path", path);
    Ok(response)
}

/// The one message of a call.
pub(crate) async fn read<M: Message + Default>(request: Request<Incoming>) -> Result<M> {
    let body = request.into_body().collect().await.map_err(Error::other)?.to_bytes();
    let message = body.get(PREFIX..).unwrap_or_default();
    if body.first() != Some(&1) {
        return M::decode(message).map_err(Error::other);
    }
    let mut plain = Vec::new();
    GzDecoder::new(message).read_to_end(&mut plain)?;
    M::decode(&*plain).map_err(Error::other)
}

/// An answer of one message, and status 0.
pub(crate) fn reply(message: &impl Message) -> Answer {
    response(framed(message), HeaderValue::from_static("0"))
}

/// A message with its prefix.
pub(crate) fn framed(message: &impl Message) -> Bytes {
    let encoded = message.encode_to_vec();
    let length = u32::try_from(encoded.len()).unwrap_or_default().to_be_bytes();
    [&[0], &length[..], &encoded].concat().into()
}

/// Takes the first message out of what was received of an uncompressed stream, when it is whole.
pub(crate) fn first(received: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = u32::from_be_bytes(received.get(1..PREFIX)?.try_into().ok()?);
    let end = PREFIX.checked_add(usize::try_from(length).ok()?)?;
    let message = received.get(PREFIX..end)?.to_vec();
    received.drain(..end);
    Some(message)
}

fn response(messages: Bytes, status: HeaderValue) -> Answer {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status);
    let body = Full::new(messages).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
