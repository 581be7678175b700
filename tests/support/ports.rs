//! Free ports, and ranges of them, also when several test binaries and checkouts look for some at once.

use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

/// A block of ports is claimed by listening on its first one for as long as this process lives, so that no other
/// that looks here takes it; the rest of the block is given out.
struct Block {
    next: u16,
    end: u16,
    _claim: TcpListener,
}

static BLOCKS: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// The ports of one block: enough for three brokers, or a listener with some room.
const BLOCK_PORTS: u16 = 100;
/// From here up to the ports that systems hand out to clients, past those that the demo has.
const FIRST: u16 = 10_000;
const LAST: u16 = 18_900;

/// The first of `count` consecutive ports on which nobody listens.
pub fn free_range(count: u16) -> u16 {
    assert!(count < BLOCK_PORTS, "{count} ports do not fit into one block");
    let mut blocks = BLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(first) = blocks.last_mut().and_then(|block| block.take(count)) {
            return first;
        }
        let block = claim();
        blocks.push(block);
    }
}

/// One port on which nobody listens.
pub fn free() -> u16 {
    free_range(1)
}

impl Block {
    fn take(&mut self, count: u16) -> Option<u16> {
        while self.end - self.next >= count {
            let first = self.next;
            match (first..first + count).rev().find(|port| listen(*port).is_none()) {
                None => {
                    self.next += count;
                    return Some(first);
                }
                Some(taken) => self.next = taken + 1,
            }
        }
        None
    }
}

fn claim() -> Block {
    let blocks = (LAST - FIRST) / BLOCK_PORTS;
    // Processes that start together begin their search at different places.
    let start = u16::try_from(std::process::id() % u32::from(blocks)).expect("less than a u16");
    for step in 0..blocks {
        let first = FIRST + (start + step) % blocks * BLOCK_PORTS;
        if let Some(claim) = listen(first) {
            return Block { next: first + 1, end: first + BLOCK_PORTS, _claim: claim };
        }
    }
    panic!("no free ports between {FIRST} and {LAST}");
}

fn listen(port: u16) -> Option<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).ok()
}
