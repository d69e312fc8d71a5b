//! Proxies: for whom one is used, and whose failure a failure is.

use metagpt_ollama_rs::error::{Cause, Error, Kind};
use metagpt_ollama_rs::http::proxy::ProxyVariables;
use metagpt_ollama_rs::http::{AddressSetting, BaseUrl, Client, Config, ProxyRule, Trust};

use crate::server::{Do, PATIENCE, Server, block_on, get, made, post, reply, runtime};

fn is_direct(base: &str, no: &str) -> bool {
    let base = BaseUrl::parse(base, AddressSetting::BaseUrl).unwrap();
    let mut config = Config::new(base);
    config.trust = Trust::Anybody;
    config.proxy = ProxyRule::Environment(ProxyVariables {
        all: Some("http://proxy.invalid:3128".to_owned()),
        no: Some(no.to_owned()),
        ..ProxyVariables::default()
    });
    Client::new(config).unwrap().proxy().is_none()
}

#[test]
fn no_proxy_names_hosts_domains_addresses_networks_and_ports() {
    for (no, direct, through) in [
        (
            "*",
            &[
                "http://10.1.2.3:1",
                "http://[fd00::1]",
                "https://a.example",
                "http://a",
            ][..],
            &[][..],
        ),
        ("", &[], &["http://10.1.2.3", "http://a.example"]),
        (" , ,", &[], &["http://10.1.2.3", "http://a.example"]),
        (
            "gpu.lan",
            &[
                "http://gpu.lan",
                "http://GPU.lan:11434",
                "https://a.gpu.lan",
                "http://gpu.lan.",
            ],
            &["http://mygpu.lan", "http://gpu.lan.example", "http://lan"],
        ),
        (
            ".gpu.lan, other",
            &["http://gpu.lan", "http://a.gpu.lan", "http://other"],
            &["http://mygpu.lan"],
        ),
        (
            "*.gpu.lan",
            &["http://a.gpu.lan", "http://b.a.gpu.lan:1"],
            &["http://gpu.lan", "http://mygpu.lan"],
        ),
        ("GPU.LAN.", &["http://gpu.lan", "http://gpu.lan.:1"], &[]),
        (
            "bücher.example",
            &["http://bücher.example", "http://xn--bcher-kva.example"],
            &[],
        ),
        (
            "gpu.lan:11434",
            &["http://gpu.lan:11434", "https://a.gpu.lan:11434"],
            &["http://gpu.lan", "http://gpu.lan:1143"],
        ),
        ("gpu.lan:443", &["https://gpu.lan"], &["http://gpu.lan"]),
        ("gpu.lan:x,gpu.lan:", &[], &["http://gpu.lan"]),
        ("gpu.lan:*", &["http://gpu.lan:7"], &[]),
        ("*:11434", &["http://10.0.0.1:11434"], &["http://10.0.0.1"]),
        (
            "10.1.2.3:11434 10.1.2.4",
            &["http://10.1.2.3:11434", "http://10.1.2.4"],
            &["http://10.1.2.3:80", "http://10.1.2.5"],
        ),
        (
            "10.0.0.0/8,192.168.7.0/24",
            &["http://10.255.0.1", "http://192.168.7.9:3"],
            &[
                "http://11.0.0.1",
                "http://192.168.8.1",
                "http://ten.example",
            ],
        ),
        ("0.0.0.0/0", &["http://9.9.9.9"], &["http://[fd00::1]"]),
        ("10.1.2.3/32", &["http://10.1.2.3"], &["http://10.1.2.2"]),
        (
            "10.1.2.3/33,10.0.0.0/x,/8,10.0.0.0/",
            &[],
            &["http://10.1.2.3"],
        ),
        (
            "fd00::1",
            &["http://[fd00::1]", "http://[fd00::1]:9"],
            &["http://[fd00::2]"],
        ),
        ("[fd00::1]", &["http://[fd00::1]:9"], &["http://[fd00::2]"]),
        (
            "[fd00::1]:9",
            &["http://[fd00::1]:9"],
            &["http://[fd00::1]:8"],
        ),
        (
            "fd00::/8",
            &["http://[fd12::1]"],
            &["http://[fe80::1]", "http://10.0.0.1"],
        ),
        ("::ffff:10.1.2.3", &["http://10.1.2.3"], &[]),
        (
            "http://gpu.lan, https://a.example/",
            &["http://gpu.lan", "https://a.example"],
            &["https://gpu.lan", "http://a.example"],
        ),
        (".1.2.3,2.3,3", &[], &["http://10.1.2.3"]),
    ] {
        for base in direct {
            assert!(is_direct(base, no), "{no:?} should spare {base}");
        }
        for base in through {
            assert!(!is_direct(base, no), "{no:?} should not spare {base}");
        }
    }
}

/// The failure of a request to `base` through a proxy that answers `bytes`.
fn through(base: &str, bytes: &str) -> (Error, String) {
    let proxy = Server::answering(bytes);
    let place = format!("http://{}", proxy.address);
    let mut config = proxy.config();
    config.base = BaseUrl::parse(base, AddressSetting::BaseUrl).unwrap();
    config.trust = Trust::Anybody;
    config.proxy = ProxyRule::Explicit(format!("http://ann:hunter2secret@{}", proxy.address));
    let client = made(config).unwrap();
    let error = block_on(&runtime(), client.call(post("/api/chat", "{}"))).unwrap_err();
    proxy.seen();
    assert!(!format!("{error:?}").contains("hunter2secret"), "{error:?}");
    (error, place)
}

#[test]
fn a_proxys_own_replies_are_its_own() {
    let html = "<html><title>Squid says no</title></html>";
    for (status, body) in [
        ("407 Proxy Authentication Required", ""),
        ("407 Proxy Authentication Required", html),
        ("407 Proxy Authentication Required", "{\"error\":\"no\"}"),
        ("403 Forbidden", html),
        ("403 Forbidden", ""),
        ("500 Internal Privoxy Error", html),
        ("502 Bad Gateway", ""),
        ("502 Bad Gateway", "no route"),
        ("503 Service Unavailable", ""),
        ("503 Service Unavailable", html),
        ("504 Gateway Timeout", "{\"message\":\"slow\"}"),
        ("511 Network Authentication Required", html),
    ] {
        let bytes = reply(status, "text/html", body);
        let (error, place) = through("http://ollama.invalid", &bytes);
        assert_eq!(error.kind, Kind::Status, "{error}");
        assert!(
            error
                .message
                .starts_with(&format!("The proxy {place} answered {}", &status[..3])),
            "{error}"
        );
        assert_eq!(error.proxy, Some(place));
    }
    for (status, body) in [
        (
            "503 Service Unavailable",
            "{\"error\":\"server busy, please try again\"}",
        ),
        (
            "500 Internal Server Error",
            "{\"error\":{\"message\":\"boom\"}}",
        ),
        (
            "403 Forbidden",
            "{\"error\":\"this model requires a subscription\"}",
        ),
        ("404 Not Found", "404 page not found"),
        ("405 Method Not Allowed", "405 method not allowed"),
        ("401 Unauthorized", ""),
        ("429 Too Many Requests", ""),
    ] {
        let bytes = reply(status, "application/json", body);
        let (error, place) = through("http://ollama.invalid", &bytes);
        assert!(error.message.starts_with("The server answered"), "{error}");
        assert_eq!(error.proxy, None, "{place}");
    }
    let (error, place) = through("http://ollama.invalid", &reply("200 OK", "text/html", html));
    assert_eq!((error.kind, &error.proxy), (Kind::Protocol, &Some(place)));
    let (error, place) = through("http://ollama.invalid", "SSH-2.0-x\r\n\r\n");
    assert_eq!((error.kind, &error.proxy), (Kind::Protocol, &Some(place)));
}

#[test]
fn a_tunnel_that_a_proxy_refuses() {
    let (error, place) = through(
        "https://ollama.invalid",
        "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(
        (error.kind, error.status),
        (Kind::Status, Some(407)),
        "{error}"
    );
    assert!(
        error
            .message
            .starts_with(&format!("The proxy {place} answered 407")),
        "{error}"
    );
    assert_eq!(error.proxy, Some(place));
    for bytes in [
        "HTTP/1.1 403 Forbidden\r\n\r\n<html>",
        "HTTP/1.1 502 Bad Gateway\r\n\r\n",
        "HTTP/1.1 503 Busy\r\n\r\n",
        "",
        "nonsense\r\n\r\n",
    ] {
        let (error, place) = through("https://ollama.invalid", bytes);
        assert_eq!(error.kind, Kind::Connect, "{error}");
        assert!(
            error.message.contains(&format!("he proxy {place} ")),
            "{error}"
        );
        assert_eq!((&error.proxy, error.cause), (&Some(place), None));
    }
}

#[test]
fn a_proxy_that_closes_is_named() {
    let proxy = Server::start(vec![vec![Do::Read]]);
    let mut config = proxy.config();
    config.base = BaseUrl::parse("http://ollama.invalid", AddressSetting::BaseUrl).unwrap();
    config.proxy = ProxyRule::Explicit(proxy.address.to_string());
    let place = format!("http://{}", proxy.address);
    let error = block_on(&runtime(), made(config).unwrap().call(get("/"))).unwrap_err();
    assert!(
        error
            .message
            .starts_with(&format!("The proxy {place} closed")),
        "{error}"
    );
    assert_eq!(error.proxy, Some(place));
    proxy.seen();
}

#[test]
fn a_proxy_whose_name_nobody_knows() {
    for (proxy, says, cause) in [
        (
            "http://proxy.invalid:1",
            "The proxy http://proxy.invalid:1 cannot be reached",
            Some(Cause::UnknownProxyName),
        ),
        (
            "socks5h://proxy.invalid",
            "The proxy socks5h://proxy.invalid cannot be reached: its name is not known",
            Some(Cause::UnknownProxyName),
        ),
        (
            "socks5://127.0.0.1:1",
            "its name is not known here",
            Some(Cause::UnknownName),
        ),
        (
            "socks5h://127.0.0.1:1",
            "no connection through the proxy socks5h://127.0.0.1:1",
            None,
        ),
        (
            "socks4a://127.0.0.1:1",
            "no connection through the proxy socks4a://127.0.0.1:1",
            None,
        ),
    ] {
        let base = BaseUrl::parse("http://ollama.invalid", AddressSetting::BaseUrl).unwrap();
        let mut config = Config::new(base);
        config.proxy = ProxyRule::Explicit(proxy.to_owned());
        // Name servers take their time for names that do not exist.
        config.timeouts.connect = PATIENCE;
        let client = made(config).unwrap();
        let error = block_on(&runtime(), client.call(get("/"))).unwrap_err();
        assert_eq!((error.kind, error.cause), (Kind::Connect, cause), "{error}");
        assert!(error.message.contains(says), "{error}");
        assert_eq!(error.proxy.as_deref(), Some(proxy));
    }
}

#[test]
fn a_socks_proxy_that_refuses() {
    for (base, tls) in [
        ("http://ollama.invalid", false),
        ("https://ollama.invalid", true),
    ] {
        let proxy = Server::start(vec![vec![Do::Call(Box::new(|stream| {
            use std::io::{Read, Write};
            let mut greeting = [0; 3];
            stream.read_exact(&mut greeting).unwrap();
            stream.write_all(&[5, 0]).unwrap();
            let mut head = [0; 5];
            stream.read_exact(&mut head).unwrap();
            let mut rest = vec![0; usize::from(head[4]) + 2];
            stream.read_exact(&mut rest).unwrap();
            // Host unreachable.
            stream.write_all(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        }))]]);
        let mut config = proxy.config();
        config.base = BaseUrl::parse(base, AddressSetting::BaseUrl).unwrap();
        config.trust = Trust::Anybody;
        config.proxy = ProxyRule::Explicit(format!("socks5h://{}", proxy.address));
        let place = format!("socks5h://{}", proxy.address);
        let error = block_on(&runtime(), made(config).unwrap().call(get("/"))).unwrap_err();
        assert_eq!(error.kind, Kind::Connect, "{tls} {error}");
        assert!(
            error
                .message
                .contains(&format!("no connection through the proxy {place}")),
            "{error}"
        );
        assert_eq!(error.proxy, Some(place));
        proxy.seen();
    }
}
