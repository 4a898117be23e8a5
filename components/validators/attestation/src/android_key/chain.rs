//! The chain of an attested key. Google's chains are not those of RFC 5280: the leaf's dates are the phone's own, a
//! factory's certificates may have expired, remotely provisioned ones do not nest in time, and the same root key
//! circulates in several certificates. So the chain is walked by hand, in fixed roles:
//!
//! - a factory's: root, intermediate, attestation, target;
//! - provisioned remotely: root, intermediate, server, attestation, target.

use der::asn1::ObjectIdentifier;
use sha2::{Digest, Sha256};

use crate::contract::{Rejection, Services, Stage};
use crate::x509::{BasicConstraints, Certificate, PublicKey, find_same_anchor};

/// The extension of an attested key.
const ATTESTATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.1.17");
/// The extension of an attestation certificate that was provisioned remotely.
const PROVISIONING_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.1.30");

/// How the device got its attestation key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provisioning {
    /// Built in.
    Factory,
    /// From Google's servers, a few weeks at a time.
    Remote,
}

/// A chain whose certificates can be read; nothing else was checked.
pub struct Chain<'a> {
    /// The attested key.
    target: Certificate<'a>,
    /// What stands between, beginning with the target's issuer.
    between: Vec<Certificate<'a>>,
    /// The last certificate. Never trusted for itself.
    root: Certificate<'a>,
}

impl<'a> Chain<'a> {
    /// Reads the certificates, leaf first (step 1).
    pub fn parse(certificates: &'a [Vec<u8>]) -> Result<Self, Rejection> {
        let shape = |detail| Rejection::new("ka-chain-shape", Stage::Parse, detail);
        let [target, between @ .., root] = certificates else {
            return Err(shape("a chain has three to six certificates"));
        };
        if !(1..=4).contains(&between.len()) {
            return Err(shape("a chain has three to six certificates"));
        }
        let read = |der: &'a Vec<u8>| Certificate::parse(der).map_err(|_| shape("a certificate cannot be read"));
        let chain = Self {
            target: read(target)?,
            between: between.iter().map(read).collect::<Result<_, _>>()?,
            root: read(root)?,
        };
        // The revocation list has no way to name it.
        if chain.all().any(|certificate| certificate.serial.first().is_none_or(|first| *first >= 0x80)) {
            return Err(shape("a serial number is negative"));
        }
        if !chain.root.is_self_issued() {
            return Err(shape("the last certificate is not self-issued"));
        }
        Ok(chain)
    }

    /// Checks everything about the chain at `now`, Unix seconds (steps 1 to 5), and returns the contents of the
    /// target's attestation extension.
    pub fn verify(
        &self,
        anchors: &[Vec<u8>],
        now: i64,
        services: &dyn Services,
    ) -> Result<(Provisioning, &'a [u8]), Rejection> {
        let anchor = find_same_anchor(anchors, &self.root)
            .ok_or_else(|| reject("ka-root", "the last certificate's name and key are not those of a trust anchor"))?;
        self.verify_links(&anchor)?;
        self.verify_dates(now)?;
        let verified = self.verify_roles()?;
        self.verify_not_revoked(services)?;
        Ok(verified)
    }

    /// SHA-256 of the attested key. Not of its certificate: ECDSA signatures can be changed into others that verify as
    /// well, and a key used twice would look like two.
    pub fn target_key_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.target.spki).into()
    }

    fn all(&self) -> impl Iterator<Item = &Certificate<'a>> {
        std::iter::once(&self.target).chain(&self.between).chain(std::iter::once(&self.root))
    }

    /// Step 2: from the pinned key to the target, names byte for byte, and each signature. The first failure ends it,
    /// so that a chain of somebody else costs one check.
    fn verify_links(&self, anchor: &Certificate<'_>) -> Result<(), Rejection> {
        let mut issuer = anchor;
        for certificate in self.between.iter().rev().chain(std::iter::once(&self.target)) {
            certificate
                .verify_issued_by::<PublicKey>(issuer)
                .map_err(|_| reject("ka-chain", "a certificate was not issued by the one after it"))?;
            issuer = certificate;
        }
        Ok(())
    }

    /// Step 3. The root is pinned by its key, and the target's dates are the phone's.
    fn verify_dates(&self, now: i64) -> Result<(), Rejection> {
        for certificate in &self.between {
            if now < certificate.not_before {
                return Err(reject("ka-chain-expired", "a certificate is not valid yet"));
            }
            // Factories gave some phones certificates that ended before the phones did.
            if now > certificate.not_after && self.provisioning() != Some(Provisioning::Factory) {
                return Err(reject("ka-chain-expired", "a certificate has expired"));
            }
        }
        Ok(())
    }

    /// Step 4. A genuine attested key can sign a certificate that pretends to be an attestation; the roles leave no
    /// place for one below it.
    fn verify_roles(&self) -> Result<(Provisioning, &'a [u8]), Rejection> {
        let extended = |detail| reject("ka-chain-extended", detail);
        if self.between.iter().chain([&self.root]).any(|certificate| certificate.extension(ATTESTATION).is_some()) {
            return Err(extended("a certificate other than the first has the attestation extension"));
        }
        if self.between.iter().any(|certificate| !may_be_issuer(certificate)) {
            return Err(extended("a certificate that may not issue others did"));
        }
        let provisioning =
            self.provisioning().ok_or_else(|| extended("the certificates are not those of the known roles"))?;
        let extension = self
            .target
            .extension(ATTESTATION)
            .ok_or_else(|| Rejection::new("ka-extension", Stage::Parse, "the first certificate has no attestation"))?;
        Ok((provisioning, extension))
    }

    /// Step 5. Without a list it is not known, and that is no yes.
    fn verify_not_revoked(&self, services: &dyn Services) -> Result<(), Rejection> {
        for certificate in self.all() {
            match services.is_revoked(&certificate.serial_hex()) {
                Some(false) => {}
                Some(true) => return Err(reject("ka-revoked", "a certificate is revoked or suspended")),
                None => {
                    return Err(Rejection::retryable(
                        "revocation-unavailable",
                        Stage::Upstream,
                        "there is no revocation list that is fresh enough",
                    ));
                }
            }
        }
        Ok(())
    }

    /// By the roles; `None` when there is another number of certificates, or the mark of remote provisioning stands
    /// anywhere but in the attestation certificate.
    fn provisioning(&self) -> Option<Provisioning> {
        let is_remote = |certificate: &Certificate<'_>| certificate.extension(PROVISIONING_INFO).is_some();
        match self.between.as_slice() {
            [attestation, intermediate] if !is_remote(attestation) && !is_remote(intermediate) => {
                Some(Provisioning::Factory)
            }
            [attestation, server, intermediate]
                if is_remote(attestation) && !is_remote(server) && !is_remote(intermediate) =>
            {
                Some(Provisioning::Remote)
            }
            _ => None,
        }
    }
}

/// Old factories left extensions away, so only what a certificate says against it counts.
fn may_be_issuer(certificate: &Certificate<'_>) -> bool {
    matches!(certificate.basic_constraints(), Ok(None | Some(BasicConstraints { ca: true, .. })))
        && certificate.key_usage_allows(5)
}

fn reject(code: &'static str, detail: &'static str) -> Rejection {
    Rejection::new(code, Stage::Chain, detail)
}
