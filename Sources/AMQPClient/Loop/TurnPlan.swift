/// What a connection waits for after a turn.
struct TurnPlan: Sendable {
    /// The socket, or -1 for none.
    var socket: Int32 = -1
    /// Whether there is something to write as soon as the socket takes it.
    var wantsToWrite = false
    /// How long to wait at most; zero to go on at once.
    var wait: Duration = .seconds(60)
    /// Whether the connection is over and its thread can end.
    var isFinished = false
}
