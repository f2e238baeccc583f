//! T: the holder's judgement: keep passes, choose, disclose, answer a tap, accept an offer (no_std)
