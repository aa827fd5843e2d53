//! The contract, held against the real Worker in workerd, with D1 and hibernating sockets. One file a resource.

mod harness;
