//! Requests for export files: names that lead elsewhere, odd headers, odd methods.

use crate::Target;
use http::Method;
use tocsin_host::jobs::Job;

/// A server with one export file; the path of the file and its bytes.
async fn with_a_file() -> (Target, String, Vec<u8>) {
    let mut target = Target::start().await;
    target.server.add_export_config("xx", 3600, |_| {}).await;
    target.server.job(Job::CreateBatches).await;
    let body = target.good_body();
    assert_eq!(target.client.publish(body).await.status, 200);
    target.server.clock.advance_seconds(3 * 3600);
    target.server.job(Job::CreateBatches).await;
    target.server.job(Job::DoWork).await;
    let index = target.client.get("/exports/xx/index.txt").await;
    let path = format!("/exports/{}", String::from_utf8(index.body.to_vec()).expect("ASCII"));
    let file = target.client.get(&path).await;
    assert_eq!(file.status, 200);
    (target, path, file.body.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_leads_out_of_the_bucket_or_is_an_error_of_ours() {
    let (mut target, path, _) = with_a_file().await;
    std::fs::create_dir_all(target.server.folder().join("exports/secret")).expect("folder");
    std::fs::write(target.server.folder().join("exports/secret/x"), "another bucket").expect("file");
    let mut paths: Vec<String> = [
        "",
        "/",
        ".",
        "..",
        "xx",
        "xx/",
        "xx/.",
        "xx//index.txt",
        "/xx/index.txt",
        "./xx/index.txt",
        "xx/./index.txt",
        "../exports/xx/index.txt",
        "../tocsin.db",
        "../../tocsin.db",
        "../../../../../../etc/passwd",
        "/etc/passwd",
        "%2e%2e/tocsin.db",
        "%2e%2e%2ftocsin.db",
        "..%2ftocsin.db",
        "..%2F..%2Ftocsin.db",
        "%2e%2e/%2e%2e/tocsin.db",
        "..%5c..%5ctocsin.db",
        "..\\..\\tocsin.db",
        "%252e%252e/tocsin.db",
        "%c0%ae%c0%ae/tocsin.db",
        "xx/../../tocsin.db",
        "../secret/x",
        "%2e%2e/secret/x",
        "xx/..%2f../secret/x",
        "..;/secret/x",
        "secret/x",
        "public/xx/index.txt",
        "../keys/export.pem",
        "xx/index.txt%00",
        "%00",
        "xx%00/index.txt",
        "xx/index.txt/",
        "xx/index.txt/x",
        "xx/index.txt.",
        "XX/INDEX.TXT",
        "xx/index.txt%20",
        "xx/*",
        "~root",
        "xx/%ff",
        "xx/con",
        "xx/index.txt#1",
    ]
    .map(str::to_owned)
    .into();
    for length in [100, 255, 256, 300, 5_000, 60_000] {
        paths.push("a".repeat(length));
        paths.push(format!("xx/{}.zip", "b".repeat(length)));
        paths.push("c/".repeat(length / 2) + "d");
    }
    for name in paths {
        let request = format!("/exports/{name}");
        // hyper's client sends a fragment to nobody.
        if request.contains('#') || request.contains('\\') {
            continue;
        }
        for method in [Method::GET, Method::HEAD] {
            let answer = target.client.send(method.clone(), &request, &[], "").await;
            let shown = &request[..request.len().min(80)];
            assert_eq!(answer.status, 404, "{method} {shown}");
            assert!(answer.body.is_empty() || &answer.body[..] == b"404 page not found\n", "{method} {shown}");
        }
    }
    assert_eq!(target.client.get(&path).await.status, 200);
    // Few keys are padded, and the padding is stored.
    let stored = target.stored().await;
    target.finish(stored).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_headers_and_methods_get_the_file_or_a_4xx() {
    let (mut target, path, content) = with_a_file().await;
    for (name, value) in [
        ("if-none-match", ""),
        ("if-none-match", "garbage"),
        ("if-none-match", "\"unterminated"),
        ("if-none-match", "\"\", W/\"\", ,,,"),
        ("if-none-match", "W/W/W/\"x\""),
        ("if-none-match", "\u{e4}\u{f6}"),
        ("if-modified-since", "garbage"),
        ("if-match", "\"nothing\""),
        ("range", "bytes=0-9"),
        ("range", "bytes=999999999999999999999-"),
        ("range", "bytes=-1"),
        ("range", "lines=1-2"),
        ("accept-encoding", "identity;q=0"),
        ("accept", "text/html"),
        ("content-length", "0"),
        ("host", "\u{e4}"),
        ("cookie", "x"),
    ] {
        let answer = target.client.send(Method::GET, &path, &[(name, value)], "").await;
        assert_eq!(answer.status, 200, "{name}: {value}");
        assert_eq!(answer.body, content, "{name}: {value}");
    }
    let commas = ",".repeat(50_000);
    assert_eq!(target.client.send(Method::GET, &path, &[("if-none-match", &commas)], "").await.status, 200);
    let star = target.client.send(Method::GET, &path, &[("if-none-match", "*")], "").await;
    assert_eq!((star.status.as_u16(), star.body.len()), (304, 0));
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::TRACE] {
        let answer = target.client.send(method.clone(), &path, &[], "overwritten").await;
        assert_eq!(answer.status, 404, "{method}");
    }
    assert_eq!(target.client.get(&path).await.body, content);
    // Few keys are padded, and the padding is stored.
    let stored = target.stored().await;
    target.finish(stored).await;
}
