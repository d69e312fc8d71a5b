//! What the server can say about a failure: which models it has when one is missing, and whether the model was in
//! memory when its first token did not come.
//!
//! Asked after the failed request is over, once and briefly. Whatever becomes of the question, the failure itself is
//! what the caller gets.

use std::time::Duration;

use serde_json::Value;

use super::endpoint::{Endpoint, Method};
use super::policy::{Retry, Timeouts};
use super::reply::fetch;
use super::request::Request;
use super::transport::Transport;
use crate::error::{Cause, Error, Kind, Phase};
use crate::excerpt::excerpt;
use crate::stats::Trace;

/// How many bytes of the names of models are kept.
const MAX_NAMES: usize = 64 << 10;

/// How long the answer to the question is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The headers of a call.
type Headers = Vec<(String, String)>;

/// Adds to `error` what the server knows about the model of the call `trace`, which is asked with the call's own `headers`.
pub(super) async fn explain(
    transport: &Transport,
    trace: Option<&Trace>,
    headers: Headers,
    error: Error,
) -> Error {
    let Some(model) = trace
        .map(|trace| trace.call().model.as_str())
        .filter(|model| !model.is_empty())
    else {
        return error;
    };
    let shown = excerpt(model, 100);
    if error.cause == Some(Cause::MissingModel) {
        let models = names(transport, "/api/tags", headers).await.ok().flatten();
        return error.with_available_models(models);
    }
    if error.phase == Some(Phase::FirstToken) {
        let found = names(transport, "/api/ps", headers).await;
        return match &found {
            Ok(Some(names)) if names.iter().any(|name| is_same(name, model)) => {
                let sentence = format!(
                    "The model {shown} is in memory (loaded): the prompt is long, or the server is busy with other requests."
                );
                error.with_model_loaded(true).with_sentence(&sentence)
            }
            Ok(Some(_)) => {
                let sentence =
                    format!("The model {shown} is not in memory yet: still loading or queued.");
                error.with_model_loaded(false).with_sentence(&sentence)
            }
            Err(failure) if failure.kind == Kind::Timeout => {
                error.with_sentence(
                    "The server does not answer /api/ps either: it hangs, or its machine is overloaded.",
                )
            }
            _ => error,
        };
    }
    error
}

/// The names of the models that `path` lists; `None` if the reply is no list of models.
async fn names(
    transport: &Transport,
    path: &str,
    headers: Headers,
) -> Result<Option<Vec<String>>, Error> {
    let request = Request {
        timeouts: Some(Timeouts {
            connect: PATIENCE,
            first_token: PATIENCE,
            idle: PATIENCE,
            total: Some(PATIENCE),
        }),
        retry: Some(Retry::OFF),
        headers,
        ..Request::to(Endpoint::unknown(Method::Get, path))
    };
    let reply = fetch(transport, request).await?;
    let listed: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let models = listed
        .as_ref()
        .and_then(|listed| listed.get("models")?.as_array());
    Ok(models.map(|models| {
        let name = |model: &Value| {
            model
                .get("name")
                .or_else(|| model.get("model"))?
                .as_str()
                .map(str::to_owned)
        };
        let mut room = MAX_NAMES;
        let fits = |name: &String| {
            let left = room.checked_sub(name.len());
            room = left.unwrap_or(room);
            left.is_some()
        };
        models.iter().filter_map(name).take_while(fits).collect()
    }))
}

/// Whether `full`, a name in the server's list, is the model `asked`, which may have no tag: then `latest` is meant.
fn is_same(full: &str, asked: &str) -> bool {
    full.eq_ignore_ascii_case(asked)
        || full
            .len()
            .checked_sub(":latest".len())
            .and_then(|at| full.split_at_checked(at))
            .is_some_and(|(name, tag)| tag == ":latest" && name.eq_ignore_ascii_case(asked))
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn names_without_a_tag_mean_the_latest() {
        for (full, asked, same) in [
            ("a:latest", "a", true),
            ("a:latest", "a:latest", true),
            ("A:7b", "a:7b", true),
            ("a:7b", "a", false),
            ("ab:latest", "a", false),
            ("a", "a", true),
            ("a", "ab", false),
            ("ü", "u", false),
        ] {
            assert_eq!(is_same(full, asked), same, "{full} {asked}");
        }
    }
}
