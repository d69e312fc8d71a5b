//! The bytes that a server sees.

use metagpt_ollama_rs::error::Kind;
use metagpt_ollama_rs::http::config::resolve_key;
use metagpt_ollama_rs::http::proxy::ProxyVariables;
use metagpt_ollama_rs::http::{AddressSetting, BaseUrl, Config, Method, ProxyRule, Request};

use crate::server::{Server, block_on, get, made, post, reply, request, runtime};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Sends `request` and gives back what the server saw.
fn sent(request: Request, change: impl FnOnce(&mut Config, &Server)) -> String {
    let server = Server::answering(reply("200 OK", "application/json", "{}"));
    let mut config = server.config();
    change(&mut config, &server);
    let client = made(config).unwrap();
    block_on(&runtime(), client.call(request)).unwrap();
    let address = server.address.to_string();
    String::from_utf8(server.seen().remove(0).remove(0))
        .unwrap()
        .replace(&address, "ADDRESS")
}

#[test]
fn requests_byte_for_byte() {
    assert_eq!(
        sent(post("/api/chat", "{\"model\":\"m\"}"), |_, _| {}),
        format!(
            "POST /api/chat HTTP/1.1\r\ncontent-type: application/json\r\naccept: */*\r\n\
             user-agent: metagpt-ollama-rs/{VERSION}\r\nhost: ADDRESS\r\ncontent-length: 13\r\n\r\n{{\"model\":\"m\"}}"
        )
    );
    assert_eq!(
        sent(get("/api/tags"), |_, _| {}),
        format!(
            "GET /api/tags HTTP/1.1\r\naccept: */*\r\nuser-agent: metagpt-ollama-rs/{VERSION}\r\nhost: ADDRESS\r\n\r\n"
        )
    );
    let delete = Request {
        body: Some(b"{}".to_vec()),
        ..request(Method::Delete, "/api/delete")
    };
    assert!(sent(delete, |_, _| {}).starts_with("DELETE /api/delete HTTP/1.1\r\n"));
    let head = request(Method::Head, "/");
    assert!(sent(head, |_, _| {}).starts_with("HEAD / HTTP/1.1\r\n"));
}

#[test]
fn a_prefix_is_kept_and_an_endpoint_is_not() {
    for (path, line) in [
        ("", "POST /api/chat"),
        ("/", "POST /api/chat"),
        ("/api", "POST /api/chat"),
        ("/v1/chat/completions", "POST /api/chat"),
        ("/ollama/api/", "POST /ollama/api/chat"),
    ] {
        let seen = sent(post("/api/chat", "{}"), |config, server| {
            config.base = BaseUrl::parse(
                &format!("http://{}{path}", server.address),
                AddressSetting::BaseUrl,
            )
            .unwrap()
            .without_endpoint(&config.endpoints);
        });
        assert!(
            seen.starts_with(&format!("{line} HTTP/1.1\r\n")),
            "{path}: {seen}"
        );
    }
}

#[test]
fn credentials() {
    let key = sent(get("/"), |config, _| {
        config.api_key = Some("k-1".to_owned());
    });
    assert!(key.contains("\r\nauthorization: Bearer k-1\r\n"), "{key}");
    let placeholder = sent(get("/"), |config, _| {
        config.api_key = Some("sk-".to_owned());
    });
    assert!(!placeholder.contains("authorization"), "{placeholder}");
    let basic = sent(get("/"), |config, server| {
        config.base = BaseUrl::parse(
            &format!("http://user:p%40ss@{}", server.address),
            AddressSetting::BaseUrl,
        )
        .unwrap();
    });
    assert!(
        basic.contains("\r\nauthorization: Basic dXNlcjpwQHNz\r\n"),
        "{basic}"
    );
    let own = sent(get("/"), |config, _| {
        config.api_key = Some("k-1".to_owned());
        config.headers = vec![
            ("Authorization".to_owned(), "Token x".to_owned()),
            ("X-Team".to_owned(), "a".to_owned()),
        ];
    });
    assert!(
        own.contains("\r\nauthorization: Token x\r\nx-team: a\r\n"),
        "{own}"
    );
    assert!(!own.contains("Bearer"), "{own}");
    let request = Request {
        headers: vec![("x-team".to_owned(), "b".to_owned())],
        ..get("/")
    };
    let once = sent(request, |config, _| {
        config.headers = vec![("X-Team".to_owned(), "a".to_owned())];
    });
    assert!(
        once.contains("\r\nx-team: b\r\n") && !once.contains("x-team: a"),
        "{once}"
    );
}

#[test]
fn keys_go_where_they_belong() {
    let local = BaseUrl::parse("localhost", AddressSetting::Host).unwrap();
    let cloud = BaseUrl::parse("https://ollama.com", AddressSetting::BaseUrl).unwrap();
    let unsafe_cloud = BaseUrl::parse("http://ollama.com", AddressSetting::BaseUrl).unwrap();
    for (explicit, environment, base, expected) in [
        (None, Some("env"), &local, None),
        (None, Some("env"), &cloud, Some("env")),
        (None, Some("env"), &unsafe_cloud, None),
        (Some("mine"), Some("env"), &local, Some("mine")),
        (Some(" mine "), Some("env"), &cloud, Some("mine")),
        (Some("sk-"), Some("env"), &cloud, Some("env")),
        (Some("YOUR_API_KEY"), None, &local, None),
        (Some("ollama"), None, &local, None),
        (Some("sk-xxxx"), None, &local, None),
        (Some("${KEY}"), None, &local, None),
        (Some(""), Some(""), &cloud, None),
        (Some("sk-real1"), None, &local, Some("sk-real1")),
    ] {
        assert_eq!(
            resolve_key(explicit, environment, base).as_deref(),
            expected,
            "{explicit:?} {environment:?} {base}"
        );
    }
}

#[test]
fn what_cannot_be_sent_is_a_configuration_error() {
    let base = || Config::new(BaseUrl::default());
    let header = |name: &str, value: &str| {
        let mut config = base();
        config.headers = vec![(name.to_owned(), value.to_owned())];
        config
    };
    let key = |key: &str| {
        let mut config = base();
        config.api_key = Some(key.to_owned());
        config
    };
    let proxy = |proxy: &str| {
        let mut config = base();
        config.proxy = ProxyRule::Explicit(proxy.to_owned());
        config
    };
    for (config, says) in [
        (header("X Y", "z"), "\"X Y\""),
        (header("X", "secret\r\nEvil: 1"), "\"X\""),
        (header("Content-Length", "5"), "\"Content-Length\""),
        (
            header("transfer-encoding", "chunked"),
            "\"transfer-encoding\"",
        ),
        (key("secret\n2"), "API key"),
        (proxy("ftp://u:secret@host"), "\"ftp\""),
        (proxy("http://"), "no URL"),
        (proxy("http://u:secret@ho st:1"), "no URL"),
    ] {
        let error = made(config).unwrap_err();
        assert_eq!((error.kind, error.status), (Kind::Config, None), "{error}");
        assert!(error.message.contains(says), "{error}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
    let client = made(base()).unwrap();
    let request = Request {
        headers: vec![("a b".to_owned(), String::new())],
        ..get("/")
    };
    let error = block_on(&runtime(), client.call(request)).unwrap_err();
    assert_eq!(error.kind, Kind::Config);
}

#[test]
fn an_explicit_proxy_is_used_even_for_this_machine() {
    let seen = sent(get("/api/version"), |config, server| {
        config.base = BaseUrl::parse("http://127.0.0.1:1", AddressSetting::BaseUrl).unwrap();
        config.proxy = ProxyRule::Explicit(format!("user:pw@{}", server.address));
    });
    assert!(
        seen.starts_with("GET http://127.0.0.1:1/api/version HTTP/1.1\r\n"),
        "{seen}"
    );
    assert!(
        seen.contains("\r\nproxy-authorization: Basic dXNlcjpwdw==\r\n"),
        "{seen}"
    );
}

#[test]
fn a_proxy_of_the_environment_is_for_other_machines() {
    let environment = |proxy: &str, no: Option<&str>| {
        ProxyRule::Environment(ProxyVariables {
            http: Some(proxy.to_owned()),
            https: None,
            all: None,
            no: no.map(str::to_owned),
        })
    };
    let direct = sent(get("/api/version"), |config, _| {
        config.proxy = environment("http://127.0.0.1:1", None);
    });
    assert!(
        direct.starts_with("GET /api/version HTTP/1.1\r\n"),
        "{direct}"
    );
    let through = sent(get("/api/version"), |config, server| {
        config.base = BaseUrl::parse("http://ollama.invalid:99", AddressSetting::BaseUrl).unwrap();
        config.proxy = environment(&server.address.to_string(), Some("other.invalid"));
    });
    assert!(
        through.starts_with("GET http://ollama.invalid:99/api/version HTTP/1.1\r\n"),
        "{through}"
    );

    let mut config =
        Config::new(BaseUrl::parse("http://ollama.invalid:99", AddressSetting::BaseUrl).unwrap());
    config.proxy = environment("http://127.0.0.1:1", Some(".invalid"));
    let error = block_on(&runtime(), made(config).unwrap().call(get("/"))).unwrap_err();
    assert_eq!(error.kind, Kind::Connect);
    assert!(error.message.contains("its name is not known"), "{error}");
}

#[test]
fn the_environment_is_read_as_others_read_it() {
    let read = |pairs: &[(&str, &str)]| {
        let pairs: Vec<(String, String)> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        ProxyVariables::read(move |name| {
            pairs
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        })
    };
    assert_eq!(
        read(&[("http_proxy", "a"), ("HTTP_PROXY", "b")])
            .http
            .as_deref(),
        Some("a")
    );
    assert_eq!(read(&[("HTTP_PROXY", " b ")]).http.as_deref(), Some("b"));
    assert_eq!(
        read(&[("HTTP_PROXY", "b"), ("REQUEST_METHOD", "GET")]).http,
        None
    );
    assert_eq!(read(&[("HTTPS_PROXY", "")]).https, None);
    assert_eq!(
        read(&[("ALL_PROXY", "socks5://x"), ("NO_PROXY", "y")])
            .all
            .as_deref(),
        Some("socks5://x")
    );
}
