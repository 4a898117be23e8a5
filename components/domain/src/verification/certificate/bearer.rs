//! The bearer token by which a health authority reads its statistics: a JWT signed by the key that signs certificates.

use super::claims::{CertificateClaims, Header, KeyId};
use super::{Rejection, Segments, active_key};
use crate::base64;
use crate::health_authority::HealthAuthorityId;
use crate::interval::Timestamp;
use crate::ports::health_authorities::HealthAuthorities;
use crate::ports::signature_check::SignatureCheck;
use crate::ports::verifier::VerificationError;
use crate::settings::VerificationSettings;
use crate::text::shortened;

/// The health authority whose token this is, if it may read its statistics. The checks and their order are those of the
/// reference; times have the tolerance of certificates.
pub(super) fn authenticate(
    text: &str,
    now: Timestamp,
    settings: &VerificationSettings,
    health_authorities: &dyn HealthAuthorities,
    signature_check: &dyn SignatureCheck,
) -> Result<HealthAuthorityId, VerificationError> {
    let token = Segments::split(text).map_err(refused)?;
    let header = base64::decode_url(token.header).map_err(|_| refused(Rejection::Header))?;
    let header = Header::parse(&header).map_err(refused)?;
    let claims = base64::decode_url(token.claims).map_err(|_| refused(Rejection::Claims(None)))?;
    let claims = CertificateClaims::parse(&claims).map_err(refused)?;
    let key_id = match header.check() {
        Ok(KeyId::Text(id)) => KeyId::Text(id),
        Ok(KeyId::Other) => return Err(refused("invalid 'kid' field in token")),
        Err(Rejection::NoKeyId) => return Err(refused("missing 'kid' header in token")),
        Err(other) => return Err(refused(other)),
    };
    let issuer = claims.issuer.as_ref();
    let authority = health_authorities
        .find_health_authority(issuer)?
        .ok_or_else(|| refused(Rejection::UnknownIssuer(issuer.to_owned())))?;
    if !authority.statistics_enabled {
        return Err(refused("API access forbidden"));
    }
    let key = active_key(&authority, &key_id, now)
        .ok_or_else(|| refused(format_args!("key not found: kid: {key_id} iss: {}", shortened(issuer))))?;
    let skew = i64::from(settings.clock_skew_seconds);
    if claims.begins_in_the_future(now, skew) {
        return Err(refused("token is not valid yet"));
    }
    if claims.is_issued_in_the_future(now, skew) {
        return Err(refused("Token used before issued"));
    }
    if !token.is_signed_by(key, signature_check)? {
        return Err(refused(Rejection::Signature));
    }
    claims.check_expiry(now, skew).map_err(refused)?;
    if claims.audience != settings.statistics_audience {
        return Err(VerificationError::Rejected("unauthorized, audience mismatch".to_owned()));
    }
    Ok(authority.id)
}

fn refused(reason: impl std::fmt::Display) -> VerificationError {
    VerificationError::Rejected(format!("unauthorized: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::World;
    use super::*;
    use serde_json::{Value, json};

    /// A world in which the default token is valid.
    fn world() -> World {
        let mut world = World::new();
        world.claims = json!({"iss": "issuer", "aud": "keyserver", "iat": world.now, "exp": world.now + 300});
        world
    }

    fn authenticated(world: &World, token: &str) -> Result<u64, String> {
        let now = Timestamp::from_unix(world.now);
        match authenticate(token, now, &world.settings, &world.authorities, &world.signatures) {
            Ok(id) => Ok(id.0),
            Err(VerificationError::Rejected(text)) => Err(text),
            Err(VerificationError::Port(error)) => panic!("{error}"),
        }
    }

    #[track_caller]
    fn check(world: &World, expect: Result<u64, &str>) {
        assert_eq!(authenticated(world, &world.token()), expect.map_err(str::to_owned));
    }

    #[test]
    fn token_of_a_health_authority_is_believed_with_and_without_times() {
        check(&world(), Ok(5));
        let mut endless = world();
        endless.claims = json!({"iss": "issuer", "aud": "keyserver"});
        check(&endless, Ok(5));
    }

    #[test]
    fn each_defective_claim_is_named() {
        let now = world().now;
        for (claim, value, text) in [
            ("iss", json!("nobody"), "unauthorized: issuer not found: nobody"),
            ("nbf", json!(now + 11), "unauthorized: token is not valid yet"),
            ("iat", json!(now + 11), "unauthorized: Token used before issued"),
            ("exp", json!(now - 11), "unauthorized: token is expired by 11s"),
            ("aud", json!("audience"), "unauthorized, audience mismatch"),
            ("aud", Value::Null, "unauthorized, audience mismatch"),
            ("aud", json!(["keyserver"]), "unauthorized: token claims: invalid value of \"aud\""),
        ] {
            check(&world().claim(claim, value), Err(text));
        }
    }

    #[test]
    fn each_defective_header_is_named() {
        for (header, text) in [
            (json!({"alg": "ES256"}), "unauthorized: missing 'kid' header in token"),
            (json!({"alg": "ES256", "kid": 1}), "unauthorized: invalid 'kid' field in token"),
            (json!({"alg": "HS256", "kid": "v1"}), "unauthorized: unsupported signing method, must be ES256"),
            (json!({"alg": "ES256", "kid": "v9"}), "unauthorized: key not found: kid: v9 iss: issuer"),
        ] {
            check(&World { header, ..world() }, Err(text));
        }
    }

    #[test]
    fn authority_needs_permission_and_the_token_a_signature() {
        let mut forbidden = world();
        forbidden.authorities.authorities[0].statistics_enabled = false;
        check(&forbidden, Err("unauthorized: API access forbidden"));
        check(&World { signing_key: b"another".to_vec(), ..world() }, Err("unauthorized: signature is invalid"));
        let segments = Err("unauthorized: token contains an invalid number of segments".to_owned());
        assert_eq!(authenticated(&world(), "a.b"), segments);
        assert_eq!(authenticated(&world(), ""), segments);
    }
}
