//! Whom we believe to be who they say.

use super::{CaFileError, OutgoingError};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, RootCertStore};

/// TLS 1.2 and 1.3 with the built-in certification authorities and those of a file.
pub(super) fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, CaFileError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        add_file(&mut roots, path)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| CaFileError(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), CaFileError> {
    let wrong = |what: &str| {
        CaFileError(format!(
            "{} {what}; it must hold certificates of certification authorities in PEM form",
            path.display()
        ))
    };
    let pem = std::fs::read(path).map_err(|error| wrong(&format!("cannot be read ({error})")))?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| wrong("is garbled"))?;
        roots.add(certificate).map_err(|_| wrong("has a certificate that is none"))?;
        count += 1;
    }
    if count == 0 { Err(wrong("has no certificate")) } else { Ok(()) }
}

/// Makes sure that the server is `host`.
pub(super) async fn handshake(
    connector: &TlsConnector,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, OutgoingError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| OutgoingError::Certificate("the host has no name"))?;
    connector.connect(name, stream).await.map_err(|error| reason(&error))
}

/// In our own words: rustls names what it found, which may be an address.
fn reason(error: &io::Error) -> OutgoingError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(error)) => OutgoingError::Certificate(match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet",
            CertificateError::UnknownIssuer => {
                "it is of a certification authority that is not trusted (jwks.ca_file can name one)"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "it is for another name"
            }
            CertificateError::Revoked => "it is revoked",
            _ => "it is not valid",
        }),
        Some(_) | None => OutgoingError::Tls,
    }
}
