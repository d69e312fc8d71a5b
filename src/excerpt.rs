//! Texts of a server, or of a user, as a message can bear them: one line, not long, nothing that moves a terminal's cursor
//! or turns the order of what stands beside it.

use std::borrow::Cow;

/// The longest message, in characters; what a message quotes is shorter.
pub const MESSAGE: usize = 4000;

/// The beginning of `text` on one line of at most `limit` characters, and `…` if there is more. What breaks a line becomes
/// a space; other control characters and characters without a shape are written as escapes. URLs lose user and password.
///
/// ```
/// use metagpt_ollama_rs::excerpt::excerpt;
///
/// assert_eq!(excerpt("two\nlines \x1b[31m at http://ann:secret@host", 100), "two lines \\x1b[31m at http://***@host");
/// assert_eq!(excerpt("a long text", 6), "a long…");
/// ```
pub fn excerpt(text: &str, limit: usize) -> String {
    let text = without_logins(text);
    let mut line = String::with_capacity(text.len().min(limit.saturating_add(8)));
    let mut room = limit;
    let mut broken = false;
    for c in text.chars() {
        let breaks = breaks_line(c);
        if breaks && std::mem::replace(&mut broken, true) {
            continue;
        }
        broken = breaks;
        let escape = if breaks { None } else { escape(c) };
        let Some(left) = room.checked_sub(escape.as_ref().map_or(1, String::len)) else {
            line.push('…');
            break;
        };
        room = left;
        match escape {
            Some(escape) => line.push_str(&escape),
            None => line.push(if breaks { ' ' } else { c }),
        }
    }
    line
}

/// `text`, in whose URLs `***` stands for what may be a password, also where the URL was cut before its host.
fn without_logins(text: &str) -> Cow<'_, str> {
    const MARK: &str = "://";
    let mut clean = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(MARK) {
        let end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>');
        let url = after.split(end).next().unwrap_or_default();
        let authority = url.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        let port = authority
            .rsplit(']')
            .next()
            .unwrap_or_default()
            .split_once(':');
        // The messages of this crate write PORT where a number belongs.
        let is_port = |(_, port): (&str, &str)| {
            port.starts_with("PORT")
                || port
                    .chars()
                    .all(|c| !c.is_alphanumeric() || c.is_ascii_digit())
        };
        let hidden = if let Some(at) = authority.rfind('@') {
            at
        } else if port.is_none_or(is_port) {
            0
        } else {
            // A password with a slash in it, or one that no host follows.
            url.rfind('@').unwrap_or(authority.len())
        };
        clean.push_str(before);
        clean.push_str(MARK);
        clean.push_str(if hidden == 0 { "" } else { "***" });
        rest = after.get(hidden..).unwrap_or_default();
    }
    if clean.is_empty() {
        return Cow::Borrowed(text);
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

fn escape(c: char) -> Option<String> {
    let code = u32::from(c);
    is_hidden(c).then(|| match code {
        0..=0xff => format!("\\x{code:02x}"),
        0x100..=0xffff => format!("\\u{code:04x}"),
        _ => format!("\\U{code:08x}"),
    })
}

fn breaks_line(c: char) -> bool {
    matches!(c, '\t'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Control characters, marks of the direction of a text, and characters without a shape. Joiners stay: emoji and scripts
/// need them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn nothing_moves_a_cursor_or_turns_a_text() {
        for (text, shown) in [
            ("plain 中文 👩\u{200d}🚀 é", "plain 中文 👩\u{200d}🚀 é"),
            (
                "two\nlines\r\nthree\rfour\tfive",
                "two lines three four five",
            ),
            ("\u{2028}a\u{85}b\u{b}", " a b "),
            ("\x1b[31mred\0\x7f\u{9b}", "\\x1b[31mred\\x00\\x7f\\x9b"),
            (
                "\u{202e}\u{2067}\u{200f}\u{feff}",
                "\\u202e\\u2067\\u200f\\ufeff",
            ),
            ("a\u{e0041}b", "a\\U000e0041b"),
            ("", ""),
        ] {
            assert_eq!(excerpt(text, 100), shown);
            assert_eq!(excerpt(shown, 100), shown);
        }
    }

    #[test]
    fn no_url_has_a_password() {
        for (text, shown) in [
            (
                "at http://ann:hunter2@host:80/x!",
                "at http://***@host:80/x!",
            ),
            ("'http://ann@host'", "'http://***@host'"),
            ("\"http://ann:hunt/er2@host/a\"", "\"http://***@host/a\""),
            ("http://ann:hunter2…", "http://***"),
            (
                "http://ann:p@ss@host https://b:c@d",
                "http://***@host https://***@d",
            ),
            (
                "http://127.0.0.1:11434/api/chat.",
                "http://127.0.0.1:11434/api/chat.",
            ),
            (
                "http://host:80, http://[::1]:80; :// x",
                "http://host:80, http://[::1]:80; :// x",
            ),
            (
                "http://HOST:PORT, for example",
                "http://HOST:PORT, for example",
            ),
            ("nothing://", "nothing://"),
        ] {
            assert_eq!(excerpt(text, 100), shown);
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(excerpt("äöü", 3), "äöü");
        assert_eq!(excerpt("äöü", 2), "äö…");
        assert_eq!(excerpt(&"\n".repeat(1000), 5), " ");
        assert_eq!(excerpt("a\x1bb", 5), "a\\x1b…");
        assert_eq!(excerpt("a\x1bb", 4), "a…");
        assert_eq!(excerpt("x", 0), "…");
    }
}
