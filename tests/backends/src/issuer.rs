//! An issuer of JSON Web Tokens: `/keys` is its key set, `/token` signs the claims in the body of the request, and
//! `/token/forged` signs them with a key that is not in the set but says that it is. After `/rotate` there is a new key in
//! place of the old one.

use std::sync::{LazyLock, Mutex, PoisonError};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http_body_util::BodyExt;
use hyper::{Request, body::Incoming};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::json;

use crate::{Answer, response};

/// A key pair, and the name that it has in the set.
struct Signer {
    number: u32,
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new(number: u32) -> Option<Self> {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).ok()?;
        Some(Self { number, pair: EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).ok()? })
    }

    fn id(&self) -> String {
        format!("key-{}", self.number)
    }
}

static CURRENT: LazyLock<Mutex<Option<Signer>>> = LazyLock::new(|| Mutex::new(Signer::new(1)));

/// Keys and tokens.
pub(crate) async fn answer(request: Request<Incoming>) -> std::io::Result<Answer> {
    let (head, body) = request.into_parts();
    let claims = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    let number = current.as_ref().map_or(0, |signer| signer.number);
    let made = match head.uri.path() {
        "/keys" => current.as_ref().map(keys),
        "/token" => current.as_ref().and_then(|signer| token(signer, &claims)),
        "/token/forged" => Signer::new(number).and_then(|signer| token(&signer, &claims)),
        "/rotate" => {
            *current = Signer::new(number + 1);
            current.as_ref().map(Signer::id)
        }
        _ => return Ok(response(404, &[], "")),
    };
    Ok(match made {
        Some(text) => response(200, &[("content-type", "application/json")], text),
        None => response(500, &[], "no key"),
    })
}

/// RFC 7517, RFC 7518 §6.2.1: the point is its two coordinates after a byte that says so.
fn keys(signer: &Signer) -> String {
    let point = signer.pair.public_key().as_ref();
    let half = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(point.get(range).unwrap_or_default());
    json!({"keys": [{
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": signer.id(), "x": half(1..33), "y": half(33..65),
    }]})
    .to_string()
}

/// RFC 7515, the compact form.
fn token(signer: &Signer, claims: &[u8]) -> Option<String> {
    let head = json!({"alg": "ES256", "typ": "JWT", "kid": signer.id()}).to_string();
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
    let signature = signer.pair.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
