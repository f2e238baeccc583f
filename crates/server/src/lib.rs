//! H: HTTP and background work: parse, load, authorize, decide, commit, reply
