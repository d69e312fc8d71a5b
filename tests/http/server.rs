//! A server that does what a script says, on a thread that ends by itself, and a reader for pumped replies.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use metagpt_ollama_rs::error::{Error, Kind};
#[cfg(target_os = "linux")]
use metagpt_ollama_rs::http::direct::Reactor;
use metagpt_ollama_rs::http::{
    AddressSetting, BaseUrl, Client, Config, Endpoint, Method, PumpMode, ReplyLines, Request, Retry,
};
use metagpt_ollama_rs::inbox::{CAPACITY, Inbox, Received};
use metagpt_ollama_rs::wire::{Answer, Batch, Fold};
use tokio::runtime::Runtime;

/// No step of a test takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The paths of endpoints, as Python's table hands them over.
pub fn endpoints() -> Vec<String> {
    let below_api = [
        "chat",
        "generate",
        "embed",
        "embeddings",
        "tags",
        "show",
        "ps",
        "version",
        "pull",
        "push",
        "create",
        "copy",
        "delete",
        "status",
    ];
    let below_v1 = [
        "chat/completions",
        "completions",
        "embeddings",
        "models",
        "responses",
        "messages",
    ];
    let paths = below_api.map(|name| format!("/api/{name}"));
    paths
        .into_iter()
        .chain(below_v1.map(|name| format!("/v1/{name}")))
        .collect()
}

/// One thing that a server does on a connection.
pub enum Do {
    /// Reads one request, body included.
    Read,
    /// Waits until some of a request is there, without reading it: closing after that resets the connection.
    Peek,
    Send(Vec<u8>),
    /// Waits until the client closes the connection.
    SeeEnd,
    /// Waits for the test.
    Wait(std::sync::mpsc::Receiver<()>),
    /// Sends the same bytes until the client closes the connection.
    SendForEver(Vec<u8>, Duration),
    /// Runs the rest by hand.
    Call(Box<dyn FnOnce(&mut TcpStream) + Send>),
}

impl Do {
    pub fn send(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Send(bytes.into())
    }
}

/// What a server was asked: one entry for each connection, in it one for each request.
pub type Seen = Vec<Vec<Vec<u8>>>;

pub struct Server {
    pub address: SocketAddr,
    thread: JoinHandle<Seen>,
}

impl Server {
    /// Serves one connection after the other; each is closed at the end of its script.
    pub fn start(scripts: Vec<Vec<Do>>) -> Self {
        Self::listening(TcpListener::bind("127.0.0.1:0").unwrap(), scripts)
    }

    /// As `start`, on a socket that listens already.
    pub fn listening(listener: TcpListener, scripts: Vec<Vec<Do>>) -> Self {
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let thread = std::thread::spawn(move || {
            scripts
                .into_iter()
                .map(|script| serve(accept(&listener), script))
                .collect()
        });
        Self { address, thread }
    }

    /// One connection that answers one request with `reply`.
    pub fn answering(reply: impl Into<Vec<u8>>) -> Self {
        Self::start(vec![vec![Do::Read, Do::send(reply)]])
    }

    /// The settings of a client of this server. It tries once, so that a script is all that happens.
    pub fn config(&self) -> Config {
        let base = BaseUrl::parse(&self.address.to_string(), AddressSetting::BaseUrl).unwrap();
        Config {
            retry: Retry::OFF,
            endpoints: endpoints().into(),
            ..Config::new(base)
        }
    }

    pub fn client(&self) -> Client {
        made(self.config()).unwrap()
    }

    /// Waits for the end of the script.
    pub fn seen(self) -> Seen {
        let since = Instant::now();
        while !self.thread.is_finished() {
            assert!(since.elapsed() < PATIENCE, "the script did not end");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.thread.join().unwrap()
    }
}

pub fn accept(listener: &TcpListener) -> TcpStream {
    let since = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return stream;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(since.elapsed() < PATIENCE, "no connection came");
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn serve(mut stream: TcpStream, script: Vec<Do>) -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    for step in script {
        match step {
            Do::Read => requests.push(read_request(&mut stream)),
            Do::Peek => assert!(stream.peek(&mut [0]).unwrap() > 0),
            // A client that has seen enough may be gone.
            Do::Send(bytes) => drop(stream.write_all(&bytes)),
            Do::SeeEnd => assert!(
                ended(&mut stream),
                "the client sent more instead of closing"
            ),
            Do::Wait(signal) => signal.recv_timeout(PATIENCE).unwrap(),
            Do::SendForEver(bytes, pause) => {
                while stream.write_all(&bytes).is_ok() {
                    std::thread::sleep(pause);
                }
            }
            Do::Call(work) => work(&mut stream),
        }
    }
    requests
}

/// Whether the client closed or reset the connection.
fn ended(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

pub fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        assert_eq!(
            stream.read(&mut byte).unwrap(),
            1,
            "the client closed instead of asking"
        );
        request.push(byte[0]);
    }
    let head = String::from_utf8(request.clone()).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).map_or(0, |rest| {
        rest.split("\r\n").next().unwrap().parse().unwrap()
    });
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    request.extend_from_slice(&body);
    request
}

/// Whether this binary is the one that tests the direct lane: both are built of the same files.
pub fn is_direct() -> bool {
    env!("CARGO_CRATE_NAME") != "http"
}

/// The reactor of the direct lane, in place of an event loop on a thread of its own.
#[cfg(target_os = "linux")]
fn reactor() -> &'static Reactor {
    static REACTOR: OnceLock<Reactor> = OnceLock::new();
    REACTOR.get_or_init(|| {
        let reactor = Reactor::new().unwrap();
        let driven = reactor.clone();
        std::thread::spawn(move || {
            loop {
                wait_readable(driven.descriptor());
                driven.run_once(|| {});
            }
        });
        reactor
    })
}

/// Waits until `descriptor` is readable, as an event loop does.
#[cfg(target_os = "linux")]
fn wait_readable(descriptor: std::os::fd::RawFd) {
    let mut watched = libc::pollfd {
        fd: descriptor,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: the pointer has to point to as many pollfds as the second argument says. `watched` is one, and it lives
    // until the call returns.
    unsafe { libc::poll(&raw mut watched, 1, -1) };
}

/// The runtime for what a reactor cannot do.
#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "the extension's may fail")]
fn elsewhere() -> Result<tokio::runtime::Handle, Error> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    Ok(RUNTIME.get_or_init(runtime).handle().clone())
}

/// A client in the lane that is tested. What needs TLS or a proxy has the general lane only.
pub fn made(config: Config) -> Result<Client, Error> {
    let client = Client::new(config)?;
    #[cfg(target_os = "linux")]
    if is_direct() {
        return Ok(client.on(reactor(), elsewhere).unwrap_or(client));
    }
    Ok(client)
}

/// A runtime as the extension has it: one worker thread.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

/// Lets the worker of `runtime` run every task that is ready. hyper gives a connection back to its pool in a task of its own,
/// which may not have run yet when the reply is there; a request that is made meanwhile takes another connection. The worker
/// gives each task its turn, so after many turns of this one all others have had theirs.
fn run_ready_tasks(runtime: &Runtime) {
    let turns = runtime.spawn(async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    });
    runtime.block_on(turns).unwrap();
}

/// Runs `work`, which must end, once everything that came before it is over.
pub fn block_on<T>(runtime: &Runtime, work: impl Future<Output = T>) -> T {
    run_ready_tasks(runtime);
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("no end") })
}

/// Starts to pump the reply to `request`, once everything that came before it is over.
pub fn pump(runtime: &Runtime, client: &Client, request: Request, mode: PumpMode) -> Arc<Inbox> {
    run_ready_tasks(runtime);
    let inbox = Inbox::new(CAPACITY);
    let (client, producer) = (client.clone(), Arc::clone(&inbox));
    runtime.spawn(async move { client.pump(request, producer, mode).await });
    inbox
}

/// Waits for something to take.
pub fn take(inbox: &Inbox, batch: &mut Batch) -> Received {
    assert!(
        inbox.wait_timeout(PATIENCE),
        "the reply neither goes on nor ends"
    );
    inbox.try_recv(batch)
}

/// Reads a pumped reply to its end.
pub fn read_all(inbox: &Inbox) -> (Answer, Result<(), Error>) {
    let mut fold = Fold::new();
    let mut batch = Batch::default();
    loop {
        match take(inbox, &mut batch) {
            Received::Items => fold.add_batch(&batch),
            Received::Closed(end) => return (fold.finish(), end),
            Received::Empty => panic!("woken for nothing"),
        }
        batch.clear();
    }
}

/// A request without a body to an endpoint, of which the tests know what `endpoints.py` says.
pub fn request(method: Method, path: impl Into<String>) -> Request {
    let path = path.into();
    let lines = match path.as_str() {
        "/api/chat" | "/api/generate" => ReplyLines::Answer,
        "/api/pull" | "/api/push" | "/api/create" => ReplyLines::Progress,
        _ => ReplyLines::Any,
    };
    Request::to(Endpoint {
        lines: Some(lines),
        changes: method.may_change() && lines != ReplyLines::Answer,
        ..Endpoint::unknown(method, path)
    })
}

pub fn get(path: impl Into<String>) -> Request {
    request(Method::Get, path)
}

pub fn post(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Request {
    Request {
        body: Some(body.into()),
        ..request(Method::Post, path)
    }
}

/// Asks for a chat and reads the pumped reply to its end.
pub fn chat(client: &Client) -> (Answer, Result<(), Error>) {
    let runtime = runtime();
    read_all(&pump(
        &runtime,
        client,
        post("/api/chat", "{}"),
        PumpMode::Deltas,
    ))
}

pub fn kind(end: &Result<(), Error>) -> Option<Kind> {
    end.as_ref().err().map(|error| error.kind)
}

/// A content line of a chat.
pub fn line(text: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    format!(
        "{{\"model\":\"m\",\"created_at\":\"2026-08-21T17:00:05.104512Z\",\"message\":{{\"role\":\"assistant\",\"content\":{text}}},\"done\":false}}\n"
    )
}

/// The last line of a chat.
pub const DONE: &str = "{\"model\":\"m\",\"created_at\":\"2026-08-21T17:00:06Z\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\"}\n";

/// The head of a stream.
pub const STREAM: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";

pub fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

/// A complete streamed chat that says `text`.
pub fn streamed(text: &str) -> String {
    format!("{STREAM}{}{}0\r\n\r\n", chunk(&line(text)), chunk(DONE))
}

/// A reply of `status` with a body of a known length.
pub fn reply(status: &str, content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
