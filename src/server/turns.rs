//! Turns at something that all share and there is little of, fairly between those who want them.
//!
//! Knows no login: who asks is an address, and what the turn is for is the caller's own.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// So many turns at once. Who waits is served in the order it came, but one origin after another: a crowd
/// from one place delays itself.
#[derive(Clone)]
pub struct Turns(Arc<Mutex<State>>);

/// One of those who want turns.
#[derive(Clone)]
pub struct Contender {
    pub turns: Turns,
    pub origin: Origin,
}

/// Where somebody comes from: an address, and of IPv6 the network, of which one host may have every address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

/// The right to go on, for as long as this lives.
pub struct Turn {
    turns: Turns,
    origin: Origin,
}

struct State {
    free: usize,
    each_at_most: usize,
    waiting_each_max: usize,
    /// How many turns an origin has; none that has none.
    had: HashMap<Origin, usize>,
    /// Who waits, by origin.
    waiting: HashMap<Origin, VecDeque<oneshot::Sender<Turn>>>,
    /// The origins of those who wait, each once, in the order in which they are served.
    round: VecDeque<Origin>,
}

impl Turns {
    /// So many at once, of which one origin has at most so many, and so many more of it may wait.
    pub fn new(at_once: usize, each_at_most: usize, waiting_each_max: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: at_once,
            each_at_most: each_at_most.max(1),
            waiting_each_max,
            had: HashMap::new(),
            waiting: HashMap::new(),
            round: VecDeque::new(),
        })))
    }

    /// Waits for a turn; `None` at once where too many of the same origin wait.
    pub async fn take(&self, origin: Origin) -> Option<Turn> {
        let turn = {
            let mut state = self.state();
            if state.has_turn_for(origin) {
                state.give(origin);
                return Some(Turn { turns: self.clone(), origin });
            }
            state.wait(origin)?
        };
        // Whoever gives up drops this, and with it a turn that comes too late.
        turn.await.ok()
    }

    /// Hands a turn that is over on to the next.
    fn release(&self, origin: Origin) {
        let next = {
            let mut state = self.state();
            state.take_back(origin);
            state.next()
        };
        if let Some((origin, waiter)) = next {
            // One that has just given up gives it back: what comes back here is dropped, and released anew.
            drop(waiter.send(Turn { turns: self.clone(), origin }));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contender {
    pub async fn take(&self) -> Option<Turn> {
        self.turns.take(self.origin).await
    }
}

impl State {
    fn has_turn_for(&self, origin: Origin) -> bool {
        self.free > 0 && self.had.get(&origin).is_none_or(|had| *had < self.each_at_most)
    }

    fn give(&mut self, origin: Origin) {
        self.free -= 1;
        *self.had.entry(origin).or_default() += 1;
    }

    fn take_back(&mut self, origin: Origin) {
        self.free += 1;
        if let Some(had) = self.had.get_mut(&origin) {
            *had -= 1;
            if *had == 0 {
                self.had.remove(&origin);
            }
        }
    }

    fn wait(&mut self, origin: Origin) -> Option<oneshot::Receiver<Turn>> {
        let waiting = self.waiting.entry(origin).or_insert_with(|| {
            self.round.push_back(origin);
            VecDeque::new()
        });
        waiting.retain(|waiter| !waiter.is_closed());
        if waiting.len() >= self.waiting_each_max {
            return None;
        }
        let (waiter, turn) = oneshot::channel();
        waiting.push_back(waiter);
        Some(turn)
    }

    /// Gives a turn to the first who may have it, and puts his origin behind the others.
    fn next(&mut self) -> Option<(Origin, oneshot::Sender<Turn>)> {
        for _ in 0..self.round.len() {
            let origin = self.round.pop_front()?;
            let may = self.has_turn_for(origin);
            let Some(waiting) = self.waiting.get_mut(&origin) else { continue };
            let here = || std::iter::from_fn(|| waiting.pop_front()).find(|waiter| !waiter.is_closed());
            let next = may.then(here).flatten();
            if waiting.is_empty() {
                self.waiting.remove(&origin);
            } else {
                self.round.push_back(origin);
            }
            if let Some(waiter) = next {
                self.give(origin);
                return Some((origin, waiter));
            }
        }
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.release(self.origin);
    }
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
            address => address,
        })
    }
}

/// What a host of IPv6 is given is a network of this many bits (RFC 4291 section 2.5.4).
const NETWORK: u128 = !(u64::MAX as u128);

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn origin(last: u8) -> Origin {
        Origin::from(IpAddr::from([127, 0, 0, last]))
    }

    type Waiting<'t> = Pin<Box<dyn Future<Output = Option<Turn>> + 't>>;

    fn wait(turns: &Turns, last: u8) -> Waiting<'_> {
        let mut waiting: Waiting<'_> = Box::pin(turns.take(origin(last)));
        assert!(look(&mut waiting).is_none(), "nobody has a turn yet");
        waiting
    }

    fn look(waiting: &mut Waiting<'_>) -> Option<Option<Turn>> {
        match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    fn at_once(turns: &Turns, last: u8) -> Option<Turn> {
        look(&mut (Box::pin(turns.take(origin(last))) as Waiting<'_>)).expect("nothing is waited for")
    }

    #[test]
    fn a_13_who_comes_from_elsewhere_is_next_whatever_the_crowd() {
        let turns = Turns::new(1, 1, 100);
        let first = at_once(&turns, 2).unwrap();
        let mut crowd: Vec<Waiting<'_>> = (0..100).map(|_| wait(&turns, 2)).collect();
        let mut other = wait(&turns, 3);
        let mut third = wait(&turns, 4);
        drop(first);
        let second = look(&mut crowd[0]).expect("the first of the crowd was there before").unwrap();
        assert!(look(&mut other).is_none() && look(&mut crowd[1]).is_none());
        drop(second);
        let others = look(&mut other).expect("then it is another's turn").unwrap();
        drop(others);
        drop(look(&mut third).expect("and another's").unwrap());
        assert!(look(&mut crowd[1]).is_some(), "then the crowd's again");
    }

    #[test]
    fn a_13_so_many_wait_of_one_origin_and_no_more() {
        let turns = Turns::new(1, 1, 100);
        let _first = at_once(&turns, 2).unwrap();
        let mut crowd: Vec<Waiting<'_>> = (0..100).map(|_| wait(&turns, 2)).collect();
        assert!(at_once(&turns, 2).is_none());
        let _other = wait(&turns, 3);
        // Who gives up makes room.
        crowd.pop();
        crowd.push(wait(&turns, 2));
        assert!(at_once(&turns, 2).is_none());
    }

    #[test]
    fn a_turn_is_lost_by_nobody_who_gives_up() {
        let turns = Turns::new(1, 1, 100);
        for gives_up_late in [false, true] {
            let first = at_once(&turns, 2).unwrap();
            let (leaves, mut stays) = (wait(&turns, 2), wait(&turns, 3));
            if gives_up_late {
                drop(first);
                drop(leaves);
            } else {
                drop(leaves);
                drop(first);
            }
            assert!(look(&mut stays).expect("it is its turn").is_some());
        }
        let state = turns.state();
        assert_eq!((state.free, state.had.len(), state.waiting.len(), state.round.len()), (1, 0, 0, 0));
    }

    #[test]
    fn one_origin_never_has_all_turns_where_that_is_said() {
        let turns = Turns::new(4, 3, 100);
        let mut had: Vec<Turn> = (0..3).map(|_| at_once(&turns, 2).unwrap()).collect();
        let mut fourth = wait(&turns, 2);
        let other = at_once(&turns, 3).unwrap();
        let mut another = wait(&turns, 4);
        drop(other);
        let another = look(&mut another).expect("what is free is not the crowd's").unwrap();
        assert!(look(&mut fourth).is_none());
        drop(another);
        assert!(look(&mut fourth).is_none());
        had.pop();
        assert!(look(&mut fourth).is_some());
    }

    #[test]
    fn a_network_is_one_origin() {
        let of = |text: &str| Origin::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("127.0.0.2"), of("127.0.0.3"));
        assert_eq!(of("::ffff:127.0.0.2"), of("127.0.0.2"));
    }
}
