//! A whole reply: an exchange whose body is read to its end before anybody looks at it.

use std::sync::Arc;

use super::endpoint::Endpoint;
use super::exchange::Exchange;
use super::redact::Secrets;
use super::request::Request;
use super::resumption::Resumption;
use super::transport::Transport;
use crate::error::Error;

/// A whole reply with a status of success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// The header `Content-Type` as it was sent; empty if there was none.
    pub content_type: String,
    pub body: Vec<u8>,
    /// What an error that is made of the body must not show.
    pub secrets: Secrets,
    /// The endpoint that sent it.
    pub endpoint: Arc<Endpoint>,
}

/// Sends `request` and reads the whole reply. A transfer goes on where it broke off.
pub(super) async fn fetch(transport: &Transport, mut request: Request) -> Result<Reply, Error> {
    let config = transport.config();
    let Some(mut resumption) = Resumption::of(&request, config.retry, config.timeouts) else {
        return fetch_once(transport, request).await;
    };
    let secrets = transport.secrets_of(&request);
    loop {
        let fetched = Box::pin(fetch_once(transport, request)).await;
        let error = match fetched {
            Ok(reply) => return Ok(reply),
            Err(error) => secrets.redact(error),
        };
        request = resumption
            .wait_for_next(error, transport.lane(), || {})
            .await?;
    }
}

async fn fetch_once(transport: &Transport, request: Request) -> Result<Reply, Error> {
    let endpoint = Arc::clone(&request.endpoint);
    let mut exchange = Exchange::open(transport, request).await?;
    let body = exchange.whole(transport.config().max_body).await?;
    Ok(Reply {
        status: exchange.status(),
        content_type: exchange.content_type().to_owned(),
        body,
        secrets: exchange.secrets().clone(),
        endpoint,
    })
}
