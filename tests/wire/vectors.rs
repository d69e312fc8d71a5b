//! Vectors: recorded replies number by number, every form a reply may have, and every way it can be wrong.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metagpt_ollama_rs::wire::vectors::{Vectors, VectorsError, read};

use crate::support::{Random, recordings};

/// The numbers of `text` in their order, found by their characters alone.
fn numbers(text: &str) -> Vec<f32> {
    text.split(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c))
        .filter(|word| word.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
        .map(|word| word.parse().unwrap())
        .collect()
}

fn vectors(body: &str) -> (usize, usize, Vec<f32>) {
    let floats = read(body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"));
    (floats.rows, floats.width, floats.values)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn error(body: &str) -> VectorsError {
    read(body.as_bytes()).expect_err(body)
}

#[test]
fn recorded_replies() {
    let mut batches = 0;
    for recording in recordings() {
        let Ok(body) = std::str::from_utf8(&recording.body) else {
            continue;
        };
        let Some(start) = body
            .find("\"embeddings\":[")
            .or_else(|| body.find("\"embedding\":["))
        else {
            continue;
        };
        let floats = read(body.as_bytes()).unwrap();
        let end = body.rfind(']').unwrap();
        let rows = body[start..end]
            .replace("\"index\":0", "")
            .replace("\"index\":1", "");
        let equal = bits(&floats.values) == bits(&numbers(&rows));
        assert!(equal, "{}", recording.name);
        assert_eq!(floats.values.len(), floats.rows * floats.width);
        if recording.name.ends_with("/embed-batch") {
            batches += 1;
            assert!(floats.rows >= 3 && floats.width > 500);
            assert!(floats.model.is_some_and(|model| model.ends_with("-embed")));
            assert!(floats.counters.total_duration.is_some());
            assert!(floats.counters.prompt_eval_count.is_some());
        }
    }
    assert_eq!(batches, 2);
}

/// The two endpoints write the same f32 with 9 and with 17 digits.
#[test]
fn both_endpoints_give_the_same_floats() {
    let mut random = Random(7);
    let floats: Vec<f32> = (0..5000)
        .map(|_| f32::from_bits(u32::try_from(random.next() >> 34).unwrap()) * 1e-3)
        .filter(|float| float.is_finite())
        .collect();
    let short: Vec<String> = floats.iter().map(|float| format!("{float:e}")).collect();
    let long: Vec<String> = floats
        .iter()
        .map(|float| format!("{:e}", f64::from(*float)))
        .collect();
    let one = vectors(&format!("{{\"embeddings\":[[{}]]}}", short.join(",")));
    let two = vectors(&format!("{{\"embedding\":[{}]}}", long.join(" , ")));
    assert_eq!(one, two);
    assert_eq!(bits(&one.2), bits(&floats));
}

#[test]
fn forms_of_a_reply() {
    let expected = (2, 2, vec![0.5, -0.0, -3.2e-7, 1e5]);
    for body in [
        r#"{"model":"m","embeddings":[[0.5,-0],[-3.2e-7,1E5]],"load_duration":7}"#,
        "\r\n{ \"load_duration\" : 7 ,\t\"embeddings\" : [ [ 0.5 , -0 ] , [ -3.2e-7 , 1E5 ] ] , \"model\":\"m\" }\n",
        r#"{"embeddings":[[1],[2]],"embeddings":[[0.5,-0.0],[-3.2e-7,1E5]],"model":"m","load_duration":7}"#,
        r#"{"\u0065mbeddings":[[0.5,-0],[-32e-8,1E+5]],"model":"\u006d","load_duration":7}"#,
        r#"{"new":{"embeddings":[[],{"a":"]}\"\\"}]},"embeddings":[[0.5,-0],[-3.2e-7,100000]],"x":[1e999,null,true],"model":"m","load_duration":7}"#,
        r#"{"object":"list","data":[{"object":"embedding","embedding":[0.5,-0],"index":0},{"index":1,"embedding":[-3.2e-7,1E5]}],"model":"m","load_duration":7}"#,
        r#"{"data":[{"embedding":[-3.2e-7,1E5],"index":1},{"index":0,"embedding":[0.5,-0]}],"model":"m","load_duration":7}"#,
        r#"{"data":[{"embedding":[0.5,-0]},{"embedding":[-3.2e-7,1E5]}],"model":"m","load_duration":7}"#,
    ] {
        let floats = read(body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"));
        assert_eq!(
            (floats.rows, floats.width, bits(&floats.values)),
            (expected.0, expected.1, bits(&expected.2)),
            "{body}"
        );
        assert_eq!(floats.model.as_deref(), Some("m"), "{body}");
        assert_eq!(floats.counters.load_duration, Some(7), "{body}");
    }
}

#[test]
fn base64_of_the_compatible_endpoint() {
    let rows = [[1.5_f32, -2.25e-9], [0.0, f32::MAX]];
    let text = |row: &[f32]| {
        let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
        STANDARD.encode(bytes)
    };
    let body = format!(
        r#"{{"data":[{{"index":1,"embedding":"{}"}},{{"index":0,"embedding":"{}"}}],"usage":{{"prompt_tokens":9,"total_tokens":9}}}}"#,
        text(&rows[1]).replace('/', "\\/"),
        text(&rows[0])
    );
    assert_eq!(vectors(&body), (2, 2, rows.concat()));
    let floats = read(body.as_bytes()).unwrap();
    assert_eq!(floats.counters.prompt_eval_count, Some(9));
    for wrong in ["AAAA", "AA", "*", "AAAAAA"] {
        let body = format!(r#"{{"data":[{{"embedding":"{wrong}"}}]}}"#);
        let found = error(&body);
        assert!(
            matches!(
                found,
                VectorsError::NotBase64 {
                    row: 0,
                    position: 22
                }
            ),
            "{found:?}"
        );
    }
    let body = format!(
        r#"{{"data":[{{"embedding":"{}"}}]}}"#,
        text(&[0.0, f32::NAN])
    );
    assert!(matches!(
        error(&body),
        VectorsError::NotFinite {
            row: 0,
            column: 1,
            ..
        }
    ));
    // The native endpoints have no such form.
    assert!(matches!(
        error(r#"{"embedding":"AAAAAA=="}"#),
        VectorsError::NotAVector {
            row: 0,
            position: 13,
            ..
        }
    ));
}

#[test]
fn no_vectors() {
    for body in [
        "{}",
        r#"{"model":"m"}"#,
        r#"{"model":"m","embeddings":[]}"#,
        r#"{"model":"m","embeddings":null}"#,
        r#"{"embedding":[]}"#,
        r#"{"embedding":null}"#,
        r#"{"data":[]}"#,
        r#"{"embeddings":[[1]],"embeddings":[]}"#,
    ] {
        assert_eq!(vectors(body), (0, 0, Vec::new()), "{body}");
    }
    for (row, body) in [
        r#"{"embeddings":[[],[]]}"#,
        r#"{"embeddings":[[1],[]]}"#,
        r#"{"data":[{"embedding":[1]},{"embedding":[2]},{"embedding":[]}]}"#,
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(error(body), VectorsError::Empty { row });
    }
}

#[test]
fn a_refusal_is_marked() {
    let failed = |body: &str| read(body.as_bytes()).unwrap().failed;
    assert!(failed(r#"{"error":"out of luck"}"#));
    for error in [
        r#"{"message":"no"}"#,
        "true",
        "1",
        "[0]",
        "1e999",
        r#""\ud83d""#,
    ] {
        let body = format!(r#"{{"embeddings":[[1]],"error":{error}}}"#);
        assert!(failed(&body), "{error}");
    }
    for nothing in ["null", "false", "0", "-0.0", r#""""#, "[ ]", "{ }"] {
        let body = format!(r#"{{"embeddings":[[1]],"error":{nothing}}}"#);
        assert!(!failed(&body), "{nothing}");
    }
}

#[test]
fn a_wrong_vector_is_named() {
    let ragged = error(r#"{"embeddings":[[1,2],[3,4],[5],[6,7]]}"#);
    assert_eq!(
        ragged,
        VectorsError::Ragged {
            row: 2,
            found: 1,
            width: 2
        }
    );
    assert_eq!(
        ragged.to_string(),
        "vector 2 has 1 numbers, and those before it have 2"
    );
    assert!(matches!(
        error(r#"{"data":[{"embedding":[1,2]},{"embedding":[1,2,3]}]}"#),
        VectorsError::Ragged {
            row: 1,
            found: 3,
            width: 2
        }
    ));
    for number in [
        "1e39",
        "-3.4028236e38",
        "1e999999999999999999",
        &format!("1{}", "0".repeat(40)),
    ] {
        let body = format!(r#"{{"embeddings":[[1,2],[3,{number}]]}}"#);
        assert_eq!(
            error(&body),
            VectorsError::NotFinite {
                row: 1,
                column: 1,
                position: 24
            }
        );
    }
    for other in [
        "null",
        "NaN",
        "Infinity",
        "-Infinity",
        "\"1\"",
        "[1]",
        "{}",
        "true",
        "+1",
        ".5",
        "",
    ] {
        let body = format!(r#"{{"embeddings":[[1,2],[3,{other}]]}}"#);
        let found = error(&body);
        assert!(
            matches!(
                found,
                VectorsError::NotANumber {
                    row: 1,
                    column: 1,
                    position: 24,
                    ..
                }
            ),
            "{other}: {found:?}"
        );
    }
    for indexes in [[0, 0], [1, 2]] {
        let [one, two] = indexes;
        let body = format!(
            r#"{{"data":[{{"index":{one},"embedding":[1]}},{{"index":{two},"embedding":[2]}}]}}"#
        );
        assert_eq!(error(&body), VectorsError::Indexes { rows: 2 });
    }
}

#[test]
fn what_is_no_json() {
    for (body, position) in [
        (r#"{"embeddings":[[01]]}"#, 17),
        (r#"{"embeddings":[[1 2]]}"#, 18),
        (r#"{"embeddings":[[1]]}}"#, 20),
        (r#"{"embeddings":[[1]],}"#, 20),
        (r#"{"embeddings":[[1]] "a":1}"#, 20),
        (r#"{"a":{"b":tru},"embeddings":[[1]]}"#, 10),
        ("{\"a\":\"\n\",\"embeddings\":[[1]]}", 6),
        ("{\"a\":\"\\x\"}", 6),
        ("{'a':1}", 1),
    ] {
        let found = error(body);
        assert!(
            matches!(&found, VectorsError::NotJson { position: at, .. } if *at == position),
            "{body}: {found:?}"
        );
    }
    for (body, position) in [
        ("[[1]]", 0),
        ("\"x\"", 0),
        ("<html>", 0),
        (r#"{"embeddings":{}}"#, 14),
        (r#"{"data":[1]}"#, 9),
        (r#"{"data":[{"index":0}]}"#, 9),
    ] {
        let found = error(body);
        assert!(
            matches!(&found, VectorsError::Unexpected { position: at, .. } if *at == position),
            "{body}: {found:?}"
        );
    }
    for (body, wanted) in [
        (r#"{"embeddings":[1]}"#, (0, 15)),
        (r#"{"embeddings":[null]}"#, (0, 15)),
        (r#"{"embeddings":[[1],"x"]}"#, (1, 19)),
        (r#"{"embedding":{}}"#, (0, 13)),
    ] {
        let found = error(body);
        assert!(
            matches!(&found, VectorsError::NotAVector { row, position, .. } if (*row, *position) == wanted),
            "{body}: {found:?}"
        );
        assert!(!found.is_damage());
    }
    assert_eq!(
        read(b"{\"model\":\"\xff\"}"),
        Err(VectorsError::NotUtf8 { position: 10 })
    );
}

#[test]
fn cut_at_every_byte() {
    let body = concat!(
        r#"{"model":"a\u00e9\n","new":[true,false,null,{"x":-1.5e+7}],"embeddings":[[0.5,-3.2e-7],[1E5,0]],"#,
        r#""data":[{"object":"embedding","index":0,"embedding":"AACAPw=="}],"total_duration":21877340}"#
    );
    assert_eq!(vectors(body), (1, 1, vec![1.0]));
    for cut in 0..body.len() {
        let found = error(&body[..cut]);
        assert!(
            matches!(found, VectorsError::Truncated { position } if position == cut),
            "cut at {cut}: {found:?}"
        );
    }
}

/// Wherever a byte of a reply is changed, the outcome is that of `serde_json`: refused, or the same numbers.
#[test]
fn changed_bytes_against_an_oracle() {
    let body = br#"{"model":"m","embeddings":[[0.5,-3.2e-7],[1E5,20]],"load_duration":7}"#;
    let bytes = b"{}[]\",:.-+eE019 \\nt\x00\x7f";
    for at in 0..body.len() {
        for byte in bytes {
            let mut changed = body.to_vec();
            changed[at] = *byte;
            let ours = read(&changed);
            let theirs: Result<serde_json::Value, _> = serde_json::from_slice(&changed);
            let shown = String::from_utf8_lossy(&changed).into_owned();
            match (ours, theirs) {
                (Ok(_), Err(error)) => panic!("{error}: {shown}"),
                (Ok(floats), Ok(value)) => same(&floats, &value, &shown),
                (Err(VectorsError::NotJson { .. } | VectorsError::Truncated { .. }), Ok(_)) => {
                    panic!("legal JSON refused: {shown}")
                }
                (Err(_), _) => {}
            }
        }
    }
}

fn same(floats: &Vectors, value: &serde_json::Value, shown: &str) {
    let rows = value
        .get("embeddings")
        .and_then(serde_json::Value::as_array);
    let numbers: Vec<f64> = rows
        .into_iter()
        .flatten()
        .flat_map(|row| row.as_array().unwrap())
        .map(|number| number.as_f64().unwrap())
        .collect();
    #[allow(clippy::cast_possible_truncation)]
    let numbers: Vec<f32> = numbers.into_iter().map(|number| number as f32).collect();
    assert_eq!(bits(&floats.values), bits(&numbers), "{shown}");
    assert_eq!(floats.rows, rows.map_or(0, Vec::len), "{shown}");
}
