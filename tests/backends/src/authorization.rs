//! An authorization server as gateways call it over HTTP: 200 for the right header, else 401.

use hyper::{Request, body::Incoming};

use crate::{Answer, response};

/// Who has `x-token: right` may pass.
pub(crate) async fn answer(request: Request<Incoming>) -> std::io::Result<Answer> {
    let right = request.headers().get("x-token").is_some_and(|token| token == "right");
    Ok(if right { response(200, &[("x-user", "somebody")], "") } else { response(401, &[], "no") })
}
