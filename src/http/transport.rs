//! What carries the requests of one client to its server: the settings, the heads, the lanes, and what must stay secret.
//!
//! An [exchange](super::exchange) sends one request with it; a redirect leads to the transport of another origin.

use std::sync::{Arc, Mutex};

use reqwest::Url;

use super::attempt::Attempt;
use super::base::{AddressSetting, BaseUrl};
use super::config::Config;
use super::direct::Reactor;
use super::lane::{GetRuntime, Lane, Lanes, ReactorLane, Response};
use super::redact::Secrets;
use super::request::{Heads, Prepared, Request};
use crate::error::Error;
use crate::sync::lock;

/// How many origins of its host a transport knows that redirects have led to.
const MAX_REDIRECTED: usize = 8;

/// What carries the requests of one client to its server. Clones share the connections.
#[derive(Clone)]
pub(super) struct Transport {
    shared: Arc<Shared>,
    lane: Lane,
}

/// What all clones of a transport have in common.
struct Shared {
    config: Config,
    heads: Heads,
    lanes: Lanes,
    secrets: Secrets,
    /// The transports of other origins on the host, to which redirects have led.
    redirected: Mutex<Vec<Transport>>,
}

impl Transport {
    /// A transport of the general lane. Nothing is sent. Errors are `Kind::Config`.
    pub(super) fn new(config: Config) -> Result<Self, Error> {
        let shared = Shared {
            heads: Heads::new(&config)?,
            lanes: Lanes::new(&config)?,
            secrets: Secrets::of(&config),
            redirected: Mutex::default(),
            config,
        };
        Ok(Self {
            shared: Arc::new(shared),
            lane: Lane::General,
        })
    }

    /// Whether the direct lane leads to the server.
    pub(super) fn is_plain(&self) -> bool {
        self.shared.lanes.is_plain()
    }

    /// This transport in the direct lane of `reactor`, which has a thread of its own with `may_block`; `None` where that
    /// lane does not lead to the server.
    pub(super) fn on(
        &self,
        reactor: &Reactor,
        runtime: GetRuntime,
        may_block: bool,
    ) -> Option<Self> {
        let lane = || ReactorLane {
            reactor: reactor.handle(),
            runtime,
            may_block,
        };
        self.is_plain().then(|| self.in_lane(Lane::Direct(lane())))
    }

    fn in_lane(&self, lane: Lane) -> Self {
        self.shared.lanes.remember(&lane);
        Self {
            shared: Arc::clone(&self.shared),
            lane,
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.shared.config
    }

    pub(super) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// The proxy that requests go through, without credentials.
    pub(super) fn proxy(&self) -> Option<String> {
        self.shared.lanes.proxy()
    }

    /// The proxy that may reply in the server's place, without credentials.
    pub(super) fn proxy_that_may_reply(&self) -> Option<String> {
        self.shared.lanes.proxy_that_may_reply()
    }

    /// What the client and `request` send and nobody may see, should the server repeat it.
    pub(super) fn secrets_of(&self, request: &Request) -> Secrets {
        self.shared.secrets.with_headers(&request.headers)
    }

    /// `request` as the lanes send it.
    pub(super) fn prepare(&self, request: Request) -> Result<Prepared, Error> {
        self.shared.heads.prepare(request)
    }

    /// Sends `request` and waits for the head of the response. The future is that of the lanes itself, because one around
    /// it would copy it once more for each request.
    pub(super) fn send<'a>(
        &'a self,
        request: &'a Prepared,
        attempt: &'a Arc<Attempt>,
    ) -> impl Future<Output = Result<Response, Error>> + 'a {
        self.shared.lanes.send(&self.lane, request, attempt)
    }

    /// Sees to it that the connection which brought `response` is not used again.
    pub(super) fn forbid_reuse(&self, response: &mut Response) {
        self.shared.lanes.forbid_reuse(response, self.config());
    }

    /// `request` as it goes on to `target`, to which its reply has redirected it, the transport that sends it there, and
    /// whether `target` gets all that the server of the client gets.
    /// `target` is on the same host; to another origin go neither the client's key nor its certificate nor its headers nor the call's.
    pub(super) fn follow_redirect(
        &self,
        request: &Prepared,
        target: Url,
    ) -> Result<(Self, Prepared, bool), Error> {
        let home = Url::parse(&self.config().base.request_url("")).ok();
        let is_home = home
            .as_ref()
            .is_some_and(|home| home.origin() == target.origin());
        let trusted = is_home || home.as_ref().is_some_and(|home| is_upgrade(home, &target));
        let transport = if is_home {
            self.clone()
        } else {
            self.of_origin(&target, home.as_ref())?
        };
        let prepared = transport
            .shared
            .heads
            .redirected(request, target, trusted)?;
        Ok((transport, prepared, trusted))
    }

    /// The transport of the origin of `target`, in the same lane. `home` is the URL of this one's server.
    fn of_origin(&self, target: &Url, home: Option<&Url>) -> Result<Self, Error> {
        let mut base = BaseUrl::parse(
            &target.origin().ascii_serialization(),
            AddressSetting::BaseUrl,
        )?;
        let mut redirected = lock(&self.shared.redirected);
        let known = redirected
            .iter()
            .find(|transport| transport.config().base.is_at(&base));
        let transport = if let Some(known) = known {
            known.clone()
        } else {
            let mut config = self.config().clone();
            if home.is_some_and(|home| is_upgrade(home, target)) {
                base = base.with_credentials_of(&config.base);
            } else {
                config.api_key = None;
                config.headers.clear();
                config.client_certificate = None;
            }
            config.base = base;
            let url = config.base.display();
            let transport = Self::new(config).map_err(|error| error.at(&url))?;
            if redirected.len() >= MAX_REDIRECTED {
                redirected.clear();
            }
            redirected.push(transport.clone());
            transport
        };
        drop(redirected);
        Ok(transport.in_lane(self.lane.clone()))
    }

    /// Whether anything is sent with `request` that another origin must not get.
    pub(super) fn has_credentials(&self, request: &Prepared) -> bool {
        self.shared.heads.has_credentials() || !request.head.of_call.is_empty()
    }
}

/// Whether `target` is what `home` is, with TLS on the usual ports: the one other origin that gets all.
fn is_upgrade(home: &Url, target: &Url) -> bool {
    let port = Url::port_or_known_default;
    (home.scheme(), port(home)) == ("http", Some(80))
        && (target.scheme(), port(target)) == ("https", Some(443))
}
