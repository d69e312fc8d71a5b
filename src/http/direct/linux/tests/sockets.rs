//! Sockets: what is known of them, and that no event is lost.

use std::io::{ErrorKind, Write};
use std::task::{Context, Poll, Waker};

use super::super::reactor::Reactor;
use super::super::scheduled_io::{READABLE, WRITABLE};
use super::super::socket::Socket;
use super::{PATIENCE, drive, pair, wait_and_run};

#[test]
fn a_socket_is_not_writable_before_it_is_connected_and_reads_its_end_for_ever() {
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let (connection, peer) = pair(&handle);
    let context = Context::from_waker(Waker::noop());
    assert!(connection.poll_ready(&context, WRITABLE).is_pending());
    drive(&reactor, || connection.scheduled.is(WRITABLE));
    assert!(!connection.scheduled.is(READABLE));
    drop(peer);
    drive(&reactor, || connection.scheduled.is(READABLE));
    for _ in 0..3 {
        let read = connection.poll_read(&context, &mut [0; 8]);
        assert!(matches!(read, Poll::Ready(Ok(0))), "{read:?}");
    }
}

/// Another thread may pass on an event while a task reads. What that sets must not be cleared with what the task has
/// seen.
#[test]
fn an_event_during_a_read_is_kept() {
    let reactor = Reactor::new().unwrap();
    let handle = reactor.handle();
    let (connection, mut peer) = pair(&handle);
    let context = Context::from_waker(Waker::noop());
    for drained in [true, false] {
        peer.write_all(b"a").unwrap();
        drive(&reactor, || connection.scheduled.is(READABLE));
        let mut reads = 0;
        let mut read = |stream: &Socket| {
            reads += 1;
            let done = stream.read(&mut [0; 8]);
            if reads == 1 {
                peer.write_all(b"b").unwrap();
                wait_and_run(&reactor, PATIENCE);
                if !drained {
                    return Err(ErrorKind::WouldBlock.into());
                }
            }
            done
        };
        for _ in 0..=usize::from(drained) {
            let done = connection.poll_io(&context, READABLE, &mut read, |count| *count < 8);
            assert!(matches!(done, Poll::Ready(Ok(1))), "{done:?}");
        }
        assert!(!connection.scheduled.is(READABLE));
    }
}
