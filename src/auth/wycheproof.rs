//! The 649 vectors of Project Wycheproof.
