//! Nothing by itself: building it builds the module of Kryoptic beside it, in `deps`.

fn main() {}
