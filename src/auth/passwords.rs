//! The passwords of those who may log in by PLAIN.
//!
//! A password in clear costs a hash to compare, a hashed one as much as its maker wanted. Whoever is not
//! known is compared with a decoy, in the form that somebody's password has: the name decides whose, so
//! that no name is known by the time that its refusal takes.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::OnceLock;

use aws_lc_rs::{constant_time, digest, pbkdf2};
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use zeroize::Zeroizing;

use super::plain::is_username;
use crate::names::{Principal, Secret};

/// Who may log in by a name and a password.
pub struct Passwords {
    by_name: HashMap<String, Password>,
    /// What strangers are compared with, one for each name in the file, in its order.
    decoys: Vec<Form>,
}

/// One password, as the file has it.
pub struct Password {
    form: Form,
    /// A hash of the right one, once it has been shown: to compute the costly one again would prove nothing.
    shown: OnceLock<Zeroizing<Vec<u8>>>,
}

/// How a password is compared.
#[derive(Clone)]
enum Form {
    /// By SHA-256, which makes all lengths equal; it never leaves the process.
    Clear(Zeroizing<Vec<u8>>),
    Pbkdf2 {
        algorithm: pbkdf2::Algorithm,
        iterations: NonZeroU32,
        salt: Vec<u8>,
        hash: Zeroizing<Vec<u8>>,
    },
}

impl Passwords {
    /// Errors: the name that stands twice, or that nobody may have.
    pub fn new(all: Vec<(String, Password)>) -> Result<Self, String> {
        let mut by_name = HashMap::new();
        let decoys = all.iter().map(|(_, password)| password.form.clone()).collect();
        for (name, password) in all {
            if !is_username(&name) || by_name.contains_key(&name) {
                return Err(name);
            }
            by_name.insert(name, password);
        }
        Ok(Self { by_name, decoys })
    }

    pub fn knows(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Whether the answer is to be had at once; where it is not, [`Passwords::verify`] computes for up to a second.
    pub fn answers_at_once(&self, name: &str, password: &Secret) -> bool {
        match self.by_name.get(name) {
            Some(Password { form: Form::Clear(_), .. }) => true,
            Some(Password { shown, .. }) => {
                shown.get().is_some_and(|shown| is_equal(&hashed(password), shown))
            }
            None => matches!(self.decoy(name), None | Some(Form::Clear(_))),
        }
    }

    /// Says whether the password is the name's.
    pub fn verify(&self, name: &str, password: &Secret) -> Option<Principal> {
        let Some(known) = self.by_name.get(name) else {
            // Computed for its time alone.
            let _ = self.decoy(name).map(|decoy| decoy.is(password));
            return None;
        };
        if let Some(shown) = known.shown.get()
            && is_equal(&hashed(password), shown)
        {
            return Some(Principal::new(name));
        }
        if !known.form.is(password) {
            return None;
        }
        let _ = known.shown.set(hashed(password));
        Some(Principal::new(name))
    }

    /// The same for a name whenever it is asked, as if it were known.
    fn decoy(&self, name: &str) -> Option<&Form> {
        let hash = digest::digest(&digest::SHA256, name.as_bytes());
        let place = hash.as_ref().iter().take(4).fold(0, |place, byte| place << 8 | usize::from(*byte));
        self.decoys.get(place.checked_rem(self.decoys.len())?)
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passwords({})", self.by_name.len())
    }
}

impl Password {
    /// Reads a password in clear or in a hashed form.
    ///
    /// Shape: `$pbkdf2-sha256$i=600000$SALT$HASH` or with `sha512`, the count also bare, base64 without
    /// padding, also with `.` for `+`; everything else is the password itself.
    /// Limits: 1,000 to 2,000,000 iterations, a salt of 8 to 64 bytes, a hash of 16 bytes to all of them.
    /// Errors: a hash that is none, or of a kind that is not read.
    pub fn read(text: &Secret) -> Result<Self, InvalidPassword> {
        let form = match text.expose().strip_prefix("$pbkdf2-") {
            Some(rest) => Form::pbkdf2(rest)?,
            None if OTHER_HASHES.iter().any(|prefix| text.expose().starts_with(prefix)) => {
                return Err(InvalidPassword::OtherHash);
            }
            None => Form::Clear(hashed(text)),
        };
        Ok(Self { form, shown: OnceLock::new() })
    }

    /// Whether the file does not hold the password itself.
    pub fn is_hashed(&self) -> bool {
        matches!(self.form, Form::Pbkdf2 { .. })
    }
}

impl Form {
    /// What stands behind `$pbkdf2-`.
    fn pbkdf2(rest: &str) -> Result<Self, InvalidPassword> {
        let mut parts = rest.split('$');
        let (Some(algorithm), Some(count), Some(salt), Some(hash), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidPassword::Hash);
        };
        let (algorithm, hash_bytes_max) = match algorithm {
            "sha256" => (pbkdf2::PBKDF2_HMAC_SHA256, digest::SHA256.output_len()),
            "sha512" => (pbkdf2::PBKDF2_HMAC_SHA512, digest::SHA512.output_len()),
            _ => return Err(InvalidPassword::OtherHash),
        };
        let count = count.split(',').next().unwrap_or_default();
        let iterations = count.strip_prefix("i=").unwrap_or(count).parse().ok().and_then(NonZeroU32::new);
        let iterations = iterations.filter(|count| (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&count.get()));
        let decoded = |text: &str| BASE64.decode(text.replace('.', "+")).map_err(|_| InvalidPassword::Hash);
        let (salt, hash) = (decoded(salt)?, Zeroizing::new(decoded(hash)?));
        if !(SALT_BYTES_MIN..=SALT_BYTES_MAX).contains(&salt.len())
            || !(HASH_BYTES_MIN..=hash_bytes_max).contains(&hash.len())
        {
            return Err(InvalidPassword::Hash);
        }
        Ok(Self::Pbkdf2 { algorithm, iterations: iterations.ok_or(InvalidPassword::Iterations)?, salt, hash })
    }

    fn is(&self, password: &Secret) -> bool {
        match self {
            Self::Clear(expected) => is_equal(&hashed(password), expected),
            Self::Pbkdf2 { algorithm, iterations, salt, hash } => {
                let password = password.expose().as_bytes();
                pbkdf2::verify(*algorithm, *iterations, salt, password, hash).is_ok()
            }
        }
    }
}

fn hashed(password: &Secret) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(digest::digest(&digest::SHA256, password.expose().as_bytes()).as_ref().to_vec())
}

fn is_equal(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

/// Why a text is no password that can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    #[error(
        "this begins as a hash of a kind that is not read; write the password itself, or \
         $pbkdf2-sha256$i=600000$SALT$HASH"
    )]
    OtherHash,
    #[error(
        "this begins as a hash and is none; expected $pbkdf2-sha256$i=600000$SALT$HASH, with a salt of \
         {SALT_BYTES_MIN} to {SALT_BYTES_MAX} bytes, in base64 without padding"
    )]
    Hash,
    #[error("the hash has too few or too many iterations; expected {ITERATIONS_MIN} to {ITERATIONS_MAX}")]
    Iterations,
}

/// What other programs write before their hashes; nobody means these as passwords.
const OTHER_HASHES: [&str; 10] =
    ["$argon2", "$scrypt$", "$2a$", "$2b$", "$2y$", "$1$", "$5$", "$6$", "$y$", "{SSHA"];
const ITERATIONS_MIN: u32 = 1_000;
/// About a second of a core.
const ITERATIONS_MAX: u32 = 2_000_000;
const SALT_BYTES_MIN: usize = 8;
const SALT_BYTES_MAX: usize = 64;
const HASH_BYTES_MIN: usize = 16;
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, NO_PAD);

#[cfg(test)]
mod tests {
    use super::*;

    /// `pencil`, by Python's hashlib and by passlib's way to write it.
    const SHA256: &str =
        "$pbkdf2-sha256$i=4096$W22ZaJ0SNY7soEsUEjb6gQ$xKSVEDI6tPlSysH6mUQZOeeOp01r6B3fcJbodRPcYV0";

    fn passwords(all: &[(&str, &str)]) -> Passwords {
        let read = |text: &str| Password::read(&Secret::new(text)).unwrap();
        Passwords::new(all.iter().map(|(name, text)| ((*name).to_owned(), read(text))).collect()).unwrap()
    }

    fn check(passwords: &Passwords, name: &str, password: &str, expected: bool) {
        let verified = passwords.verify(name, &Secret::new(password));
        assert_eq!(verified.as_ref().map(Principal::name), expected.then_some(name), "{name} {password}");
    }

    #[test]
    fn a_password_is_compared_as_it_is() {
        let two = passwords(&[("alice", "pencil"), ("bob", "$ecret ")]);
        for (name, password, expected) in [
            ("alice", "pencil", true),
            ("bob", "$ecret ", true),
            ("alice", "Pencil", false),
            ("alice", "pencil ", false),
            ("alice", "", false),
            ("alice", "$ecret ", false),
            ("Alice", "pencil", false),
            ("carol", "pencil", false),
            ("", "", false),
        ] {
            check(&two, name, password, expected);
            assert!(two.answers_at_once(name, &Secret::new(password)));
        }
        check(&passwords(&[]), "alice", "pencil", false);
    }

    #[test]
    fn a_hashed_password_is_computed_and_then_remembered() {
        let dotted = SHA256.replace('+', ".").replace("i=4096", "4096");
        for text in [SHA256, &dotted, &SHA256.replace("i=4096", "i=4096,l=32")] {
            let one = passwords(&[("alice", text)]);
            let right = Secret::new("pencil");
            assert!(!one.answers_at_once("alice", &right));
            check(&one, "alice", "Pencil", false);
            check(&one, "alice", "pencil", true);
            assert!(one.answers_at_once("alice", &right));
            check(&one, "alice", "pencil", true);
            // What is wrong is computed each time, and so is what a stranger says.
            for (name, password) in [("alice", "Pencil"), ("carol", "pencil")] {
                assert!(!one.answers_at_once(name, &Secret::new(password)));
                check(&one, name, password, false);
            }
        }
    }

    #[test]
    fn a_longer_hash_is_of_the_other_algorithm() {
        let (salt, mut hash) = ([7; 16], [0; 64]);
        let few = NonZeroU32::new(1_000).unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, few, &salt, b"pencil", &mut hash);
        let text = format!("$pbkdf2-sha512$i=1000${}${}", BASE64.encode(salt), BASE64.encode(hash));
        let one = passwords(&[("alice", &text)]);
        check(&one, "alice", "pencil", true);
        check(&one, "alice", "pencil2", false);
        assert!(Password::read(&Secret::new(text.replace("sha512", "sha256"))).is_err());
    }

    #[test]
    fn what_a_stranger_is_compared_with_depends_on_the_name_alone() {
        let two = passwords(&[("alice", "pencil"), ("bob", SHA256)]);
        let password = Secret::new("x");
        let at_once = |name: &str| two.answers_at_once(name, &password);
        let names: Vec<String> = (0..40).map(|number| format!("stranger-{number}")).collect();
        let first: Vec<bool> = names.iter().map(|name| at_once(name)).collect();
        assert!(first.contains(&true) && first.contains(&false));
        assert_eq!(first, names.iter().map(|name| at_once(name)).collect::<Vec<_>>());
    }

    #[test]
    fn what_begins_as_a_hash_is_one() {
        for (text, expected) in [
            ("$pbkdf2-sha256$i=4096$W22ZaJ0SNY7soEsUEjb6gQ", InvalidPassword::Hash),
            ("$pbkdf2-sha1$i=4096$W22ZaJ0SNY7soEsUEjb6gQ$AAAA", InvalidPassword::OtherHash),
            ("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", InvalidPassword::OtherHash),
            ("$2b$12$abcdefghijklmnopqrstuv", InvalidPassword::OtherHash),
        ] {
            let read = Password::read(&Secret::new(text));
            assert_eq!(read.err(), Some(expected), "{text}");
        }
        for (old, new, expected) in [
            ("i=4096", "i=999", InvalidPassword::Iterations),
            ("i=4096", "i=2000001", InvalidPassword::Iterations),
            ("i=4096", "i=-1", InvalidPassword::Iterations),
            ("i=4096", "", InvalidPassword::Iterations),
            ("W22ZaJ0SNY7soEsUEjb6gQ", "c2FsdA", InvalidPassword::Hash),
            ("W22ZaJ0SNY7soEsUEjb6gQ", "W22ZaJ0SNY7soEsUEjb6gQ==", InvalidPassword::Hash),
            ("xKSVEDI6tPlSysH6mUQZOeeOp01r6B3fcJbodRPcYV0", "xKSV", InvalidPassword::Hash),
            ("xKSVEDI6tPlSysH6mUQZOeeOp01r6B3fcJbodRPcYV0", "!", InvalidPassword::Hash),
        ] {
            let read = Password::read(&Secret::new(SHA256.replace(old, new)));
            assert_eq!(read.err(), Some(expected), "{new}");
        }
    }

    #[test]
    fn nobody_is_called_twice_or_by_nothing() {
        let one = || Password::read(&Secret::new("x")).unwrap();
        for names in [&["alice", "bob", "alice"][..], &[""], &["a\nb"]] {
            let all = names.iter().map(|name| ((*name).to_owned(), one())).collect();
            let refused = Passwords::new(all).unwrap_err();
            assert_eq!(refused, *names.last().unwrap());
        }
    }

    #[test]
    fn passwords_show_how_many_they_are() {
        assert_eq!(format!("{:?}", passwords(&[("alice", "pencil")])), "Passwords(1)");
    }
}
