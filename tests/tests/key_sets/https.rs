//! Over HTTPS: only servers that can prove who they are are believed. The certificates are made by `openssl`.

use super::host::{KeySetHost, jwk};
use super::{import, import_from, report};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use tocsin_tests::harness::people::KEY_VERSION;
use tocsin_tests::harness::server::TestServer;
use tocsin_tests::harness::tools::{has, run};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const OPENSSL_CONFIG: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
CN = test
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = keyCertSign
[server]
basicConstraints = CA:FALSE
subjectAltName = DNS:localhost
";

/// Makes `NAME.pem` and `NAME.key`, signed by `by` or, without, by itself.
fn certificate(folder: &Path, name: &str, extensions: &str, by: Option<&str>) {
    std::fs::write(folder.join("openssl.cnf"), OPENSSL_CONFIG).expect("written");
    let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
    let mut arguments =
        vec!["req", "-x509", "-config", "openssl.cnf", "-extensions", extensions, "-days", "2", "-nodes"];
    arguments.extend([
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-keyout",
        &key,
        "-out",
        &certificate,
    ]);
    let by = by.map(|by| (format!("{by}.pem"), format!("{by}.key")));
    if let Some((certificate, key)) = &by {
        arguments.extend(["-CA", certificate, "-CAkey", key]);
    }
    let done = run(folder, "openssl", &arguments);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn acceptor(folder: &Path) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(folder.join("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they belong together");
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_server_with_a_trusted_certificate_for_its_name_is_believed() {
    if !has("openssl") {
        return;
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    certificate(folder.path(), "ca", "authority", None);
    certificate(folder.path(), "server", "server", Some("ca"));
    let host = KeySetHost::start_tls(acceptor(folder.path())).await;
    let (named, unnamed) =
        (format!("https://localhost:{}/", host.port()), format!("https://127.0.0.1:{}/", host.port()));

    let mut trusting = TestServer::start_with(|config| config.jwks.ca_file = Some(folder.path().join("ca.pem"))).await;
    host.publish(&json!({ "keys": [jwk(KEY_VERSION, &trusting.authority)] }));
    import_from(&trusting, &named).await;
    assert_eq!(import(&trusting).await, Ok(report(1, &[])));
    import_from(&trusting, &unnamed).await;
    let error = import(&trusting).await.expect_err("the certificate is for localhost");
    assert!(error.contains("it is for another name") && !error.contains("127.0.0.1"), "{error}");
    trusting.stop().await;

    let mut strict = TestServer::start().await;
    import_from(&strict, &named).await;
    let error = import(&strict).await.expect_err("nobody vouches for the server");
    assert!(error.contains("a certification authority that is not trusted"), "{error}");
    strict.stop().await;
}
