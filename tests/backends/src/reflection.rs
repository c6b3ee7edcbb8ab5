//! Server reflection of gRPC (`grpc.reflection.v1`, and `v1alpha`, which has the same messages), so that grpcurl and its like can
//! call the echo server: a stream of questions, each answered when it comes.

use std::{convert::Infallible, io::Result};

use futures::{SinkExt, channel::mpsc};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Frame, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
};
use prost::Message;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

use crate::{Answer, grpc};

/// The service that is told of. The server gives back what any method sends; this one has a type.
const SERVICE: &str = "lab.Echo";
const FILE: &str = "lab/echo.proto";
const SERVICES: [&str; 3] =
    [SERVICE, "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];
/// Of gRPC: `NOT_FOUND`.
const NOT_FOUND: i32 = 5;

/// Whether the call is for this service.
pub(crate) fn is_asked_for(path: &str) -> bool {
    let method = path.strip_suffix("/ServerReflectionInfo").and_then(|service| service.strip_prefix('/'));
    method.is_some_and(|service| SERVICES[1..].contains(&service))
}

/// Answers as long as the client asks.
pub(crate) fn answer(request: Request<Incoming>) -> Answer {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(converse(request.into_body(), sender));
    let mut response = Response::new(StreamBody::new(receiver).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// A client that goes away ends it.
async fn converse(mut questions: Incoming, mut answers: mpsc::Sender<std::result::Result<Frame<Bytes>, Infallible>>) {
    let mut received = Vec::new();
    let mut status = "0";
    'questions: while let Some(frame) = questions.frame().await {
        let Ok(Ok(data)) = frame.map(Frame::into_data) else { break };
        received.extend_from_slice(&data);
        while let Some(message) = grpc::first(&mut received) {
            let Ok(framed) = reply(&message) else {
                // `INVALID_ARGUMENT`
                status = "3";
                break 'questions;
            };
            if answers.send(Ok(Frame::data(framed))).await.is_err() {
                return;
            }
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let _ = answers.send(Ok(Frame::trailers(trailers))).await;
}

fn reply(message: &[u8]) -> Result<Bytes> {
    let question = Question::decode(message).map_err(std::io::Error::other)?;
    let file = || Some(Files { files: vec![descriptor().encode_to_vec()] });
    let mut answer = Reply { question: Some(question.clone()), ..Reply::default() };
    match question {
        Question { list: Some(_), .. } => {
            let service = SERVICES.map(|name| Service { name: name.to_owned() }).to_vec();
            answer.services = Some(Services { service });
        }
        Question { symbol: Some(symbol), .. } if symbol.starts_with("lab.") => answer.files = file(),
        Question { file: Some(name), .. } if name == FILE => answer.files = file(),
        _ => {
            let message = format!("only {SERVICE} is described");
            answer.error = Some(Refused { code: NOT_FOUND, message });
        }
    }
    Ok(grpc::framed(&answer))
}

/// `service Echo { rpc Say(Text) returns (Text); }` and `message Text { string text = 1; }`.
fn descriptor() -> FileDescriptorProto {
    let text = FieldDescriptorProto {
        name: Some("text".to_owned()),
        number: Some(1),
        label: Some(Label::Optional.into()),
        r#type: Some(Type::String.into()),
        json_name: Some("text".to_owned()),
        ..FieldDescriptorProto::default()
    };
    let say = MethodDescriptorProto {
        name: Some("Say".to_owned()),
        input_type: Some(".lab.Text".to_owned()),
        output_type: Some(".lab.Text".to_owned()),
        ..MethodDescriptorProto::default()
    };
    FileDescriptorProto {
        name: Some(FILE.to_owned()),
        package: Some("lab".to_owned()),
        syntax: Some("proto3".to_owned()),
        message_type: vec![DescriptorProto {
            name: Some("Text".to_owned()),
            field: vec![text],
            ..DescriptorProto::default()
        }],
        service: vec![ServiceDescriptorProto {
            name: Some("Echo".to_owned()),
            method: vec![say],
            ..ServiceDescriptorProto::default()
        }],
        ..FileDescriptorProto::default()
    }
}

// `grpc/reflection/v1/reflection.proto`, as far as it is answered here. The alternatives of a question are optional fields: only one is set.

#[derive(Clone, PartialEq, prost::Message)]
struct Question {
    #[prost(string, tag = "1")]
    host: String,
    #[prost(string, optional, tag = "3")]
    file: Option<String>,
    #[prost(string, optional, tag = "4")]
    symbol: Option<String>,
    #[prost(string, optional, tag = "7")]
    list: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Reply {
    #[prost(message, optional, tag = "2")]
    question: Option<Question>,
    #[prost(message, optional, tag = "4")]
    files: Option<Files>,
    #[prost(message, optional, tag = "6")]
    services: Option<Services>,
    #[prost(message, optional, tag = "7")]
    error: Option<Refused>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Files {
    #[prost(bytes = "vec", repeated, tag = "1")]
    files: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Services {
    #[prost(message, repeated, tag = "1")]
    service: Vec<Service>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Service {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Refused {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(question: &Question) -> Reply {
        let framed = reply(&question.encode_to_vec()).unwrap();
        Reply::decode(&grpc::first(&mut framed.to_vec()).unwrap()[..]).unwrap()
    }

    #[test]
    fn services_are_listed_and_described_and_others_are_not_known() {
        let listed = asked(&Question { list: Some(String::new()), ..Question::default() });
        assert!(listed.services.unwrap().service.iter().any(|service| service.name == SERVICE));
        let described = asked(&Question { symbol: Some(SERVICE.to_owned()), ..Question::default() });
        let file = FileDescriptorProto::decode(&described.files.unwrap().files[0][..]).unwrap();
        assert_eq!(file.service[0].method[0].name(), "Say");
        let unknown = asked(&Question { symbol: Some("other.Service".to_owned()), ..Question::default() });
        assert_eq!(unknown.error.unwrap().code, NOT_FOUND);
        assert!(reply(b"no message").is_err());
        assert!(is_asked_for("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"));
        assert!(!is_asked_for("/lab.Echo/ServerReflectionInfo"));
    }
}
