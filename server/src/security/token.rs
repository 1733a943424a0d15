//! Short-lived tokens (JSON Web Tokens, HS256) that a backend can hand to a browser.
//!
//! A token names the key that signed for it, what it may do and where, and when it ends. It falls with its key.

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    signature::{self, Signer, Verifier},
};
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::{Grant, Role, Scope};

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claims {
    /// The id of the key.
    sub: String,
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    libraries: Option<Vec<String>>,
    /// Seconds since 1970.
    exp: u64,
}

impl Claims {
    pub(super) fn new(key: &str, grant: &Grant, expires: u64) -> Self {
        Self { sub: key.to_owned(), role: grant.role, libraries: grant.scope.ids(), exp: expires }
    }

    /// The key that signed, and what it granted.
    pub(super) fn into_parts(self) -> (String, Grant) {
        (self.sub, Grant { role: self.role, scope: Scope::of(self.libraries) })
    }
}

/// Signs a token. `None` only if it cannot be written as JSON.
pub(super) fn sign(claims: &Claims, secret: &[u8]) -> Option<String> {
    install();
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret)).ok()
}

/// Reads a token that is ours and has not ended.
pub(super) fn verify(token: &str, secret: &[u8]) -> Option<Claims> {
    install();
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = 0;
    jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_secret(secret), &validation).ok().map(|token| token.claims)
}

/// The library leaves cryptography to others: here to ring, of which the server has TLS, too.
static RING: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(Hs256::new(*algorithm, key.as_bytes())?)),
    verifier_factory: |algorithm, key| Ok(Box::new(Hs256::new(*algorithm, key.try_get_as_bytes()?)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

fn install() {
    // Fails from the second time on, when it is there.
    let _ = RING.install_default();
}

struct Hs256(hmac::Key);

impl Hs256 {
    fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self, Error> {
        match algorithm {
            Algorithm::HS256 => Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret))),
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        }
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], tag: &Vec<u8>) -> Result<(), signature::Error> {
        // Compares in constant time.
        hmac::verify(&self.0, message, tag).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}
