//! H: what stands beside a reader or a phone: the local link that carries APDUs, files that survive a crash
