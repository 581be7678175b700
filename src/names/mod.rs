//! Names, and whose they are.
//!
//! A name belongs to the client's world or to the broker's, and its type says which. [`Namespace`]
//! is the only way across. Knows nothing else of the house.

mod alias; //     second names of topics
mod glob; //      patterns over names
mod namespace; // the only door between the two sides
mod pattern; //   what an ACL speaks of, on both sides
mod principal; // who acts
mod secret; //    a text that is never shown
mod side; //      Virtual and Backend
mod slot; //      a name where it stands in a message

pub use alias::InvalidAlias;
pub use glob::Glob;
pub use namespace::{Additional, InvalidName, InvalidNamespace, Mode, Namespace, is_internal_topic};
pub use pattern::{InvalidPattern, Pattern};
pub use principal::Principal;
pub use secret::Secret;
pub use side::{Backend, Virtual};
pub use slot::{Kind, NameSlot, TopicSlot};
