//! The folders keep their arrows: `wire` <- `http` <- `py`. What a layer must not use does not occur in its sources.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The lines of code (comments left out) in files under src that `belongs` selects, and that name one of `words`.
fn offences(belongs: impl Fn(&str) -> bool, words: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut offences = Vec::new();
    let mut looked_at = 0;
    for file in files {
        let name = file
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/");
        if !belongs(&name) {
            continue;
        }
        looked_at += 1;
        for (number, line) in std::fs::read_to_string(&file).unwrap().lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if words.iter().any(|word| code.contains(word)) {
                offences.push(format!("src/{name}:{}: {line}", number + 1));
            }
        }
    }
    assert!(looked_at > 0, "the test looks at nothing");
    offences
}

#[test]
fn python_stays_in_its_folder() {
    let outside = |name: &str| !name.starts_with("py/") && name != "lib.rs";
    assert_eq!(
        offences(outside, &["pyo3", "crate::py", "super::py"]),
        Vec::<String>::new()
    );
}

#[test]
fn wire_is_bytes_only() {
    let words = [
        "tokio",
        "reqwest",
        "crate::http",
        "crate::inbox",
        "crate::error",
        "std::net",
        "std::io",
        "std::fs",
        "std::thread",
        "async ",
    ];
    assert_eq!(
        offences(|name| name.starts_with("wire/"), &words),
        Vec::<String>::new()
    );
}
