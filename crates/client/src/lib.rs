//! The native client of an Edgewise server.
