//! Everything that is chat and not Cloudflare: the schema, the rules of content, the SQL, the channel engine.
//!
//! Nothing in here has a clock, randomness or a network of its own: they come in as traits, so that the same
//! code runs in workerd and, under a seeded scheduler, in the tests.

pub mod proto;
