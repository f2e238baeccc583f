//! W: wire types and endpoint signatures of the HTTP API; no logic
