import Testing

/// The real command on both brokers, several processes at a time.
///
/// The tests run one after the other: each starts enough processes to load a small machine, and some measure times.
@Suite("Integration", .serialized, .timeLimit(.minutes(2))) enum Integration {}
