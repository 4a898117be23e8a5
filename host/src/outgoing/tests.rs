use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const LIMITS: RequestLimits =
    RequestLimits { connect_timeout: Duration::from_secs(10), timeout: Duration::from_secs(60), max_body_bytes: 1000 };

fn insecure() -> OutgoingHttp {
    OutgoingHttp::new(None, true).expect("no file is needed")
}

/// Answers one connection with those bytes, and returns what it was asked.
async fn server(answer: Vec<u8>) -> (Uri, JoinHandle<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let uri = format!("http://{}/keys?x=1", listener.local_addr().expect("bound")).parse().expect("a URI");
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let request = read_request(&mut stream).await;
        stream.write_all(&answer).await.ok();
        request
    });
    (uri, asked)
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.expect("a request"));
    }
    String::from_utf8(request).expect("ASCII")
}

async fn check(answer: &str, expect: Result<(u16, &str), OutgoingError>) {
    let (uri, _asked) = server(answer.as_bytes().to_vec()).await;
    let got = insecure().get(&uri, &LIMITS).await;
    let got = got.map(|response| (response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned()));
    assert_eq!(got, expect.map(|(status, body)| (status, body.to_owned())), "{answer:.80}");
}

#[tokio::test]
async fn answer_comes_whole_with_any_status() {
    check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", Ok((200, "hi"))).await;
    check("HTTP/1.0 404 No\r\n\r\nto the end", Ok((404, "to the end"))).await;
    check("HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", Ok((500, "abc")))
        .await;
    check("HTTP/1.1 204 No\r\n\r\n", Ok((204, ""))).await;
}

#[tokio::test]
async fn redirect_is_an_answer_and_not_followed() {
    check("HTTP/1.1 302 No\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n", Ok((302, ""))).await;
}

#[tokio::test]
async fn request_says_who_asks_for_what_and_nothing_else() {
    let (uri, asked) = server(b"HTTP/1.1 204 No\r\n\r\n".to_vec()).await;
    insecure().get(&uri, &LIMITS).await.expect("an answer");
    let asked = asked.await.expect("the server is done");
    let version = env!("CARGO_PKG_VERSION");
    let host = uri.authority().expect("a host");
    let expect =
        format!("GET /keys?x=1 HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nuser-agent: tocsin/{version}\r\n\r\n");
    assert_eq!(asked, expect);
}

#[tokio::test]
async fn body_beyond_the_limit_is_refused_whether_announced_or_not() {
    let long = "x".repeat(1001);
    let too_large = Err(OutgoingError::TooLarge(1000));
    check(&format!("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n{long}"), too_large).await;
    check(&format!("HTTP/1.1 200 OK\r\n\r\n{long}"), too_large).await;
    check(&format!("HTTP/1.1 200 OK\r\n\r\n{}", &long[1..]), Ok((200, &long[1..]))).await;
}

#[tokio::test]
async fn what_is_not_http_or_breaks_off_is_an_error() {
    for answer in ["", "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi", "HTTP/1.1 200 OK\r\n"] {
        check(answer, Err(OutgoingError::Protocol)).await;
    }
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(2 * MAX_HEADER_BYTES));
    check(&endless, Err(OutgoingError::Protocol)).await;
}

#[tokio::test]
async fn server_that_never_answers_is_given_up() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let uri = format!("http://{}/", listener.local_addr().expect("bound")).parse().expect("a URI");
    let limits = RequestLimits { timeout: Duration::from_millis(20), ..LIMITS };
    assert_eq!(insecure().get(&uri, &limits).await.err(), Some(OutgoingError::Timeout));
    // A body that never ends neither.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let uri = format!("http://{}/", listener.local_addr().expect("bound")).parse().expect("a URI");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx").await.expect("sent");
        std::future::pending::<()>().await;
    });
    assert_eq!(insecure().get(&uri, &limits).await.err(), Some(OutgoingError::Timeout));
}

#[tokio::test]
async fn nobody_there_is_told_without_an_address() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let uri: Uri = format!("http://{}/", listener.local_addr().expect("bound")).parse().expect("a URI");
    drop(listener);
    let error = insecure().get(&uri, &LIMITS).await.expect_err("refused");
    assert_eq!(error, OutgoingError::Connect(io::ErrorKind::ConnectionRefused));
    assert!(!error.to_string().contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn server_without_tls_is_not_https() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let uri = format!("https://{}/", listener.local_addr().expect("bound")).parse().expect("a URI");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
    });
    assert_eq!(insecure().get(&uri, &LIMITS).await.err(), Some(OutgoingError::Tls));
}

#[test]
fn uris_are_https_with_a_host_and_without_credentials() {
    let strict = OutgoingHttp::new(None, false).expect("no file is needed");
    let check = |uri: &str, expect: Option<UriProblem>| assert_eq!(strict.check_uri(uri).err(), expect, "{uri:.80}");
    check("https://health.example/jwks.json", None);
    check("https://health.example", None);
    check("HTTPS://health.example:8443/?a=b", None);
    check("https://[2001:db8::1]/", None);
    check("http://health.example/", Some(UriProblem::Insecure));
    check("ftp://health.example/", Some(UriProblem::Scheme));
    check("https://user:secret@health.example/", Some(UriProblem::Credentials));
    for bad in [
        "",
        "/jwks.json",
        "health.example",
        "https://",
        "https:///x",
        "https://a b/",
        "https://a:/",
        "https://a:0/",
        "https://a:99999/",
    ] {
        check(bad, Some(UriProblem::Malformed));
    }
    check(&format!("https://a/{}", "x".repeat(2048)), Some(UriProblem::TooLong));
    assert!(insecure().check_uri("http://localhost/").is_ok());
}

#[test]
fn file_of_certification_authorities_must_have_some() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("ca.pem");
    for content in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&file, content).expect("written");
        let error = OutgoingHttp::new(Some(&file), false).expect_err("refused");
        assert!(error.to_string().contains("ca.pem"), "{error}");
    }
    assert!(OutgoingHttp::new(Some(&folder.path().join("none.pem")), false).is_err());
}
