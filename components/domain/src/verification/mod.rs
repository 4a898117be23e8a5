//! Why we believe a diagnosis: the verification certificate, a JWT of a health authority that covers the keys by an HMAC.

pub mod certificate;
pub mod hmac;
pub mod issue;
pub mod key_set;
