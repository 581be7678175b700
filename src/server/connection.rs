//! Drives one session: bytes in, bytes out, and whatever step it asks for next.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep, timeout};

use super::journal::Journal;
use super::logins::Logins;
use super::stream::{Side, Stream};
use super::turns::{Contender, Turn};
use super::upstream::Upstream;
use super::worker::Stop;
use crate::auth::Verdict;
use crate::cluster::Door;
use crate::session::{Event, Next, Outbox, Reason, Session};

/// One client connection with everything it needs.
pub struct Connection {
    session: Session,
    client: Side,
    broker: Option<Side>,
    /// Which broker that is, if it is known.
    node: Option<i32>,
    door: Door,
    upstream: Arc<Upstream>,
    logins: Logins,
    /// Its way to a turn at a login that only the broker can check.
    relaying: Contender,
    /// Its turn, until the broker has said yes, or the connection to it is closed.
    turn: Option<Turn>,
    /// What is being found out about its login.
    verdict: Option<Pin<Box<dyn Future<Output = Verdict> + Send>>>,
    journal: Journal,
    stop: Stop,
    is_draining: bool,
    client_left: bool,
    timer: Pin<Box<Sleep>>,
    /// Which of several brokers a bootstrap connection tries first.
    preferred: usize,
}

/// Why a connection is over.
#[derive(Debug)]
pub enum End {
    /// By the session's own decision.
    Closed(Reason),
    ClientGone,
    BrokerGone,
    ClientBroken(io::Error),
    BrokerBroken(io::Error),
    NoBroker(io::Error),
    /// There is nothing to log in with at the broker.
    NoToken(io::Error),
}

/// What a connection wakes up for.
enum Woken {
    ClientBytes,
    /// The client has left while its request is held.
    ClientLeft,
    BrokerBytes,
    Verdict(Verdict),
    Draining,
    Deadline,
    End(End),
}

impl Connection {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one thing that a connection has, named where it is made"
    )]
    pub fn new(
        session: Session,
        client: Stream,
        door: Door,
        upstream: Arc<Upstream>,
        logins: Logins,
        relaying: Contender,
        journal: Journal,
        stop: Stop,
        preferred: usize,
    ) -> Self {
        Self {
            session,
            client: Side::new(client),
            broker: None,
            node: None,
            door,
            upstream,
            logins,
            relaying,
            turn: None,
            verdict: None,
            journal,
            stop,
            is_draining: false,
            client_left: false,
            timer: Box::pin(sleep(Duration::ZERO)),
            preferred,
        }
    }

    /// Runs to the connection's end, and closes both sides.
    pub async fn run(mut self) {
        let end = self.serve().await;
        if let End::Closed(reason) = &end
            && reason.is_failed_login()
        {
            // Guessing is to be slow, and so the answer waits too; nothing but a timer is held.
            sleep(FAILED_LOGIN_DELAY).await;
        }
        match &end {
            // How long the last answers may take is up to the drain.
            End::Closed(Reason::Drained) => self.flush().await,
            _ => drop(timeout(FLUSH_TIMEOUT, self.flush()).await),
        }
        if let End::Closed(Reason::BrokerLogin(why)) = &end {
            self.upstream.login_failed(why);
        }
        if let Some(mut broker) = self.broker.take() {
            let _ = timeout(FLUSH_TIMEOUT, broker.shutdown()).await;
        }
        let _ = timeout(FLUSH_TIMEOUT, self.client.shutdown()).await;
        self.journal.closed(&end);
    }

    async fn serve(&mut self) -> End {
        let mut next = Next::Read;
        loop {
            match next {
                Next::Close(reason) => return End::Closed(reason),
                Next::Verify(evidence) => {
                    let certificate = self.session.certificate().cloned();
                    self.verdict = Some(Box::pin(self.logins.verify(evidence, certificate)));
                }
                Next::Connect => match self.reach_broker().await {
                    Ok(next_step) => {
                        next = next_step;
                        continue;
                    }
                    Err(end) => return end,
                },
                Next::Read => {}
            }
            next = match poll_fn(|cx| self.poll_woken(cx)).await {
                Woken::ClientBytes => self.take_client_bytes(),
                Woken::ClientLeft => {
                    self.client_left = true;
                    self.session.on_client_left(Instant::now());
                    Next::Read
                }
                Woken::BrokerBytes => self.take_broker_bytes(),
                Woken::End(End::ClientGone) => {
                    // Whole requests that came before the end go on; a producer that wants no answer
                    // closes as soon as it has written.
                    self.take_client_bytes();
                    return End::ClientGone;
                }
                Woken::End(end) => return end,
                Woken::Verdict(verdict) => self.take_verdict(verdict),
                Woken::Draining => {
                    self.is_draining = true;
                    self.session.drain()
                }
                Woken::Deadline => self.take_deadline(),
            };
        }
    }

    /// Connects to the broker, for somebody of whom nothing is known yet when it is his turn.
    async fn reach_broker(&mut self) -> Result<Next, End> {
        if self.session.is_unverified() {
            self.turn = Some(self.wait_for_turn().await?);
        }
        let upstream = self.upstream.clone();
        let (door, preferred) = (self.door, self.preferred);
        let is_relayed = self.session.is_relayed();
        let connecting = async {
            // A client that logs in there by itself needs no token of the gateway.
            if !is_relayed {
                upstream.wait_for_token().await.map_err(End::NoToken)?;
            }
            upstream.connect(door, preferred).await.map_err(End::NoBroker)
        };
        let connected = self.wait_for(connecting).await?;
        self.journal.connected(connected.is_ok());
        let (node, stream) = connected?;
        self.node = node;
        self.broker = Some(Side::new(stream));
        let mut out = Outbox::default();
        let next = self.session.on_connected(Instant::now(), &mut out);
        self.dispatch(out, Instant::now());
        Ok(next)
    }

    async fn wait_for_turn(&mut self) -> Result<Turn, End> {
        let relaying = self.relaying.clone();
        match self.wait_for(relaying.take()).await {
            Ok(Some(turn)) => Ok(turn),
            // Too many wait with it, or it has waited for too long.
            Ok(None) | Err(End::Closed(Reason::LoginTimeout)) => {
                let mut out = Outbox::default();
                let reason = self.session.on_no_turn(&mut out);
                self.dispatch(out, Instant::now());
                Err(End::Closed(reason))
            }
            Err(end) => Err(end),
        }
    }

    /// Waits for what takes its time. The answer to the login goes out meanwhile, and whatever ends the
    /// connection ends the wait.
    async fn wait_for<T>(&mut self, work: impl Future<Output = T>) -> Result<T, End> {
        let mut work = pin!(work);
        loop {
            let woken = poll_fn(|cx| {
                if let Poll::Ready(done) = work.as_mut().poll(cx) {
                    return Poll::Ready(Ok(done));
                }
                if let Poll::Ready(Err(error)) = self.client.poll_send(cx) {
                    return Poll::Ready(Err(Woken::End(End::ClientBroken(error))));
                }
                self.poll_word(cx).map(Err)
            });
            let next = match woken.await {
                Ok(done) => return Ok(done),
                Err(Woken::Draining) => {
                    self.is_draining = true;
                    self.session.drain()
                }
                Err(Woken::End(end)) => return Err(end),
                Err(_) => self.take_deadline(),
            };
            if let Next::Close(reason) = next {
                return Err(End::Closed(reason));
            }
        }
    }

    /// Sends and receives until there is something to do.
    fn poll_woken(&mut self, cx: &mut Context<'_>) -> Poll<Woken> {
        // Before the traffic: there may always be some.
        if !self.is_draining && self.stop.is_told() {
            return Poll::Ready(Woken::Draining);
        }
        if let Some(verdict) = &mut self.verdict
            && let Poll::Ready(verdict) = verdict.as_mut().poll(cx)
        {
            self.verdict = None;
            return Poll::Ready(Woken::Verdict(verdict));
        }
        match self.poll_traffic(cx) {
            Poll::Ready(woken) => Poll::Ready(woken),
            Poll::Pending => self.poll_word(cx),
        }
    }

    /// What comes from neither side: the word to stop, and the clock.
    fn poll_word(&mut self, cx: &mut Context<'_>) -> Poll<Woken> {
        if !self.is_draining && self.stop.poll(cx).is_ready() {
            return Poll::Ready(Woken::Draining);
        }
        let Some(deadline) = self.session.deadline() else { return Poll::Pending };
        let deadline = tokio::time::Instant::from_std(deadline);
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        self.timer.as_mut().poll(cx).map(|()| Woken::Deadline)
    }

    /// Moves bytes both ways. Nothing is read while the client leaves its answers, and the client is not
    /// read while the broker leaves its requests: that is the backpressure. What the gateway answers by
    /// itself would grow without it, too, for a client that only sends.
    fn poll_traffic(&mut self, cx: &mut Context<'_>) -> Poll<Woken> {
        let client = &mut self.client;
        if let Poll::Ready(Err(error)) = client.poll_send(cx) {
            return Poll::Ready(Woken::End(End::ClientBroken(error)));
        }
        if let Some(broker) = &mut self.broker {
            if let Poll::Ready(Err(error)) = broker.poll_send(cx) {
                return Poll::Ready(Woken::End(End::BrokerBroken(error)));
            }
            if !client.has_sent_all() {
                return Poll::Pending;
            }
            match broker.poll_receive(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Woken::End(End::BrokerGone)),
                Poll::Ready(Ok(_)) => return Poll::Ready(Woken::BrokerBytes),
                Poll::Ready(Err(error)) => return Poll::Ready(Woken::End(End::BrokerBroken(error))),
                Poll::Pending => {}
            }
            if !broker.has_sent_all() {
                return Poll::Pending;
            }
        }
        if self.session.is_ending() {
            // Nobody takes it any more, but the end of it is to be seen.
            return client
                .poll_discard(cx)
                .map(|end| Woken::End(end.map_or_else(End::ClientBroken, |()| End::ClientGone)));
        }
        if !client.has_sent_all() {
            return Poll::Pending;
        }
        if !self.session.takes_frames() {
            if !self.session.is_held() || self.client_left {
                return Poll::Pending;
            }
            return client.poll_left(cx).map(|()| Woken::ClientLeft);
        }
        // What lay there while no frame was taken.
        if client.holds_frame() {
            return Poll::Ready(Woken::ClientBytes);
        }
        match client.poll_receive(cx) {
            Poll::Ready(Ok(0)) => Poll::Ready(Woken::End(End::ClientGone)),
            Poll::Ready(Ok(_)) => Poll::Ready(Woken::ClientBytes),
            Poll::Ready(Err(error)) => Poll::Ready(Woken::End(End::ClientBroken(error))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn take_client_bytes(&mut self) -> Next {
        let started = Instant::now();
        let mut out = Outbox::default();
        let next = self.session.on_client_bytes(&mut self.client.inbox, started, &mut out);
        self.client.release();
        self.dispatch(out, started);
        next
    }

    fn take_broker_bytes(&mut self) -> Next {
        let Some(broker) = &mut self.broker else { return Next::Read };
        let started = Instant::now();
        let mut out = Outbox::default();
        let next = self.session.on_broker_bytes(&mut broker.inbox, started, &mut out);
        broker.release();
        self.dispatch(out, started);
        if self.turn.is_some() && self.session.principal().is_some() {
            self.turn = None;
        }
        next
    }

    fn take_verdict(&mut self, verdict: Verdict) -> Next {
        let now = Instant::now();
        let mut out = Outbox::default();
        let next = self.session.on_verdict(verdict, now, &mut out);
        self.dispatch(out, now);
        next
    }

    fn take_deadline(&mut self) -> Next {
        let now = Instant::now();
        let mut out = Outbox::default();
        let next = self.session.on_deadline(now, &mut out);
        self.dispatch(out, now);
        next
    }

    /// Puts what came out of the session on its way.
    fn dispatch(&mut self, out: Outbox, started: Instant) {
        for answer in out.to_client {
            self.client.send(answer.into_inner());
        }
        if let Some(broker) = &mut self.broker {
            for request in out.to_broker {
                broker.send(request.into_inner());
            }
        }
        if out.events.is_empty() {
            return;
        }
        for event in &out.events {
            if let Event::BrokerReady(versions) = event {
                self.upstream.learn_versions(self.node, versions);
            }
        }
        self.journal.tell(&out.events, self.session.principal(), self.session.client_id(), started);
    }

    /// Sends what is left, to each side as far as it takes it, whatever becomes of the other.
    async fn flush(&mut self) {
        poll_fn(|cx| {
            let broker = self.broker.as_mut().map_or(Poll::Ready(Ok(())), |broker| broker.poll_send(cx));
            let client = self.client.poll_send(cx);
            if broker.is_ready() && client.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl End {
    /// The metric label.
    pub fn label(&self) -> &'static str {
        match self {
            End::Closed(reason) => reason.label(),
            End::ClientGone => "client_gone",
            End::BrokerGone => "broker_gone",
            End::ClientBroken(_) => "client_broken",
            End::BrokerBroken(_) => "broker_broken",
            End::NoBroker(_) => "no_broker",
            End::NoToken(_) => "no_token",
        }
    }
}

/// Kafka's own `connection.failed.authentication.delay.ms`.
const FAILED_LOGIN_DELAY: Duration = Duration::from_millis(100);
/// How long a peer may take to receive its last bytes.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
