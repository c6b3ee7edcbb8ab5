//! An issuer of JSON Web Tokens: `/keys` is its key set, `/token` signs the claims in the body of the request, and
//! `/token/forged` signs them with a key that is not in the set but says that it is.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http_body_util::BodyExt;
use hyper::{Request, body::Incoming};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::json;

use crate::{Answer, response};

const KEY_ID: &str = "one";

static KEY: LazyLock<Option<EcdsaKeyPair>> = LazyLock::new(new_key);
static OTHER: LazyLock<Option<EcdsaKeyPair>> = LazyLock::new(new_key);

fn new_key() -> Option<EcdsaKeyPair> {
    let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).ok()?;
    EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).ok()
}

/// Keys and tokens.
pub(crate) async fn answer(request: Request<Incoming>) -> std::io::Result<Answer> {
    let (head, body) = request.into_parts();
    let claims = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let made = match head.uri.path() {
        "/keys" => KEY.as_ref().map(keys),
        "/token" => KEY.as_ref().and_then(|key| token(key, &claims)),
        "/token/forged" => OTHER.as_ref().and_then(|key| token(key, &claims)),
        _ => return Ok(response(404, &[], "")),
    };
    Ok(match made {
        Some(text) => response(200, &[("content-type", "application/json")], text),
        None => response(500, &[], "no key"),
    })
}

/// RFC 7517, RFC 7518 §6.2.1: the point is its two coordinates after a byte that says so.
fn keys(key: &EcdsaKeyPair) -> String {
    let point = key.public_key().as_ref();
    let half = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(point.get(range).unwrap_or_default());
    json!({"keys": [{
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID, "x": half(1..33), "y": half(33..65),
    }]})
    .to_string()
}

/// RFC 7515, the compact form.
fn token(key: &EcdsaKeyPair, claims: &[u8]) -> Option<String> {
    let head = json!({"alg": "ES256", "typ": "JWT", "kid": KEY_ID}).to_string();
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
