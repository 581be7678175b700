//! A socket of either kind, and one side of a connection: what it has read, what it has yet to write.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::wire::{self, Segments};

/// A TCP connection, bare or inside TLS.
pub enum Stream {
    Plain(TcpStream),
    Accepted(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    Connected(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Accepted(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Connected(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl Stream {
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Accepted(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Connected(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    /// TLS keeps what it encrypted until it is asked.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Accepted(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Connected(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// The certificate by which a client proved itself, in DER.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        match self {
            Stream::Accepted(stream) => stream.get_ref().1.peer_certificates()?.first().map(AsRef::as_ref),
            Stream::Plain(_) | Stream::Connected(_) => None,
        }
    }

    pub async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.shutdown().await,
            Stream::Accepted(stream) => stream.shutdown().await,
            Stream::Connected(stream) => stream.shutdown().await,
        }
    }
}

/// One side of a connection.
pub struct Side {
    stream: Stream,
    /// Bytes that came and are not taken yet. Empty, it holds no memory: idle connections are many.
    pub inbox: BytesMut,
    outbox: VecDeque<Bytes>,
    unflushed: bool,
}

impl Side {
    pub fn new(stream: Stream) -> Self {
        Self { stream, inbox: BytesMut::new(), outbox: VecDeque::new(), unflushed: false }
    }

    pub fn send(&mut self, segments: Segments) {
        self.outbox.extend(segments);
    }

    pub fn has_sent_all(&self) -> bool {
        self.outbox.is_empty() && !self.unflushed
    }

    /// Whether there is a frame to take without reading.
    pub fn holds_frame(&self) -> bool {
        wire::has_frame(&self.inbox)
    }

    /// Writes what there is to write, in as few calls as the socket takes.
    pub fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
            let count = self
                .outbox
                .iter()
                .zip(&mut slices)
                .map(|(bytes, slice)| *slice = IoSlice::new(bytes))
                .count();
            let mut written = ready!(self.stream.poll_write(cx, &slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = !matches!(self.stream, Stream::Plain(_));
            while let Some(front) = self.outbox.front_mut() {
                let taken = written.min(front.len());
                front.advance(taken);
                written -= taken;
                if !front.is_empty() {
                    break;
                }
                self.outbox.pop_front();
            }
        }
        if self.unflushed {
            ready!(self.stream.poll_flush(cx))?;
            self.unflushed = false;
        }
        if self.outbox.capacity() > OUTBOX_PIECES_KEPT {
            self.outbox = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what has come, and says how much; 0 when the peer has closed.
    ///
    /// Shape: through memory that all connections of a worker share, unless a large frame is expected:
    /// that one is read into its own and never copied.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let missing = wire::missing(&self.inbox);
        if missing >= LARGE_FRAME_BYTES_MIN {
            // What a peer announces is believed as far as it has begun to send: a few bytes are cheap.
            let room = missing.min(LARGE_FRAME_BYTES_MIN.max(BELIEVED_TIMES * self.inbox.len()));
            if self.inbox.capacity() - self.inbox.len() < room.min(LARGE_FRAME_BYTES_MIN) {
                self.inbox.reserve(room);
            }
            return pin!(self.stream.read_buf(&mut self.inbox)).poll(cx);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let read = buffer.filled();
            if self.inbox.is_empty() {
                self.inbox = BytesMut::with_capacity(read.len());
            }
            self.inbox.extend_from_slice(read);
            Poll::Ready(Ok(read.len()))
        })
    }

    /// Reads on a little while nothing is taken, to see whether the peer has left.
    pub fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.inbox.len() < READ_AHEAD_BYTES_MAX {
            // A broken connection is as good as a closed one, and will say so when it is read again.
            if ready!(self.poll_receive(cx)).is_ok_and(|read| read > 0) {
                continue;
            }
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Reads and forgets, until the peer has closed.
    pub fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inbox = BytesMut::new();
        loop {
            let received = SCRATCH.with_borrow_mut(|scratch| {
                let mut buffer = ReadBuf::new(scratch);
                Pin::new(&mut self.stream).poll_read(cx, &mut buffer).map_ok(|()| buffer.filled().len())
            });
            if ready!(received)? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Gives back the memory of an empty inbox.
    pub fn release(&mut self) {
        if self.inbox.is_empty() && self.inbox.capacity() > 0 {
            self.inbox = BytesMut::new();
        }
    }

    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

/// Four of the largest TLS records, and a few hundred small requests.
const SCRATCH_BYTES: usize = 64 * 1024;
/// More than clients send while they wait for an answer, unless they produce.
const READ_AHEAD_BYTES_MAX: usize = 64 * 1024;
/// Heads and shared tails of a few requests.
const SLICES_PER_WRITE: usize = 64;
/// What an idle connection may keep of its outbox's room.
const OUTBOX_PIECES_KEPT: usize = 16;
/// From here on a frame is worth memory of its own.
const LARGE_FRAME_BYTES_MIN: usize = 64 * 1024;
/// How many times what has come is believed to be still to come: a frame of a hundred megabytes moves three times.
const BELIEVED_TIMES: usize = 16;
