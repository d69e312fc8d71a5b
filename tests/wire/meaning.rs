//! What lines mean: fields, errors, numbers, duplicates, depth, tool calls, and how a reply ended.

use metagpt_ollama_rs::excerpt::excerpt as shown;
use metagpt_ollama_rs::wire::{
    Answer, Batch, Counters, Decoder, Delta, Fold, ItemRef, MAX_LINE, Outcome, Shape, StreamFormat,
    TextMember, ToolCall, WireError, fold_body,
};

use crate::support::{read, recording, recordings};

/// The one delta of a JSON line that is no content line.
fn delta(line: &str) -> Delta {
    let mut batch = Batch::default();
    let mut decoder = Decoder::new(StreamFormat::Ndjson, MAX_LINE);
    decoder.feed(line.as_bytes(), &mut batch).unwrap();
    decoder.finish(&mut batch).unwrap();
    let entries: Vec<_> = batch.iter().collect();
    match entries.as_slice() {
        [ItemRef::Delta(delta)] => (*delta).clone(),
        other => panic!("{line}: {other:?}"),
    }
}

fn answer(name: &str) -> Answer {
    let reading = read(&recording(name));
    assert_eq!(reading.error, None, "{name}");
    reading.answer
}

#[test]
fn a_final_line_with_everything() {
    let line = r#"{"model":"m","created_at":"2026-08-21T17:00:05.15Z","message":{"role":"assistant","content":"x","thinking":"y"},"done":true,"done_reason":"stop","total_duration":1,"load_duration":2,"prompt_eval_count":3,"prompt_eval_cached_count":4,"prompt_eval_duration":5,"eval_count":6,"eval_duration":18446744073709551615,"new":{"a":[1.5e3,null]}}"#;
    let expected = Delta {
        shape: Shape::Chat,
        model: Some("m".to_owned()),
        created_at: Some("2026-08-21T17:00:05.15Z".to_owned()),
        role: Some("assistant".to_owned()),
        text_member: TextMember::Text,
        content: "x".to_owned(),
        thinking: "y".to_owned(),
        done: true,
        done_reason: Some("stop".to_owned()),
        counters: Counters {
            total_duration: Some(1),
            load_duration: Some(2),
            prompt_eval_count: Some(3),
            prompt_eval_cached_count: Some(4),
            prompt_eval_duration: Some(5),
            eval_count: Some(6),
            eval_duration: Some(u64::MAX),
        },
        line: line.as_bytes().to_vec(),
        ..Delta::default()
    };
    assert_eq!(delta(line), expected);
}

#[test]
fn wrong_types_and_nulls_count_as_absent() {
    for line in [
        r#"{"model":5,"created_at":[],"message":{"role":null,"content":null,"thinking":7,"tool_calls":{}},"done":"true","done_reason":false,"eval_count":"3","total_duration":-1,"load_duration":1.5,"prompt_eval_count":null}"#,
        r#"{"message":{"tool_calls":null},"eval_count":18446744073709551616,"total_duration":-9223372036854775808,"load_duration":1e999,"prompt_eval_count":{}}"#,
        r#"{"message":{"tool_calls":[1,null,"x",[]]},"eval_count":123456789012345678901234567890}"#,
    ] {
        let expected = Delta {
            shape: Shape::Chat,
            line: line.as_bytes().to_vec(),
            ..Delta::default()
        };
        assert_eq!(delta(line), expected, "{line}");
    }
    assert_eq!(
        delta(r#"{"response":null,"done":true}"#).shape,
        Shape::Generate
    );
    for line in [
        r#"{"message":"text","done":true}"#,
        r#"{"message":null,"choices":null,"done":true}"#,
        r#"{"done":true}"#,
    ] {
        assert_eq!(delta(line).shape, Shape::Other, "{line}");
        assert!(delta(line).done);
    }
}

#[test]
fn error_lines() {
    for (line, text) in [
        (r#"{"error":"boom"}"#, "boom"),
        (
            r#"{"model":"m","message":{"content":"x"},"error":"boom","done":true}"#,
            "boom",
        ),
        (
            r#"{"StatusCode":404,"Status":"404 Not Found","error":"gone"}"#,
            "gone",
        ),
        (
            r#"{"error":{"message":"model 'nope' not found","type":"not_found_error","param":null,"code":null}}"#,
            "model 'nope' not found",
        ),
        (
            r#"{"error":"{\"error\":{\"code\":400,\"message\":\"too long\"}}"}"#,
            "too long",
        ),
        (r#"{"error":" {\"error\":\"inner\"}"}"#, "inner"),
        (
            r#"{"error":{"message":"{\"message\":\"innermost\"}"}}"#,
            "innermost",
        ),
        (r#"{"error":"{broken"}"#, "{broken"),
        (r#"{"error":"{\"other\":1}"}"#, "{\"other\":1}"),
        (r#"{"error":{"message":""}}"#, r#"{"error":{"message":""}}"#),
        (r#"{"error":["x"]}"#, r#"{"error":["x"]}"#),
        (r#"{"error":1e999}"#, r#"{"error":1e999}"#),
        (r#"{"error":true}"#, r#"{"error":true}"#),
        (r#"{"error":[0]}"#, r#"{"error":[0]}"#),
        (r#"{"error":null,"error":"last"}"#, "last"),
    ] {
        assert_eq!(delta(line).error.as_deref(), Some(text), "{line}");
    }
    for line in [
        r#"{"error":null,"done":true}"#,
        r#"{"error":"","done":true}"#,
        r#"{"error":"first","error":null}"#,
        r#"{"error":false}"#,
        r#"{"error":0}"#,
        r#"{"error":-0.0}"#,
        r#"{"error":[ ]}"#,
        r#"{"error":{ }}"#,
    ] {
        assert_eq!(delta(line).error, None, "{line}");
    }
}

#[test]
fn duplicate_keys_last_wins() {
    let line = r#"{"model":"a","model":"b","message":{"role":"assistant","content":"first"},"message":{"role":"assistant","content":"x","content":"second"},"done":true,"done":false,"eval_count":1,"eval_count":2}"#;
    let delta = delta(line);
    assert_eq!(
        (delta.model.as_deref(), delta.content.as_str(), delta.done),
        (Some("b"), "second", false)
    );
    assert_eq!(delta.counters.eval_count, Some(2));
    let hidden = r#"{"mod\u0065l":"a","message":{"tool_calls":[{"function":{"name":"old"}}]},"mess\u0061ge":{"tool_calls":[{"function":{"name":"new","name":"newer","arguments":{"a":1},"arguments":{"b":2}}}]}}"#;
    let calls = self::delta(hidden).tool_calls;
    assert_eq!(
        (calls[0].name.as_str(), calls[0].arguments.as_str()),
        ("newer", r#"{"b":2}"#)
    );
}

#[test]
fn half_surrogates_become_replacement_characters() {
    for (escaped, text) in [
        (r"\ud83d", "\u{fffd}"),
        (r"a\ude00b", "a\u{fffd}b"),
        (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
        (r"\ud83dA", "\u{fffd}A"),
        (r"\ud83d\n", "\u{fffd}\n"),
        (r"\ud83d\u0041", "\u{fffd}A"),
        (r"\uDBFF\uDFFF", "\u{10ffff}"),
        (r"\u0000", "\0"),
    ] {
        for first in [
            "",
            r#"{"model":"m","created_at":"2026","message":{"role":"assistant","content":""},"done":false}"#,
        ] {
            let line = format!(
                r#"{{"model":"m","created_at":"2026","message":{{"role":"assistant","content":"{escaped}"}},"done":false}}"#
            );
            let reading = read(format!("{first}\n{line}").as_bytes());
            assert_eq!(
                (reading.answer.content.as_str(), &reading.error),
                (text, &None),
                "{escaped}"
            );
        }
    }
}

#[test]
fn depth_is_harmless() {
    for depth in [128, 1_024, 1_025, 100_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = open.repeat(depth) + "1" + &close.repeat(depth);
            let line = format!(
                r#"{{"extra":{nested},"message":{{"content":"x","tool_calls":[{{"function":{{"name":"f","arguments":{nested}}}}}]}},"done":true}}"#
            );
            let delta = delta(&line);
            assert_eq!((delta.content.as_str(), delta.done), ("x", true));
            assert_eq!(delta.tool_calls[0].arguments, nested);
            let broken = format!(r#"{{"extra":{}"#, open.repeat(depth));
            assert!(matches!(
                read(broken.as_bytes()).error,
                Some(WireError::NotJson { .. })
            ));
        }
    }
    let nested = format!(r#"{{"error":"{}"}}"#, r#"{\"error\":"#.repeat(100_000));
    assert!(delta(&nested).error.unwrap().starts_with("{\"error\""));
}

#[test]
fn what_is_no_json_object_is_a_typed_error() {
    for (body, position) in [
        ("oops", 0),
        (r#"{"a":01}"#, 6),
        (r#"{"a":1,}"#, 7),
        ("{\"a\":\"\u{1}\"}", 6),
        (r#"{"a":"\u+123"}"#, 6),
        (r#"{"a":1}{"#, 7),
    ] {
        let Some(WireError::NotJson {
            line_number: 1,
            position: found,
            excerpt,
        }) = read(body.as_bytes()).error
        else {
            panic!("{body}");
        };
        assert_eq!(
            (found, excerpt.as_str()),
            (position, shown(body, 200).as_str())
        );
    }
    assert_eq!(
        read(b"{\"a\":\"\xff\"}").error,
        Some(WireError::NotUtf8 {
            line_number: 1,
            position: 6
        })
    );
    for body in [
        "null",
        "5",
        "[]",
        "\"text\"",
        "123456789012345678901234567890",
    ] {
        let expected = WireError::NotObject {
            line_number: 1,
            excerpt: body.to_owned(),
        };
        assert_eq!(read(body.as_bytes()).error, Some(expected), "{body}");
    }
    let long = "x".repeat(5_000);
    let message = read(long.as_bytes()).error.unwrap().to_string();
    assert!(message.len() < 300, "{message}");
}

#[test]
fn tool_calls_natively() {
    let line = r#"{"message":{"role":"assistant","content":"","tool_calls":[{"id":"c1","function":{"index":0,"name":"f","arguments":{"b":12345678901234567890123,"a":1e+21,"t":"\u003c"}}},{"function":{"name":"g"}},{"id":7,"function":{"name":"h","arguments":"{\"x\": 1"}}]},"done":false}"#;
    let call = |id: Option<&str>, index, name: &str, arguments: &str| ToolCall {
        id: id.map(str::to_owned),
        index,
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    };
    let expected = vec![
        call(
            Some("c1"),
            Some(0),
            "f",
            r#"{"b":12345678901234567890123,"a":1e+21,"t":"\u003c"}"#,
        ),
        call(None, None, "g", ""),
        call(None, None, "h", r#"{"x": 1"#),
    ];
    assert_eq!(delta(line).tool_calls, expected);
    let generate =
        r#"{"response":"","tool_calls":[{"function":{"name":"f","arguments":{}}}],"done":true}"#;
    assert_eq!(delta(generate).tool_calls, [call(None, None, "f", "{}")]);
}

#[test]
fn openai_tool_calls_whole_and_in_pieces() {
    let chunk = |calls: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":1,\"delta\":{{}}}},{{\"index\":0,\"delta\":{{\"tool_calls\":[{calls}]}}}}]}}\n\n"
        )
    };
    let body = chunk(r#"{"index":0,"id":"a","function":{"name":"f","arguments":""}}"#)
        + &chunk(r#"{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}"#)
        + &chunk(r#"{"index":0,"function":{"arguments":"{\"x\":"}}"#)
        + &chunk(r#"{"index":0,"function":{"arguments":"1}"}}"#)
        + "data: [DONE]\n\n";
    let answer = read(body.as_bytes()).answer;
    let calls: Vec<_> = answer
        .tool_calls
        .iter()
        .map(|call| (call.name.as_str(), call.arguments.as_str()))
        .collect();
    assert_eq!(calls, [("f", r#"{"x":1}"#), ("g", "{}")]);
    assert_eq!(answer.tool_lines.len(), 4);
}

#[test]
fn openai_chunks() {
    let body = concat!(
        "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"reasoning\":\"hm\"},\"finish_reason\":null}]}\n\n",
        "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}],\"usage\":null}\n\n",
        "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n",
        "data: {\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":31,\"completion_tokens\":3,\"total_tokens\":34}}\n\n",
    );
    let open = read(body.as_bytes()).answer;
    assert_eq!(open.outcome, Outcome::Truncated);
    let answer = read(format!("{body}data: [DONE]\n\n").as_bytes()).answer;
    assert_eq!(answer.outcome, Outcome::Complete);
    assert_eq!(
        (answer.content.as_str(), answer.thinking.as_str()),
        ("Hi", "hm")
    );
    assert_eq!(
        (
            answer.shape,
            answer.role.as_deref(),
            answer.done_reason.as_deref()
        ),
        (Shape::OpenAi, Some("assistant"), Some("length"))
    );
    assert_eq!(
        (
            answer.counters.prompt_eval_count,
            answer.counters.eval_count
        ),
        (Some(31), Some(3))
    );
    assert!(answer.last_line.ends_with(b"34}}"));
    let failed = read(b"data: {\"error\":{\"message\":\"boom\",\"code\":500}}\n\n").answer;
    assert_eq!(failed.outcome, Outcome::Failed("boom".to_owned()));
}

#[test]
fn data_after_the_end_is_ignored_but_an_error_is_not() {
    let line = |content: &str, done: bool| {
        format!(
            r#"{{"model":"m","created_at":"2026","message":{{"role":"assistant","content":"{content}"}},"done":{done}}}"#
        ) + "\n"
    };
    let body = line("a", false) + &line("b", true) + &line("c", false) + &line("d", true);
    let answer = read(body.as_bytes()).answer;
    assert_eq!(
        (answer.content.as_str(), &answer.outcome),
        ("ab", &Outcome::Complete)
    );
    assert_eq!(answer.last_line, line("b", true).trim_end().as_bytes());
    let answer = read((body + "{\"error\":\"late\"}\n" + &line("e", false)).as_bytes()).answer;
    assert_eq!(
        (answer.content.as_str(), &answer.outcome),
        ("ab", &Outcome::Failed("late".to_owned()))
    );
}

#[test]
fn a_model_that_changes_is_a_full_item_and_batches_do_not_matter() {
    let line = |model: &str, text: &str| {
        format!(
            r#"{{"model":"{model}","created_at":"2026","message":{{"role":"assistant","content":"{text}"}},"done":false}}"#
        ) + "\n"
    };
    let mut decoder = Decoder::new(StreamFormat::Ndjson, MAX_LINE);
    let mut all = Batch::default();
    let mut fold = Fold::new();
    for body in [
        line("a", "1"),
        line("b", "2"),
        line("a", "3") + &line("a", "4"),
    ] {
        let mut batch = Batch::default();
        decoder.feed(body.as_bytes(), &mut batch).unwrap();
        fold.add_batch(&batch);
        all.append(&mut batch);
        assert!(batch.is_empty() && batch.bytes() == 0);
    }
    let kinds: Vec<_> = all
        .iter()
        .map(|entry| match entry {
            ItemRef::Content { text, .. } => text.to_owned(),
            ItemRef::Delta(delta) => {
                format!("{}:{}", delta.model.as_deref().unwrap(), delta.content)
            }
        })
        .collect();
    assert_eq!(kinds, ["1", "b:2", "3", "4"]);
    assert_eq!(
        (all.len(), all.shared.as_ref().unwrap().model.as_str()),
        (4, "a")
    );
    let mut whole = Fold::new();
    whole.add_batch(&all);
    assert_eq!(whole.finish(), fold.finish());
}

#[test]
fn whole_bodies() {
    let one = r#"{"model":"m","message":{"role":"assistant","content":"x"},"done":true}"#;
    let indented = one.replace(',', ",\r\n  ");
    let several = format!("{}\n{one}\n", one.replace("true", "false"));
    for (body, text) in [
        (one, "x"),
        (indented.as_str(), "x"),
        (several.as_str(), "xx"),
    ] {
        let (answer, result) = fold_body(body.as_bytes());
        assert_eq!(
            (answer.content.as_str(), &answer.outcome, result),
            (text, &Outcome::Complete, Ok(())),
            "{body}"
        );
    }
    let (answer, result) = fold_body(format!("{}\noops", one.replace("true", "false")).as_bytes());
    assert_eq!(answer.content, "x");
    assert!(matches!(
        result,
        Err(WireError::NotJson { line_number: 2, .. })
    ));
    let openai = r#"{"object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let (answer, _) = fold_body(openai.as_bytes());
    assert_eq!(
        (answer.content.as_str(), &answer.outcome),
        ("Hello", &Outcome::Complete)
    );
}

#[test]
fn recorded_replies_end_as_they_did() {
    let truncated = [
        "scripted/chat-stream-drop",
        "scripted/chat-stream-repeat",
        "scripted/generate-stream-drop",
        "scripted/chat-once-drop",
        "scripted/openai-chat-stream-miderror",
        "scripted/openai-chat-stream-crash",
        "scripted/openai-chat-stream-drop",
    ];
    for name in truncated {
        assert_eq!(answer(name).outcome, Outcome::Truncated, "{name}");
    }
    for name in [
        "scripted/chat-stream-miderror",
        "scripted/chat-stream-crash",
        "scripted/generate-stream-crash",
    ] {
        let answer = answer(name);
        assert!(
            matches!(answer.outcome, Outcome::Failed(ref text) if !text.is_empty()),
            "{name}"
        );
        assert!(!answer.content.is_empty(), "{name}");
    }
    let mut complete = 0;
    for recording in recordings() {
        let talk = [
            "/chat-",
            "/generate-",
            "/openai-chat",
            "/openai-completions",
            "/cold-chat",
        ];
        if !talk.iter().any(|kind| recording.name.contains(kind))
            || truncated.contains(&recording.name.as_str())
        {
            continue;
        }
        let answer = answer(&recording.name);
        match answer.outcome {
            Outcome::Complete => complete += 1,
            Outcome::Failed(text) => assert!(!text.starts_with('{'), "{}: {text}", recording.name),
            Outcome::Truncated => panic!("{} is truncated", recording.name),
        }
    }
    assert!(complete > 50, "{complete}");
}

#[test]
fn recorded_details() {
    assert_eq!(answer("scripted/chat-stream-tools2").tool_calls.len(), 2);
    assert!(!answer("scripted/chat-stream-think-on").thinking.is_empty());
    assert!(
        answer("scripted/chat-stream-tags")
            .content
            .contains("<think>")
    );
    let openai = answer("scripted/openai-chat-stream-tools");
    assert_eq!(
        (openai.tool_calls.len(), openai.done_reason.as_deref()),
        (2, Some("tool_calls"))
    );
    assert!(
        serde_json::from_str::<serde_json::Value>(&openai.tool_calls[0].arguments)
            .unwrap()
            .is_object()
    );
    // Streamed or not, native or not: the same script gives the same text.
    let once = answer("scripted/chat-once-unicode");
    for name in [
        "scripted/chat-stream-unicode",
        "scripted/generate-stream-unicode",
        "scripted/openai-chat-stream-unicode",
    ] {
        assert_eq!(answer(name).content, once.content, "{name}");
    }
    let stream = answer("smollm2/chat-stream-long");
    assert_eq!(
        (stream.role.as_deref(), stream.shape),
        (Some("assistant"), Shape::Chat)
    );
    assert!(
        stream.created_at.is_some()
            && stream.counters.eval_count.is_some()
            && stream.model.is_some()
    );
}

#[test]
fn what_stands_in_the_place_of_the_text() {
    for (place, text_member, content) in [
        (r#""hi""#, TextMember::Text, "hi"),
        (r#""""#, TextMember::Text, ""),
        ("null", TextMember::Absent, ""),
        (r#"["h","i"]"#, TextMember::Text, "hi"),
        (
            r#"[{"type":"text","text":"h"},{"text":"i"}]"#,
            TextMember::Text,
            "hi",
        ),
        ("[]", TextMember::Text, ""),
        (r#"[{"type":"image"}]"#, TextMember::NotText, ""),
        (r#"["h",5]"#, TextMember::NotText, ""),
        (r#"[["h"]]"#, TextMember::NotText, ""),
        ("5", TextMember::NotText, ""),
        ("true", TextMember::NotText, ""),
        (r#"{"text":"hi"}"#, TextMember::NotText, ""),
    ] {
        for line in [
            format!(r#"{{"message":{{"content":{place}}},"done":true}}"#),
            format!(r#"{{"response":{place},"done":true}}"#),
            format!(r#"{{"choices":[{{"message":{{"content":{place}}}}}]}}"#),
            format!(r#"{{"choices":[{{"text":{place}}}]}}"#),
        ] {
            let delta = delta(&line);
            assert_eq!(
                (delta.text_member, &*delta.content),
                (text_member, content),
                "{line}"
            );
        }
    }
    assert_eq!(
        delta(r#"{"message":{},"done":true}"#).text_member,
        TextMember::Absent
    );
}

#[test]
fn an_answer_knows_whether_it_had_a_text() {
    let fold = |body: &str| fold_body(body.as_bytes()).0;
    let answer = fold(concat!(
        r#"{"message":{"content":null},"done":false}"#,
        "\n",
        r#"{"done":true}"#
    ));
    assert!(!answer.has_text);
    assert!(answer.non_text_line.is_empty());
    let answer = fold(concat!(
        r#"{"message":{"content":"a"},"done":false}"#,
        "\n",
        r#"{"message":{"content":5},"done":false}"#,
        "\n",
        r#"{"message":{"content":{}},"done":true}"#
    ));
    assert!(answer.has_text);
    assert_eq!(answer.content, "a");
    assert_eq!(
        answer.non_text_line,
        br#"{"message":{"content":5},"done":false}"#
    );
    let content_line = r#"{"model":"m","created_at":"2026-08-21T17:00:05.15Z","message":{"role":"assistant","content":""},"done":false}"#;
    assert!(fold(&format!("{content_line}\n{{\"done\":true}}")).has_text);
}

#[test]
fn what_is_part_of_an_answer() {
    let chat = Some(Shape::Chat);
    let generate = Some(Shape::Generate);
    for (line, wanted, is) in [
        (r#"{"message":{}}"#, chat, true),
        (r#"{"message":{"content":"x"},"done":true}"#, chat, true),
        (r#"{"done":true}"#, chat, true),
        (r#"{"message":null,"done":true}"#, chat, true),
        (r#"{"response":"","done":true}"#, chat, true),
        (r#"{"message":"text","done":true}"#, chat, false),
        (r#"{"message":["text"],"done":true}"#, None, false),
        (r#"{"response":"x","done":true}"#, chat, false),
        (r#"{"response":"x"}"#, chat, false),
        (r#"{"response":"x"}"#, None, true),
        (r#"{"response":"x"}"#, generate, true),
        (r#"{"response":null}"#, generate, false),
        (r#"{"response":null,"done":true}"#, generate, true),
        (r#"{"thinking":"hm"}"#, generate, true),
        (r#"{"message":{"content":"x"}}"#, generate, false),
        (r#"{"message":{"content":""},"done":true}"#, generate, true),
        (r#"{"completed":3,"total":20,"done":false}"#, generate, true),
        (r#"{"image":"QQ==","done":true}"#, generate, true),
        (
            r#"{"status":"x","completed":3,"total":20}"#,
            generate,
            false,
        ),
        (r#"{"choices":[]}"#, None, true),
        (r#"{"choices":[]}"#, chat, false),
        (r#"{"status":"loading"}"#, None, false),
        (r#"{"error parsing tool call":"raw"}"#, None, false),
        (r#"{"model":"m","done":false}"#, None, false),
        ("{}", None, false),
    ] {
        assert_eq!(delta(line).is_answer(wanted), is, "{line} {wanted:?}");
    }
    assert!(read(b"data: [DONE]\n\n").answer.outcome == Outcome::Complete);
    assert!(delta(r#"{"status":"pulling","completed":1}"#).is_progress());
    for line in [r#"{"status":null}"#, r#"{"status":"x","message":{}}"#, "{}"] {
        assert!(!delta(line).is_progress(), "{line}");
    }
}

/// A search among the calls for each of them would take hours here.
#[test]
fn many_calls_are_added_up_in_one_go() {
    const CALLS: u64 = 300_000;
    let call = |index, name: &str| ToolCall {
        index: Some(index),
        name: name.to_owned(),
        arguments: "1".to_owned(),
        ..ToolCall::default()
    };
    let named = (0..CALLS).map(|index| call(index, "f")).collect();
    let pieces = (0..CALLS).map(|index| call(index, "")).collect();
    let again = vec![call(0, ""), call(0, "g"), call(0, ""), call(CALLS, "")];
    let mut fold = Fold::new();
    for tool_calls in [named, pieces, again] {
        fold.add_delta(&Delta {
            tool_calls,
            ..Delta::default()
        });
    }
    let calls = fold.finish().tool_calls;
    assert_eq!(calls.len() as u64, CALLS + 2);
    let arguments: Vec<_> = calls.iter().map(|call| call.arguments.as_str()).collect();
    assert_eq!(arguments[..2], ["111", "11"]);
    assert_eq!(arguments[arguments.len() - 3..], ["11", "11", "1"]);
}
