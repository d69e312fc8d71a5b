//! Base URLs: every form that users write, and every string that they do not.

use metagpt_ollama_rs::error::Kind;
use metagpt_ollama_rs::http::{AddressSetting, BaseUrl};
use proptest::prelude::*;

use crate::server::endpoints;

fn shown(text: &str, setting: AddressSetting) -> String {
    BaseUrl::parse(text, setting).map_or_else(
        |error| format!("{:?}: {error}", error.kind),
        |base| base.without_endpoint(&endpoints()).display(),
    )
}

#[test]
fn forms_with_one_meaning_everywhere() {
    for (text, expected) in [
        ("localhost", "http://localhost:11434"),
        ("LocalHost", "http://localhost:11434"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        ("1.2.3.4:80", "http://1.2.3.4"),
        ("host:1234", "http://host:1234"),
        ("host:", "http://host:11434"),
        (":1234", "http://127.0.0.1:1234"),
        ("http://:1234", "http://127.0.0.1:1234"),
        ("http://host:1234", "http://host:1234"),
        ("HTTP://host:1234", "http://host:1234"),
        ("https://example.com", "https://example.com"),
        ("https://example.com:443/", "https://example.com"),
        ("https://example.com:11434", "https://example.com:11434"),
        ("ollama.com", "https://ollama.com"),
        ("http://host:1234/", "http://host:1234"),
        ("http://host:1234//", "http://host:1234"),
        ("http://host:1234/api", "http://host:1234"),
        ("http://host:1234/api/", "http://host:1234"),
        ("http://host:1234//api//", "http://host:1234"),
        ("http://host:1234/v1", "http://host:1234"),
        ("http://host:1234/v1/", "http://host:1234"),
        ("http://host:1234/api/chat", "http://host:1234"),
        ("http://host:1234/api/chat/", "http://host:1234"),
        ("http://host:1234/api/generate", "http://host:1234"),
        ("http://host:1234/api/embeddings", "http://host:1234"),
        ("http://host:1234/v1/chat/completions", "http://host:1234"),
        ("http://host:1234/v1/models", "http://host:1234"),
        ("host:1234/api", "http://host:1234"),
        ("host/v1", "http://host:11434"),
        ("http://host:1234/ollama", "http://host:1234/ollama"),
        ("http://host:1234/ollama/", "http://host:1234/ollama"),
        ("http://host:1234/ollama/api", "http://host:1234/ollama"),
        ("http://host:1234/ollama/v1/", "http://host:1234/ollama"),
        ("http://host:1234/a/b/api/chat", "http://host:1234/a/b"),
        ("http://host:1234/api/ollama", "http://host:1234/api/ollama"),
        ("http://host:1234/apis", "http://host:1234/apis"),
        ("http://host:1234/my models", "http://host:1234/my%20models"),
        ("example.com:56789/path/", "http://example.com:56789/path"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:1234", "http://127.0.0.1:1234"),
        ("http://0.0.0.0:1234", "http://127.0.0.1:1234"),
        ("0:1234", "http://127.0.0.1:1234"),
        ("::", "http://[::1]:11434"),
        ("[::]:1234", "http://[::1]:1234"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("[::1]:1234", "http://[::1]:1234"),
        ("http://[::1]:1234/api", "http://[::1]:1234"),
        ("fe80::1", "http://[fe80::1]:11434"),
        ("[2001:DB8:0:0:0:0:0:1]:80", "http://[2001:db8::1]"),
        (" http://host:1234 \n", "http://host:1234"),
        ("\"http://host:1234\"", "http://host:1234"),
        ("' host:1234 '", "http://host:1234"),
        ("http://bücher.example:1", "http://xn--bcher-kva.example:1"),
        ("my_container:11434", "http://my_container:11434"),
    ] {
        for setting in [AddressSetting::BaseUrl, AddressSetting::Host] {
            assert_eq!(shown(text, setting), expected, "{text:?} {setting:?}");
        }
    }
}

#[test]
fn forms_whose_meaning_depends_on_where_they_stand() {
    assert_eq!(shown("http://host", AddressSetting::BaseUrl), "http://host");
    assert_eq!(
        shown("http://host/api", AddressSetting::BaseUrl),
        "http://host"
    );
    assert_eq!(
        shown("http://host", AddressSetting::Host),
        "http://host:11434"
    );
    assert_eq!(shown("", AddressSetting::Host), "http://127.0.0.1:11434");
    assert_eq!(shown(" ", AddressSetting::Host), "http://127.0.0.1:11434");
    assert_eq!(
        shown("http://", AddressSetting::Host),
        "http://127.0.0.1:11434"
    );
    assert_eq!(
        shown("0.0.0.0:99", AddressSetting::Host),
        "http://127.0.0.1:99"
    );
    let error = BaseUrl::parse("ftp://x", AddressSetting::Host).unwrap_err();
    assert!(
        error.message.starts_with("The base URL cannot be used"),
        "{error}"
    );
}

#[test]
fn no_form_of_a_wrong_url_shows_a_password() {
    for text in [
        "http://user:hunter2secret",
        "user:hunter2secret",
        ":hunter2secret",
        "http://user:hunter2secret/api",
        "http://user:1234567890",
        "http://user:hunter2secret:11434",
        "http://user:hunter2secret:",
        "http://user@hunter2secret:x",
        "http://user:p@hunter2secret word",
        "http://user:p@hunter2secret:11434:1",
        "http://[::1]hunter2secret",
        "http://[::1]:hunter2secret",
        "user:hunter2secret://host",
        "http:user:hunter2secret",
        "http:user:hunter2secret@host",
        "http://user:hunter2secret?@host",
        "http://user:#hunter2secret@host",
        "http://user:hunter2secret\\@host",
        "http://user:hunter2secret@",
        "http://user:hunter2secret@@host:x",
        "ftp://user:hunter2secret@host",
        "http://user:hunter2secret@ho st",
    ] {
        for setting in [AddressSetting::BaseUrl, AddressSetting::Host] {
            let parsed = BaseUrl::parse(text, setting);
            let said = match &parsed {
                Ok(base) => format!("{base} {base:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            for part in ["hunter2", "secret", "1234567890"] {
                assert!(!said.contains(part), "{text}: {said}");
            }
        }
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    for (text, says) in [
        ("", "it is empty"),
        ("  ''  ", "it is empty"),
        ("ftp://host", "its scheme is \"ftp\""),
        ("ollama://host", "its scheme is \"ollama\""),
        ("://host", "its scheme is \"\""),
        ("http:host", "is no port"),
        ("http:/host", "not followed by ://"),
        ("https", "not followed by ://"),
        ("http://", "it names no host"),
        ("http:///api", "it names no host"),
        ("/api", "it names no host"),
        ("//host:1234", "it names no host"),
        ("http://user@", "it names no host"),
        ("host:0", "\"0\" is no port"),
        ("host:65536", "\"65536\" is no port"),
        ("host:-1", "\"-1\" is no port"),
        ("host:+80", "\"+80\" is no port"),
        ("host:port", "is no port"),
        ("http://host:11434a/api", "is no port"),
        ("http://u:secret@host:x", "is no port"),
        ("http://ho\u{0}st", "U+0000"),
        ("http://host\r\nX: y", "U+000D"),
        ("http://ho st", "\"ho st\" is no host name"),
        ("http://ho'st", "\"ho'st\" is no host name"),
        ("http://a,b", "\"a,b\" is no host name"),
        ("http://[::1", "no "),
        ("http://[::1]x", "stands after the brackets"),
        ("http://[fe80::1%eth0]:1", "is no host name"),
        ("http://256.1.1.1", "is no host name"),
        ("http://host/api?x=1", "'?' after the host"),
        ("http://host#x", "'#' after the host"),
        ("http://host\\api", "'\\\\' after the host"),
    ] {
        let error = BaseUrl::parse(text, AddressSetting::BaseUrl).expect_err(text);
        assert_eq!(error.kind, Kind::Config, "{text:?}");
        assert!(error.message.contains(says), "{text:?}: {error}");
        assert!(
            error.message.contains("http://HOST:PORT"),
            "{text:?}: {error}"
        );
        assert!(!error.message.contains("secret"), "{text:?}: {error}");
    }
}

#[test]
fn credentials_are_kept_and_not_shown() {
    for (text, expected) in [
        ("http://user:secret@host:1", ("user", "secret")),
        ("user:secret@host:1", ("user", "secret")),
        (
            "http://us%40er:se%2Fcr%zzet@host:1",
            ("us@er", "se/cr%zzet"),
        ),
        ("http://user@host:1", ("user", "")),
        ("http://user:a@b@host:1", ("user", "a@b")),
    ] {
        let base = BaseUrl::parse(text, AddressSetting::BaseUrl).unwrap();
        assert_eq!(base.credentials(), Some(expected), "{text}");
        assert_eq!(base.display(), "http://host:1");
        assert_eq!(base.url("/api/chat"), "http://host:1/api/chat");
        assert_eq!(format!("{base:?}"), "BaseUrl(http://host:1)");
    }
}

#[test]
fn urls() {
    let base = BaseUrl::parse("http://host:1/ollama/v1/", AddressSetting::BaseUrl)
        .unwrap()
        .without_endpoint(&endpoints());
    assert_eq!(base.url("/api/chat"), "http://host:1/ollama/api/chat");
    assert_eq!(base.url("api/chat"), "http://host:1/ollama/api/chat");
}

#[test]
fn this_machine_and_the_cloud() {
    for (text, loopback, cloud) in [
        ("localhost", true, false),
        ("localhost.", true, false),
        ("a.localhost:1", true, false),
        ("127.0.0.1", true, false),
        ("127.9.9.9", true, false),
        ("127.1", true, false),
        ("::1", true, false),
        ("[::ffff:127.0.0.1]", true, false),
        ("0.0.0.0", true, false),
        ("notlocalhost", false, false),
        ("localhost.example.com", false, false),
        ("10.0.0.1", false, false),
        ("ollama.com", false, true),
        ("https://ollama.com", false, true),
        ("http://ollama.com", false, false),
        ("https://ollama.com:8443", false, false),
        ("https://ollama.com.evil.example", false, false),
    ] {
        let base = BaseUrl::parse(text, AddressSetting::BaseUrl).unwrap();
        assert_eq!(
            (base.is_loopback(), base.is_cloud()),
            (loopback, cloud),
            "{text}"
        );
    }
}

/// Texts with a structure, so that more than the first check is reached.
fn texts() -> impl Strategy<Value = String> {
    let scheme = prop_oneof![
        Just(""),
        Just("http://"),
        Just("https://"),
        Just("://"),
        Just("ftp://"),
        Just("http:")
    ];
    let user = prop_oneof![Just(""), Just("u@"), Just("u:p@"), Just("%zz:%4@")];
    let host = prop_oneof![
        "[a-z0-9.\\-]{0,12}",
        Just("[::1]".to_owned()),
        Just("::".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        "\\PC{0,6}",
    ];
    let port = prop_oneof![Just(String::new()), ":[0-9]{0,6}", ":\\PC{0,3}"];
    let path = "(/(api|v1|chat|completions|ollama|\\.\\.|%|é|[a-z]{0,3})){0,5}/?";
    (scheme, user, host, port, path)
        .prop_map(|(scheme, user, host, port, path)| format!("{scheme}{user}{host}{port}{path}"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What is accepted is canonical: shown and read again, it is the same, and it is a URL that a request can use.
    #[test]
    fn any_text_is_read_or_refused(text in prop_oneof![any::<String>(), texts()]) {
        for setting in [AddressSetting::BaseUrl, AddressSetting::Host] {
            match BaseUrl::parse(&text, setting) {
                Ok(base) => {
                    let base = base.without_endpoint(&endpoints());
                    let shown = base.display();
                    prop_assert!(!shown.ends_with('/'));
                    prop_assert!(shown.is_ascii());
                    let again = BaseUrl::parse(&shown, AddressSetting::BaseUrl).unwrap();
                    let again = again.without_endpoint(&endpoints());
                    prop_assert_eq!(again.display(), shown);
                    let url = base.url("/api/chat");
                    prop_assert_eq!(url.split("://").nth(1).unwrap().matches("//").count(), 0, "{}", url);
                }
                Err(error) => prop_assert_eq!(error.kind, Kind::Config),
            }
        }
    }
}
