//! Names of every kind of standing: who may do what with them, and whether they are there.
//!
//! A name says its standing by its beginning, for grants go by prefixes: `d-full-…` may be used for everything,
//! `d-read-…` read, `d-write-…` written, `d-see-…` described; nothing is granted on `d-hide-…`. Behind that
//! stands the round, so that no round meets what another has left.

use super::random::Random;

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Topic,
    Group,
    TransactionalId,
}

/// How a name stands, for the client whose rights differ from name to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Granted,
    GrantedAbsent,
    DescribeOnly,
    Denied,
    DeniedAbsent,
    /// Another tenant's, and the backend's own spelling of ours.
    Foreign,
    /// What no broker takes for a name, and what is the broker's own.
    Illegal,
}

pub const STANDINGS: [Standing; 7] = [
    Standing::Granted,
    Standing::GrantedAbsent,
    Standing::DescribeOnly,
    Standing::Denied,
    Standing::DeniedAbsent,
    Standing::Foreign,
    Standing::Illegal,
];

/// What every name of these rounds begins with.
pub const OURS: &str = "d-";

/// What the gateway puts before names at the backend.
///
/// Java's hash of this text is 0, so that a name with it has the hash of the name without it: brokers keep names in
/// hash tables and answer in their order, which thus is the same on both ways.
pub const PREFIX: &str = "elevflk-";

/// What another tenant has before its names.
pub const OTHER_PREFIX: &str = "yow-";

/// A topic, a group or a transactional id of the other tenant.
pub const OTHERS: &str = "yow-d-full-a";

/// Topics that are there when a round begins, by what stands between the prefix and the round, with their partitions.
pub const TOPICS: [(&str, &str, i32); 6] = [
    ("full", "a", 2),
    ("full", "b", 1),
    ("read", "a", 2),
    ("write", "a", 1),
    ("see", "a", 2),
    ("hide", "a", 1),
];

/// Groups that are there with an offset each.
pub const GROUPS: [&str; 4] = ["full", "read", "see", "hide"];

/// Transactional ids that are there.
pub const TRANSACTIONAL_IDS: [&str; 4] = ["full", "write", "see", "hide"];

/// A name of one round, for example `d-full-7-a`.
pub fn name(standing: &str, round: u64, rest: &str) -> String {
    format!("{OURS}{standing}-{round}-{rest}")
}

/// Makes the names of one round.
pub struct Names {
    round: u64,
    fresh: u32,
    /// Whether the client may do everything with the cluster, and so must not be told what is not ours.
    pub for_operator: bool,
}

impl Names {
    pub fn of_round(round: u64) -> Self {
        Self { round, fresh: 0, for_operator: false }
    }

    /// A granted name that nobody has used before.
    pub fn fresh(&mut self, standing: &str) -> String {
        self.fresh += 1;
        name(standing, self.round, &format!("new{}", self.fresh))
    }

    /// One that is there and may be used for everything.
    pub fn there(&self, kind: Kind) -> String {
        let rest = match kind {
            Kind::Topic => "a",
            Kind::Group => "g",
            Kind::TransactionalId => "t",
        };
        name("full", self.round, rest)
    }

    pub fn pick(&mut self, random: &mut Random, kind: Kind, standing: Standing) -> String {
        let rest = match kind {
            Kind::Topic => random.pick(&["a", "a", "b"]),
            Kind::Group => "g",
            Kind::TransactionalId => "t",
        };
        let standing = match standing {
            Standing::Foreign if self.for_operator => Standing::Granted,
            standing => standing,
        };
        match standing {
            Standing::Granted => match kind {
                Kind::Topic => {
                    let (standing, rest, _) = random.pick(&TOPICS[..4]);
                    name(standing, self.round, rest)
                }
                Kind::Group => name(random.pick(&["full", "full", "read"]), self.round, rest),
                Kind::TransactionalId => name(random.pick(&["full", "full", "write"]), self.round, rest),
            },
            Standing::GrantedAbsent => {
                let standing = random.pick(&["full", "full", "read", "write", "see"]);
                self.fresh(standing)
            }
            Standing::DescribeOnly => name("see", self.round, rest),
            Standing::Denied => name("hide", self.round, rest),
            Standing::DeniedAbsent => self.fresh("hide"),
            Standing::Foreign => match random.below(3) {
                0 => format!("{PREFIX}{}", self.there(kind)),
                _ => OTHERS.to_owned(),
            },
            Standing::Illegal => self.illegal(random, kind),
        }
    }

    fn illegal(&mut self, random: &mut Random, kind: Kind) -> String {
        let full = name("full", self.round, "");
        match random.below(if self.for_operator { 7 } else { 8 }) {
            0 => String::new(),
            1 => ".".to_owned(),
            2 => "..".to_owned(),
            3 => format!("{full}{}", "x".repeat(250 - full.len())),
            4 => format!("{full}a b"),
            5 => format!("{full}ä"),
            6 => format!("{full}a/b"),
            _ => match kind {
                Kind::Topic => random.pick(&["__consumer_offsets", "__transaction_state"]).to_string(),
                Kind::Group | Kind::TransactionalId => "kafka-cluster".to_owned(),
            },
        }
    }
}
